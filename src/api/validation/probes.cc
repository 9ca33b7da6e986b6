// Probes and life-cycle handlers.

#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/names.h"

namespace knarr::api::validation {
namespace {

using core_v1::Probe;
using doc::Value;

void ValidatePort(const Value& port, const Path& path, Errors& errors) {
  if (port.is_string()) {
    errors.InvalidAll(path, port.AsString(), CheckPortName(port.AsString()));
  } else {
    errors.InvalidAll(path, port.AsInt(), CheckPortNumber(port.AsInt()));
  }
}

void ValidateHttpGet(const core_v1::HTTPGetAction& get, const Path& path, Errors& errors) {
  if (get.path().empty()) errors.Required(path / "path");
  ValidatePort(get.tree().At("port"), path / "port", errors);
  if (get.scheme() != "HTTP" && get.scheme() != "HTTPS") {
    errors.NotSupported(path / "scheme", get.scheme(), {"HTTP", "HTTPS"});
  }
  for (const core_v1::HTTPHeader header : get.http_headers()) {
    errors.InvalidAll(path / "httpHeaders", header.name(), CheckHttpHeaderName(header.name()));
  }
}

void ValidateSleep(const Value& sleep, const PodContext& context, const Path& path, Errors& errors) {
  const int64_t seconds = sleep.At("seconds").AsInt();
  if (!context.grace_seconds || (seconds >= 0 && seconds <= *context.grace_seconds)) return;
  errors.Invalid(path, seconds,
                 "must be non-negative and less than terminationGracePeriodSeconds (" +
                     std::to_string(*context.grace_seconds) + ")");
}

void ValidateHandler(const Value& handler, const PodContext& context, const Path& path, Errors& errors) {
  int handlers = 0;
  for (const std::string_view kind : {"exec", "httpGet", "tcpSocket", "grpc", "sleep"}) {
    const Value& action = handler.At(kind);
    if (action.is_null()) continue;
    const Path at = path / kind;
    if (handlers++ > 0) {
      errors.Forbidden(at, "may not specify more than 1 handler type");
    } else if (kind == "exec") {
      if (action.At("command").empty()) errors.Required(at / "command");
    } else if (kind == "httpGet") {
      ValidateHttpGet(core_v1::HTTPGetAction(action), at, errors);
    } else if (kind == "sleep") {
      ValidateSleep(action, context, at, errors);
    } else {
      ValidatePort(action.At("port"), at / "port", errors);
    }
  }
  if (handlers == 0) errors.Required(path, "must specify a handler type");
}

void ValidateProbe(const Probe& probe, const PodContext& context, const Path& path, Errors& errors) {
  ValidateHandler(probe.tree(), context, path, errors);
  errors.NonNegative(path / "initialDelaySeconds", probe.initial_delay_seconds());
  errors.NonNegative(path / "timeoutSeconds", probe.timeout_seconds());
  errors.NonNegative(path / "periodSeconds", probe.period_seconds());
  errors.NonNegative(path / "successThreshold", probe.success_threshold());
  errors.NonNegative(path / "failureThreshold", probe.failure_threshold());
  const auto grace = probe.termination_grace_period_seconds();
  if (grace && *grace <= 0) {
    errors.Invalid(path / "terminationGracePeriodSeconds", *grace, "must be greater than 0");
  }
}

void ValidateOnce(const Probe& probe, const PodContext& context, const Path& path, Errors& errors) {
  if (!probe) return;
  ValidateProbe(probe, context, path, errors);
  if (probe.success_threshold() != 1) {
    errors.Invalid(path / "successThreshold", probe.success_threshold(), "must be 1");
  }
}

}  // namespace

void ValidateProbes(const core_v1::Container& container, const PodContext& context, const Path& path, Errors& errors) {
  ValidateOnce(container.liveness_probe(), context, path / "livenessProbe", errors);
  if (container.has_readiness_probe()) {
    const Path at = path / "readinessProbe";
    const Probe probe = container.readiness_probe();
    ValidateProbe(probe, context, at, errors);
    if (const auto grace = probe.termination_grace_period_seconds()) {
      errors.Invalid(at / "terminationGracePeriodSeconds", *grace, "must not be set for readinessProbes");
    }
  }
  ValidateOnce(container.startup_probe(), context, path / "startupProbe", errors);
}

void ValidateLifecycle(const core_v1::Lifecycle& lifecycle, const PodContext& context, const Path& path,
                       Errors& errors) {
  if (lifecycle.has_post_start()) {
    ValidateHandler(lifecycle.post_start().tree(), context, path / "postStart", errors);
  }
  if (lifecycle.has_pre_stop()) ValidateHandler(lifecycle.pre_stop().tree(), context, path / "preStop", errors);
}

}  // namespace knarr::api::validation
