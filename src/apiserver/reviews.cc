#include "apiserver/reviews.h"

#include "api/codec.h"
#include "apiserver/authorization/access_review.h"
#include "apiserver/object_meta.h"
#include "apiserver/operations.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

Value UserValue(const UserInfo& user, doc::Arena& arena) {
  const auto texts = [&](const std::vector<std::string>& list) {
    Value out = Value::Array();
    for (const std::string& text : list) out.Append(arena, Value::String(arena, text));
    return out;
  };
  Value out = Value::Object();
  out.AddMember(arena, "username", Value::String(arena, user.name));
  out.AddMember(arena, "uid", Value::String(arena, user.uid));
  out.AddMember(arena, "groups", texts(user.groups));
  Value extra = Value::Object();
  for (const auto& [key, values] : user.extra) extra.SetCopy(arena, key, texts(values));
  out.AddMember(arena, "extra", extra);
  return out;
}

doc::Document AnswerSelfReview(const RequestContext& context, doc::Document review) {
  doc::Arena& arena = review.arena;
  Metadata(review).Set(arena, "creationTimestamp", Value::String(arena, FormatTime(context.runtime.Wall())));
  Value status = Value::Object();
  status.AddMember(arena, "userInfo", UserValue(context.user, arena));
  review.root.Set(arena, "status", status);
  return review;
}

Result<doc::Document> AnswerTokenReview(const RequestContext& context, Authenticator& authenticator,
                                        doc::Document review) {
  const std::string token(review.root.Get("spec", "token").AsString());
  if (token.empty()) return BadRequest("token is required for TokenReview in authentication");
  std::vector<std::string> audiences;
  for (const Value& audience : review.root.Get("spec", "audiences").items())
    audiences.emplace_back(audience.AsString());
  const TokenReview found = authenticator.Review(context.runtime, token, audiences);
  doc::Arena& arena = review.arena;
  Value status = Value::Object();
  status.AddMember(arena, "authenticated", Value::Bool(found.owner.has_value()));
  status.AddMember(arena, "user", found.owner.has_value() ? UserValue(found.owner->user, arena) : Value::Object());
  if (found.owner.has_value()) {
    Value fit = Value::Array();
    for (const std::string& audience : found.owner->audiences) fit.Append(arena, Value::String(arena, audience));
    status.AddMember(arena, "audiences", fit);
  }
  if (!found.error.empty()) status.AddMember(arena, "error", Value::String(arena, found.error));
  review.root.Set(arena, "status", status);
  return review;
}

}  // namespace

bool IsReview(const api::KindInfo& kind) {
  return (kind.group == "authorization.k8s.io" || kind.group == "authentication.k8s.io") && !kind.plural.empty() &&
         kind.list_type == nullptr;
}

Result<ObjectPtr> Operations::Review(const RequestContext& context, const api::KindInfo& kind, std::string_view ns,
                                     doc::Document review) const {
  TRY(FitNamespace(kind, ns, review));
  doc::Document answer;
  if (kind.group == "authorization.k8s.io") {
    answer = TRY(AnswerAccessReview(context, security_.authorizer(), kind, std::move(review)));
  } else if (kind.kind == "TokenReview") {
    answer = TRY(AnswerTokenReview(context, security_.authenticator(), std::move(review)));
  } else {
    answer = AnswerSelfReview(context, std::move(review));
  }
  TRY(api::Canonicalize(*kind.type, answer.root, answer.arena));
  return api::Object::FromDocument(std::move(answer));
}

}  // namespace knarr::apiserver
