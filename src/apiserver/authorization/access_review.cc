#include "apiserver/authorization/access_review.h"

#include <fmt/format.h>

#include "api/label_selector.h"
#include "api/validation.h"
#include "apiserver/authorization/rules.h"
#include "apiserver/object_meta.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

std::vector<std::string> Texts(const Value& list) {
  std::vector<std::string> out;
  for (const Value& item : list.items()) out.emplace_back(item.AsString());
  return out;
}

UserInfo UserOf(const Value& spec) {
  UserInfo user{std::string(spec.At("user").AsString()), std::string(spec.At("uid").AsString()),
                Texts(spec.At("groups"))};
  for (const doc::Member& member : spec.At("extra").members()) {
    user.extra.emplace_back(member.key, Texts(member.value));
  }
  return user;
}

void ReadFieldSelector(const Value& selector, Attributes& out) {
  const std::string_view raw = selector.At("rawSelector").AsString();
  if (!raw.empty()) {
    Result<FieldSelector> parsed = FieldSelector::Parse(raw);
    out.field_selector_bad = !parsed.ok();
    if (parsed.ok()) out.field_selector = std::move(*parsed);
  }
  const Value& requirements = selector.At("requirements");
  if (requirements.empty()) return;
  // What can't be told as a field selector is left out: less is limited then, so no more is allowed.
  std::vector<FieldRequirement> read;
  for (const Value& requirement : requirements.items()) {
    const std::string_view op = requirement.At("operator").AsString();
    const Value& values = requirement.At("values");
    if ((op != "In" && op != "NotIn") || values.size() != 1) {
      out.field_selector_bad = true;
      continue;
    }
    read.push_back({std::string(requirement.At("key").AsString()), op == "In", std::string(values[0].AsString())});
  }
  out.field_selector = FieldSelector(std::move(read));
}

void ReadLabelSelector(const Value& selector, Attributes& out) {
  const std::string_view raw = selector.At("rawSelector").AsString();
  if (!raw.empty()) {
    Result<LabelSelector> parsed = LabelSelector::Parse(raw);
    out.label_selector_bad = !parsed.ok();
    if (parsed.ok()) out.label_selector = std::move(*parsed);
  }
  const Value& requirements = selector.At("requirements");
  if (requirements.empty()) return;
  std::vector<Requirement> read;
  for (const Value& requirement : requirements.items()) {
    const std::string_view text = requirement.At("operator").AsString();
    const auto op = text == "In"             ? SelectorOperator::kIn
                    : text == "NotIn"        ? SelectorOperator::kNotIn
                    : text == "Exists"       ? SelectorOperator::kExists
                    : text == "DoesNotExist" ? SelectorOperator::kDoesNotExist
                                             : SelectorOperator::kEquals;
    auto made =
        op == SelectorOperator::kEquals
            ? Result<Requirement>(BadRequest(fmt::format("{} is not a valid label selector operator", text)))
            : Requirement::Create(std::string(requirement.At("key").AsString()), op, Texts(requirement.At("values")));
    if (made.ok()) {
      read.push_back(std::move(*made));
    } else {
      out.label_selector_bad = true;
    }
  }
  out.label_selector = LabelSelector(std::move(read));
}

Attributes AttributesOf(const Value& spec, UserInfo user) {
  Attributes out;
  out.user = std::move(user);
  const Value& resource = spec.At("resourceAttributes");
  if (resource.is_null()) {
    out.verb = spec.Get("nonResourceAttributes", "verb").AsString();
    out.path = spec.Get("nonResourceAttributes", "path").AsString();
    return out;
  }
  out.resource_request = true;
  out.verb = resource.At("verb").AsString();
  out.ns = resource.At("namespace").AsString();
  out.group = resource.At("group").AsString();
  out.version = resource.At("version").AsString("*");
  if (out.version.empty()) out.version = "*";
  out.resource = resource.At("resource").AsString();
  out.subresource = resource.At("subresource").AsString();
  out.name = resource.At("name").AsString();
  ReadLabelSelector(resource.At("labelSelector"), out);
  ReadFieldSelector(resource.At("fieldSelector"), out);
  return out;
}

