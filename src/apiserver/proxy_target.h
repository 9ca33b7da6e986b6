#pragma once

// Where a proxied request goes: a pod, a pod behind a service, or a node.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "apiserver/http_face.h"
#include "net/stream.h"

namespace knarr::apiserver {

/// "name", "name:port" or "scheme:name:port".
struct ProxyName {
  std::string scheme;  ///< "http", "https" or ""
  std::string name;
  std::string port;
};
/// False for what is none of these.
bool SplitProxyName(std::string_view text, ProxyName& out);

struct ProxyTarget {
  bool secure = false;
  std::string host;  ///< with the port, as it stands in a URL: "10.42.0.5:80"
  /// On the request's runtime.
  std::function<Result<std::unique_ptr<net::Stream>>()> dial;
};

/// BadRequest, NotFound and ServiceUnavailable as upstream words them.
Result<ProxyTarget> FindProxyTarget(Call& call, Core& core);

}  // namespace knarr::apiserver
