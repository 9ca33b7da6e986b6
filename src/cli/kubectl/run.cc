#include <fmt/format.h>

#include "api/core_v1.h"
#include "base/strings.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/generators.h"
#include "cli/kubectl/verbs.h"
#include "cli/kubectl/write.h"
#include "image/store.h"

namespace knarr::cli {
namespace {

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
    flags.Bool(&stdin_, "stdin", 'i', "Keep standard input open");
    flags.Bool(&tty_, "tty", 't', "Give the container a terminal");
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
    if (restart_ != "Always" && restart_ != "OnFailure" && restart_ != "Never") {
      return UsageError(fmt::format("invalid restart policy: {}", restart_));
    }
    if (!session.flags().dash_position() && args.size() > 1) {
      return UsageError(fmt::format("unexpected argument \"{}\": a command stands behind --", args[1]));
    }
    if (write_.dry_run() != DryRun::kNone && (stdin_ || tty_)) {
      return UsageError(
          "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)");
    }
    doc::Document pod = TRY(MakePod(args));
    if (expose_) {
      if (port_ <= 0) return BadRequest("--port must be set when exposing a service");
      doc::Document service = MakeService(args[0]);
      TRY(Write(session, api::core_v1::ServiceInfo(), service));
    }
    TRY(Write(session, api::core_v1::PodInfo(), pod));
    return 0;
  }

 private:
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
    if (stdin_) container.set_stdin(true).set_stdin_once(true);
    if (tty_) container.set_tty(true);
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
  std::string restart_ = "Always";
  int64_t port_ = 0;
  bool command_ = false;
  bool expose_ = false;
  bool stdin_ = false;
  bool tty_ = false;
  WriteFlags write_;
};

}  // namespace

std::unique_ptr<Command> MakeRun() { return std::make_unique<RunVerb>(); }

}  // namespace knarr::cli