void AddSelectorErrors(const Attributes& attributes, std::vector<std::string>& errors) {
  const auto add = [&](std::string_view selector, bool empty) {
    errors.push_back(
        fmt::format("spec.resourceAttributes.{} {}ignored due to parse error", selector, empty ? "" : "partially "));
  };
  if (attributes.field_selector_bad) add("fieldSelector", attributes.field_selector.empty());
  if (attributes.label_selector_bad) add("labelSelector", attributes.label_selector.requirements().empty());
}

Value VerdictStatus(const Verdict& verdict, const Attributes& attributes, doc::Arena& arena) {
  Value status = Value::Object();
  status.AddMember(arena, "allowed", Value::Bool(verdict.allowed()));
  if (verdict.decision == Decision::kDeny) status.AddMember(arena, "denied", Value::Bool(true));
  if (!verdict.reason.empty()) status.AddMember(arena, "reason", Value::String(arena, verdict.reason));
  std::vector<std::string> errors;
  if (!verdict.error.empty()) errors.push_back(verdict.error);
  AddSelectorErrors(attributes, errors);
  if (!errors.empty()) status.AddMember(arena, "evaluationError", Value::String(arena, Join(errors, "; ")));
  return status;
}

Result<doc::Document> AnswerRulesReview(const RequestContext& context, Authorizer& authorizer, doc::Document review) {
  const std::string ns(review.root.Get("spec", "namespace").AsString());
  if (ns.empty()) return BadRequest("no namespace on request");
  RuleSet found;
  authorizer.AddRules(context.user, ns, found);
  doc::Arena& arena = review.arena;
  Value resources = Value::Array();
  Value paths = Value::Array();
  for (const PolicyRule& rule : found.rules) {
    PolicyRule part = rule;
    part.non_resource_urls.clear();
    if (!rule.resources.empty()) resources.Append(arena, WriteRule(part, arena));
    part = {rule.verbs, {}, {}, {}, rule.non_resource_urls};
    if (!rule.non_resource_urls.empty()) paths.Append(arena, WriteRule(part, arena));
  }
  Value status = Value::Object();
  status.AddMember(arena, "resourceRules", resources);
  status.AddMember(arena, "nonResourceRules", paths);
  status.AddMember(arena, "incomplete", Value::Bool(found.incomplete));
  const std::string error = AggregateText(found.errors);
  if (!error.empty()) status.AddMember(arena, "evaluationError", Value::String(arena, error));
  // The answer is a new object: nothing of what was asked stays in it.
  review.root.Remove("metadata");
  review.root.Set(arena, "spec", Value::Object());
  review.root.Set(arena, "status", status);
  return review;
}

}  // namespace

Result<doc::Document> AnswerAccessReview(const RequestContext& context, Authorizer& authorizer,
                                         const api::KindInfo& kind, doc::Document review) {
  if (kind.kind == "SelfSubjectRulesReview") return AnswerRulesReview(context, authorizer, std::move(review));
  const api::ErrorList errors = api::ValidateCreate(kind, review.root);
  if (!errors.empty()) {
    // Upstream has lost the kind's name at this place.
    api::KindInfo nameless = kind;
    nameless.kind = {};
    return api::InvalidObject(nameless, "", errors);
  }
  const Value& spec = review.root.At("spec");
  const bool self = kind.kind == "SelfSubjectAccessReview";
  const Attributes attributes = AttributesOf(spec, self ? context.user : UserOf(spec));
  const Verdict verdict = authorizer.Authorize(context.runtime, attributes);
  review.root.Set(review.arena, "status", VerdictStatus(verdict, attributes, review.arena));
  return review;
}

}  // namespace knarr::apiserver
