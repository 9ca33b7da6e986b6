#include "cli/kubectl/attach.h"

#include <fmt/format.h>

#include "api/core_v1.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/verbs.h"

namespace knarr::cli {
namespace {

using api::core_v1::Pod;

class Attach : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    flags.String(&options_.container, "container", 'c', "The container to attach to");
    flags.Bool(&options_.stdin_open, "stdin", 'i', "Pass standard input on");
    flags.Bool(&options_.tty, "tty", 't', "Standard input is a terminal");
    flags.Bool(&options_.quiet, "quiet", 'q', "Print the container's output only");
    flags.String(&options_.detach_keys, "detach-keys", 0, "The keys that leave the container running");
    flags.DurationOf(&running_timeout_, "pod-running-timeout", 0, "How long to wait for a pod");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    if (args.empty()) return BadRequest("at least 1 argument is required for attach");
    if (args.size() > 2) {
      return BadRequest(fmt::format("expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw {}: [{}]",
                                    args.size(), fmt::join(args, " ")));
    }
    if (running_timeout_ <= Duration::zero()) return BadRequest("--pod-running-timeout must be higher than zero");
    const NamedObject named = TRY(FindNamed(session, args));
    const api::ObjectPtr pod = TRY(FindPodOf(session, named, running_timeout_));
    const std::string_view phase = Pod(pod->tree()).status().phase();
    if (phase == "Succeeded" || phase == "Failed") {
      return BadRequest(
          fmt::format("cannot attach a container in a completed pod; current phase is {}", phase));
    }
    return AttachTo(session, *pod, options_);
  }

 private:
  AttachChoice options_;
  Duration running_timeout_ = 1min;
};

template <typename List>
bool HasTerminal(const List& containers, std::string_view name) {
  for (auto container : containers) {
    if (container.name() == name) return container.tty();
  }
  return false;
}

}  // namespace

Result<int> AttachTo(Session& session, const api::Object& object, AttachChoice choice) {
  const Result<std::string> picked = PickContainer(session, object, choice.container, choice.quiet);
  if (!picked.ok()) return picked.status().WithContext("cannot attach to the container");
  const Pod pod(object.tree());
  const bool terminal = HasTerminal(pod.spec().containers(), *picked) ||
                        HasTerminal(pod.spec().init_containers(), *picked) ||
                        HasTerminal(pod.spec().ephemeral_containers(), *picked);
  if (choice.tty && !terminal && !choice.quiet) {
    TRY(session.Warn(
        fmt::format("error: Unable to use a TTY - container {} did not allocate one\n", *picked)));
  }
  bool raw = terminal;
  if (raw && choice.stdin_open && !session.console().InIsTerminal()) {
    raw = false;
    if (!choice.quiet) {
      TRY(session.Warn("Unable to use a TTY - input is not a terminal or the right kind of file\n"));
    }
  }
  raw = raw && choice.stdin_open;
  if (!choice.quiet) {
    TRY(session.Warn(
        "All commands and output from this session will be recorded in container logs, including credentials and "
        "sensitive information passed through the command prompt.\nIf you don't see a command prompt, try pressing "
        "enter.\n"));
  }
  const client::AttachOptions options{.container = *picked,
                                      .stdin_open = choice.stdin_open,
                                      .stderr_open = !raw,
                                      .tty = raw};
  auto stream = TRY(session.connection().pods().Attach(object.ns(), object.name(), options));
  const int code = TRY(RunStreams(
      session, *stream, {.stdin_open = choice.stdin_open, .tty = raw, .detach_keys = choice.detach_keys}));
  if (!choice.quiet && raw) {
    const bool debug = HasTerminal(pod.spec().ephemeral_containers(), *picked);
    const std::string again =
        fmt::format("kubectl attach {} -c {} -n {} -i -t", object.name(), *picked, object.ns());
    TRY(session.PrintLine(
        debug ? fmt::format("Session ended, the ephemeral container will not be restarted but may be reattached using "
                            "'{}' if it is still running",
                            again)
              : fmt::format("Session ended, resume using '{}' command", again)));
  }
  return code;
}

std::unique_ptr<Command> MakeAttach() { return std::make_unique<Attach>(); }

}  // namespace knarr::cli
