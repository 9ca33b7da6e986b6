// The certificate and key of a TLS secret are whatever somebody put there.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "net/key_pair.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // The first NUL parts the certificate from the key.
  const size_t end = text.find('\0');
  const std::string_view key = end == std::string_view::npos ? text : text.substr(end + 1);
  (void)knarr::net::CheckKeyPair(text.substr(0, end), key);
  return 0;
}
