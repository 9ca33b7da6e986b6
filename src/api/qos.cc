#include "api/qos.h"

#include <array>

#include "base/quantity.h"

namespace knarr::api {
namespace {

using doc::Value;

constexpr std::array<std::string_view, 2> kCounted = {"cpu", "memory"};

// The amount of a resource, zero when absent or no quantity (validation has refused those).
Quantity Amount(const Value& list, std::string_view resource) {
  const Value& value = list.At(resource);
  if (value.is_int()) return Quantity(value.AsInt());
  Result<Quantity> parsed = Quantity::Parse(value.AsString());
  return parsed.ok() ? *parsed : Quantity();
}

struct Demand {
  bool any = false;      // something of cpu or memory is requested or limited
  bool complete = true;  // every container limits both, and requests exactly its limits
};

void Count(const Value& resources, Demand& demand) {
  for (const std::string_view resource : kCounted) {
    const Quantity request = Amount(resources.At("requests"), resource);
    const Quantity limit = Amount(resources.At("limits"), resource);
    if (!request.IsZero() || !limit.IsZero()) demand.any = true;
    if (limit.IsZero() || !(request == limit)) demand.complete = false;
  }
}

}  // namespace

std::string_view QosClass(const Value& spec) {
  Demand demand;
  const Value& whole = spec.At("resources");
  if (whole.is_object()) {
    Count(whole, demand);  // the pod's own budget counts instead of its containers', also an empty one
  } else {
    for (const std::string_view list : {"initContainers", "containers"}) {
      for (const Value& container : spec.At(list).items()) Count(container.At("resources"), demand);
    }
  }
  if (!demand.any) return "BestEffort";
  return demand.complete ? "Guaranteed" : "Burstable";
}

}  // namespace knarr::api
