// Certificate signing requests: anybody who may make one sends them.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "net/certificate_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)net::ReadSigningRequest(bytes);
  // The same as what is inside the armour.
  const std::string armoured =
      "-----BEGIN CERTIFICATE REQUEST-----\n" + Base64Encode(bytes) + "\n-----END CERTIFICATE REQUEST-----\n";
  (void)net::ReadSigningRequest(armoured);
  return 0;
}
