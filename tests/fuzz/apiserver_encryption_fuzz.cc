// What lies on the disk in a sealed form, and encryption configurations.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "apiserver/encryption.h"
#include "base/check.h"

namespace {

constexpr std::string_view kConfiguration =
    "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n"
    "  providers:\n  - aesgcm: {keys: [{name: a, secret: AAAAAAAAAAAAAAAAAAAAAA==}]}\n"
    "  - aescbc: {keys: [{name: b, secret: AAAAAAAAAAAAAAAAAAAAAA==}]}\n  - identity: {}\n";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const auto kSealer = MUST(knarr::apiserver::MakeSealer(kConfiguration));
  (void)kSealer->Open("/registry/core/secrets/a/b", text);
  (void)kSealer->Open("/registry/core/secrets/a/b", "k8s:enc:aesgcm:v1:a:" + std::string(text));
  (void)kSealer->Open("/registry/core/secrets/a/b", "k8s:enc:aescbc:v1:b:" + std::string(text));
  (void)kSealer->Open(text, "{}");
  (void)knarr::apiserver::MakeSealer(text);
  return 0;
}
