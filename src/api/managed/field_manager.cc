#include "api/managed/field_manager.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "api/codec.h"
#include "api/defaulting.h"
#include "api/managed/field_update.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::api::managed {
namespace {

using doc::Value;

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr std::string_view kKubectl = "kubectl";
// Who has what was there before anybody applied anything.
constexpr std::string_view kBeforeFirstApply = "before-first-apply";
// All annotations together; what is longer is refused, so the server itself must not make it so.
constexpr size_t kAnnotationsMax = 256 << 10;

doc::Document Literal(std::string_view json) { return MUST(doc::ParseJson(json)); }

// `apps/v1, Kind=Deployment`, `/v1, Kind=Pod`.
std::string KindText(std::string_view api_version, std::string_view kind) {
  const bool grouped = api_version.find('/') != std::string_view::npos;
  return fmt::format("{}{}, Kind={}", grouped ? "" : "/", api_version, kind);
}

std::string KindOf(const Value& object) {
  const std::string_view version = object.At("apiVersion").AsString();
  if (std::ranges::count(version, '/') > 1) return KindText("", "");
  return KindText(version, object.At("kind").AsString());
}

std::string NameOf(const Value& object) {
  return fmt::format("{}/{}; {}", object.Get("metadata", "namespace").AsString(),
                     object.Get("metadata", "name").AsString(), KindOf(object));
}

Status PlainError(std::string message) { return {Reason::kUnknown, std::move(message)}; }

// Why a merged object is none of its kind, as upstream's converter says it.
std::string ConversionError(const KindInfo& kind, std::string_view why) {
  std::string text(why);
  if (why.starts_with("json: cannot unmarshal number")) {
    text = "cannot convert float64 to " + text.substr(text.rfind(' ') + 1);
  } else if (why.starts_with("illegal base64")) {
    text = "error decoding from json: " + text;
  }
  return fmt::format("unable to convert unstructured object to {}: {}", KindText(kind.api_version, kind.kind), text);
}

bool HasLastApplied(const Value& object) {
  return !object.Get("metadata", "annotations", kLastApplied).AsString().empty();
}

// What `kubectl apply` would note for itself; kept up to date so that it can be used again.
std::string LastAppliedText(const Value& configuration, doc::Arena& arena) {
  Value copy = configuration.Clone(arena);
  if (Value* metadata = copy.Find("metadata")) {
    Value* annotations = metadata->Find("annotations");
    if (annotations != nullptr) annotations->Remove(kLastApplied);
  }
  copy.SortMembers();
  return doc::ToJson(copy) + "\n";
}

void RefreshLastApplied(doc::Document& object, const Value& configuration) {
  Value& annotations = *object.root.Find("metadata")->Find("annotations");
  const std::string text = LastAppliedText(configuration, object.arena);
  annotations.Set(object.arena, kLastApplied, Value::String(object.arena, text));
  size_t total = 0;
  for (const doc::Member& member : annotations.members()) total += member.key.size() + member.value.AsString().size();
  if (total > kAnnotationsMax) annotations.Remove(kLastApplied);
}

Status ConflictError(const std::vector<Manager>& conflicts) {
  StatusDetails details;
  std::map<std::string, std::string> by_manager;
  size_t count = 0;
  std::string only;
  for (const Manager& conflict : conflicts) {
    std::string& lines = by_manager[conflict.Identity()];
    lines = fmt::format("conflicts with {}:", conflict.Text());
    ForEachPath(conflict.fields, [&](PathElements path) {
      const std::string text = PathText(path);
      details.causes.push_back({"FieldManagerConflict", "conflict with " + conflict.Text(), text});
      lines += "\n- " + text;
      only = fmt::format("conflict with {}: {}", conflict.Text(), text);
      ++count;
    });
  }
  if (count == 1) return {Reason::kConflict, "Apply failed with 1 conflict: " + only, std::move(details)};
  std::vector<std::string> lines;
  for (const auto& [identity, text] : by_manager) lines.push_back(text);
  return {Reason::kConflict, fmt::format("Apply failed with {} conflicts: {}", count, Join(lines, "\n")),
          std::move(details)};
}

// The fields that client-side apply has set last and that are still as it set them: whoever applies on the server's
// side as "kubectl" takes them over without a conflict. Empty when there is nothing to go by.
Value FieldsOfLastApplied(const KindInfo& kind, const Value& live, doc::Arena& arena) {
  const std::string_view text = live.Get("metadata", "annotations", kLastApplied).AsString();
  const Result<Value> last = doc::ParseJsonBorrowing(text, arena);
  if (text.empty() || !last.ok() || last->At("apiVersion").AsString() != kind.api_version) return Value::Object();
  if (!CheckTyped(*kind.type, *last).empty()) return Value::Object();
  const Result<Comparison> comparison = Compare(*kind.type, *last, live, arena);
  if (!comparison.ok()) return Value::Object();
  const Value set = ToFieldSet(*kind.type, *last, arena);
  return Difference(Difference(set, comparison->changed, arena), comparison->removed, arena);
}

}  // namespace

