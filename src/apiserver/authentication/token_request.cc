#include "apiserver/authentication/token_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "apiserver/audit/event.h"
#include "apiserver/errors.h"
#include "apiserver/object_io.h"
#include "apiserver/object_meta.h"
#include "base/strings.h"
#include "base/uuid.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kGroup = "authentication.k8s.io";
constexpr std::string_view kKind = "TokenRequest";
constexpr int64_t kExpirationLeast = 600;
constexpr int64_t kExpirationMost = int64_t{1} << 32;
constexpr int64_t kExpirationDefault = 3600;
// Pods' own tokens ask for this odd time. Programs of old read them once and never again: so these go on being good
// for a year, and whoever still uses one after an hour is told.
constexpr int64_t kExpirationOfPods = 3607;
constexpr int64_t kExpirationExtended = int64_t{365} * 24 * 3600;

Status InvalidRequest(std::string_view name, std::string field, std::string_view shown, std::string_view why) {
  StatusDetails details;
  details.group = kGroup;
  details.kind = kKind;
  details.name = name;
  std::string message = fmt::format("Invalid value: {}: {}", shown, why);
  std::string text =
      fmt::format("TokenRequest.authentication.k8s.io {} is invalid: {}: {}", GoQuote(name), field, message);
  details.causes.push_back({"FieldValueInvalid", std::move(message), std::move(field)});
  return {Reason::kInvalid, std::move(text), std::move(details)};
}

// What the request says of the account must be so.
Ok CheckIdentity(const Value& asked, const Value& account) {
  const std::string_view name = NameOf(account);
  const std::string_view own_name = asked.At("name").AsString();
  if (!own_name.empty() && own_name != name) {
    return InvalidRequest(name, "metadata.name", GoQuote(own_name), "must match the service account name if specified");
  }
  const std::string_view own_ns = asked.At("namespace").AsString();
  if (!own_ns.empty() && own_ns != account.Get("metadata", "namespace").AsString()) {
    return InvalidRequest(name, "metadata.namespace", GoQuote(own_ns),
                          "must match the service account namespace if specified");
  }
  const std::string_view uid = account.Get("metadata", "uid").AsString();
  const std::string_view own_uid = asked.At("uid").AsString();
  if (own_uid.empty() || own_uid == uid) return {};
  return ConflictError({kGroup, kKind}, name,
                       fmt::format("the UID in the token request ({}) does not match the UID of the service account "
                                   "({})",
                                   own_uid, uid));
}

Result<int64_t> Expiration(const Value& spec) {
  const int64_t seconds = spec.At("expirationSeconds").AsInt(kExpirationDefault);
  const auto invalid = [&](std::string_view why) {
    return InvalidRequest("", "spec.expirationSeconds", std::to_string(seconds), why);
  };
  if (seconds < kExpirationLeast) return invalid("may not specify a duration less than 10 minutes");
  if (seconds > kExpirationMost) return invalid("may not specify a duration larger than 2^32 seconds");
  return seconds;
}

Result<doc::Document> Load(const store::Snapshot& snapshot, std::string_view resource, std::string_view ns,
                           std::string_view name) {
  const std::string place = ns.empty() ? std::string(name) : fmt::format("{}/{}", ns, name);
  const auto found = snapshot.Get(fmt::format("/registry/core/{}/{}", resource, place));
  if (!found.has_value()) return NotFoundError({"", resource}, name);
  return doc::Document::Copy(DecodeStored(*found->value).root);
}

ObjectRef RefOf(const Value& object) {
  return {std::string(NameOf(object)), std::string(object.Get("metadata", "uid").AsString())};
}

// A pod's token says on which node the pod is, as far as that is known.
Ok BindToPod(const doc::Value& pod, const store::Snapshot& snapshot, TokenClaims& claims) {
  if (pod.Get("spec", "serviceAccountName").AsString() != claims.account.name) {
    return BadRequest(
        fmt::format("cannot bind token for serviceaccount {} to pod running with different "
                    "serviceaccount name.",
                    GoQuote(claims.account.name)));
  }
  claims.pod = RefOf(pod);
  const std::string node_name(pod.Get("spec", "nodeName").AsString());
  if (node_name.empty()) return {};
  const auto node = Load(snapshot, "nodes", "", node_name);
  claims.node = node.ok() ? RefOf(node->root) : ObjectRef{node_name, ""};
  return {};
}

