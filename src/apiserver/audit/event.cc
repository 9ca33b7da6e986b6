#include "apiserver/audit/event.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "apiserver/errors.h"
#include "base/uuid.h"
#include "doc/json.h"
#include "doc/yaml.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr size_t kUserAgentMax = 1024;

/// Writes members of an object, leaving out empty ones.
class Members {
 public:
  explicit Members(std::string& out) : out_(out) { out_ += '{'; }
  void Text(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    Name(name);
    doc::WriteJsonString(value, out_);
  }
  void Texts(std::string_view name, const std::vector<std::string>& values) {
    if (values.empty()) return;
    Name(name);
    out_ += '[';
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out_ += ',';
      doc::WriteJsonString(values[i], out_);
    }
    out_ += ']';
  }
  void Json(std::string_view name, std::string_view json) {
    if (json.empty()) return;
    Name(name);
    out_ += json;
  }
  void Name(std::string_view name) {
    if (out_.back() != '{') out_ += ',';
    doc::WriteJsonString(name, out_);
    out_ += ':';
  }
  void End() { out_ += '}'; }

 private:
  std::string& out_;
};

std::string UserJson(const UserInfo& user) {
  std::string out;
  Members members(out);
  members.Text("username", user.name);
  members.Text("uid", user.uid);
  members.Texts("groups", user.groups);
  if (!user.extra.empty()) {
    std::string extra;
    Members keys(extra);
    for (const auto& [key, values] : user.extra) keys.Texts(key, values);
    keys.End();
    members.Json("extra", extra);
  }
  members.End();
  return out;
}

void DropManagedFields(Value& object) {
  if (Value* metadata = object.Find("metadata")) metadata->Remove("managedFields");
}

}  // namespace

std::string NewAuditId(rt::Runtime& runtime) {
  std::array<uint8_t, 16> random{};
  const uint64_t halves[2] = {runtime.Random(), runtime.Random()};
  std::memcpy(random.data(), halves, sizeof halves);
  return MakeUuid(random);
}

AuditEvent::AuditEvent(AuditLog& log, rt::Runtime& runtime, AuditRequest request)
    : log_(log), runtime_(runtime), decision_(log.policy().For(request.attributes)), received_(runtime.Wall()) {
  log_.Count(decision_.level);
  if (!enabled()) return;
  const Attributes& attributes = request.attributes;
  id_ = std::move(request.id);
  uri_ = std::move(request.uri);
  user_agent_ = std::move(request.user_agent);
  if (user_agent_.size() > kUserAgentMax) user_agent_ = user_agent_.substr(0, kUserAgentMax) + "...TRUNCATED";
  source_ips_ = std::move(request.source_ips);
  verb_ = attributes.verb;
  user_ = attributes.user;
  if (attributes.resource_request) {
    reference_ =
        Reference{attributes.resource,   attributes.ns, attributes.name, "", attributes.group, attributes.version, "",
                  attributes.subresource};
  }
}

void AuditEvent::SetImpersonated(const UserInfo& user, std::string constraint) {
  if (!enabled()) return;
  impersonated_ = user;
  constraint_ = std::move(constraint);
}

void AuditEvent::SetRequestObject(const Value& object) {
  if (!enabled()) return;
  if (!reference_.has_value()) reference_.emplace();
  const Value& metadata = object.At("metadata");
  const auto fill = [&](std::string& into, std::string_view member) {
    if (into.empty()) into = metadata.At(member).AsString();
  };
  fill(reference_->ns, "namespace");
  fill(reference_->name, "name");
  fill(reference_->uid, "uid");
  fill(reference_->resource_version, "resourceVersion");
  if (wants_request()) SetRequestJson(doc::ToJson(object));
}

void AuditEvent::SetRequestJson(std::string json) {
  if (wants_request()) request_json_ = WithoutManagedFields(std::move(json));
}

void AuditEvent::SetRequestPatch(std::string_view body) {
  if (!wants_request()) return;
  const Result<doc::Document> json = doc::ParseJson(body);
  if (json.ok()) return SetRequestJson(doc::ToJson(json->root));
  const Result<doc::YamlDocument> yaml = doc::ParseYaml(body);
  if (yaml.ok()) SetRequestJson(doc::ToJson(yaml->document.root));
}

