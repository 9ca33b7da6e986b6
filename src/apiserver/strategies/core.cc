// Secrets, ServiceAccounts, Endpoints, ResourceQuotas and PodTemplates.

#include <utility>

#include "api/warnings.h"
#include "apiserver/strategies/record.h"
#include "apiserver/strategies/strategies.h"
#include "base/strings.h"
#include "net/key_pair.h"

namespace knarr::apiserver {
namespace {

using doc::Value;
using Texts = std::vector<std::string>;

class SecretStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  Texts Warnings(Target /*target*/, const Value& object, const Value* /*old*/) const override {
    if (object.At("type").AsString() != "kubernetes.io/tls") return {};
    // It is valid: that the values are base64 has been checked.
    const Result<std::string> certificate = Base64Decode(object.Get("data", "tls.crt").AsString());
    const Result<std::string> key = Base64Decode(object.Get("data", "tls.key").AsString());
    if (!certificate.ok() || !key.ok()) return {};
    const Ok fits = net::CheckKeyPair(*certificate, *key);
    return fits.ok() ? Texts() : Texts{std::string(fits.status().message())};
  }
};

class ServiceAccountStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    CleanSecrets(object);
    return RecordStrategy::PrepareForCreate(context, object);
  }
  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    CleanSecrets(object);
    return RecordStrategy::PrepareForUpdate(context, target, object, old);
  }

  Texts Warnings(Target /*target*/, const Value& object, const Value* old) const override {
    if (!Has(object) || (old != nullptr && Has(*old))) return {};
    return {"metadata.annotations[" + std::string(kEnforce) +
            "]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"};
  }

 private:
  // Of its secrets only the names are kept.
  static void CleanSecrets(doc::Document& account) {
    Value* secrets = account.root.Find("secrets");
    if (secrets == nullptr || !secrets->is_array()) return;
    for (Value& secret : secrets->items()) {
      Value name = Value::Object();
      const Value& given = std::as_const(secret).At("name");
      if (!given.is_null()) name.Set(account.arena, "name", given);
      secret = name;
    }
  }
  static constexpr std::string_view kEnforce = "kubernetes.io/enforce-mountable-secrets";
  static bool Has(const Value& account) { return account.Get("metadata", "annotations").Find(kEnforce) != nullptr; }
};

class EndpointsStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  Texts Warnings(Target /*target*/, const Value& object, const Value* /*old*/) const override {
    return api::WarningsOfEndpoints(object);
  }
};

class QuotaStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  Texts Warnings(Target target, const Value& object, const Value* old) const override {
    return target == Target::kObject && old == nullptr ? api::WarningsOfQuota(object) : Texts();
  }
};

class PodTemplateStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(RecordStrategy::PrepareForCreate(context, object));
    Metadata(object).Set(object.arena, "generation", Value::Int(1));
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    TRY(RecordStrategy::PrepareForUpdate(context, target, object, old));
    if (object.root.At("template").Equals(old.At("template"))) return {};
    const int64_t before = old.Get("metadata", "generation").AsInt();
    Metadata(object).Set(object.arena, "generation", Value::Int(before + 1));
    return {};
  }

  Texts Warnings(Target /*target*/, const Value& object, const Value* old) const override {
    const Value& generation = object.Get("metadata", "generation");
    if (old != nullptr && generation.Equals(old->Get("metadata", "generation"))) return {};
    return api::WarningsOfPod("template", object.At("template"));
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeCoreStrategy(const api::KindInfo& kind) {
  if (kind.plural == "secrets") return std::make_unique<SecretStrategy>(kind);
  if (kind.plural == "serviceaccounts") return std::make_unique<ServiceAccountStrategy>(kind);
  if (kind.plural == "endpoints") return std::make_unique<EndpointsStrategy>(kind);
  if (kind.plural == "resourcequotas") return std::make_unique<QuotaStrategy>(kind);
  if (kind.plural == "podtemplates") return std::make_unique<PodTemplateStrategy>(kind);
  return MakeRecordStrategy(kind);
}

}  // namespace knarr::apiserver
