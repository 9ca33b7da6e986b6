#pragma once

// Links in what a proxied server answers: those that lead to itself are made to lead through the proxy.

#include <string>
#include <string_view>

namespace knarr::apiserver {

struct ProxyPlace {
  std::string prefix;        ///< the proxy's own path, before the server's ("/api/v1/…/pods/a/proxy")
  std::string backend_host;  ///< "10.42.0.5:80"
  std::string request_host;  ///< the Host that the client asked for
};

/// A URL or a reference. Unchanged where it is relative to the page or leads to another host.
std::string RewriteLink(std::string_view link, const ProxyPlace& place);
/// The same for what refers to something in a page's start tags.
std::string RewriteHtml(std::string_view page, const ProxyPlace& place);

}  // namespace knarr::apiserver
