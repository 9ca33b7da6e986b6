#include <algorithm>

#include "apiserver/apiserver.h"

namespace knarr::apiserver {
namespace {

bool Contains(const std::vector<std::string>& list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

// What anybody may read, as upstream's system:public-info-viewer.
bool IsPublic(const Attributes& attributes) {
  if (attributes.resource_request || (attributes.verb != "get" && attributes.verb != "head")) return false;
  const std::string_view path = attributes.path;
  for (const std::string_view open : {"/healthz", "/livez", "/readyz", "/version"}) {
    if (path == open) return true;
    if (open != "/version" && path.starts_with(open) && path[open.size()] == '/') return true;
  }
  return path == "/version/";
}

class MastersAuthorizer : public Authorizer {
 public:
  Ok Authorize(const Attributes& attributes) override {
    if (Contains(attributes.user.groups, "system:masters") || IsPublic(attributes)) return {};
    return Forbidden("");
  }
};

}  // namespace

std::unique_ptr<Authorizer> MakeMastersAuthorizer() { return std::make_unique<MastersAuthorizer>(); }

}  // namespace knarr::apiserver
