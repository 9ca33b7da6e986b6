#include "api/resource_list.h"

namespace knarr::api {

Quantity ReadQuantity(const doc::Value& value) {
  if (value.is_int()) return Quantity(value.AsInt());
  Result<Quantity> parsed = Quantity::Parse(value.AsString());
  return parsed.ok() ? std::move(*parsed) : Quantity();
}

ResourceList ReadResources(const doc::Value& list) {
  ResourceList out;
  for (const doc::Member& member : list.members()) out.emplace(member.key, ReadQuantity(member.value));
  return out;
}

doc::Value WriteResources(const ResourceList& list, doc::Arena& arena) {
  doc::Value out = doc::Value::Object();
  for (const auto& [name, amount] : list) {
    out.AddMember(arena, arena.Copy(name), doc::Value::String(arena, amount.ToString()));
  }
  return out;
}

void AddTo(ResourceList& sum, const ResourceList& more) {
  for (const auto& [name, amount] : more) {
    const auto [at, fresh] = sum.try_emplace(name, amount);
    if (!fresh) at->second += amount;
  }
}

void RaiseTo(ResourceList& list, const ResourceList& other) {
  for (const auto& [name, amount] : other) {
    const auto [at, fresh] = list.try_emplace(name, amount);
    if (!fresh && amount > at->second) at->second = amount;
  }
}

ResourceList Excess(const ResourceList& a, const ResourceList& b) {
  ResourceList out = a;
  for (const auto& [name, amount] : b) {
    const auto [at, fresh] = out.try_emplace(name);
    if (!fresh) at->second -= amount;
  }
  for (auto& [name, amount] : out) {
    if (amount.Sign() <= 0) amount = Quantity();
  }
  return out;
}

ResourceList WithoutZeros(const ResourceList& list) {
  ResourceList out;
  for (const auto& [name, amount] : list) {
    if (!amount.IsZero()) out.emplace(name, amount);
  }
  return out;
}

std::string ResourcesText(const ResourceList& list) {
  std::string out;
  for (const auto& [name, amount] : list) {
    if (!out.empty()) out += ',';
    out.append(name).append("=").append(amount.ToString());
  }
  return out;
}

}  // namespace knarr::api
