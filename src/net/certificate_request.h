#pragma once

#include <string_view>

#include "base/status.h"
#include "net/tls.h"

namespace knarr::net {

/// The subject that a PKCS #10 request (PEM) asks a certificate for: its common name and organizations. BadRequest when
/// it is none.
Result<CertificateInfo> ReadSigningRequest(std::string_view pem);
/// The same in base64, as API objects carry it.
Result<CertificateInfo> ReadSigningRequestBase64(std::string_view text);

}  // namespace knarr::net
