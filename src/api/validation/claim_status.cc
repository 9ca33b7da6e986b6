// What is allocated to a claim and by whom it is used.

#include <algorithm>

#include "api/validation/claim_requests.h"
#include "api/validation/devices.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "api/validation/storage_kinds.h"
#include "base/ip.h"
#include "base/strings.h"

namespace knarr::api::validation {

namespace {

using doc::Value;
namespace v1 = resource_v1;

constexpr size_t kResultsMax = 32;
constexpr size_t kConfigMax = 64;
constexpr size_t kReservedForMax = 256;
constexpr size_t kConditionsMax = 8;
constexpr size_t kDataMax = 10 * 1024;
constexpr size_t kIpsMax = 16;
constexpr size_t kInterfaceNameMax = 256;
constexpr size_t kHardwareAddressMax = 128;
constexpr std::string_view kNoSuchRequest =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

// Which device a result or a device's status is about, as upstream prints it.
Value DeviceId(const Value& owner, doc::Arena& arena) {
  constexpr struct {
    std::string_view shown;
    std::string_view member;
  } kParts[] = {{"Driver", "driver"}, {"Pool", "pool"}, {"Device", "device"}, {"ShareID", "shareID"}};
  Value id = Value::Object();
  for (const auto& [shown, member] : kParts) {
    id.AddMember(arena, shown, Value::Borrow(owner.At(member).AsString()));
  }
  return id;
}

bool Contains(const std::vector<Value>& list, const Value& item) {
  return std::ranges::any_of(list, [&item](const Value& other) { return other.Equals(item); });
}

void ValidateResult(const v1::DeviceRequestAllocationResult& result, const RequestNames& names, const Path& path,
                    Errors& errors) {
  ValidateRequestReference(result.request(), names, path / "request", errors);
  ValidateDriverName(result.driver(), path / "driver", errors);
  ValidatePoolName(result.pool(), path / "pool", errors);
  ValidateDns1123Label(result.device(), path / "device", errors);
  ValidateBindingConditions(result.tree(), path, errors);
  if (result.share_id()) ValidateUuid(*result.share_id(), path / "shareID", errors);
}

void ValidateAllocation(const v1::AllocationResult& allocation, const RequestNames& names, const Path& path,
                        Errors& errors) {
  const Value& results = allocation.devices().tree().At("results");
  const Path results_at = path / "devices" / "results";
  if (ValidateSize(results, kResultsMax, results_at, errors)) {
    for (size_t i = 0; i < results.size(); ++i) {
      ValidateResult(v1::DeviceRequestAllocationResult(results[i]), names, results_at[i], errors);
    }
  }
  const Value& configs = allocation.devices().tree().At("config");
  const Path configs_at = path / "devices" / "config";
  if (ValidateSize(configs, kConfigMax, configs_at, errors)) {
    for (size_t i = 0; i < configs.size(); ++i) {
      const v1::DeviceAllocationConfiguration config(configs[i]);
      errors.OneOf(configs_at[i] / "source", config.source(), {"FromClaim", "FromClass"});
      ValidateRequestReferences(configs[i].At("requests"), names, configs_at[i] / "requests", errors);
      ValidateDeviceConfiguration(config.opaque(), false, configs_at[i], errors);
    }
  }
  if (allocation.has_node_selector()) {
    ValidateNodeSelector(allocation.node_selector(), path / "nodeSelector", errors);
  }
}

// An interface's address: with host bits, and its network's prefix.
void ValidateInterfaceAddress(std::string_view text, const Path& path, Errors& errors) {
  const Result<Cidr> parsed = Cidr::Parse(text);
  if (!parsed.ok()) {
    return errors.Invalid(path, text, "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)");
  }
  IpAddress address = parsed->address();
  int prefix = parsed->prefix();
  if (address.IsV4InV6()) {
    address = address.Unmap();
    if (prefix > 32) prefix -= 96;
  }
  const std::string canonical = address.ToString() + "/" + std::to_string(prefix);
  if (text != canonical) errors.Invalid(path, text, "must be in canonical form (" + GoQuote(canonical) + ")");
}

void ValidateNetworkData(const v1::NetworkDeviceData& data, const Path& path, Errors& errors) {
  if (data.interface_name().size() > kInterfaceNameMax) errors.TooLong(path / "interfaceName", kInterfaceNameMax);
  if (data.hardware_address().size() > kHardwareAddressMax) {
    errors.TooLong(path / "hardwareAddress", kHardwareAddressMax);
  }
  ValidateTextSet(
      data.tree().At("ips"), kIpsMax,
      [&errors](std::string_view text, const Path& at) { ValidateInterfaceAddress(text, at, errors); }, path / "ips",
      errors);
}

void ValidateDeviceStatus(const v1::AllocatedDeviceStatus& device, const Value& id, const std::vector<Value>& allocated,
                          const Path& path, Errors& errors) {
  ValidateDriverName(device.driver(), path / "driver", errors);
  ValidatePoolName(device.pool(), path / "pool", errors);
  ValidateDns1123Label(device.device(), path / "device", errors);
  if (device.share_id()) ValidateUuid(*device.share_id(), path / "shareID", errors);
  if (!Contains(allocated, id)) errors.Invalid(path, id, "must be an allocated device in the claim");
  const Value& conditions = device.tree().At("conditions");
  if (conditions.size() > kConditionsMax) errors.TooMany(path / "conditions", conditions.size(), kConditionsMax);
  ValidateConditions(conditions, path / "conditions", errors);
  if (!device.data().is_null()) ValidateRawObject(device.data(), false, kDataMax, path / "data", errors);
  if (device.has_network_data()) ValidateNetworkData(device.network_data(), path / "networkData", errors);
}

void ValidateDevices(const v1::ResourceClaimStatus& status, Errors& errors) {
  const Path path = Path("status") / "devices";
  doc::Arena arena;
  std::vector<Value> allocated;
  for (const v1::DeviceRequestAllocationResult result : status.allocation().devices().results()) {
    allocated.push_back(DeviceId(result.tree(), arena));
  }
  size_t index = 0;
  for (const v1::AllocatedDeviceStatus device : status.devices()) {
    ValidateDeviceStatus(device, DeviceId(device.tree(), arena), allocated, path[index++], errors);
  }
  std::vector<Value> seen;
  index = 0;
  for (const v1::AllocatedDeviceStatus device : status.devices()) {
    const Path at = path[index++];
    const Value id = DeviceId(device.tree(), arena);
    if (Contains(seen, id)) errors.Duplicate(at, id);
    seen.push_back(id);
  }
}

void ValidateReservedFor(const v1::ResourceClaimStatus& status, const v1::ResourceClaimStatus& old, bool deleted,
                         Errors& errors) {
  const Value& list = status.tree().At("reservedFor");
  const Path path = Path("status") / "reservedFor";
  if (ValidateSize(list, kReservedForMax, path, errors)) {
    for (size_t i = 0; i < list.size(); ++i) {
      for (const std::string_view member : {"resource", "name", "uid"}) {
        if (list[i].At(member).AsString().empty()) errors.Required(path[i] / member);
      }
    }
    ValidateUnique(list, [](const Value& item) { return std::string(item.At("uid").AsString()); }, path, errors);
  }
  if (list.empty()) return;
  if (!status.has_allocation()) return errors.Forbidden(path, "may not be specified when `allocated` is not set");
  const auto was_there = [&old](const Value& item) {
    const auto before = old.tree().At("reservedFor").items();
    return std::ranges::any_of(before, [&item](const Value& other) { return other.Equals(item); });
  };
  if (deleted && !std::ranges::all_of(list.items(), was_there)) {
    errors.Forbidden(path, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set");
  }
}

}  // namespace

RequestNames::RequestNames(const v1::DeviceClaim& claim) {
  for (const v1::DeviceRequest request : claim.requests()) {
    std::set<std::string_view>& alternatives = names_[request.name()];
    for (const v1::DeviceSubRequest sub : request.first_available()) alternatives.insert(sub.name());
  }
}

bool RequestNames::Has(const std::vector<std::string_view>& segments) const {
  const auto found = names_.find(segments[0]);
  return found != names_.end() && (segments.size() == 1 || found->second.contains(segments[1]));
}

void ValidateRequestReference(std::string_view name, const RequestNames& names, const Path& path, Errors& errors) {
  const std::vector<std::string_view> segments = Split(name, '/');
  if (segments.size() > 2) return errors.Invalid(path, name, kNoSuchRequest);
  for (const std::string_view segment : segments) ValidateDns1123Label(segment, path, errors);
  if (!names.Has(segments)) errors.Invalid(path, name, kNoSuchRequest);
}

void ValidateRequestReferences(const Value& list, const RequestNames& names, const Path& path, Errors& errors) {
  ValidateTextSet(
      list, kDeviceRequestsMax,
      [&](std::string_view name, const Path& at) { ValidateRequestReference(name, names, at, errors); }, path, errors);
}

void ValidateResourceClaimStatusUpdate(const Value& object, const Value& old_object, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old_object.At("metadata"), MetadataPath(), errors);
  const v1::ResourceClaimStatus status(object.At("status"));
  const v1::ResourceClaimStatus old(old_object.At("status"));
  const bool deleted = !object.Get("metadata", "deletionTimestamp").is_null();
  ValidateReservedFor(status, old, deleted, errors);
  ValidateDevices(status, errors);
  if (!status.has_allocation()) return;
  // What was allocated once stays so until it is given back as a whole.
  const Path path = Path("status") / "allocation";
  const Value& allocation = status.allocation().tree();
  if (!old.has_allocation()) {
    const RequestNames names(v1::ResourceClaimSpec(object.At("spec")).devices());
    ValidateAllocation(status.allocation(), names, path, errors);
  } else if (!allocation.Equals(old.allocation().tree())) {
    doc::Arena arena;
    errors.Invalid(path, GoForm(v1::AllocationResult::SchemaType(), allocation, arena), kImmutable);
  }
}

}  // namespace knarr::api::validation
