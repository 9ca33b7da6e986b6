#pragma once

// Certificate signing requests (PKCS #10): what they ask for, and giving it to them.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/tls.h"

namespace knarr::net {

struct SigningRequest {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  std::vector<std::string> email_addresses;
  std::vector<std::string> uris;
};

/// From one PEM block "CERTIFICATE REQUEST". BadRequest when it is none, or not signed by the key it is for.
Result<SigningRequest> ReadSigningRequest(std::string_view pem);
/// The same in base64, as API objects carry it.
Result<SigningRequest> ReadSigningRequestBase64(std::string_view text);

struct SigningPolicy {
  /// Kubernetes' names: "digital signature", "client auth", …
  std::span<const std::string> usages;
  WallTime not_before;
  WallTime not_after;  ///< the issuer's own end at the latest
};
/// A certificate (PEM) for the request's subject, key and alternative names. BadRequest for usages that are unknown, or
/// when the issuer's certificate has ended.
Result<std::string> SignRequest(std::string_view request_pem, const SigningPolicy& policy, const KeyPair& issuer);

/// Whether the first block of the PEM is a PKCS #10 request that its own key has signed; BadRequest, in Go's words,
/// when not.
Ok CheckSigningRequest(std::string_view pem);
/// Whether the PEM holds certificates, at least one, and nothing else; BadRequest, in Go's words, when not.
Ok CheckCertificates(std::string_view pem);

}  // namespace knarr::net
