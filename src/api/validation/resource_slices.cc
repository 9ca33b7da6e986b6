#include <algorithm>

#include "api/validation/devices.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "api/validation/storage_kinds.h"
#include "base/names.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;
namespace v1 = resource_v1;

constexpr size_t kDevicesMax = 128;
constexpr size_t kAdvancedDevicesMax = 64;  ///< of slices with taints or counters
constexpr size_t kCounterSetsMax = 8;
constexpr size_t kCountersMax = 32;
constexpr size_t kConsumptionsMax = 2;
constexpr size_t kPropertiesMax = 32;
constexpr size_t kAttributeTextMax = 64;
constexpr size_t kTaintsMax = 16;
constexpr size_t kValidValuesMax = 10;
constexpr size_t kKeyMax = 63 + 1 + 32;

// What a path shows of a key that is too long.
std::string ShortKey(std::string_view key, size_t most) {
  if (key.size() <= most) return std::string(key);
  const size_t left = most - 3;
  return std::string(key.substr(0, (left + 1) / 2)) + "..." + std::string(key.substr(key.size() - left / 2));
}

bool IsDigits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}
bool IsNumber(std::string_view text) { return IsDigits(text) && (text.size() == 1 || text.front() != '0'); }

// Dot-separated parts of letters, digits and hyphens; numbers among them without leading zeros if `numbers`.
bool IsDottedList(std::string_view text, bool numbers) {
  return std::ranges::all_of(Split(text, '.'), [numbers](std::string_view part) {
    const bool fits = !part.empty() && std::ranges::all_of(part, [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
    });
    return fits && (!numbers || !IsDigits(part) || IsNumber(part));
  });
}

// Of semver.org, version 2.
bool IsSemver(std::string_view text) {
  if (const size_t plus = text.find('+'); plus != std::string_view::npos) {
    if (!IsDottedList(text.substr(plus + 1), false)) return false;
    text = text.substr(0, plus);
  }
  if (const size_t dash = text.find('-'); dash != std::string_view::npos) {
    if (!IsDottedList(text.substr(dash + 1), true)) return false;
    text = text.substr(0, dash);
  }
  const std::vector<std::string_view> parts = Split(text, '.');
  return parts.size() == 3 && std::ranges::all_of(parts, IsNumber);
}

void ValidateAttribute(const v1::DeviceAttribute& attribute, const Path& path, Errors& errors) {
  if (attribute.string() && attribute.string()->size() > kAttributeTextMax) {
    errors.TooLong(path / "string", kAttributeTextMax);
  }
  if (attribute.version()) {
    if (!IsSemver(*attribute.version())) {
      errors.Invalid(path / "version", *attribute.version(), "must be a string compatible with semver.org spec 2.0.0");
    }
    if (attribute.version()->size() > kAttributeTextMax) errors.TooLong(path / "version", kAttributeTextMax);
  }
  constexpr std::string_view kOneValue = "exactly one value must be specified";
  const size_t count = attribute.tree().size();
  if (count == 0) return errors.Invalid(path, "", kOneValue);
  if (count == 1) return;
  doc::Arena arena;
  Value shown = Value::Object();
  for (const std::string_view name : {"Int", "Bool", "String", "Version", "Ints", "Bools", "Strings", "Versions"}) {
    const std::string member = ToLower(name);
    std::string go = std::string(name);
    // "Ints" is IntValues.
    if (go.ends_with('s')) {
      go.pop_back();
      go += "Values";
    } else {
      go += "Value";
    }
    shown.AddMember(arena, arena.Copy(go), attribute.tree().At(member));
  }
  errors.Invalid(path, shown, kOneValue);
}

Quantity QuantityOf(const Value& value) { return Quantity::Parse(value.AsString()).value_or(Quantity()); }

void ValidateStep(const Quantity& value, const Quantity& least, const Quantity& step, const Path& path,
                  Errors& errors) {
  // Upstream divides by whole units; a step of none would end it.
  if (step.Value() != 0 && (value.Value() - least.Value()) % step.Value() == 0) return;
  errors.Invalid(path, value.ToString(),
                 "value is not a multiple of a given step (" + step.ToString() + ") from (" + least.ToString() + ")");
}