void AuditEvent::SetResponseJson(std::string json) {
  if (wants_response()) response_json_ = WithoutManagedFields(std::move(json));
}

void AuditEvent::SetError(const Status& status) {
  if (!enabled()) return;
  code_ = status.code();
  SetStatus(StatusDocument(status).root);
}

void AuditEvent::SetStatus(const Value& status) {
  if (!enabled()) return;
  if (wants_response()) response_json_ = doc::ToJson(status);
  status_.clear();
  for (const std::string_view name : {"status", "message", "reason", "details"}) {
    const Value& member = status.At(name);
    if (member.is_null()) continue;
    doc::WriteJsonString(name, status_);
    status_ += ':';
    doc::WriteJson(member, status_);
    status_ += ',';
  }
}

std::string AuditEvent::WithoutManagedFields(std::string json) const {
  if (!decision_.omit_managed_fields || !api::Mentions(json, "managedFields")) return json;
  Result<doc::Document> parsed = doc::ParseJson(json);
  if (!parsed.ok()) return json;  // a patch may be anything
  Value& root = parsed->root;
  DropManagedFields(root);
  if (Value* items = root.Find("items")) {
    for (Value& item : items->items()) DropManagedFields(item);
  }
  if (Value* rows = root.Find("rows")) {
    for (Value& row : rows->items()) {
      if (Value* object = row.Find("object")) DropManagedFields(*object);
    }
  }
  return doc::ToJson(root);
}

void AuditEvent::Stage(AuditStage stage) {
  if (!enabled() || decision_.Omits(stage)) return;
  log_.Write(Line(stage, stage == AuditStage::kRequestReceived ? received_ : runtime_.Wall()));
}

void AuditEvent::Complete(bool long_running) {
  if (!enabled()) return;
  if (!code_.has_value()) {
    code_ = 200;
    status_ = R"("status":"Success","message":"Connection closed early",)";
    if (long_running) Stage(AuditStage::kResponseStarted);
  }
  Stage(AuditStage::kResponseComplete);
}

void AuditEvent::WriteReference(std::string& out) const {
  Members members(out);
  members.Text("resource", reference_->resource);
  members.Text("namespace", reference_->ns);
  members.Text("name", reference_->name);
  members.Text("uid", reference_->uid);
  members.Text("apiGroup", reference_->group);
  members.Text("apiVersion", reference_->version);
  members.Text("resourceVersion", reference_->resource_version);
  members.Text("subresource", reference_->subresource);
  members.End();
}

std::string AuditEvent::Line(AuditStage stage, WallTime now) const {
  std::string out;
  out.reserve(768 + request_json_.size() + response_json_.size());
  Members members(out);
  members.Text("kind", "Event");
  members.Text("apiVersion", "audit.k8s.io/v1");
  members.Text("level", LevelText(decision_.level));
  members.Text("auditID", id_);
  members.Text("stage", StageText(stage));
  members.Text("requestURI", uri_);
  members.Name("verb");
  doc::WriteJsonString(verb_, out);
  members.Json("user", UserJson(user_));
  if (impersonated_.has_value()) members.Json("impersonatedUser", UserJson(*impersonated_));
  if (!constraint_.empty()) {
    members.Name("authenticationMetadata");
    Members metadata(out);
    metadata.Text("impersonationConstraint", constraint_);
    metadata.End();
  }
  members.Texts("sourceIPs", source_ips_);
  members.Text("userAgent", user_agent_);
  if (reference_.has_value()) {
    members.Name("objectRef");
    WriteReference(out);
  }
  if (stage != AuditStage::kRequestReceived) {
    members.Name("responseStatus");
    out += fmt::format(R"({{"metadata":{{}},{}"code":{}}})", status_, code_.value_or(200));
    members.Json("requestObject", request_json_);
    members.Json("responseObject", response_json_);
  }
  members.Text("requestReceivedTimestamp", FormatMicroTime(received_));
  members.Text("stageTimestamp", FormatMicroTime(now));
  if (!annotations_.empty()) {
    members.Name("annotations");
    Members each(out);
    for (const auto& [key, value] : annotations_) {
      each.Name(key);
      doc::WriteJsonString(value, out);
    }
    each.End();
  }
  members.End();
  return out;
}

}  // namespace knarr::apiserver
