#include "apiserver/authentication/legacy_token_tracking.h"

#include <fmt/format.h>

#include "api/core_v1.h"
#include "apiserver/local_client.h"
#include "base/log.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kLastUsed = "kubernetes.io/legacy-token-last-used";
constexpr std::string_view kNamespace = "kube-system";
constexpr std::string_view kConfigMap = "kube-apiserver-legacy-service-account-token-tracking";
constexpr std::string_view kSince = "since";
// Several servers, of which some don't keep it, are not to fight about the ConfigMap.
constexpr Duration kBetweenCreations = std::chrono::minutes(30);
constexpr size_t kDateSize = 10;

std::string DateOf(WallTime time) { return FormatTime(time).substr(0, kDateSize); }
bool IsDate(std::string_view text) {
  return text.size() == kDateSize && ParseTime(std::string(text) + "T00:00:00Z").ok();
}

}  // namespace

LegacyTokenTracking::LegacyTokenTracking(Core& core)
    : core_(core),
      client_(MakeLocalClient(core.operations(), *core.locals().front(),
                              {"system:apiserver", "", {std::string(kMasters), std::string(kAllAuthenticated)}},
                              "kube-apiserver")),
      queue_(std::make_shared<client::WorkQueue>(core.world())),
      follower_(core.world(), core.store(),
                {.name = "legacy-token-tracking",
                 .prefix = fmt::format("/registry/core/configmaps/{}/{}", kNamespace, kConfigMap),
                 .load = [this](const store::Snapshot&) { queue_->Add(""); },
                 .apply = [this](const std::vector<store::EventPtr>&) { queue_->Add(""); }}),
      tasks_(core.world(), "legacy-token-tracking") {}

void LegacyTokenTracking::Start() {
  const std::weak_ptr<client::WorkQueue> queue = queue_;
  core_.security().authenticator().OnLegacyUse([&world = core_.world(), queue](const TokenClaims& claims) {
    world.Post([queue, secret = claims.ns + "/" + claims.secret->name] {
      if (const auto there = queue.lock()) there->Add(secret);
    });
  });
  follower_.Start();
  tasks_.Spawn("label", [this] { Run(); });
}

void LegacyTokenTracking::Stop() {
  follower_.Stop();
  queue_->ShutDown();
  tasks_.StopAndJoin();
}

void LegacyTokenTracking::Run() {
  while (true) {
    const Result<std::string> key = queue_->Get();
    if (!key.ok()) return;
    Ok done;
    if (key->empty()) {
      const Result<std::optional<Duration>> again = KeepSince();
      if (!again.ok()) done = again.status();
      if (again.ok() && again->has_value()) queue_->AddAfter("", **again);
    } else if (const auto parts = Cut(*key, "/"); parts.has_value()) {
      done = Label({std::string(parts->first), std::string(parts->second)});
    }
    if (done.ok()) {
      queue_->Forget(*key);
    } else if (done.status().reason() != Reason::kCancelled) {
      LOG_WARN("the use of a token is not written down; trying again", {"secret", *key}, {"error", done.status()});
      queue_->AddRateLimited(*key);
    }
    queue_->Done(*key);
  }
}

Ok LegacyTokenTracking::Label(const client::ObjectName& name) {
  const WallTime now = core_.world().Wall();
  const std::string today = DateOf(now);
  const auto secret = client_->Get(api::core_v1::SecretInfo(), name);
  if (secret.Failed(Reason::kNotFound)) return {};
  if (!secret.ok()) return secret.status();
  const std::string_view noted = (*secret)->tree().Get("metadata", "labels", kLastUsed).AsString();
  // Another server's clock may be ahead.
  if (noted == today || noted == DateOf(now + std::chrono::hours(24))) return {};
  const std::string patch =
      fmt::format(R"({{"metadata":{{"uid":"{}","labels":{{"{}":"{}"}}}}}})", (*secret)->uid(), kLastUsed, today);
  const auto patched = client_->Patch(api::core_v1::SecretInfo(), name, client::PatchType::kMerge, patch);
  // Conflict: another secret has taken the name.
  if (patched.ok() || patched.Failed(Reason::kNotFound) || patched.Failed(Reason::kConflict)) return {};
  return patched.status();
}

Result<std::optional<Duration>> LegacyTokenTracking::KeepSince() {
  const api::KindInfo& kind = api::core_v1::ConfigMapInfo();
  const client::ObjectName name{std::string(kNamespace), std::string(kConfigMap)};
  const MonoTime now = core_.world().Mono();
  const std::string today = DateOf(core_.world().Wall());
  const auto found = client_->Get(kind, name);
  if (found.Failed(Reason::kNotFound)) {
    if (made_.has_value() && now < *made_ + kBetweenCreations) return std::optional(*made_ + kBetweenCreations - now);
    doc::Document map;
    api::core_v1::ConfigMapEdit edit(map);
    edit.metadata().set_name(name.name).set_ns(name.ns);
    edit.put_data(kSince, today);
    const auto made = client_->Create(kind, name.ns, map.root);
    if (made.ok()) made_ = now;
    if (!made.ok() && !made.Failed(Reason::kAlreadyExists)) return made.status();
    return std::optional<Duration>();
  }
  if (!found.ok()) return found.status();
  if (IsDate((*found)->tree().Get("data", kSince).AsString())) return std::optional<Duration>();
  doc::Document changed = doc::Document::Copy((*found)->tree());
  changed.root.Ensure(changed.arena, "data").Set(changed.arena, kSince, doc::Value::String(changed.arena, today));
  const auto updated = client_->Update(kind, name, changed.root);
  const bool fine = updated.ok() || updated.Failed(Reason::kNotFound) || updated.Failed(Reason::kConflict);
  if (!fine) return updated.status();
  return std::optional<Duration>();
}

}  // namespace knarr::apiserver
