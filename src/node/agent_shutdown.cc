// The part of the agent that ends its pods in order when the machine is about to go down.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "doc/json.h"
#include "node/agent.h"
#include "node/node_status.h"
#include "node/shutdown.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;
using client::EventKind;

// The kubelet's dbusReconnectPeriod. A machine without logind is not asked that often.
constexpr Duration kRetryFirst = 1s;
constexpr Duration kRetryMost = 1min;
constexpr const char* kMessage = "Pod was terminated in response to imminent node shutdown.";

WallTime TimeIn(const doc::Value& note, std::string_view name) {
  return ParseTime(note.At(name).AsString()).value_or(WallTime{});
}

}  // namespace

/// The kubelet's graceful_node_shutdown_state: what metrics tell after the machine has come up again.
std::string Agent::ShutdownNotePath() const { return options_.data_directory + "/graceful_node_shutdown_state"; }

void Agent::ReadShutdownNote() {
  const auto text = runtime_.files().ReadFile(ShutdownNotePath());
  const auto note = text.ok() ? doc::ParseJson(*text) : Result<doc::Document>(text.status());
  if (!note.ok()) return;
  shutdown_began_ = TimeIn(note->root, "startTime");
  shutdown_ended_ = TimeIn(note->root, "endTime");
}

void Agent::WriteShutdownNote() {
  const auto text = [](WallTime time) { return time == WallTime{} ? "0001-01-01T00:00:00Z" : FormatNanoTime(time); };
  const Ok written = runtime_.files().WriteFileAtomic(
      ShutdownNotePath(),
      fmt::format(R"({{"startTime":"{}","endTime":"{}"}})", text(shutdown_began_), text(shutdown_ended_)), 0644);
  if (!written.ok()) LOG_WARN("the times of the shutdown are not kept", {"error", written.status()});
}

void Agent::RunShutdown() {
  ShutdownSource& source = *options_.shutdown_source;
  const Duration total = TotalOf(options_.shutdown_periods);
  std::string told;
  Duration pause = kRetryFirst;
  while (true) {
    Ok watched = source.Begin(total);
    if (watched.ok()) {
      LOG_INFO("a shutdown of the machine waits for pods to end", {"most", FormatDuration(total)});
      told.clear();
      pause = kRetryFirst;
      // Whoever lets a shutdown wait knows of none that is under way.
      if (shutting_down_) SetShuttingDown(false);
      watched = FollowShutdowns(source);
    }
    if (watched.Failed(Reason::kCancelled)) return;
    if (const std::string& now = watched.status().message(); now != told) {
      LOG_WARN("a shutdown of the machine would not wait for pods", {"error", watched.status()});
      told = now;
    }
    if (!runtime_.Sleep(pause).ok()) return;
    pause = std::min(pause * 2, kRetryMost);
  }
}

Ok Agent::FollowShutdowns(ShutdownSource& source) {
  while (true) {
    const bool down = TRY(source.Next());
    RecordNodeEvent(
        EventKind::kNormal, "Shutdown",
        down ? "Shutdown manager detected shutdown event" : "Shutdown manager detected shutdown cancellation");
    SetShuttingDown(down);
    if (!down) {
      TRY(source.Hold());
      continue;
    }
    LOG_INFO("the machine is about to go down: pods are ended");
    const Ok ended = EndPods();
    source.Release();
    TRY(Ok(ended));
    LOG_INFO("the machine may go down");
  }
}

/// Pods are not kept waiting by the API.
void Agent::SetShuttingDown(bool down) {
  shutting_down_ = down;
  const std::string_view status = down ? "NodeNotReady" : "NodeReady";
  RecordNodeEvent(EventKind::kNormal, status, fmt::format("Node {} status is now: {}", options_.node_name, status));
  tasks_.Spawn("shutdown status", [this, down] {
    const Ok written = status_->SetShuttingDown(down);
    if (written.ok() || written.Failed(Reason::kCancelled)) return;
    LOG_WARN("that the machine goes down was not written", {"error", written.status()});
  });
}

/// Lowest priority first. Those of the next wait for the ones before, but not beyond their period.
Ok Agent::EndPods() {
  const std::vector<ShutdownPeriod>& periods = options_.shutdown_periods;
  std::vector<std::vector<std::string>> groups(periods.size());
  for (const auto& [uid, worker] : workers_) {
    if (worker->ended()) continue;
    groups[PeriodOf(periods, Pod(worker->pod().tree()).spec().priority().value_or(0))].push_back(uid);
  }
  shutdown_began_ = runtime_.Wall();
  shutdown_ended_ = {};
  WriteShutdownNote();
  for (size_t i = 0; i < periods.size(); ++i) TRY(EndGroup(groups[i], std::chrono::seconds(periods[i].seconds)));
  shutdown_ended_ = runtime_.Wall();
  WriteShutdownNote();
  return {};
}

Ok Agent::EndGroup(const std::vector<std::string>& uids, Duration period) {
  if (uids.empty()) return {};
  const MonoTime until = runtime_.Mono() + period;
  for (const std::string& uid : uids) {
    const auto at = workers_.find(uid);
    if (at != workers_.end()) at->second->EndWithNode(kMessage, period);
  }
  const auto all_over = [&] {
    return std::ranges::all_of(uids, [this](const std::string& uid) {
      const auto at = workers_.find(uid);
      return at == workers_.end() || at->second->over();
    });
  };
  const Ok waited = pods_over_.WaitUntil(all_over, until);
  if (!waited.Failed(Reason::kTimeout)) return waited;
  TRY(runtime_.CheckCancelled());
  LOG_WARN("not all pods ended in time", {"pods", std::to_string(uids.size())}, {"most", FormatDuration(period)});
  return {};
}

}  // namespace knarr::node
