#include "controller/token_cleaner.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/core_v1.h"
#include "api/references.h"
#include "base/log.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using doc::Value;

constexpr std::string_view kType = "kubernetes.io/service-account-token";
constexpr std::string_view kLastUsed = "kubernetes.io/legacy-token-last-used";
constexpr std::string_view kInvalidSince = "kubernetes.io/legacy-token-invalid-since";
constexpr Duration kInterval = std::chrono::hours(24);
constexpr Duration kUnusedFor = std::chrono::hours(365 * 24);

std::optional<WallTime> ParseDate(std::string_view date) {
  if (date.size() != 10) return std::nullopt;
  const Result<WallTime> time = ParseTime(std::string(date) + "T00:00:00Z");
  if (!time.ok()) return std::nullopt;
  return *time;
}
std::string DateOf(WallTime time) { return FormatTime(time).substr(0, 10); }

std::string_view Label(const api::Object& secret, std::string_view label) {
  return secret.tree().Get("metadata", "labels", label).AsString();
}

class TokenCleaner : public Controller {
 public:
  explicit TokenCleaner(Context context)
      : context_(context),
        accounts_(context.informers.For(api::core_v1::ServiceAccountInfo())),
        secrets_(context.informers.For(api::core_v1::SecretInfo(), {.field_selector = "type=" + std::string(kType)})),
        pods_(context.informers.For(api::core_v1::PodInfo())),
        worker_(context.runtime, "token cleaner", [this](const client::ObjectName&) { return Look(); }) {}
  void Start() override {
    worker_.Start({&accounts_, &secrets_, &pods_}, 1);
    worker_.Add({"", "all"});
  }
  void Stop() override { worker_.Stop(); }

 private:
  Result<Requeue> Look() {
    const WallTime now = context_.runtime.Wall();
    const std::optional<WallTime> since = TRY(TrackedSince());
    // Only what was watched long enough can be said to be unused; from the day after the first on.
    if (!since.has_value() || now < *since + std::chrono::hours(24) + kUnusedFor) return Requeue(kInterval);
    const WallTime oldest = now - kUnusedFor;
    for (const ObjectPtr& secret : secrets_.List("")) {
      if (!IsUnused(*secret, oldest) || !WasMadeFor(*secret) || IsMounted(*secret)) continue;
      const Ok done = MarkOrDelete(*secret, now, oldest);
      if (done.ok()) continue;
      if (done.status().reason() == Reason::kCancelled) return done.status();
      LOG_WARN("an unused token stays", {"secret", NameOf(*secret).ToString()}, {"error", done.status()});
    }
    return Requeue(kInterval);
  }

  Result<std::optional<WallTime>> TrackedSince() {
    const Result<ObjectPtr> map = context_.client.Get(
        api::core_v1::ConfigMapInfo(), {"kube-system", "kube-apiserver-legacy-service-account-token-tracking"});
    if (map.Failed(Reason::kNotFound)) return std::optional<WallTime>();
    if (!map.ok()) return map.status();
    return ParseDate((*map)->tree().Get("data", "since").AsString());
  }

  // Dates compare as texts.
  static bool IsUnused(const api::Object& secret, WallTime oldest) {
    const Result<WallTime> made = ParseTime(secret.tree().Get("metadata", "creationTimestamp").AsString());
    if (!made.ok() || *made >= oldest || secret.deleting()) return false;
    if (secret.tree().Get("metadata", "labels", kLastUsed).is_null()) return true;
    const std::string_view used = Label(secret, kLastUsed);
    return ParseDate(used).has_value() && used < DateOf(oldest);
  }

  /// Whether its account lists it: only Kubernetes itself did that.
  bool WasMadeFor(const api::Object& secret) const {
    const Value& annotations = secret.tree().Get("metadata", "annotations");
    const std::string_view account_name = annotations.At("kubernetes.io/service-account.name").AsString();
    const std::string_view uid = annotations.At("kubernetes.io/service-account.uid").AsString();
    const ObjectPtr account = accounts_.Get({std::string(secret.ns()), std::string(account_name)});
    if (account == nullptr || (!uid.empty() && account->uid() != uid)) return false;
    return std::ranges::any_of(account->tree().At("secrets").items(), [&](const Value& reference) {
      return reference.At("name").AsString() == secret.name();
    });
  }

  bool IsMounted(const api::Object& secret) const {
    bool mounted = false;
    for (const ObjectPtr& pod : pods_.List(secret.ns())) {
      api::VisitPodReferences(pod->tree(), [&](api::RefKind kind, std::string_view name) {
        mounted = mounted || (kind == api::RefKind::kSecret && name == secret.name());
      });
      if (mounted) break;
    }
    return mounted;
  }

  Ok MarkOrDelete(const api::Object& secret, WallTime now, WallTime oldest) {
    const api::KindInfo& kind = api::core_v1::SecretInfo();
    const std::string_view invalid_since = Label(secret, kInvalidSince);
    if (!ParseDate(invalid_since).has_value()) {
      const std::string patch = fmt::format(R"({{"metadata":{{"uid":"{}","labels":{{"{}":"{}"}}}}}})", secret.uid(),
                                            kInvalidSince, DateOf(now));
      return context_.client.Patch(kind, NameOf(secret), client::PatchType::kMerge, patch).status();
    }
    if (invalid_since >= DateOf(oldest)) return {};
    const Result<ObjectPtr> deleted =
        context_.client.Delete(kind, NameOf(secret), {.resource_version = std::string(secret.resource_version())});
    if (deleted.Failed(Reason::kNotFound) || deleted.Failed(Reason::kConflict)) return {};
    return deleted.status();
  }

  Context context_;
  client::Informer& accounts_;
  client::Informer& secrets_;
  client::Informer& pods_;
  Worker worker_;
};

}  // namespace

std::unique_ptr<Controller> MakeTokenCleaner(Context context) { return std::make_unique<TokenCleaner>(context); }

}  // namespace knarr::controller
