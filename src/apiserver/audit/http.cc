#include "apiserver/audit/http.h"

#include <fmt/format.h>

#include "api/codec.h"
#include "api/defaulting.h"
#include "base/ip.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

// The address of "10.0.0.1:80" or "[::1]:80".
std::string HostOf(std::string_view peer) {
  const size_t colon = peer.rfind(':');
  std::string_view host = colon == std::string_view::npos ? peer : peer.substr(0, colon);
  if (ConsumePrefix(host, "[")) ConsumeSuffix(host, "]");
  return std::string(host);
}

// Those that proxies name, then who is connected.
std::vector<std::string> SourceIps(const net::Request& request) {
  constexpr size_t kAddressesMax = 32;
  std::vector<std::string> out;
  const auto add = [&](std::string_view text) {
    const Result<IpAddress> address = IpAddress::Parse(TrimSpace(text));
    if (!address.ok() || out.size() >= kAddressesMax) return;
    std::string name = address->ToString();
    if (out.empty() || out.back() != name) out.push_back(std::move(name));
  };
  const std::string_view forwarded = request.headers.Get("X-Forwarded-For");
  if (!forwarded.empty()) {
    for (const std::string_view each : Split(forwarded, ',')) add(each);
  }
  add(request.headers.Get("X-Real-Ip"));
  add(HostOf(request.peer));
  return out;
}

std::string JoinedBody(const Body& body) {
  if (!body.in_pieces()) return body.text;
  std::string out;
  for (const std::string_view piece : body.pieces) out += piece;
  return out;
}

}  // namespace

AuditRequest AuditRequestOf(const Call& call) {
  return {call.attributes, call.request.target, std::string(call.request.headers.Get("User-Agent")),
          SourceIps(call.request), call.audit_id};
}

void AuditBody(const Call& call, const api::KindInfo& kind, const doc::Value& object) {
  AuditEvent* event = call.context.audit;
  if (event == nullptr) return;
  if (!event->wants_request()) {
    event->SetRequestObject(object);
    return;
  }
  // As the request means it: with its defaults.
  doc::Document whole = doc::Document::Copy(object);
  api::ApplyDefaults(*kind.type, whole.root, whole.arena);
  if (whole.root.At("kind").is_null()) whole.root.Set(whole.arena, "kind", doc::Value::Borrow(kind.kind));
  if (whole.root.At("apiVersion").is_null()) {
    whole.root.Set(whole.arena, "apiVersion", doc::Value::Borrow(kind.api_version));
  }
  if (!api::Canonicalize(*kind.type, whole.root, whole.arena).ok()) return;
  event->SetRequestObject(whole.root);
}

void AuditDelete(const Call& call, const doc::Document& options) {
  doc::Document named = doc::Document::Copy(options.root);
  // Written down in the form Kubernetes has for itself only.
  named.root.Set(named.arena, "apiVersion", doc::Value::Borrow("meta.k8s.io/__internal"));
  call.context.audit->SetRequestObject(named.root);
}

void NoteDeprecated(AuditEvent& event) { event.Annotate("k8s.io/deprecated", "true"); }

void AuditAnswer(const Call& call, const Answer& answer) {
  AuditEvent& event = *call.context.audit;
  event.SetCode(answer.code);
  const bool error = answer.code >= 400;  // SetError has noted it
  if (error || answer.body.rest != nullptr) return;
  AuditResponseBody(call, answer.content_type, JoinedBody(answer.body));
}

void AuditResponseBody(const Call& call, std::string_view content_type, std::string body) {
  AuditEvent& event = *call.context.audit;
  if (!event.wants_response() || !call.attributes.resource_request) return;
  if (content_type.starts_with("application/json")) {
    while (body.ends_with('\n')) body.pop_back();  // a log's line is one line
    event.SetResponseJson(std::move(body));
  } else if (content_type.starts_with("application/yaml")) {
    const Result<api::Decoded> decoded = api::DecodeYaml(body);
    if (decoded.ok()) event.SetResponseJson(doc::ToJson(decoded->document.root));
  } else {
    const Result<api::Decoded> decoded = api::DecodeProtobuf(body);
    if (decoded.ok()) event.SetResponseJson(doc::ToJson(decoded->document.root));
  }
}

}  // namespace knarr::apiserver
