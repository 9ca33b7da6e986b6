// The description of hollow nodes and their pods: a file of the user's.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "hollow/life_cycles.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto cycles =
      knarr::hollow::LifeCycles::Parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!cycles.ok()) return 0;
  for (int i = 0; i < 10; ++i) (void)cycles->ShapeOf(i);
  (void)cycles->CheckCount(5000);
  return 0;
}
