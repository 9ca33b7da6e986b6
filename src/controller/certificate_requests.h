#pragma once

// What the controllers of CertificateSigningRequests ask of them.

#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/time.h"
#include "net/certificate_request.h"

namespace knarr::controller {

inline constexpr std::string_view kApiServerClient = "kubernetes.io/kube-apiserver-client";
inline constexpr std::string_view kApiServerClientKubelet = "kubernetes.io/kube-apiserver-client-kubelet";
inline constexpr std::string_view kKubeletServing = "kubernetes.io/kubelet-serving";
inline constexpr std::string_view kLegacyUnknown = "kubernetes.io/legacy-unknown";

/// The PEM text in spec.request. BadRequest when it is no base64.
Result<std::string> RequestPem(const api::Object& request);
std::vector<std::string> RequestUsages(const api::Object& request);
/// Whether a condition of this type is there (Failed: and is True).
bool HasCondition(const api::Object& request, std::string_view type);
bool IsIssued(const api::Object& request);

/// Why the signer of this name does not sign a request for this; "" when it does.
std::string SignerProblem(std::string_view signer, const net::SigningRequest& asked,
                          const std::vector<std::string>& usages);
/// How long a certificate is good: what was asked for, between ten minutes and the most there is.
Duration CertificateLife(const api::Object& request, Duration most);

/// When the request is to be removed as it stands: an hour after it was denied, failed or issued, a day after it was
/// made or approved and nothing came of it, or when its certificate ends. nullopt: not at all.
std::optional<WallTime> RemoveAt(const api::Object& request);

}  // namespace knarr::controller
