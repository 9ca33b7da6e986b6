#include "api/managed/managers.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "base/strings.h"
#include "doc/json.h"

namespace knarr::api::managed {
namespace {

using doc::Value;

constexpr std::string_view kAncient = "ancient-changes";

std::string_view Operation(const Manager& manager) { return manager.applies ? "Apply" : "Update"; }

int64_t Seconds(const Manager& manager) {
  if (manager.time.empty()) return 0;
  const Result<Timestamp> time = ParseTimestamp(manager.time);
  return time.ok() ? time->seconds : 0;
}

// Everything but the fields.
Manager WithoutFields(const Value& entry) {
  Manager manager;
  manager.name = entry.At("manager").AsString();
  manager.applies = entry.At("operation").AsString() == "Apply";
  manager.api_version = entry.At("apiVersion").AsString();
  manager.subresource = entry.At("subresource").AsString();
  manager.time = entry.At("time").AsString();
  return manager;
}

Value FieldsOf(const Value& entry) {
  const Value& fields = entry.At("fieldsV1");
  return fields.is_object() ? fields : Value::Object();
}

Ok CheckEntry(const Value& entry, size_t index) {
  const std::string_view operation = entry.At("operation").AsString();
  if (operation != "Apply" && operation != "Update") return BadRequest("operation must be `Apply` or `Update`");
  if (entry.At("apiVersion").AsString().empty()) return BadRequest("apiVersion must not be empty");
  const std::string_view type = entry.At("fieldsType").AsString();
  if (type.empty()) return BadRequest(fmt::format("missing fieldsType in managed fields entry {}", index));
  if (type != "FieldsV1") {
    return BadRequest(fmt::format("invalid fieldsType {} in managed fields entry {}", GoQuote(type), index));
  }
  return {};
}

Value ToEntry(const Manager& manager, doc::Arena& arena) {
  Value entry = Value::Object();
  constexpr size_t kMembers = 7;
  entry.Reserve(arena, kMembers);
  const auto text = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) entry.AddMember(arena, key, Value::String(arena, value));
  };
  text("manager", manager.name);
  entry.AddMember(arena, "operation", Value::Borrow(Operation(manager)));
  text("apiVersion", manager.api_version);
  text("time", manager.time);
  entry.AddMember(arena, "fieldsType", Value::Borrow("FieldsV1"));
  entry.AddMember(arena, "fieldsV1", manager.fields.Clone(arena));
  text("subresource", manager.subresource);
  return entry;
}

}  // namespace

std::string Manager::Identity() const {
  std::string out = "{";
  const auto add = [&](std::string_view key, std::string_view value) {
    if (value.empty()) return;
    out.append(out.size() > 1 ? ",\"" : "\"").append(key).append("\":");
    doc::WriteJsonString(value, out);
  };
  add("manager", name);
  add("operation", Operation(*this));
  if (!applies) add("apiVersion", api_version);
  add("subresource", subresource);
  return out + "}";
}

std::string Manager::Text() const {
  std::string out = GoQuote(name);
  if (!subresource.empty()) out += " with subresource " + GoQuote(subresource);
  if (!applies) out.append(" using ").append(api_version);
  return out;
}

Managers Managers::Stored(const Value& managed_fields) {
  Managers out;
  out.all_.reserve(managed_fields.size() + 1);
  for (const Value& entry : managed_fields.items()) {
    Manager manager = WithoutFields(entry);
    manager.fields = FieldsOf(entry);
    out.all_.push_back(manager);
  }
  out.DropRepeated();
  return out;
}

Result<Managers> Managers::Parse(const Value& managed_fields, doc::Arena& arena) {
  Managers out;
  size_t index = 0;
  for (const Value& entry : managed_fields.items()) {
    TRY(CheckEntry(entry, index++));
    Manager manager = WithoutFields(entry);
    manager.fields = TRY(ParseFieldSet(entry.At("fieldsV1"), arena).Context("error decoding set"));
    out.all_.push_back(manager);
  }
  out.DropRepeated();
  return out;
}

void Managers::DropRepeated() {
  const auto key = [](const Manager& one) {
    return std::tuple(one.name, one.applies, one.applies ? std::string_view() : one.api_version, one.subresource);
  };
  std::ranges::stable_sort(all_, {}, key);
  size_t kept = 0;
  for (size_t i = 0; i < all_.size(); ++i) {
    if (i + 1 < all_.size() && all_[i].SameAs(all_[i + 1])) continue;
    all_[kept++] = all_[i];
  }
  all_.resize(kept);
}

bool Managers::IsReset(const Value& managed_fields) {
  return managed_fields.is_array() && managed_fields.size() == 1 && managed_fields[0].is_object() &&
         managed_fields[0].empty();
}

Manager* Managers::Find(const Manager& same) {
  const auto found = std::ranges::find_if(all_, [&](const Manager& one) { return one.SameAs(same); });
  return found != all_.end() ? &*found : nullptr;
}

Manager& Managers::Put(const Manager& manager) {
  Manager* present = Find(manager);
  if (present != nullptr) return *present = manager;
  return all_.emplace_back(manager);
}

void Managers::Remove(const Manager& same) {
  std::erase_if(all_, [&](const Manager& one) { return one.SameAs(same); });
}

void Managers::LimitUpdaters(size_t most, doc::Arena& arena) {
  std::vector<Manager> updaters;
  std::ranges::copy_if(all_, std::back_inserter(updaters), [](const Manager& one) { return !one.applies; });
  if (updaters.size() <= most) return;
  std::ranges::sort(updaters, {}, [](const Manager& one) { return std::tuple(Seconds(one), one.Identity()); });
  size_t left = updaters.size();
  std::map<std::string_view, Manager> first_of_version;
  for (const Manager& updater : updaters) {
    if (left <= most) break;
    const auto [first, fresh] = first_of_version.try_emplace(updater.api_version, updater);
    if (fresh) continue;
    Manager bucket;
    bucket.name = kAncient;
    bucket.api_version = updater.api_version;
    if (Find(bucket) == nullptr) {
      bucket.fields = Find(first->second) != nullptr ? Find(first->second)->fields : Value::Object();
      Remove(first->second);
      Put(bucket);
    }
    Manager& kept = *Find(bucket);
    kept.fields = Union(updater.fields, kept.fields, arena);
    kept.time = updater.time;  // the more recent one
    Remove(updater);
    --left;
  }
}

Value Managers::ToList(doc::Arena& arena) const {
  if (all_.empty()) return Value::Null();
  std::vector<const Manager*> order;
  for (const Manager& manager : all_) order.push_back(&manager);
  if (order.size() > 1) {
    std::ranges::sort(order, {}, [](const Manager* one) {
      return std::tuple(Operation(*one), Seconds(*one), one->name, one->api_version, one->subresource);
    });
  }
  std::vector<Value> entries;
  entries.reserve(order.size());
  for (const Manager* manager : order) entries.push_back(ToEntry(*manager, arena));
  return Value::ArrayOf(arena, entries);
}

}  // namespace knarr::api::managed
