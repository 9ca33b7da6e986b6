#include <fmt/format.h>

#include <functional>

#include "api/core_v1.h"
#include "base/strings.h"
#include "cli/kubectl/attach.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/generators.h"
#include "cli/kubectl/verbs.h"
#include "cli/kubectl/write.h"
#include "image/store.h"

namespace knarr::cli {
namespace {

using api::core_v1::Pod;

class RunVerb : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    flags.String(&image_, "image", 0, "The image to run");
    flags.String(&pull_policy_, "image-pull-policy", 0, "Always, IfNotPresent or Never");
    flags.Int(&port_, "port", 0, "The port the container listens on");
    flags.StringArray(&env_, "env", 0, "NAME=VALUE, given to the container");
    flags.String(&labels_, "labels", 'l', "Labels of the pod, comma-separated");
    flags.StringArray(&annotations_, "annotations", 0, "Annotations of the pod");
    flags.String(&restart_, "restart", 0, "Always, OnFailure or Never");
    flags.Bool(&command_, "command", 0, "What is behind -- is the command, not its arguments");
    flags.Bool(&expose_, "expose", 0, "Make a service for --port, too");
    flags.Bool(&attach_.stdin_open, "stdin", 'i', "Keep standard input open, and join the container");
    flags.Bool(&attach_.tty, "tty", 't', "Give the container a terminal");
    flags.Bool(&attached_, "attach", 0, "Wait for the pod and join it, as attach does");
    flags.Bool(&leave_stdin_open_, "leave-stdin-open", 0, "Let others attach when the first has left");
    flags.Bool(&remove_, "rm", 0, "Delete the pod when its container has ended");
    flags.Bool(&attach_.quiet, "quiet", 'q', "Print the container's output only");
    flags.String(&attach_.detach_keys, "detach-keys", 0, "The keys that leave the container running");
    flags.DurationOf(&running_timeout_, "pod-running-timeout", 0, "How long to wait for the pod to run");
    write_.AddFlags(flags, "kubectl-run");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    TRY(write_.Check());
    if (args.empty()) return UsageError("NAME is required for run");
    if (image_.empty()) {
      return BadRequest(session.flags().Changed("image") ? "--image is required"
                                                         : "required flag(s) \"image\" not set");
    }
    if (const auto reference = image::Reference::Parse(image_); !reference.ok()) {
      return BadRequest(fmt::format("Invalid image name \"{}\": {}", image_, reference.status().message()));
    }
    if (attach_.tty && !attach_.stdin_open) {
      return UsageError("-i/--stdin is required for containers with -t/--tty=true");
    }
    if (restart_.empty()) restart_ = attach_.stdin_open ? "OnFailure" : "Always";
    if (restart_ != "Always" && restart_ != "OnFailure" && restart_ != "Never") {
      return UsageError(fmt::format("invalid restart policy: {}", restart_));
    }
    if (!session.flags().dash_position() && args.size() > 1) {
      return UsageError(fmt::format("unexpected argument \"{}\": a command stands behind --", args[1]));
    }
    if (!session.flags().Changed("attach")) attached_ = attach_.stdin_open;
    if (remove_ && !attached_) return UsageError("--rm should only be used for attached containers");
    if (write_.dry_run() != DryRun::kNone && attached_) {
      return UsageError(
          "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)");
    }
    doc::Document pod = TRY(MakePod(args));
    if (expose_) {
      if (port_ <= 0) return BadRequest("--port must be set when exposing a service");
      doc::Document service = MakeService(args[0]);
      TRY(Write(session, api::core_v1::ServiceInfo(), service));
    }
    if (!attached_) {
      TRY(Write(session, api::core_v1::PodInfo(), pod));
      return 0;
    }
    const api::ObjectPtr made =
        TRY(session.client().Create(api::core_v1::PodInfo(), session.ns(), pod.root, write_.Options()));
    Result<int> code = JoinUntilEnd(session, *made);
    if (remove_) TRY(Remove(session, *made));
    return code;
  }

 private:
  /// Joins the pod once it runs; the exit code of its container where it ends for good.
  Result<int> JoinUntilEnd(Session& session, const api::Object& made) {
    api::ObjectPtr pod = TRY(WaitFor(session, made, [](Pod state) {
      return IsOver(state) || (state.status().phase() == "Running" && IsReady(state));
    }));
    if (!IsOver(Pod(pod->tree()))) {
      // What it wrote before it was joined.
      TRY(PrintLog(session, *pod));
      const Result<int> joined = AttachTo(session, *pod, attach_);
      if (!joined.ok()) {
        TRY(session.Warn(fmt::format("warning: couldn't attach to pod/{}, falling back to streaming logs: {}\n",
                                     pod->name(), joined.status().message())));
        TRY(PrintLog(session, *pod));
      }
    } else {
      TRY(PrintLog(session, *pod));
    }
    if (leave_stdin_open_ || restart_ == "Always") return 0;
    pod = TRY(WaitFor(session, *pod, [&](Pod state) {
      return state.status().phase() == "Succeeded" || (restart_ == "Never" && state.status().phase() == "Failed");
    }));
    return Outcome(session, *pod);
  }

  static bool IsOver(Pod pod) { return pod.status().phase() == "Succeeded" || pod.status().phase() == "Failed"; }

  /// The pod's exit code, and what is to be told of it.
  static Result<int> Outcome(Session& session, const api::Object& object) {
    const Pod pod(object.tree());
    if (pod.status().phase() == "Succeeded") return 0;
    const std::string name = fmt::format("pod {}/{}", object.ns(), object.name());
    for (auto container : pod.status().container_statuses()) {
      if (!container.state().terminated() || container.state().terminated().exit_code() == 0) break;
      const auto end = container.state().terminated();
      TRY(session.console().Flush());
      TRY(session.Warn(fmt::format("{} terminated ({})\n{}\n", name, end.reason(), end.message())));
      return end.exit_code();
    }
    return BadRequest(fmt::format("{} failed with unknown exit code", name));
  }

