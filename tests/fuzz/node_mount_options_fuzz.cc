// Mount options of a volume, as anybody may write them: nothing of them may do harm, and what is the file system's own
// is read the same way again.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "node/persistent_volumes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const size_t cut = input.find('\n');
  std::vector<std::string> options{input.substr(0, cut)};
  if (cut != std::string::npos) options.push_back(input.substr(cut + 1));
  const knarr::node::MountOptions parsed = knarr::node::ParseMountOptions(options);
  const knarr::node::MountOptions again = knarr::node::ParseMountOptions({parsed.data});
  CHECK(again.data == parsed.data && again.flags == 0);
  return 0;
}
