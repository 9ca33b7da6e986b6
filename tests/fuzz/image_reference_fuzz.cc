// Image references and the other small texts that registries and users hand to image/.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "image/manifest.h"
#include "image/records.h"
#include "image/registries.h"
#include "image/store.h"
#include "image/user.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr::image;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 6) {
    case 0: {
      const auto parsed = Reference::Parse(text);
      if (!parsed.ok()) break;
      // What was read is written so that it reads as the same.
      const auto again = Reference::Parse(parsed->Canonical());
      if (!again.ok() || again->Canonical() != parsed->Canonical()) std::abort();
      break;
    }
    case 1:
      (void)ParseManifest(text, "").ok();
      break;
    case 2:
      (void)ParseImageConfig(text).ok();
      break;
    case 3:
      (void)ParseAuthChallenge(text).ok();
      break;
    case 4:
      (void)ResolveUserIn(text.substr(0, 20), text, text).ok();
      break;
    default:
      (void)ParseSavedManifest(text).ok();
      (void)ImageRecords::Parse(text).ok();
      break;
  }
  return 0;
}
