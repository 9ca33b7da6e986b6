#include <algorithm>

#include "apiserver/admission/plugins.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

/// A pod whose node is lost stays there for a while (five minutes), unless it says otherwise.
class DefaultTolerationSeconds : public AdmissionPlugin {
 public:
  explicit DefaultTolerationSeconds(const AdmissionOptions& options)
      : not_ready_(options.not_ready_toleration_seconds), unreachable_(options.unreachable_toleration_seconds) {}

  Ok Mutate(AdmissionRequest& request) const override {
    if (!request.IsFor("", "pods") || !request.subresource.empty() || request.object == nullptr) return {};
    Add(*request.object, "node.kubernetes.io/not-ready", not_ready_);
    Add(*request.object, "node.kubernetes.io/unreachable", unreachable_);
    return {};
  }

 private:
  static void Add(doc::Document& object, std::string_view taint, int64_t seconds) {
    doc::Arena& arena = object.arena;
    Value& spec = object.root.Ensure(arena, "spec");
    if (!spec.is_object()) spec = Value::Object();
    const auto present = std::as_const(spec).At("tolerations").items();
    const bool tolerated = std::ranges::any_of(present, [&](const Value& toleration) {
      const std::string_view key = toleration.At("key").AsString();
      const std::string_view effect = toleration.At("effect").AsString();
      return (key == taint || key.empty()) && (effect == "NoExecute" || effect.empty());
    });
    if (tolerated) return;
    Value toleration = Value::Object();
    toleration.AddMember(arena, "key", Value::Borrow(taint));
    toleration.AddMember(arena, "operator", Value::Borrow("Exists"));
    toleration.AddMember(arena, "effect", Value::Borrow("NoExecute"));
    toleration.AddMember(arena, "tolerationSeconds", Value::Int(seconds));
    spec.Ensure(arena, "tolerations").Append(arena, toleration);
  }

  const int64_t not_ready_;
  const int64_t unreachable_;
};

}  // namespace

Result<std::unique_ptr<AdmissionPlugin>> MakeDefaultTolerationSeconds(const AdmissionOptions& options) {
  return std::unique_ptr<AdmissionPlugin>(std::make_unique<DefaultTolerationSeconds>(options));
}

}  // namespace knarr::apiserver