  /// The pod, once it is as `done` wants it; within --pod-running-timeout.
  Result<api::ObjectPtr> WaitFor(Session& session, const api::Object& from, const std::function<bool(Pod)>& done) {
    const rt::CancelScope limit(session.runtime(), running_timeout_);
    const client::ObjectName name{std::string(from.ns()), std::string(from.name())};
    const auto over = [](const Status& status) {
      return status.Is(Reason::kTimeout) ? Status(Timeout("timed out waiting for the condition")) : status;
    };
    for (;;) {
      auto now = session.client().Get(api::core_v1::PodInfo(), name);
      if (!now.ok()) return over(now.status());
      if (done(Pod((*now)->tree()))) return std::move(*now);
      auto changes = session.client().Watch(api::core_v1::PodInfo(), name.ns,
                                            {.field_selector = "metadata.name=" + name.name,
                                             .resource_version = std::string((*now)->resource_version())});
      if (!changes.ok()) return over(changes.status());
      const auto change = (*changes)->Next();
      // A watch that the server ended is begun again.
      if (!change.ok() && !change.Failed(Reason::kServiceUnavailable)) return over(change.status());
    }
  }

  static Ok PrintLog(Session& session, const api::Object& pod) {
    const client::LogOptions options{.container = std::string(pod.name())};
    const auto log = TRY(session.connection().pods().Logs(pod.ns(), pod.name(), options));
    for (;;) {
      const std::string text = TRY(log->Read());
      if (text.empty()) return session.console().Flush();
      TRY(session.Print(text));
    }
  }

  Ok Remove(Session& session, const api::Object& pod) const {
    const client::ObjectName name{std::string(pod.ns()), std::string(pod.name())};
    const auto deleted = session.client().Delete(api::core_v1::PodInfo(), name, {});
    if (deleted.Failed(Reason::kNotFound)) return {};
    TRY(deleted);
    if (attach_.quiet) return {};
    return session.Print(fmt::format("pod \"{}\" deleted from {} namespace\n", name.name, name.ns));
  }

  Result<doc::Document> MakePod(const std::vector<std::string>& args) const {
    const std::string& name = args[0];
    doc::Document document;
    api::core_v1::PodEdit pod(document);
    pod.set_api_version("v1").set_kind("Pod");
    pod.metadata().set_name(name);
    auto labels = TRY(ParseLabels(labels_));
    if (labels.empty()) labels.emplace_back("run", name);
    for (const auto& [key, value] : labels) pod.metadata().put_labels(key, value);
    for (const std::string& annotation : annotations_) {
      for (const auto& [key, value] : TRY(ParseLabels(annotation))) pod.metadata().put_annotations(key, value);
    }
    auto container = pod.spec().add_containers();
    container.set_name(name).set_image(image_);
    if (!pull_policy_.empty()) container.set_image_pull_policy(pull_policy_);
    for (size_t i = 1; i < args.size(); ++i) {
      if (command_) {
        container.add_command(args[i]);
      } else {
        container.add_args(args[i]);
      }
    }
    for (const std::string& variable : env_) {
      const size_t equals = variable.find('=');
      if (equals == std::string::npos || equals == 0) return BadRequest("invalid env: " + variable);
      container.add_env().set_name(variable.substr(0, equals)).set_value(variable.substr(equals + 1));
    }
    if (port_ > 0) container.add_ports().set_container_port(static_cast<int32_t>(port_));
    container.resources();
    if (attach_.stdin_open) container.set_stdin(true);
    if (attach_.stdin_open && !leave_stdin_open_) container.set_stdin_once(true);
    if (attach_.tty) container.set_tty(true);
    pod.spec().set_dns_policy("ClusterFirst").set_restart_policy(restart_);
    pod.status();
    return document;
  }

  doc::Document MakeService(const std::string& name) const {
    doc::Document document;
    api::core_v1::ServiceEdit service(document);
    service.set_api_version("v1").set_kind("Service");
    service.metadata().set_name(name);
    service.spec().put_selector("run", name);
    service.spec()
        .add_ports()
        .set_port(static_cast<int32_t>(port_))
        .set_protocol("TCP")
        .set_target_port(static_cast<int32_t>(port_));
    service.status().load_balancer();
    return document;
  }

  Ok Write(Session& session, const api::KindInfo& kind, doc::Document& document) const {
    const std::string ns = session.ns();
    api::ObjectPtr made;
    if (write_.dry_run() == DryRun::kClient) {
      if (!session.globals().ns.empty()) SetNamespace(document, kind, ns);
      made = api::Object::FromDocument(doc::Document::Copy(document.root));
    } else {
      made = TRY(session.client().Create(kind, ns, document.root, write_.Options()));
    }
    return write_.PrintResult(session, kind, *made, "created");
  }

  std::string image_;
  std::string pull_policy_;
  std::vector<std::string> env_;
  std::string labels_;
  std::vector<std::string> annotations_;
  std::string restart_;
  int64_t port_ = 0;
  bool command_ = false;
  bool expose_ = false;
  bool attached_ = false;
  bool leave_stdin_open_ = false;
  bool remove_ = false;
  AttachChoice attach_;
  Duration running_timeout_ = 1min;
  WriteFlags write_;
};

}  // namespace

std::unique_ptr<Command> MakeRun() { return std::make_unique<RunVerb>(); }

}  // namespace knarr::cli
