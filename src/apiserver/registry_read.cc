#include <fmt/format.h>

#include <algorithm>

#include "apiserver/continue_token.h"
#include "apiserver/errors.h"
#include "apiserver/local.h"
#include "apiserver/registry.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kContinueExpired =
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list.";

}  // namespace

std::string_view NumberProblem(std::string_view text) {
  const bool digits = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  return digits ? "value out of range" : "invalid syntax";
}

Result<store::Revision> ParseResourceVersion(std::string_view text) {
  if (text.empty()) return store::Revision{0};
  const Result<uint64_t> parsed = ParseUint64(text);
  if (!parsed.ok() || *parsed > INT64_MAX) {
    return BareError(fmt::format("resourceVersion: Invalid value: {}: strconv.ParseUint: parsing {}: {}", GoQuote(text),
                                 GoQuote(text), NumberProblem(text)));
  }
  return static_cast<store::Revision>(*parsed);
}

Result<ObjectPtr> ResourceRegistry::Get(RequestContext& /*context*/, const Resource& resource, const ObjectName& name,
                                        std::string_view resource_version) const {
  const auto snapshot = store_.Latest();
  const store::Revision asked = TRY(ParseResourceVersion(resource_version));
  if (asked > snapshot->revision()) return TooLargeResourceVersionError(asked, snapshot->revision());
  std::optional<store::KeyValue> found = snapshot->Get(resource.Key(name));
  if (!found.has_value()) return NotFoundError(ResourceOf(*resource.kind), name.name);
  return api::Object::FromBytes(std::move(found->value));
}

Result<std::shared_ptr<const store::Snapshot>> ResourceRegistry::ListSnapshot(const ListRequest& request,
                                                                              RequestContext& context,
                                                                              std::string& start_after) const {
  auto latest = store_.Latest();
  if (!request.continue_token.empty()) {
    ContinueToken token = TRY(DecodeContinueToken(request.continue_token));
    if (!request.resource_version.empty() && request.resource_version != "0") {
      return BadRequest("specifying resource version is not allowed when using continue");
    }
    start_after = std::move(token.start_after);
    if (token.revision < 0) return latest;
    auto then = store_.At(token.revision);
    if (then.ok()) return then;
    if (token.revision > latest->revision()) return TooLargeResourceVersionError(token.revision, latest->revision());
    // The client may go on in the newest state with the token in this error.
    context.error_continue = EncodeContinueToken({-1, start_after});
    return Status(Reason::kExpired, std::string(kContinueExpired));
  }
  const Result<store::Revision> version = ParseResourceVersion(request.resource_version);
  if (!version.ok()) return BadRequest("invalid resource version: " + version.status().message());
  const store::Revision asked = *version;
  if (asked == 0) return latest;
  const bool exact =
      request.resource_version_match == "Exact" || (request.resource_version_match.empty() && request.limit > 0);
  if (asked > latest->revision()) return TooLargeResourceVersionError(asked, latest->revision());
  if (!exact) return latest;
  auto then = store_.At(asked);
  if (!then.ok()) return Expired("The resourceVersion for the provided list is too old.");
  return then;
}

Result<ListPage> ResourceRegistry::List(RequestContext& context, const Resource& resource,
                                        const ListRequest& request) const {
  std::string start;
  const auto snapshot = TRY(ListSnapshot(request, context, start));
  const std::string prefix = resource.Prefix(request.ns);
  const Selection& selection = request.selection;
  const SelectionFilter filter(resource, selection);
  ListPage page;
  page.revision = snapshot->revision();

  // One object by name: no walk.
  const auto only = selection.name();
  if (only.has_value() && (!request.ns.empty() || !resource.kind->namespaced)) {
    const std::string key = resource.Key({request.ns, std::string(*only)});
    snapshot->VisitEntries(key, "", [&](const store::Entry& entry) {
      if (entry.key() == key && filter.Matches(entry)) page.items.push_back(entry.value());
      return false;  // the key itself comes before all others that begin with it
    });
    return page;
  }

  // Whoever takes any state takes it whole.
  const bool whole = request.resource_version == "0" && request.continue_token.empty();
  const size_t limit = request.limit > 0 && !whole ? static_cast<size_t>(request.limit) : SIZE_MAX;
  std::string last;
  bool more = false;
  const auto visit = [&](const store::Entry& entry) {
    if (page.items.size() == limit) {
      more = true;
      return false;
    }
    if (selection.empty() || filter.Matches(entry)) page.items.push_back(entry.value());
    if (limit != SIZE_MAX) last = entry.key();
    return true;
  };
  if (selection.empty()) page.items.reserve(std::min(limit, snapshot->Count(prefix)));
  snapshot->VisitEntries(prefix, start.empty() ? "" : prefix + start, visit);
  if (more) {
    page.continue_token = EncodeContinueToken({page.revision, last.substr(prefix.size())});
    if (selection.empty()) {
      // Only counted, not copied: the range behind the last one given.
      page.remaining = static_cast<int64_t>(snapshot->Range(prefix, {last, 1}).remaining) + 1;
    }
  }
  return page;
}

}  // namespace knarr::apiserver
