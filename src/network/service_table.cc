#include "network/service_table.h"

#include "base/check.h"

namespace knarr::network {
namespace {

// Rules have no equality of their own; their text tells them apart.
bool SameRules(const std::vector<nft::Rule>& a, const std::vector<nft::Rule>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (nft::ToText(a[i]) != nft::ToText(b[i])) return false;
  }
  return true;
}

}  // namespace

const nft::Map& ServiceTable::MapNamed(const std::string& name) {
  for (const nft::Map& map : SharedMaps()) {
    if (map.name == name) return map;
  }
  CHECK(false && "no such shared map");
  __builtin_unreachable();
}

void ServiceTable::Set(const std::string& owner, ServiceRules rules) {
  ServiceRules& old = owners_[owner];
  for (const auto& [name, chain] : old.chains) changed_chains_.insert(name);
  for (const auto& [name, map] : old.maps) changed_maps_.insert(name);
  for (const auto& [map, element] : old.elements) {
    const ElementId id{map, element.key};
    changed_elements_.insert(id);
    auto& claims = elements_[id];
    claims.erase(owner);
    if (claims.empty()) elements_.erase(id);
  }
  for (const auto& [name, chain] : old.chains) chain_owner_.erase(name);
  for (const auto& [name, map] : old.maps) map_owner_.erase(name);
  for (const auto& [name, chain] : rules.chains) {
    changed_chains_.insert(name);
    chain_owner_[name] = owner;
  }
  for (const auto& [name, map] : rules.maps) {
    changed_maps_.insert(name);
    map_owner_[name] = owner;
  }
  for (const auto& [map, element] : rules.elements) {
    const ElementId id{map, element.key};
    changed_elements_.insert(id);
    elements_[id][owner] = element.chain;
  }
  if (old.udp != rules.udp) {
    const auto change = [this](UdpTarget target) {
      const std::string address = target.address ? target.address->ToString() : "";
      changed_udp_[{address, target.port}] = std::move(target);
    };
    for (const UdpTarget& target : old.udp) change({target.address, target.port, {}});
    for (const UdpTarget& target : rules.udp) change(target);
  }
  if (rules.chains.empty() && rules.elements.empty()) {
    owners_.erase(owner);
  } else {
    old = std::move(rules);
  }
}

std::vector<UdpTarget> ServiceTable::TakeChangedUdp() {
  std::vector<UdpTarget> out;
  for (auto& [key, target] : changed_udp_) out.push_back(std::move(target));
  changed_udp_.clear();
  return out;
}

const std::string* ServiceTable::Target(const ElementId& id) const {
  const auto found = elements_.find(id);
  return found == elements_.end() ? nullptr : &found->second.begin()->second;
}

void ServiceTable::AddElements(nft::Transaction& transaction, const std::set<ElementId>& ids) const {
  std::map<std::string, std::vector<nft::Element>> by_map;
  for (const ElementId& id : ids) by_map[id.first].push_back({id.second, *Target(id)});
  for (const auto& [map, elements] : by_map) transaction.AddElements(MapNamed(map), elements);
}

nft::Transaction ServiceTable::Rebuild() {
  nft::Transaction transaction{context_.table};
  transaction.RemoveTable();
  transaction.AddTable();
  kernel_chains_.clear();
  kernel_maps_.clear();
  kernel_elements_.clear();
  for (const nft::Map& map : SharedMaps()) transaction.AddMap(map);
  std::set<ElementId> ids;
  for (const auto& [owner, rules] : owners_) {
    for (const auto& [name, map] : rules.maps) {
      transaction.AddMap(map);
      kernel_maps_[name] = map;
    }
    for (const auto& [name, chain] : rules.chains) transaction.AddChain({.name = name});
  }
  for (const auto& [owner, rules] : owners_) {
    for (const auto& [name, chain] : rules.chains) {
      transaction.SetRules(name, chain);
      kernel_chains_[name] = chain;
    }
  }
  // Chains that are jumped to come before those that jump.
  for (const nft::Chain& chain : SharedChains(context_)) transaction.AddChain(chain);
  for (const auto& [id, claims] : elements_) {
    ids.insert(id);
    kernel_elements_[id] = *Target(id);
  }
  AddElements(transaction, ids);
  changed_chains_.clear();
  changed_maps_.clear();
  changed_elements_.clear();
  return transaction;
}

