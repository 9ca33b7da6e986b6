#include "apiserver/authorization/authorizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/errors.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

class MastersAuthorizer : public Authorizer {
 public:
  Verdict Authorize(rt::Runtime& /*here*/, const Attributes& attributes) override {
    if (IsMember(attributes.user, kMasters)) return {Decision::kAllow, "", ""};
    return {};
  }
  // Its rules are those of the binding of cluster-admin.
  void AddRules(const UserInfo& /*user*/, std::string_view /*ns*/, RuleSet& /*rules*/) override {}
};

class UnionAuthorizer : public Authorizer {
 public:
  explicit UnionAuthorizer(std::vector<Authorizer*> authorizers) : authorizers_(std::move(authorizers)) {}

  Verdict Authorize(rt::Runtime& here, const Attributes& attributes) override {
    std::vector<std::string> reasons;
    std::vector<std::string> errors;
    for (Authorizer* authorizer : authorizers_) {
      Verdict verdict = authorizer->Authorize(here, attributes);
      if (verdict.decision != Decision::kNoOpinion) return verdict;
      if (!verdict.reason.empty()) reasons.push_back(std::move(verdict.reason));
      if (!verdict.error.empty()) errors.push_back(std::move(verdict.error));
    }
    return {Decision::kNoOpinion, Join(reasons, "\n"), AggregateText(errors)};
  }

  void AddRules(const UserInfo& user, std::string_view ns, RuleSet& rules) override {
    for (Authorizer* authorizer : authorizers_) authorizer->AddRules(user, ns, rules);
  }

 private:
  std::vector<Authorizer*> authorizers_;
};

// Nothing in a message may look like HTML to a browser.
std::string WithoutMarkup(std::string_view text) {
  return ReplaceAll(ReplaceAll(ReplaceAll(text, "&", "&amp;"), "<", "&lt;"), ">", "&gt;");
}

}  // namespace

std::unique_ptr<Authorizer> MakeMastersAuthorizer() { return std::make_unique<MastersAuthorizer>(); }

std::unique_ptr<Authorizer> MakeUnionAuthorizer(std::vector<Authorizer*> authorizers) {
  return std::make_unique<UnionAuthorizer>(std::move(authorizers));
}

Status ForbiddenTo(const Attributes& attributes, std::string_view reason) {
  const std::string tail = reason.empty() ? "" : ": " + std::string(reason);
  const std::string user = GoQuote(attributes.user.name);
  if (!attributes.resource_request) {
    const std::string text = fmt::format("User {} cannot {} path {}", user, attributes.verb, GoQuote(attributes.path));
    return RouteError(Reason::kForbidden, "forbidden: " + WithoutMarkup(text) + tail);
  }
  std::string resource = attributes.resource;
  if (!attributes.subresource.empty()) resource += "/" + attributes.subresource;
  const std::string scope =
      attributes.ns.empty() ? "at the cluster scope" : fmt::format("in the namespace {}", GoQuote(attributes.ns));
  const std::string text = fmt::format("User {} cannot {} resource {} in API group {} {}", user, attributes.verb,
                                       GoQuote(resource), GoQuote(attributes.group), scope);
  return ForbiddenError({attributes.group, attributes.resource}, attributes.name, WithoutMarkup(text) + tail);
}

std::string AggregateText(const std::vector<std::string>& errors) {
  std::vector<std::string_view> distinct;
  for (const std::string& error : errors) {
    if (std::ranges::find(distinct, error) == distinct.end()) distinct.push_back(error);
  }
  if (distinct.size() < 2) return distinct.empty() ? std::string() : std::string(distinct.front());
  return "[" + Join(distinct, ", ") + "]";
}

}  // namespace knarr::apiserver
