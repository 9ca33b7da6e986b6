#include "apiserver/authorization/rbac_authorizer.h"

#include "apiserver/authorization/rules.h"

namespace knarr::apiserver {
namespace {

class RbacAuthorizer : public Authorizer {
 public:
  explicit RbacAuthorizer(const RbacIndex& index) : index_(index) {}

  Verdict Authorize(rt::Runtime& /*here*/, const Attributes& attributes) override {
    Verdict verdict;
    std::vector<std::string> errors;
    const UserInfo& user = attributes.user;
    index_.state()->VisitRules(user, attributes.ns,
                               [&](const RbacBinding& binding, const PolicyRule* rule, const std::string& error) {
                                 if (rule == nullptr) {
                                   errors.push_back(error);
                                   return true;
                                 }
                                 if (!RuleAllows(*rule, attributes)) return true;
                                 verdict = {Decision::kAllow, "RBAC: allowed by " + binding.Describe(user), ""};
                                 return false;
                               });
    if (!verdict.allowed() && !errors.empty()) verdict.reason = "RBAC: " + AggregateText(errors);
    return verdict;
  }

  void AddRules(const UserInfo& user, std::string_view ns, RuleSet& rules) override {
    index_.state()->VisitRules(user, ns,
                               [&](const RbacBinding& /*binding*/, const PolicyRule* rule, const std::string& error) {
                                 if (rule == nullptr) {
                                   rules.errors.push_back(error);
                                 } else {
                                   rules.rules.push_back(*rule);
                                 }
                                 return true;
                               });
  }

 private:
  const RbacIndex& index_;
};

}  // namespace

std::unique_ptr<Authorizer> MakeRbacAuthorizer(const RbacIndex& index) {
  return std::make_unique<RbacAuthorizer>(index);
}

}  // namespace knarr::apiserver
