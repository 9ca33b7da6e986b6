#include <fmt/format.h>

#include "api/core_v1.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/pod_streams.h"
#include "cli/kubectl/verbs.h"

namespace knarr::cli {
namespace {

using api::core_v1::Pod;

class Exec : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    flags.String(&container_, "container", 'c', "The container to run in");
    flags.Bool(&stdin_, "stdin", 'i', "Pass standard input on");
    flags.Bool(&tty_, "tty", 't', "Standard input is a terminal");
    flags.Bool(&quiet_, "quiet", 'q', "Print the command's output only");
    flags.DurationOf(&running_timeout_, "pod-running-timeout", 0, "How long to wait for a pod");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    if (args.empty()) return BadRequest("pod, type/name or --filename must be specified");
    std::optional<size_t> dash = session.flags().dash_position();
    if (dash.value_or(1) != 1)
      return UsageError("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead");
    if (args.size() < 2) return BadRequest("you must specify at least one command for the container");
    if (!dash) {
      return UsageError("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead");
    }
    client::ExecOptions options{.command = {args.begin() + 1, args.end()}, .stdin_open = stdin_, .tty = tty_};
    if (tty_ && (!stdin_ || !session.console().InIsTerminal())) {
      TRY(session.Warn("Unable to use a TTY - input is not a terminal or the right kind of file\n"));
      options.tty = false;
    }
    options.stderr_open = !options.tty;
    const NamedObject named = TRY(FindNamed(session, {args[0]}));
    const api::ObjectPtr pod = TRY(FindPodOf(session, named, running_timeout_));
    const std::string_view phase = Pod(pod->tree()).status().phase();
    if (phase == "Succeeded" || phase == "Failed") {
      return BadRequest(fmt::format("cannot exec into a container in a completed pod; current phase is {}", phase));
    }
    options.container = TRY(PickContainer(session, *pod, container_, quiet_));
    auto stream = TRY(session.connection().pods().Exec(pod->ns(), pod->name(), options));
    const int code =
        TRY(RunStreams(session, *stream, {.stdin_open = options.stdin_open, .tty = options.tty, .detach_keys = ""}));
    if (code != 0) {
      TRY(session.console().Flush());
      TRY(session.Warn(fmt::format("command terminated with exit code {}\n", code)));
    }
    return code;
  }

 private:
  std::string container_;
  bool stdin_ = false;
  bool tty_ = false;
  bool quiet_ = false;
  Duration running_timeout_ = 1min;
};

}  // namespace

std::unique_ptr<Command> MakeExec() { return std::make_unique<Exec>(); }

}  // namespace knarr::cli
