#include "controller/token_secrets.h"

#include <algorithm>
#include <map>
#include <set>

#include "api/core_v1.h"
#include "base/strings.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using client::ObjectName;
using doc::Value;

constexpr std::string_view kType = "kubernetes.io/service-account-token";
constexpr std::string_view kNameAnnotation = "kubernetes.io/service-account.name";
constexpr std::string_view kUidAnnotation = "kubernetes.io/service-account.uid";

std::string_view Annotation(const api::Object& secret, std::string_view name) {
  return secret.tree().Get("metadata", "annotations", name).AsString();
}
ObjectName AccountOf(const api::Object& secret) {
  return {std::string(secret.ns()), std::string(Annotation(secret, kNameAnnotation))};
}

class TokenSecretsController : public Controller {
 public:
  explicit TokenSecretsController(Context context)
      : context_(context),
        accounts_(context.informers.For(api::core_v1::ServiceAccountInfo())),
        secrets_(context.informers.For(api::core_v1::SecretInfo(), {.field_selector = "type=" + std::string(kType)})),
        secret_worker_(context.runtime, "token secrets", [this](const ObjectName& key) { return SyncSecret(key); }),
        account_worker_(context.runtime, "token references",
                        [this](const ObjectName& key) { return SyncAccount(key); }) {
    accounts_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      if (after != nullptr && (before == nullptr || before->uid() == after->uid())) return;
      // The account went, or another took its place.
      for (const ObjectPtr& secret : secrets_.List(before->ns())) {
        if (AccountOf(*secret).name == before->name()) secret_worker_.Add(NameOf(*secret));
      }
    });
    secrets_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      if (after != nullptr) {
        secret_worker_.Add(NameOf(*after));
      } else {
        Forget(*before);
      }
    });
  }
  void Start() override {
    if (context_.keys.sign_token == nullptr) return;  // nobody here can make tokens
    secret_worker_.Start({&accounts_, &secrets_}, 2);
    account_worker_.Start({&accounts_, &secrets_}, 1);
  }
  void Stop() override {
    secret_worker_.Stop();
    account_worker_.Stop();
  }

 private:
  static bool References(const api::Object& account, std::string_view secret) {
    const auto& secrets = account.tree().At("secrets");
    return std::ranges::any_of(secrets.items(), [&](const Value& ref) { return ref.At("name").AsString() == secret; });
  }

  // A secret has gone: its account may still name it.
  void Forget(const api::Object& secret) {
    const ObjectName name = AccountOf(secret);
    const ObjectPtr account = accounts_.Get(name);
    if (account == nullptr || !References(*account, secret.name())) return;
    gone_[name].emplace(secret.name());
    account_worker_.Add(name);
  }

  /// The account a secret is for; null when it is not there, also when asked live.
  Result<ObjectPtr> Account(const api::Object& secret) {
    const ObjectName name = AccountOf(secret);
    const std::string_view uid = Annotation(secret, kUidAnnotation);
    const auto fits = [&](const ObjectPtr& account) { return uid.empty() || account->uid() == uid; };
    ObjectPtr account = accounts_.Get(name);
    if (account != nullptr && fits(account)) return account;
    Result<ObjectPtr> live = context_.client.Get(api::core_v1::ServiceAccountInfo(), name);
    if (live.Failed(Reason::kNotFound)) return ObjectPtr();
    if (!live.ok()) return live.status();
    return fits(*live) ? *live : ObjectPtr();
  }

  Result<Requeue> SyncSecret(const ObjectName& key) {
    const ObjectPtr secret = secrets_.Get(key);
    if (secret == nullptr || Annotation(*secret, kNameAnnotation).empty()) return Requeue();
    const ObjectPtr account = TRY(Account(*secret));
    if (account == nullptr) {
      const Result<ObjectPtr> deleted =
          context_.client.Delete(api::core_v1::SecretInfo(), key, {.uid = std::string(secret->uid())});
      const bool fine = deleted.ok() || deleted.Failed(Reason::kNotFound) || deleted.Failed(Reason::kConflict);
      return fine ? Result<Requeue>(Requeue()) : Result<Requeue>(deleted.status());
    }
    return Fill(*account, *secret);
  }

  Result<Requeue> Fill(const api::Object& account, const api::Object& secret) {
    const Value& data = secret.tree().At("data");
    const std::string authority = Base64Encode(context_.keys.ca_certificate_pem);
    const bool needs_authority = !context_.keys.ca_certificate_pem.empty() && data.At("ca.crt").AsString() != authority;
    const bool needs_namespace = data.At("namespace").AsString().empty();
    const bool needs_token = data.At("token").AsString().empty();
    if (!needs_authority && !needs_namespace && !needs_token) return Requeue();
    doc::Document copy = doc::Document::Copy(secret.tree());
    const auto text = [&](std::string_view t) { return Value::String(copy.arena, t); };
    Value& filled = copy.root.Ensure(copy.arena, "data");
    if (needs_authority) filled.Set(copy.arena, "ca.crt", text(authority));
    if (needs_namespace) filled.Set(copy.arena, "namespace", text(Base64Encode(secret.ns())));
    if (needs_token) {
      const std::string token =
          TRY(context_.keys.sign_token(account.ns(), account.name(), account.uid(), secret.name()));
      filled.Set(copy.arena, "token", text(Base64Encode(token)));
    }
    Value& annotations = copy.root.Ensure(copy.arena, "metadata").Ensure(copy.arena, "annotations");
    annotations.Set(copy.arena, kNameAnnotation, text(account.name()));
    annotations.Set(copy.arena, kUidAnnotation, text(account.uid()));
    // Of another version, or gone: its change brings it back here.
    const Result<ObjectPtr> updated =
        context_.client.Update(api::core_v1::SecretInfo(), client::ObjectName(NameOf(secret)), copy.root);
    if (updated.ok() || updated.Failed(Reason::kConflict) || updated.Failed(Reason::kNotFound)) return Requeue();
    return updated.status();
  }

  Result<Requeue> SyncAccount(const ObjectName& key) {
    const auto found = gone_.find(key);
    if (found == gone_.end()) return Requeue();
    const std::set<std::string> names = found->second;
    const Result<ObjectPtr> updated = client::UpdateWithRetry(
        context_.runtime, context_.client, api::core_v1::ServiceAccountInfo(), key, "", [&](doc::Document& account) {
          Value* secrets = account.root.Find("secrets");
          if (secrets == nullptr) return false;
          const size_t before = secrets->size();
          for (size_t i = secrets->size(); i-- > 0;) {
            const std::string name((*secrets)[i].At("name").AsString());
            if (names.contains(name) && secrets_.Get({key.ns, name}) == nullptr) secrets->Erase(i);
          }
          return secrets->size() != before;
        });
    if (!updated.ok() && !updated.Failed(Reason::kNotFound)) return updated.status();
    std::set<std::string>& left = gone_[key];
    for (const std::string& name : names) left.erase(name);
    if (left.empty()) gone_.erase(key);
    return Requeue();
  }

  Context context_;
  client::Informer& accounts_;
  client::Informer& secrets_;
  /// Secrets that are gone, by the account that may still name them.
  std::map<ObjectName, std::set<std::string>> gone_;
  Worker secret_worker_;
  Worker account_worker_;
};

}  // namespace

std::unique_ptr<Controller> MakeTokenSecretsController(Context context) {
  return std::make_unique<TokenSecretsController>(context);
}

}  // namespace knarr::controller