FieldManager::FieldManager(const KindInfo& kind, std::string_view subresource, const ResetFields& resets)
    : kind_(kind), subresource_(subresource), excluded_(Literal(resets.excluded)) {
  if (!resets.kept.empty()) kept_ = Literal(resets.kept);
  empty_.root = Value::Object();
  empty_.root.AddMember(empty_.arena, "kind", Value::Borrow(kind.kind));
  empty_.root.AddMember(empty_.arena, "apiVersion", Value::Borrow(kind.api_version));
  // An object without members has no member of a wrong type.
  MUST(Canonicalize(*kind.type, empty_.root, empty_.arena));
}

Ok FieldManager::Update(const Value& live, doc::Document& object, std::string_view manager, WallTime now) const {
  Value& metadata = object.root.Ensure(object.arena, "metadata");
  const Value given = metadata.At("managedFields");
  metadata.Remove("managedFields");
  Managers managers;
  if (!subresource_.empty() || !Managers::IsReset(given)) {
    managers = Managers::Stored(live.Get("metadata", "managedFields"));
    // What a client sends counts if it makes sense; most send what they got.
    if (subresource_.empty() && !given.empty() && !given.Equals(live.Get("metadata", "managedFields"))) {
      Result<Managers> sent = Managers::Parse(given, object.arena);
      if (sent.ok()) managers = std::move(*sent);
    }
  }
  // Objects whose managers were forgotten are only tracked again when somebody applies to them.
  if (managers.empty() && !live.is_null()) return {};
  FieldUpdate update(*this, now, object.arena);
  const Value before = live.is_null() ? empty_.root : WithoutManagedFields(live, object.arena);
  managers = TRY(update.Update(before, object.root, managers, manager));
  const Value list = managers.ToList(object.arena);
  if (!list.is_null()) object.root.Find("metadata")->Set(object.arena, "managedFields", list);
  return {};
}

Result<doc::Document> FieldManager::Apply(const Value& live, const Value& configuration,
                                          const ApplyRequest& request) const {
  const std::string kind_text = KindOf(configuration);
  if (kind_text != KindText(kind_.api_version, kind_.kind)) {
    return BadRequest("invalid object type: " + kind_text);
  }
  if (configuration.Get("metadata", "managedFields").is_array()) {
    return BadRequest("metadata.managedFields must be nil");
  }
  const std::string problems = CheckTyped(*kind_.type, configuration);
  if (!problems.empty()) {
    return PlainError(fmt::format("failed to create typed patch object ({}): {}", NameOf(configuration), problems));
  }
  doc::Document out;
  FieldUpdate update(*this, request.now, out.arena);
  const Value before = live.is_null() ? empty_.root : WithoutManagedFields(live, out.arena);
  Managers managers = Managers::Stored(live.Get("metadata", "managedFields"));
  if (managers.empty()) managers = TRY(update.Update(empty_.root, before, managers, kBeforeFirstApply));
  FieldUpdate::Applied applied = TRY(update.Apply(before, configuration, managers, request));
  if (!applied.conflicts.empty() && request.manager == kKubectl) {
    const Value allowed = FieldsOfLastApplied(kind_, before, out.arena);
    std::vector<Manager> others;
    for (Manager conflict : applied.conflicts) {
      conflict.fields = Difference(conflict.fields, allowed, out.arena);
      if (!conflict.fields.empty()) others.push_back(conflict);
    }
    ApplyRequest forced = request;
    forced.force = true;
    if (others.empty()) applied = TRY(update.Apply(before, configuration, managers, forced));
    if (!others.empty()) applied.conflicts = std::move(others);
  }
  if (!applied.conflicts.empty()) return ConflictError(applied.conflicts);
  // The tree may still hold parts of the live object and of the configuration.
  out.root = (applied.object.is_null() ? before : applied.object).Clone(out.arena);
  const Ok canonical = Canonicalize(*kind_.type, out.root, out.arena);
  if (!canonical.ok()) {
    return PlainError(fmt::format("failed to convert new object ({}) to proper version: {}", NameOf(configuration),
                                  ConversionError(kind_, canonical.status().message())));
  }
  if (!applied.object.is_null()) ApplyDefaults(*kind_.type, out.root, out.arena);
  if (request.manager == kKubectl && HasLastApplied(out.root)) RefreshLastApplied(out, configuration);
  const Value list = applied.managers.ToList(out.arena);
  if (!list.is_null()) out.root.Ensure(out.arena, "metadata").Set(out.arena, "managedFields", list);
  return out;
}

}  // namespace knarr::api::managed
