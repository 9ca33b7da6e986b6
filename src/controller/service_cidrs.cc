#include "controller/service_cidrs.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/networking_v1.h"
#include "doc/json.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using client::ObjectName;
using doc::Value;

constexpr std::string_view kFinalizer = "networking.k8s.io/service-cidr-finalizer";
// A network that is being deleted gives out no addresses; whoever took one at that moment has written it by then.
constexpr Duration kGrace = std::chrono::seconds(10);

struct Ready {
  std::string_view status;
  std::string_view reason;
  std::string_view message;
};
constexpr Ready kReady = {"True", "", "Kubernetes Service CIDR is ready"};
constexpr Ready kInUse = {
    "False", "Terminating",
    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"};

bool HasFinalizer(const api::Object& object) {
  const auto items = object.tree().Get("metadata", "finalizers").items();
  return std::ranges::any_of(items, [](const Value& item) { return item.AsString() == kFinalizer; });
}

std::vector<Cidr> NetworksOf(const api::Object& object) {
  std::vector<Cidr> out;
  for (const Value& text : object.tree().Get("spec", "cidrs").items()) {
    const Result<Cidr> cidr = Cidr::Parse(text.AsString());
    if (cidr.ok()) out.push_back(*cidr);
  }
  return out;
}

bool IsServiceAddress(const api::Object& object) {
  const Value& labels = object.tree().Get("metadata", "labels");
  return labels.At("ipaddress.kubernetes.io/managed-by").AsString() == "ipallocator.k8s.io";
}

bool Contains(const std::vector<Cidr>& networks, const IpAddress& address) {
  return std::ranges::any_of(networks, [&](const Cidr& network) { return network.Contains(address); });
}

const Value* FindReady(const Value& object) {
  for (const Value& condition : object.Get("status", "conditions").items()) {
    if (condition.At("type").AsString() == "Ready") return &condition;
  }
  return nullptr;
}

class ServiceCidrController : public Controller {
 public:
  explicit ServiceCidrController(Context context)
      : context_(std::move(context)),
        cidrs_(context_.informers.For(api::networking_v1::ServiceCIDRInfo())),
        addresses_(context_.informers.For(api::networking_v1::IPAddressInfo())),
        worker_(context_.runtime, "service cidrs", [this](const ObjectName& key) { return Sync(key); }) {
    cidrs_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      if (after != nullptr) worker_.Add(NameOf(*after));
      // One that comes or goes decides on whether others may go.
      if (before == nullptr || after == nullptr) AddDeleting();
    });
    addresses_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      if (before == nullptr || after == nullptr) AddDeleting();
    });
  }
  void Start() override { worker_.Start({&cidrs_, &addresses_}, 1); }
  void Stop() override { worker_.Stop(); }

 private:
  void AddDeleting() {
    for (const ObjectPtr& cidr : cidrs_.List()) {
      if (cidr->deleting()) worker_.Add(NameOf(*cidr));
    }
  }

  Result<Requeue> Sync(const ObjectName& key) {
    const ObjectPtr cidr = cidrs_.Get(key);
    if (cidr == nullptr) return Requeue();
    if (cidr->deleting()) return LetGo(*cidr);
    if (!HasFinalizer(*cidr)) {
      TRY(PatchFinalizer(*cidr, fmt::format(R"({{"metadata":{{"finalizers":["{}"]}}}})", kFinalizer)));
    }
    TRY(SetReady(*cidr, kReady));
    return Requeue();
  }

  Result<Requeue> LetGo(const api::Object& cidr) {
    if (!HasFinalizer(cidr)) return Requeue();
    std::vector<Cidr> others;
    for (const ObjectPtr& other : cidrs_.List()) {
      if (other->name() == cidr.name()) continue;
      std::ranges::move(NetworksOf(*other), std::back_inserter(others));
    }
    std::vector<IpAddress> taken;
    for (const ObjectPtr& address : addresses_.List()) {
      const Result<IpAddress> parsed = IpAddress::Parse(address->name());
      if (IsServiceAddress(*address) && parsed.ok()) taken.push_back(*parsed);
    }
    if (!MayGo(NetworksOf(cidr), others, taken)) {
      TRY(SetReady(cidr, kInUse));
      return Requeue();
    }
    const Result<WallTime> since = ParseTime(cidr.tree().Get("metadata", "deletionTimestamp").AsString());
    const WallTime now = context_.runtime.Wall();
    if (since.ok() && now < *since + kGrace) {
      return Requeue(std::chrono::duration_cast<Duration>(*since + kGrace - now));
    }
    TRY(PatchFinalizer(cidr,
                       fmt::format(R"({{"metadata":{{"$deleteFromPrimitiveList/finalizers":["{}"]}}}})", kFinalizer)));
    return Requeue();
  }

  Ok PatchFinalizer(const api::Object& cidr, const std::string& patch) {
    const auto done = context_.client.Patch(cidrs_.kind(), NameOf(cidr), client::PatchType::kStrategicMerge, patch);
    if (done.ok() || done.Failed(Reason::kNotFound)) return {};
    return done.status();
  }

  Ok SetReady(const api::Object& cidr, const Ready& ready) {
    const Value* present = FindReady(cidr.tree());
    const auto same = [&](std::string_view member, std::string_view text) {
      return present->At(member).AsString() == text;
    };
    if (present != nullptr && same("status", ready.status) && same("reason", ready.reason) &&
        same("message", ready.message)) {
      return {};
    }
    doc::Document status;
    doc::Arena& arena = status.arena;
    Value condition = Value::Object();
    condition.AddMember(arena, "type", Value::Borrow("Ready"));
    condition.AddMember(arena, "status", Value::Borrow(ready.status));
    condition.AddMember(arena, "reason", Value::Borrow(ready.reason));
    condition.AddMember(arena, "message", Value::Borrow(ready.message));
    condition.AddMember(arena, "lastTransitionTime", Value::String(arena, FormatTime(context_.runtime.Wall())));
    status.root.Ensure(arena, "status").Ensure(arena, "conditions").Append(arena, condition);
    const auto done = context_.client.Patch(cidrs_.kind(), NameOf(cidr), client::PatchType::kStrategicMerge,
                                            doc::ToJson(status.root), "status");
    if (done.ok() || done.Failed(Reason::kNotFound)) return {};
    return done.status();
  }

  Context context_;
  client::Informer& cidrs_;
  client::Informer& addresses_;
  Worker worker_;
};

}  // namespace

bool MayGo(const std::vector<Cidr>& networks, const std::vector<Cidr>& others,
           const std::vector<IpAddress>& addresses) {
  const bool covered = std::ranges::all_of(networks, [&](const Cidr& network) {
    return std::ranges::any_of(others, [&](const Cidr& other) { return other.Contains(network); });
  });
  if (covered) return true;
  return std::ranges::none_of(
      addresses, [&](const IpAddress& address) { return Contains(networks, address) && !Contains(others, address); });
}

std::unique_ptr<Controller> MakeServiceCidrController(Context context) {
  return std::make_unique<ServiceCidrController>(std::move(context));
}

}  // namespace knarr::controller