nft::Transaction ServiceTable::Update() {
  nft::Transaction transaction{context_.table};
  std::set<ElementId> added;
  std::map<std::string, std::vector<nft::Element>> removed;
  for (const ElementId& id : changed_elements_) {
    const std::string* wanted = Target(id);
    const auto had = kernel_elements_.find(id);
    if (wanted != nullptr && had != kernel_elements_.end() && *wanted == had->second) continue;
    if (had != kernel_elements_.end()) {
      removed[id.first].push_back({id.second, had->second});
      kernel_elements_.erase(had);
    }
    if (wanted != nullptr) {
      added.insert(id);
      kernel_elements_[id] = *wanted;
    }
  }
  // Entries go before the chains they lead to, chains before the maps their rules use; what is new comes the other way.
  for (const auto& [map, elements] : removed) transaction.RemoveElements(MapNamed(map), elements);
  std::vector<std::string> gone_maps;
  for (const std::string& name : changed_maps_) {
    const auto owner = map_owner_.find(name);
    const bool had = kernel_maps_.contains(name);
    if (owner == map_owner_.end()) {
      if (had) gone_maps.push_back(name);
      continue;
    }
    const nft::Map& wanted = owners_.at(owner->second).maps.at(name);
    if (had) continue;  // another timeout counts for clients that come from now on: it is in the rules
    transaction.AddMap(wanted);
    kernel_maps_[name] = wanted;
  }
  std::vector<std::string> gone_chains;
  std::vector<std::string> set_chains;
  for (const std::string& name : changed_chains_) {
    const auto owner = chain_owner_.find(name);
    const auto had = kernel_chains_.find(name);
    if (owner == chain_owner_.end()) {
      if (had != kernel_chains_.end()) gone_chains.push_back(name);
      continue;
    }
    const std::vector<nft::Rule>& wanted = owners_.at(owner->second).chains.at(name);
    if (had != kernel_chains_.end() && SameRules(wanted, had->second)) continue;
    if (had == kernel_chains_.end()) transaction.AddChain({.name = name});
    kernel_chains_[name] = wanted;
    set_chains.push_back(name);
  }
  for (const std::string& name : set_chains) transaction.SetRules(name, kernel_chains_[name]);
  // All are emptied before one is removed: they may jump to each other.
  for (const std::string& name : gone_chains) transaction.SetRules(name, {});
  for (const std::string& name : gone_chains) {
    transaction.RemoveChain(name);
    kernel_chains_.erase(name);
  }
  for (const std::string& name : gone_maps) {
    transaction.RemoveMap(name);
    kernel_maps_.erase(name);
  }
  AddElements(transaction, added);
  changed_chains_.clear();
  changed_maps_.clear();
  changed_elements_.clear();
  return transaction;
}

std::string ServiceTable::ToText() const {
  std::string out = "table ip " + context_.table + " {\n";
  for (const nft::Map& map : SharedMaps()) {
    std::vector<nft::Element> elements;
    for (const auto& [id, claims] : elements_) {
      if (id.first == map.name) elements.push_back({id.second, *Target(id)});
    }
    out += nft::ToText(map, elements) + "\n";
  }
  for (const auto& [owner, rules] : owners_) {
    for (const auto& [name, map] : rules.maps) out += nft::ToText(map, {}) + "\n";
  }
  for (const nft::Chain& chain : SharedChains(context_)) out += nft::ToText(chain) + "\n";
  for (const auto& [owner, rules] : owners_) {
    for (const auto& [name, chain] : rules.chains) out += nft::ToText({.name = name, .rules = chain}) + "\n";
  }
  out.pop_back();
  return out + "}\n";
}

}  // namespace knarr::network