void ValidateRange(const Quantity& usual, const Quantity& capacity, const Value& range, const Path& path,
                   Errors& errors) {
  if (range.At("min").is_null()) return errors.Required(path / "min", "required when validRange is defined");
  const Quantity least = QuantityOf(range.At("min"));
  if (least > capacity) {
    errors.Invalid(path / "min", least.ToString(), "min is larger than capacity value: " + capacity.ToString());
  }
  if (usual < least) {
    errors.Invalid(path / "min", usual.ToString(), "default is less than min: " + least.ToString());
  }
  const bool bounded = !range.At("max").is_null();
  const Quantity most = QuantityOf(range.At("max"));
  if (bounded && least > most) {
    errors.Invalid(path / "max", least.ToString(), "min is larger than max: " + most.ToString());
  }
  if (bounded && most > capacity) {
    errors.Invalid(path / "max", most.ToString(), "max is larger than capacity value: " + capacity.ToString());
  }
  if (bounded && usual > most) {
    errors.Invalid(path / "max", usual.ToString(), "default is more than max: " + most.ToString());
  }
  if (range.At("step").is_null()) return;
  const Quantity step = QuantityOf(range.At("step"));
  const Quantity second = least + step;
  if (second > capacity) {
    errors.Invalid(path / "step", step.ToString(),
                   "one step " + second.ToString() + " is larger than capacity value: " + capacity.ToString());
  }
  ValidateStep(usual, least, step, path / "step", errors);
  if (bounded) ValidateStep(most, least, step, path / "step", errors);
}

void ValidateChoices(const Quantity& usual, const Quantity& capacity, const Value& list, const Path& path,
                     Errors& errors) {
  for (size_t i = 0; i + 1 < list.size(); ++i) {
    if (QuantityOf(list[i]) > QuantityOf(list[i + 1])) {
      errors.Invalid(path[i + 1], list[i + 1].AsString(), "values must be sorted in ascending order");
    }
  }
  bool found = false;
  if (ValidateSize(list, kValidValuesMax, path, errors)) {
    for (size_t i = 0; i < list.size(); ++i) {
      const Quantity choice = QuantityOf(list[i]);
      found |= choice == usual;
      if (choice <= capacity) continue;
      errors.Invalid(path[i], choice.ToString(), "option is larger than capacity value: " + capacity.ToString());
    }
    ValidateUnique(list, [](const Value& item) { return std::to_string(QuantityOf(item).Value()); }, path, errors);
  }
  if (!found) {
    errors.Invalid(path, usual.ToString(), "default value is not valid according to the requestPolicy");
  }
}

void ValidateCapacity(const Value& capacity, bool shared, const Path& at, Errors& errors) {
  const Value& policy = capacity.At("requestPolicy");
  if (policy.is_null()) return;
  const Path path = at / "requestPolicy";
  if (!shared) return errors.Forbidden(path, "allowMultipleAllocations must be true");
  const Value& choices = policy.At("validValues");
  const Value& range = policy.At("validRange");
  if (!choices.empty() && !range.is_null()) {
    return errors.Forbidden(
        path,
        "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time");
  }
  if (choices.empty() && range.is_null()) return;
  if (policy.At("default").is_null()) {
    const std::string_view what = choices.empty() ? "validRange" : "validValues";
    return errors.Required(path / "default", "required when " + std::string(what) + " is defined");
  }
  const Quantity usual = QuantityOf(policy.At("default"));
  const Quantity most = QuantityOf(capacity.At("value"));
  if (!choices.empty()) {
    ValidateChoices(usual, most, choices, path / "validValues", errors);
  } else {
    ValidateRange(usual, most, range, path / "validRange", errors);
  }
}

// The names of counters are labels.
void ValidateCounters(const Value& counters, const Path& path, Errors& errors) {
  if (counters.empty()) return errors.Required(path);
  if (!ValidateSize(counters, kCountersMax, path, errors)) return;
  for (const doc::Member& counter : counters.members()) ValidateDns1123Label(counter.key, path, errors);
}

void ValidateCounterOwner(const Value& owner, std::string_view name, const Path& path, Errors& errors) {
  const std::string_view text = owner.At(name).AsString();
  if (text.empty()) {
    errors.Required(path / name);
  } else {
    ValidateDns1123Label(text, path / name, errors);
  }
  ValidateCounters(owner.At("counters"), path / "counters", errors);
}

void ValidateNodeName(std::string_view name, const Path& path, Errors& errors) {
  errors.InvalidAll(path, name, NameIsSubdomain(name, false));
}

