#include "controller/framework/expectations.h"

#include <algorithm>

namespace knarr::controller {
namespace {

constexpr Duration kGiveUp = 5min;

}  // namespace

bool Expectations::Satisfied(std::string_view key, MonoTime now) const {
  auto at = entries_.find(key);
  if (at == entries_.end()) return true;
  const Entry& entry = at->second;
  return (entry.creations <= 0 && entry.deletions.empty()) || now - entry.since > kGiveUp;
}

Duration Expectations::UntilGivenUp(std::string_view key, MonoTime now) const {
  auto at = entries_.find(key);
  return at == entries_.end() ? Duration{} : std::max(Duration{}, at->second.since + kGiveUp - now) + 1ms;
}

void Expectations::ExpectCreations(const std::string& key, int count, MonoTime now) {
  Entry& entry = entries_[key];
  entry.creations = count;
  entry.since = now;
}

void Expectations::ExpectDeletion(const std::string& key, std::string uid, MonoTime now) {
  Entry& entry = entries_[key];
  entry.deletions.insert(std::move(uid));
  entry.since = now;
}

void Expectations::CreationObserved(std::string_view key) {
  auto at = entries_.find(key);
  if (at != entries_.end() && at->second.creations > 0) at->second.creations--;
}

void Expectations::DeletionObserved(std::string_view key, std::string_view uid) {
  auto at = entries_.find(key);
  if (at == entries_.end()) return;
  auto deletion = at->second.deletions.find(uid);
  if (deletion != at->second.deletions.end()) at->second.deletions.erase(deletion);
}

void Expectations::Forget(std::string_view key) {
  auto at = entries_.find(key);
  if (at != entries_.end()) entries_.erase(at);
}

}  // namespace knarr::controller
