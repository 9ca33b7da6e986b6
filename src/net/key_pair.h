#pragma once

#include <string_view>

#include "base/status.h"

namespace knarr::net {

/// Whether the first certificate of a PEM bundle is that of a private key. BadRequest in the words of Go's
/// tls.X509KeyPair, which upstream passes on.
Ok CheckKeyPair(std::string_view certificate_pem, std::string_view key_pem);

}  // namespace knarr::net