// One of the ways to say on which nodes something is. Which of them are there is told as upstream prints them.
class NodeChoice {
 public:
  NodeChoice(const Value& owner, const Path& path, Errors& errors) : owner_(owner), path_(path), errors_(errors) {}

  void NodeName(std::string_view empty_detail) {
    const Value& name = owner_.At("nodeName");
    if (name.is_null()) return;
    if (name.AsString().empty()) return errors_.Invalid(path_ / "nodeName", "", empty_detail);
    Set("nodeName");
    ValidateNodeName(name.AsString(), path_ / "nodeName", errors_);
  }
  void NodeSelector() {
    const Value& selector = owner_.At("nodeSelector");
    if (selector.is_null()) return;
    Set("nodeSelector");
    ValidateNodeSelector(core_v1::NodeSelector(selector), path_ / "nodeSelector", errors_);
  }
  void Flag(std::string_view name) {
    const Value& flag = owner_.At(name);
    if (flag.is_null()) return;
    if (flag.AsBool()) return Set(name);
    errors_.Invalid(path_ / name, flag, "must be either unset or set to true");
  }
  void ExactlyOne(std::string_view detail, std::string_view when_many) {
    if (set_.empty()) return errors_.Required(path_, detail);
    if (set_.size() == 1) return;
    errors_.Invalid(path_, "{" + Join(set_, ", ") + "}", std::string(detail) + std::string(when_many));
  }

 private:
  void Set(std::string_view name) { set_.push_back("`" + std::string(name) + "`"); }
  const Value& owner_;
  const Path& path_;
  Errors& errors_;
  std::vector<std::string> set_;
};

void ValidateDeviceNodes(const Value& device, bool per_device, const Path& path, Errors& errors) {
  const bool any =
      !device.At("nodeName").is_null() || !device.At("nodeSelector").is_null() || !device.At("allNodes").is_null();
  if (!per_device) {
    if (any) {
      errors.Invalid(path, Value::Null(),
                     "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to "
                     "true in the ResourceSlice spec");
    }
    return;
  }
  NodeChoice choice(device, path, errors);
  choice.NodeName("must not be empty");
  choice.NodeSelector();
  choice.Flag("allNodes");
  choice.ExactlyOne(
      "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to "
      "true in the ResourceSlice spec",
      "");
}

void ValidateProperties(const v1::Device& device, const Path& path, Errors& errors) {
  const Value& attributes = device.tree().At("attributes");
  const Value& capacities = device.tree().At("capacity");
  const size_t count = attributes.size() + capacities.size();
  if (count > kPropertiesMax) {
    errors.Invalid(path, static_cast<int64_t>(count),
                   "the total number of attributes and capacities must not exceed 32");
  }
  for (const doc::Member& attribute : attributes.members()) {
    ValidateDeviceQualifiedName(attribute.key, path / "attributes", errors);
    ValidateAttribute(v1::DeviceAttribute(attribute.value), (path / "attributes").Key(ShortKey(attribute.key, kKeyMax)),
                      errors);
  }
  for (const doc::Member& capacity : capacities.members()) {
    ValidateDeviceQualifiedName(capacity.key, path / "capacity", errors);
    ValidateCapacity(capacity.value, device.allow_multiple_allocations().value_or(false),
                     (path / "capacity").Key(ShortKey(capacity.key, kKeyMax)), errors);
  }
}

const Value* FindDevice(const Value& spec, std::string_view name) {
  for (const Value& device : spec.At("devices").items()) {
    if (device.At("name").AsString() == name) return &device;
  }
  return nullptr;
}

void ValidateDevice(const v1::Device& device, const Value* old, bool per_device, const Path& path, Errors& errors) {
  ValidateDns1123Label(device.name(), path / "name", errors);
  ValidateProperties(device, path, errors);
  const Value& taints = device.tree().At("taints");
  const bool same = old != nullptr && taints.Equals(old->At("taints"));
  if (!same && ValidateSize(taints, kTaintsMax, path / "taints", errors)) {
    for (size_t i = 0; i < taints.size(); ++i) {
      ValidateDeviceTaint(v1::DeviceTaint(taints[i]), (path / "taints")[i], errors);
    }
  }
  const Value& consumed = device.tree().At("consumesCounters");
  const Path consumed_at = path / "consumesCounters";
  if (ValidateSize(consumed, kConsumptionsMax, consumed_at, errors)) {
    for (size_t i = 0; i < consumed.size(); ++i) {
      ValidateCounterOwner(consumed[i], "counterSet", consumed_at[i], errors);
    }
    ValidateUnique(
        consumed, [](const Value& item) { return std::string(item.At("counterSet").AsString()); }, consumed_at, errors);
  }
  ValidateDeviceNodes(device.tree(), per_device, path, errors);
  ValidateBindingConditions(device.tree(), path, errors);
}

