#include "client/leader_election.h"

#include <algorithm>

#include "api/coordination_v1.h"
#include "base/log.h"

namespace knarr::client {
namespace {

using api::coordination_v1::Lease;
using api::coordination_v1::LeaseEdit;

const KindInfo& LeaseKind() { return api::coordination_v1::LeaseInfo(); }

std::string HolderOf(const api::Object& lease) {
  return std::string(Lease(lease.tree()).spec().holder_identity().value_or(""));
}

}  // namespace

LeaderElector::LeaderElector(rt::Runtime& runtime, Client& client, EventRecorder* events, LeaderElectionOptions options)
    : runtime_(runtime), client_(client), events_(events), options_(std::move(options)), tries_(runtime, "lease") {}

LeaderElector::~LeaderElector() { tries_.StopAndJoin(); }

Ok LeaderElector::Acquire() {
  LOG_INFO("waiting to lead", {"lease", options_.ns + "/" + options_.name}, {"identity", options_.identity});
  tries_.Join();  // one that came too late
  while (true) {
    const Result<bool> leads = TryOnce();
    if (leads.ok() && *leads) break;
    // Another was faster, with its first one or with a renewal.
    const bool lost = leads.Failed(Reason::kConflict) || leads.Failed(Reason::kAlreadyExists);
    if (!leads.ok() && !lost) {
      TRY(runtime_.CheckCancelled());
      LOG_WARN("the lease can't be read or written", {"lease", options_.name}, {"error", leads.status()});
    }
    // When the other's time is up, or before, to see it renewed.
    Duration wait = Jittered();
    if (leads.ok() && expires_ > runtime_.Mono()) wait = std::min<Duration>(wait, expires_ - runtime_.Mono());
    TRY(runtime_.Sleep(wait));
  }
  LOG_INFO("leading", {"lease", options_.ns + "/" + options_.name}, {"identity", options_.identity});
  Tell("became leader");
  return {};
}

Ok LeaderElector::Renew() {
  while (true) {
    // From the last time it was renewed: others count from when they saw that.
    const MonoTime until = seen_at_ + options_.renew_deadline;
    TRY(runtime_.Sleep(options_.retry_period));
    while (true) {
      const Result<bool> leads = TryUntil(until);
      TRY(runtime_.CheckCancelled());
      if (leads.ok() && *leads) break;
      const bool lost = (leads.ok() && !*leads) || runtime_.Mono() >= until;
      if (lost) {
        Tell("stopped leading");
        LOG_WARN("no longer leading", {"lease", options_.name});
        return leads.ok() ? Conflict("another holds the lease") : Timeout("the lease was not renewed in time");
      }
      TRY(runtime_.Sleep(std::min<Duration>(options_.retry_period, until - runtime_.Mono())));
    }
  }
}

Ok LeaderElector::Release() {
  if (seen_ == nullptr || HolderOf(*seen_) != options_.identity) return {};
  const Result<ObjectPtr> written = Write(seen_, "", std::chrono::seconds(1));
  if (!written.ok()) return written.status();
  Observe(*written);
  return {};
}

Result<bool> LeaderElector::TryUntil(MonoTime until) {
  // In a fiber of its own: a write whose outcome must be known is not cut short, but whoever leads must end in time.
  const auto answer = std::make_shared<rt::OneShot<Result<bool>>>(runtime_);
  tries_.Spawn("renew", [this, answer] { answer->Set(TryOnce()); });
  const Result<Result<bool>*> found = answer->Wait(until);
  if (!found.ok()) return found.status();
  return **found;
}

Result<bool> LeaderElector::TryOnce() {
  Result<ObjectPtr> present = client_.Get(LeaseKind(), {options_.ns, options_.name});
  if (!present.ok() && !present.Failed(Reason::kNotFound)) return present.status();
  if (present.ok()) {
    if (seen_ == nullptr || seen_->resource_version() != (*present)->resource_version()) Observe(*present);
    const std::string holder = HolderOf(**present);
    if (holder != reported_ && !holder.empty()) {
      LOG_INFO("leader", {"lease", options_.name}, {"identity", holder});
      reported_ = holder;
    }
    const Duration its = std::chrono::seconds(Lease((*present)->tree()).spec().lease_duration_seconds().value_or(0));
    expires_ = seen_at_ + its;
    const bool valid = !holder.empty() && expires_ > runtime_.Mono();
    if (holder != options_.identity && valid) return false;
  }
  const MonoTime asked = runtime_.Mono();
  const Result<ObjectPtr> written =
      Write(present.ok() ? *present : nullptr, options_.identity, options_.lease_duration);
  if (!written.ok()) return written.status();
  Observe(*written);
  // Others may have seen it as soon as it was asked for.
  seen_at_ = asked;
  reported_ = options_.identity;
  return true;
}

Result<ObjectPtr> LeaderElector::Write(const ObjectPtr& present, std::string_view holder, Duration duration) {
  doc::Document document;
  if (present != nullptr) document = doc::Document::Copy(present->tree());
  LeaseEdit lease(document);
  const WallTime now = runtime_.Wall();
  const bool same = present != nullptr && HolderOf(*present) == options_.identity;
  lease.metadata().set_name(options_.name);
  lease.metadata().set_ns(options_.ns);
  auto spec = lease.spec();
  spec.set_holder_identity(holder);
  spec.set_lease_duration_seconds(
      static_cast<int32_t>(std::chrono::duration_cast<std::chrono::seconds>(duration).count()));
  spec.set_renew_time(now);
  if (!same || holder.empty()) spec.set_acquire_time(now);
  if (present == nullptr) {
    spec.set_lease_transitions(0);
    return client_.Create(LeaseKind(), options_.ns, document.root);
  }
  if (!same) spec.set_lease_transitions(Lease(present->tree()).spec().lease_transitions().value_or(0) + 1);
  return client_.Update(LeaseKind(), {options_.ns, options_.name}, document.root);
}

void LeaderElector::Observe(ObjectPtr lease) {
  seen_ = std::move(lease);
  seen_at_ = runtime_.Mono();
}

Duration LeaderElector::Jittered() const {
  // Up to 1.2 times more, as client-go has it, so that those who wait do not meet each time.
  const auto most = static_cast<uint64_t>(options_.retry_period.count()) * 6 / 5;
  return options_.retry_period + Duration(static_cast<int64_t>(runtime_.Random() % most));
}

void LeaderElector::Tell(std::string_view what) const {
  if (events_ == nullptr || seen_ == nullptr) return;
  events_->Record(EventTarget::Of(LeaseKind(), *seen_), EventKind::kNormal, "LeaderElection",
                  options_.identity + " " + std::string(what));
}

}  // namespace knarr::client
