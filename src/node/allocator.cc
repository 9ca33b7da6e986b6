#include "node/allocator.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace knarr::node {
namespace {

constexpr std::string_view kFirst[] = {"cpu", "memory", "ephemeral-storage"};

int64_t AmountOf(const api::ResourceList& list, std::string_view name) {
  const auto at = list.find(name);
  if (at == list.end()) return 0;
  return name == "cpu" ? at->second.MilliValue() : at->second.Value();
}

}  // namespace

std::string Shortage::Reason() const { return "OutOf" + resource; }

std::string Shortage::Message() const {
  return fmt::format("Node didn't have enough resource: {}, requested: {}, used: {}, capacity: {}", resource, requested,
                     used, capacity);
}

std::optional<Shortage> FindShortage(const api::ResourceList& allocatable, const api::ResourceList& used,
                                     int64_t others, const api::ResourceList& asked) {
  if (const auto pods = allocatable.find("pods"); pods != allocatable.end() && others + 1 > pods->second.Value()) {
    return Shortage{"pods", 1, others, pods->second.Value()};
  }
  const auto check = [&](std::string_view name) -> std::optional<Shortage> {
    const Shortage shortage{std::string(name), AmountOf(asked, name), AmountOf(used, name),
                            AmountOf(allocatable, name)};
    if (shortage.requested <= 0 || shortage.requested <= shortage.capacity - shortage.used) return std::nullopt;
    return shortage;
  };
  for (const std::string_view name : kFirst) {
    if (auto shortage = check(name)) return shortage;
  }
  for (const auto& [name, amount] : asked) {
    // Resources that this node has never heard of are no concern of the node's.
    if (std::ranges::find(kFirst, name) != std::end(kFirst) || !allocatable.contains(name)) continue;
    if (auto shortage = check(name)) return shortage;
  }
  return std::nullopt;
}

bool ResizeRank::Before(const ResizeRank& other) const {
  if (grows != other.grows) return !grows;
  if (priority != other.priority) return priority > other.priority;
  if (guaranteed != other.guaranteed) return guaranteed;
  return since < other.since;
}

std::optional<Shortage> Allocator::Check(const std::string& uid, const api::ResourceList& asked) const {
  api::ResourceList used;
  int64_t others = 0;
  for (const auto& [other, amounts] : held_) {
    if (other == uid) continue;
    api::AddTo(used, amounts);
    ++others;
  }
  return FindShortage(allocatable_, used, others, asked);
}

void Allocator::Hold(const std::string& uid, api::ResourceList amounts) {
  api::ResourceList& held = held_[uid];
  const bool shrinks = std::ranges::any_of(held, [&](const auto& entry) {
    const auto now = amounts.find(entry.first);
    return now == amounts.end() ? !entry.second.IsZero() : now->second < entry.second;
  });
  held = std::move(amounts);
  if (on_change) on_change();
  if (shrinks) Retry();
}

void Allocator::Release(const std::string& uid) {
  seekers_.erase(uid);
  if (held_.erase(uid) == 0) return;
  if (on_change) on_change();
  Retry();
}

void Allocator::Seek(const std::string& uid, ResizeSeeker& seeker) { seekers_[uid] = &seeker; }

void Allocator::Leave(const std::string& uid) { seekers_.erase(uid); }

void Allocator::Retry() {
  again_ = true;
  if (std::exchange(retrying_, true)) return;
  while (std::exchange(again_, false)) {
    std::vector<std::pair<ResizeRank, std::string>> order;
    for (const auto& [uid, seeker] : seekers_) order.emplace_back(seeker->Rank(), uid);
    std::ranges::stable_sort(order, [](const auto& a, const auto& b) { return a.first.Before(b.first); });
    for (const auto& [rank, uid] : order) {
      const auto at = seekers_.find(uid);
      if (at != seekers_.end() && at->second->TryResize()) seekers_.erase(uid);
    }
  }
  retrying_ = false;
}

}  // namespace knarr::node
