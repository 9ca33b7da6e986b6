#include "api/schema.h"

#include <algorithm>
#include <array>

#include "api/schema_data.h"

namespace knarr::api {
namespace {

// Registered with every group-version that serves anything.
constexpr std::array kSharedKinds = {std::string_view("WatchEvent"),    std::string_view("ListOptions"),
                                     std::string_view("GetOptions"),    std::string_view("DeleteOptions"),
                                     std::string_view("CreateOptions"), std::string_view("UpdateOptions"),
                                     std::string_view("PatchOptions")};
// Registered with "v1" whatever the group.
constexpr std::array kUnversionedKinds = {std::string_view("Status"),          std::string_view("APIVersions"),
                                          std::string_view("APIGroupList"),    std::string_view("APIGroup"),
                                          std::string_view("APIResourceList"), std::string_view("List")};

std::string_view ApiVersionGroup(std::string_view api_version) {
  const size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
}

std::string_view ApiVersionVersion(std::string_view api_version) {
  const size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
}

const Type* RootIn(const Package& package, std::string_view name) {
  for (const Type& type : package.types) {
    if (type.root && type.name == name) return &type;
  }
  return nullptr;
}

}  // namespace

const Field* Type::Find(std::string_view json_name) const {
  for (const Field* field : flat) {
    if (field->name == json_name) return field;
  }
  return nullptr;
}

std::span<const Package> AllPackages() { return {detail::kPackages, detail::kPackageCount}; }

std::span<const KindInfo> AllKinds() { return {detail::kKinds, detail::kServedKinds}; }

const KindInfo* FindKind(std::string_view api_version, std::string_view kind) {
  for (const KindInfo& info : std::span(detail::kKinds, detail::kKindCount)) {
    if (info.kind == kind && info.api_version == api_version) return &info;
  }
  return nullptr;
}

const KindInfo* FindResource(std::string_view group, std::string_view version, std::string_view plural) {
  for (const KindInfo& info : AllKinds()) {
    if (info.plural == plural && info.group == group && info.version == version) return &info;
  }
  return nullptr;
}

const Type* FindRootType(std::string_view api_version, std::string_view kind) {
  // Older than the version that is served, and the same.
  if (api_version == "policy/v1beta1" && kind == "Eviction") api_version = "policy/v1";
  const std::string_view group = ApiVersionGroup(api_version);
  const std::string_view version = ApiVersionVersion(api_version);
  const Package* own = nullptr;
  for (const Package& package : AllPackages()) {
    if (package.group == group && package.version == version) own = &package;
  }
  if (own == nullptr) return nullptr;
  if (const Type* type = RootIn(*own, kind)) return type;
  const bool shared = std::ranges::find(kSharedKinds, kind) != kSharedKinds.end();
  const bool unversioned = api_version == "v1" && std::ranges::find(kUnversionedKinds, kind) != kUnversionedKinds.end();
  return shared || unversioned ? FindType("meta/v1", kind) : nullptr;
}

const Type* FindType(std::string_view package, std::string_view name) {
  for (const Package& at : AllPackages()) {
    if (at.name != package) continue;
    for (const Type& type : at.types) {
      if (type.name == name) return &type;
    }
  }
  return nullptr;
}

}  // namespace knarr::api
