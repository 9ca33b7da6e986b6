// The kinds of storage.k8s.io.

#include <algorithm>
#include <iterator>

#include "api/storage_v1.h"
#include "api/warnings.h"
#include "apiserver/strategies/record.h"
#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

using doc::Value;
using Texts = std::vector<std::string>;

class StorageClassStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  Texts Warnings(Target /*target*/, const Value& object, const Value* /*old*/) const override {
    Texts texts;
    const Value& terms = object.At("allowedTopologies");
    for (size_t i = 0; i < terms.size(); ++i) {
      const Value& expressions = terms[i].At("matchLabelExpressions");
      for (size_t j = 0; j < expressions.size(); ++j) {
        const std::string_view what = api::DeprecatedNodeLabel(expressions[j].At("key").AsString());
        if (what.empty()) continue;
        texts.push_back("allowedTopologies[" + std::to_string(i) + "].matchLabelExpressions[" + std::to_string(j) +
                        "].key: " + std::string(what));
      }
    }
    return texts;
  }
};

class CapacityStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  Texts Warnings(Target /*target*/, const Value& object, const Value* /*old*/) const override {
    return api::WarningsOfNodeSelector("nodeTopology", api::meta_v1::LabelSelector(object.At("nodeTopology")));
  }
};

class AttachmentStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    if (target == Target::kStatus) KeepMetadataForStatus(object, old);
    return {};
  }
};

class CsiDriverStrategy : public RecordStrategy {
  // A feature that is off by default.
  static void DropDisabled(doc::Document& driver) {
    if (Value* spec = driver.root.Find("spec"); spec != nullptr && spec->is_object()) {
      spec->Remove("preventPodSchedulingIfMissing");
    }
  }

 public:
  using RecordStrategy::RecordStrategy;

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    DropDisabled(object);
    return RecordStrategy::PrepareForCreate(context, object);
  }

  // The generation begins with the first change.
  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    DropDisabled(object);
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    if (object.root.At("spec").Equals(old.At("spec"))) return {};
    const int64_t before = old.Get("metadata", "generation").AsInt();
    Metadata(object).Set(object.arena, "generation", Value::Int(before + 1));
    return {};
  }

  Texts Warnings(Target /*target*/, const Value& object, const Value* old) const override {
    const Value& requests = object.Get("spec", "tokenRequests");
    if (requests.empty() || !object.Get("spec", "serviceAccountTokenInSecrets").is_null()) return {};
    if (old != nullptr && requests.Equals(old->Get("spec", "tokenRequests"))) return {};
    return {
        "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible "
        "logging of tokens in volume attributes"};
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeStorageStrategy(const api::KindInfo& kind) {
  if (kind.plural == "storageclasses") return std::make_unique<StorageClassStrategy>(kind);
  if (kind.plural == "csistoragecapacities") return std::make_unique<CapacityStrategy>(kind);
  if (kind.plural == "volumeattachments") return std::make_unique<AttachmentStrategy>(kind);
  if (kind.plural == "csidrivers") return std::make_unique<CsiDriverStrategy>(kind);
  return std::make_unique<RecordStrategy>(kind);
}

}  // namespace knarr::apiserver