Ok Bind(const Value& reference, const store::Snapshot& snapshot, TokenClaims& claims) {
  if (reference.is_null()) return {};
  const std::string_view version = reference.At("apiVersion").AsString();
  const std::string_view kind = reference.At("kind").AsString();
  const std::string_view name = reference.At("name").AsString();
  const bool core = version.find('/') == std::string_view::npos;
  ObjectRef bound;
  if (core && kind == "Pod") {
    const doc::Document pod = TRY(Load(snapshot, "pods", claims.ns, name));
    TRY(BindToPod(pod.root, snapshot, claims));
    bound = *claims.pod;
  } else if (core && kind == "Node") {
    bound = RefOf(TRY(Load(snapshot, "nodes", "", name)).root);
    claims.node = bound;
  } else if (core && kind == "Secret") {
    bound = RefOf(TRY(Load(snapshot, "secrets", claims.ns, name)).root);
    claims.secret = bound;
  } else {
    const std::string group_version = core ? fmt::format("/{}", version) : std::string(version);
    return BadRequest(fmt::format("cannot bind token to object of type {}, Kind={}", group_version, kind));
  }
  const std::string_view wanted = reference.At("uid").AsString();
  if (wanted.empty() || wanted == bound.uid) return {};
  return ConflictError({"", kind}, name,
                       fmt::format("the UID in the bound object reference ({}) does not match the UID in record. The "
                                   "object might have been deleted and then recreated",
                                   wanted));
}

std::string NewId(rt::Runtime& runtime) {
  std::array<uint8_t, 16> random{};
  runtime.RandomBytes(random.data(), random.size());
  return MakeUuid(random);
}

void Fill(doc::Document& request, const Value& account, const TokenClaims& claims, int64_t seconds,
          std::string_view token) {
  doc::Arena& arena = request.arena;
  const auto text = [&](std::string_view t) { return Value::String(arena, t); };
  Value& metadata = Metadata(request);
  metadata.Set(arena, "name", text(NameOf(account)));
  metadata.Set(arena, "namespace", text(claims.ns));
  metadata.Set(arena, "uid", text(claims.account.uid));
  metadata.Set(arena, "creationTimestamp", text(FormatTime(claims.issued)));
  Value& spec = request.root.Ensure(arena, "spec");
  if (!spec.is_object()) spec = Value::Object();
  Value audiences = Value::Array();
  for (const std::string& audience : claims.audiences) audiences.Append(arena, text(audience));
  spec.Set(arena, "audiences", audiences);
  spec.Set(arena, "expirationSeconds", Value::Int(seconds));
  Value status = Value::Object();
  status.AddMember(arena, "token", text(token));
  status.AddMember(arena, "expirationTimestamp", text(FormatTime(claims.issued + std::chrono::seconds(seconds))));
  request.root.Set(arena, "status", status);
}

}  // namespace

Result<doc::Document> AnswerTokenRequest(const ServiceAccountTokens& tokens,
                                         const std::vector<std::string>& api_audiences, RequestContext& context,
                                         const store::Snapshot& snapshot, const Value& account, doc::Document request) {
  rt::Runtime& runtime = context.runtime;
  TRY(CheckIdentity(request.root.At("metadata"), account));
  const Value& spec = request.root.Ensure(request.arena, "spec");
  const int64_t seconds = TRY(Expiration(spec));
  TokenClaims claims;
  claims.id = NewId(runtime);
  claims.ns = account.Get("metadata", "namespace").AsString();
  claims.account = RefOf(account);
  claims.issued = runtime.Wall();
  for (const Value& audience : spec.At("audiences").items()) claims.audiences.emplace_back(audience.AsString());
  if (claims.audiences.empty()) claims.audiences = api_audiences;
  TRY(Bind(spec.At("boundObjectRef"), snapshot, claims));
  const bool for_api = std::ranges::all_of(claims.audiences, [&](const std::string& audience) {
    return std::ranges::find(api_audiences, audience) != api_audiences.end();
  });
  int64_t life = seconds;
  if (claims.pod.has_value() && seconds == kExpirationOfPods && for_api) {
    life = kExpirationExtended;
    claims.warn_after = claims.issued + std::chrono::seconds(seconds);
  }
  claims.expires = claims.issued + std::chrono::seconds(life);
  const std::string token = TRY(tokens.Issue(claims));
  Fill(request, account, claims, seconds, token);
  if (context.audit != nullptr) {
    context.audit->Annotate("authentication.kubernetes.io/issued-credential-id", "JTI=" + claims.id);
  }
  return request;
}

}  // namespace knarr::apiserver