void ValidatePool(const v1::ResourcePool& pool, const Path& path, Errors& errors) {
  ValidatePoolName(pool.name(), path / "name", errors);
  if (pool.resource_slice_count() <= 0) {
    errors.Invalid(path / "resourceSliceCount", pool.resource_slice_count(), "must be greater than zero");
  }
  if (pool.generation() < 0) {
    errors.Invalid(path / "generation", pool.generation(), "must be greater than or equal to zero");
  }
}

void ValidateSliceNodes(const v1::ResourceSliceSpec& spec, Errors& errors) {
  const Path path = SpecPath();
  NodeChoice choice(spec.tree(), path, errors);
  choice.NodeName("must be either unset or set to a non-empty string");
  choice.NodeSelector();
  const Value& terms = spec.node_selector().tree().At("nodeSelectorTerms");
  if (spec.has_node_selector() && terms.size() != 1) {
    doc::Arena arena;
    const Value shown = GoForm(core_v1::NodeSelector::SchemaType(), spec.node_selector().tree(), arena);
    errors.Invalid(path / "nodeSelector" / "nodeSelectorTerms", shown.At("NodeSelectorTerms"),
                   "must have exactly one node selector term");
  }
  choice.Flag("allNodes");
  choice.Flag("perDeviceNodeSelection");
  choice.ExactlyOne("exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required",
                    ", but multiple fields are set");
}

void ValidateSliceDevices(const Value& spec, const Value& old, Errors& errors) {
  const Value& devices = spec.At("devices");
  const Path path = SpecPath() / "devices";
  const bool advanced = std::ranges::any_of(devices.items(), [](const Value& device) {
    return !device.At("taints").empty() || !device.At("consumesCounters").empty();
  });
  if (!ValidateSize(devices, advanced ? kAdvancedDevicesMax : kDevicesMax, path, errors)) return;
  const bool per_device = spec.At("perDeviceNodeSelection").AsBool();
  for (size_t i = 0; i < devices.size(); ++i) {
    const Value* before = FindDevice(old, devices[i].At("name").AsString());
    ValidateDevice(v1::Device(devices[i]), before, per_device, path[i], errors);
  }
  ValidateUnique(devices, [](const Value& item) { return std::string(item.At("name").AsString()); }, path, errors);
}

void ValidateSliceSpec(const Value& tree, const Value& old, Errors& errors) {
  const v1::ResourceSliceSpec spec(tree);
  const Path path = SpecPath();
  ValidateDriverName(spec.driver(), path / "driver", errors);
  ValidatePool(spec.pool(), path / "pool", errors);
  if (old.is_object()) {
    ValidateImmutable(tree.Get("pool", "name"), old.Get("pool", "name"), path / "pool" / "name", errors);
    ValidateImmutable(tree.At("driver"), old.At("driver"), path / "driver", errors);
    ValidateImmutable(tree.At("nodeName"), old.At("nodeName"), path / "nodeName", errors);
  }
  ValidateSliceNodes(spec, errors);
  const Value& sets = tree.At("sharedCounters");
  if (!sets.is_null() && !tree.At("devices").is_null()) {
    errors.Invalid(path, "", "only one of `sharedCounters` or `devices` is allowed");
  }
  ValidateSliceDevices(tree, old, errors);
  const Path at = path / "sharedCounters";
  if (!ValidateSize(sets, kCounterSetsMax, at, errors)) return;
  for (size_t i = 0; i < sets.size(); ++i) ValidateCounterOwner(sets[i], "name", at[i], errors);
  ValidateUnique(sets, [](const Value& item) { return std::string(item.At("name").AsString()); }, at, errors);
}

}  // namespace

void ValidateResourceSlice(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  ValidateSliceSpec(object.At("spec"), Value::Null(), errors);
}
void ValidateResourceSliceUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateSliceSpec(object.At("spec"), old.At("spec"), errors);
}

}  // namespace knarr::api::validation
