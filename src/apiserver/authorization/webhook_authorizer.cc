#include "apiserver/authorization/webhook_authorizer.h"

#include <algorithm>
#include <unordered_map>

#include "base/check.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr size_t kKnownMax = 8192;
// Longer questions are asked each time.
constexpr size_t kKeptBytesMax = 10000;

// A value that is built member by member, leaving out what is empty.
class SpecWriter {
 public:
  Value Write(const Attributes& attributes) {
    Value spec = Value::Object();
    if (attributes.resource_request) {
      spec.AddMember(arena_, "resourceAttributes", Resource(attributes));
    } else {
      Value path = Value::Object();
      Add(path, "path", attributes.path);
      Add(path, "verb", attributes.verb);
      spec.AddMember(arena_, "nonResourceAttributes", path);
    }
    const UserInfo& user = attributes.user;
    Add(spec, "user", user.name);
    if (!user.groups.empty()) spec.AddMember(arena_, "groups", Texts(user.groups));
    Value extra = Value::Object();
    for (const auto& [key, values] : user.extra) extra.SetCopy(arena_, key, Texts(values));
    if (!extra.empty()) spec.AddMember(arena_, "extra", extra);
    Add(spec, "uid", user.uid);
    return spec;
  }

 private:
  void Add(Value& object, std::string_view name, std::string_view text) {
    if (!text.empty()) object.AddMember(arena_, name, Value::String(arena_, text));
  }
  Value Texts(const std::vector<std::string>& list) {
    Value out = Value::Array();
    for (const std::string& text : list) out.Append(arena_, Value::String(arena_, text));
    return out;
  }

  Value Resource(const Attributes& attributes) {
    Value out = Value::Object();
    Add(out, "namespace", attributes.ns);
    Add(out, "verb", attributes.verb);
    Add(out, "group", attributes.group);
    Add(out, "version", attributes.version);
    Add(out, "resource", attributes.resource);
    Add(out, "subresource", attributes.subresource);
    Add(out, "name", attributes.name);
    Value fields = Value::Array();
    for (const FieldRequirement& requirement : attributes.field_selector.requirements()) {
      fields.Append(arena_, One(requirement.field, requirement.equal ? "In" : "NotIn", {requirement.value}));
    }
    AddSelector(out, "fieldSelector", fields);
    Value labels = Value::Array();
    for (const Requirement& requirement : attributes.label_selector.requirements()) {
      if (const char* op = Operator(requirement.op())) {
        labels.Append(arena_, One(requirement.key(), op, requirement.values()));
      }
    }
    AddSelector(out, "labelSelector", labels);
    return out;
  }

  void AddSelector(Value& out, std::string_view name, const Value& requirements) {
    if (requirements.empty()) return;
    Value selector = Value::Object();
    selector.AddMember(arena_, "requirements", requirements);
    out.AddMember(arena_, name, selector);
  }

  Value One(std::string_view key, std::string_view op, const std::vector<std::string>& values) {
    Value out = Value::Object();
    Add(out, "key", key);
    Add(out, "operator", op);
    if (!values.empty()) out.AddMember(arena_, "values", Texts(values));
    return out;
  }

  // nullptr for comparisons, which reviews have no words for.
  static const char* Operator(SelectorOperator op) {
    switch (op) {
      case SelectorOperator::kEquals:
      case SelectorOperator::kDoubleEquals:
      case SelectorOperator::kIn:
        return "In";
      case SelectorOperator::kNotEquals:
      case SelectorOperator::kNotIn:
        return "NotIn";
      case SelectorOperator::kExists:
        return "Exists";
      case SelectorOperator::kDoesNotExist:
        return "DoesNotExist";
      default:
        return nullptr;
    }
  }

  doc::Arena arena_;
};

class WebhookAuthorizer : public Authorizer {
 public:
  WebhookAuthorizer(ReviewWebhook& webhook, WebhookAuthorizerOptions options, const std::vector<rt::Runtime*>& runtimes)
      : webhook_(webhook), options_(options) {
    for (rt::Runtime* runtime : runtimes) known_.push_back({runtime, {}});
  }

  Verdict Authorize(rt::Runtime& here, const Attributes& attributes) override {
    SpecWriter writer;
    const Value spec = writer.Write(attributes);
    const std::string key = doc::ToJson(spec);
    auto& known = Here(here);
    const auto found = known.find(key);
    if (found != known.end() && here.Mono() < found->second.until) return found->second.verdict;
    const Result<doc::Document> answer = webhook_.Ask(here, spec);
    if (!answer.ok()) return {Decision::kNoOpinion, "", answer.status().message()};
    const Verdict verdict = VerdictOf(answer->root);
    if (key.size() <= kKeptBytesMax && verdict.error.empty()) {
      if (known.size() >= kKnownMax) known.clear();
      const Duration kept = verdict.allowed() ? options_.allowed_time : options_.refused_time;
      known.insert_or_assign(key, Known{verdict, here.Mono() + kept});
    }
    return verdict;
  }

  // A webhook can't say all that somebody may do.
  void AddRules(const UserInfo& /*user*/, std::string_view /*ns*/, RuleSet& rules) override {
    rules.incomplete = true;
    rules.errors.emplace_back("webhook authorizer does not support user rule resolution");
  }

 private:
  struct Known {
    Verdict verdict;
    MonoTime until;
  };
  using KnownMap = std::unordered_map<std::string, Known>;

  KnownMap& Here(rt::Runtime& here) {
    for (auto& [runtime, known] : known_) {
      if (runtime == &here) return known;
    }
    CHECK(false && "a runtime that is not the server's");
  }

  static Verdict VerdictOf(const Value& status) {
    const std::string reason(status.At("reason").AsString());
    const bool allowed = status.At("allowed").AsBool();
    const bool denied = status.At("denied").AsBool();
    if (denied && allowed) {
      return {Decision::kDeny, reason, "webhook subject access review returned both allow and deny response"};
    }
    return {denied ? Decision::kDeny : allowed ? Decision::kAllow : Decision::kNoOpinion, reason, ""};
  }

  ReviewWebhook& webhook_;
  const WebhookAuthorizerOptions options_;
  std::vector<std::pair<rt::Runtime*, KnownMap>> known_;
};

}  // namespace

std::unique_ptr<Authorizer> MakeWebhookAuthorizer(ReviewWebhook& webhook, WebhookAuthorizerOptions options,
                                                  const std::vector<rt::Runtime*>& runtimes) {
  return std::make_unique<WebhookAuthorizer>(webhook, options, runtimes);
}

}  // namespace knarr::apiserver
