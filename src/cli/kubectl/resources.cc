#include "cli/kubectl/resources.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace knarr::cli {
namespace {

bool IsStored(const api::KindInfo& kind) {
  return std::ranges::find(kind.verbs, "list") != kind.verbs.end() ||
         std::ranges::find(kind.verbs, "get") != kind.verbs.end();
}

bool HasName(const api::KindInfo& kind, std::string_view name) {
  return kind.plural == name || kind.singular == name || ToLower(kind.kind) == name ||
         std::ranges::find(kind.short_names, name) != kind.short_names.end();
}

/// The kinds of a category ("all").
std::vector<const api::KindInfo*> Category(std::string_view name) {
  std::vector<const api::KindInfo*> out;
  for (const api::KindInfo& kind : api::AllKinds()) {
    if (IsStored(kind) && std::ranges::find(kind.categories, name) != kind.categories.end()) out.push_back(&kind);
  }
  // As the server's discovery lists them: the core group first, then by name.
  std::ranges::sort(out, {}, [](const api::KindInfo* kind) { return std::pair(kind->group, kind->plural); });
  return out;
}

Result<std::vector<const api::KindInfo*>> KindsOf(std::string_view list) {
  std::vector<const api::KindInfo*> out;
  for (std::string_view name : Split(list, ',')) {
    std::vector<const api::KindInfo*> category = Category(ToLower(name));
    if (category.empty()) category.push_back(TRY(FindKindByName(name)));
    out.insert(out.end(), category.begin(), category.end());
  }
  return out;
}

}  // namespace

Result<const api::KindInfo*> FindKindByName(std::string_view name) {
  const std::string lower = ToLower(name);
  const size_t dot = lower.find('.');
  const std::string_view resource = std::string_view(lower).substr(0, dot);
  const std::string_view rest = dot == std::string::npos ? std::string_view() : std::string_view(lower).substr(dot + 1);
  for (const api::KindInfo& kind : api::AllKinds()) {
    if (!IsStored(kind) || !HasName(kind, resource)) continue;
    // "group" or "version.group".
    const std::string versioned = fmt::format("{}.{}", kind.version, kind.group);
    if (rest.empty() || rest == kind.group || rest == versioned || rest == kind.version) return &kind;
  }
  return BadRequest(fmt::format("the server doesn't have a resource type \"{}\"", name));
}

Result<ResourceArgs> ParseResourceArgs(const std::vector<std::string>& args) {
  ResourceArgs out;
  if (args.empty()) return BadRequest("You must specify the type of resource to get.");
  const bool slashes = std::ranges::any_of(args, [](const std::string& arg) { return arg.find('/') != arg.npos; });
  if (slashes) {
    for (const std::string& arg : args) {
      const size_t slash = arg.find('/');
      if (slash == std::string::npos) {
        return BadRequest(
            "there is no need to specify a resource type as a separate argument when passing arguments in "
            "resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource "
            "resource/<resource_name>'");
      }
      const std::string name = arg.substr(slash + 1);
      if (slash == 0 || name.empty() || name.find('/') != std::string::npos) {
        return BadRequest("arguments in resource/name form must have a single resource and name");
      }
      out.items.push_back({TRY(FindKindByName(arg.substr(0, slash))), name});
    }
  } else {
    std::vector<const api::KindInfo*> kinds = TRY(KindsOf(args.front()));
    if (args.size() == 1) {
      for (const api::KindInfo* kind : kinds) out.items.push_back({kind, ""});
    }
    for (size_t i = 1; i < args.size(); ++i) {
      for (const api::KindInfo* kind : kinds) out.items.push_back({kind, args[i]});
    }
  }
  for (const ResourceArgs::Item& item : out.items) out.several_kinds |= item.kind != out.items.front().kind;
  return out;
}

std::string QualifiedResource(const api::KindInfo& kind) {
  return kind.group.empty() ? std::string(kind.plural) : fmt::format("{}.{}", kind.plural, kind.group);
}

std::string TypedName(const api::KindInfo& kind, std::string_view name) {
  const std::string singular = ToLower(kind.kind);
  return kind.group.empty() ? fmt::format("{}/{}", singular, name)
                            : fmt::format("{}.{}/{}", singular, kind.group, name);
}

}  // namespace knarr::cli
