#include <fmt/format.h>

#include "api/warnings.h"
#include "apiserver/errors.h"
#include "apiserver/object_io.h"
#include "apiserver/object_meta.h"
#include "apiserver/strategies/node_ports.h"
#include "apiserver/strategies/service_addresses.h"
#include "apiserver/strategies/service_families.h"
#include "apiserver/strategies/service_fields.h"
#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

class ServiceStrategy : public Strategy {
 public:
  ServiceStrategy(const api::KindInfo& kind, const StrategyOptions& options)
      : Strategy(kind),
        families_(options.service_families),
        ports_(kind, options.node_port_first, options.node_port_last) {}

  bool allow_create_on_update() const override { return true; }
  bool returns_deleted_object() const override { return true; }
  bool reserves() const override { return true; }

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    FitClusterAddresses(object, nullptr);
    return InitFamilies(kind_, families_, object, nullptr);
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    if (target != Target::kObject) return {};
    KeepAllocated(object, old);
    FitClusterAddresses(object, &old);
    TRY(InitFamilies(kind_, families_, object, &old));
    DropTypeDependent(object, old);
    return {};
  }

  std::vector<std::string> Warnings(Target target, const Value& object, const Value* /*old*/) const override {
    if (target == Target::kStatus) return api::WarningsOfLoadBalancer(object);
    return target == Target::kObject ? api::WarningsOfService(object) : std::vector<std::string>();
  }

  Result<Reservation> Reserve(const ReserveContext& context, doc::Document& object, const Value* old) override {
    Reservation out;
    // Being deleted it still holds what it has; its status is no reason to take anything.
    if (old != nullptr && object.root.At("spec").Equals(old->At("spec"))) return out;
    TRY(ReserveAddresses(context, kind_, object, old, out));
    TRY(ports_.Reserve(context, object, old, out));
    return out;
  }

  Reservation Release(const ReserveContext& context, const Value& object) override {
    Reservation out;
    ReleaseAddresses(context, object, out);
    ports_.Release(context, object, out);
    // The Endpoints of a Service go with it, lest another Service of the name begins with them.
    const auto endpoints = context.store.Newest("/registry/core/endpoints/" + OwnerName(object));
    if (endpoints.has_value() && !HasFinalizers(DecodeStored(*endpoints->value).root)) {
      out.sides.push_back({{endpoints->key, endpoints->mod_revision}, {endpoints->key, std::nullopt}});
    }
    return out;
  }

 private:
  const std::vector<IpFamily> families_;
  NodePorts ports_;
};

}  // namespace

std::unique_ptr<Strategy> MakeServiceStrategy(const api::KindInfo& kind, const StrategyOptions& options) {
  return std::make_unique<ServiceStrategy>(kind, options);
}

}  // namespace knarr::apiserver
