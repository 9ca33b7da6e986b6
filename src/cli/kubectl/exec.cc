#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"
#include "rt/sync.h"

namespace knarr::cli {
namespace {

using api::core_v1::Pod;

/// Puts the terminal back however exec ends.
class RawMode {
 public:
  explicit RawMode(Console& console) : console_(console) {}
  ~RawMode() { console_.RestoreMode(); }

 private:
  Console& console_;
};

class Exec : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    flags.String(&container_, "container", 'c', "The container to run in");
    flags.Bool(&stdin_, "stdin", 'i', "Pass standard input on");
    flags.Bool(&tty_, "tty", 't', "Standard input is a terminal");
    flags.Bool(&quiet_, "quiet", 'q', "Print the command's output only");
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
    api::ObjectPtr pod = TRY(FindPod(session, args[0]));
    const std::string_view phase = Pod(pod->tree()).status().phase();
    if (phase == "Succeeded" || phase == "Failed") {
      return BadRequest(fmt::format("cannot exec into a container in a completed pod; current phase is {}", phase));
    }
    options.container = TRY(PickContainer(session, *pod));
    auto stream = TRY(session.connection().pods().Exec(pod->ns(), pod->name(), options));
    int code = TRY(Stream(session, *stream, options));
    if (code != 0) {
      TRY(session.console().Flush());
      TRY(session.Warn(fmt::format("command terminated with exit code {}\n", code)));
    }
    return code;
  }

 private:
  static Result<api::ObjectPtr> FindPod(Session& session, const std::string& arg) {
    std::string name = arg;
    if (arg.find('/') != std::string::npos) {
      ResourceArgs resources = TRY(ParseResourceArgs({arg}));
      if (resources.items.front().kind != &api::core_v1::PodInfo()) {
        return BadRequest(fmt::format("cannot exec into {}: name one of its pods", arg));
      }
      name = resources.items.front().name;
    }
    const std::string ns = session.ns();
    return session.client().Get(api::core_v1::PodInfo(), {ns, name});
  }

  Result<std::string> PickContainer(Session& session, const api::Object& object) {
    Pod pod(object.tree());
    std::vector<std::string> names;
    for (auto container : pod.spec().containers()) names.emplace_back(container.name());
    if (!container_.empty()) {
      if (std::ranges::find(names, container_) != names.end()) return container_;
      for (auto container : pod.spec().init_containers()) {
        if (container.name() == container_) return container_;
      }
      return BadRequest(fmt::format("container {} not found in pod {}", container_, object.name()));
    }
    if (auto named = pod.metadata().annotations().Find("kubectl.kubernetes.io/default-container")) {
      if (std::ranges::find(names, *named) != names.end()) return std::string(*named);
    }
    if (names.size() > 1 && !quiet_) {
      TRY(session.Warn(fmt::format("Defaulted container \"{}\" out of: {}\n", names.front(), fmt::join(names, ", "))));
    }
    return names.front();
  }

  static Result<int> Stream(Session& session, client::ExecStream& stream, const client::ExecOptions& options) {
    Console& console = session.console();
    RawMode restore(console);
    rt::TaskGroup group(session.runtime(), "exec");
    if (options.tty) {
      TRY(console.SetRawMode());
      WindowSize size = console.Size();
      if (size.columns > 0) TRY(stream.Resize(size.columns, size.rows));
      group.Spawn("resize", [&] {
        while (console.WaitResize().ok()) {
          WindowSize now = console.Size();
          if (!stream.Resize(now.columns, now.rows).ok()) return;
        }
      });
    }
    if (options.stdin_open) {
      group.Spawn("stdin", [&] {
        while (true) {
          Result<std::string> text = console.Read();
          if (text.Failed(Reason::kCancelled)) return;
          if (!text.ok() || text->empty()) break;
          if (!stream.WriteStdin(*text).ok()) return;
        }
        stream.CloseStdin();
      });
    }
    Result<int> code = CopyOutput(console, stream);
    stream.Close();
    group.StopAndJoin();
    return code;
  }

  static Result<int> CopyOutput(Console& console, client::ExecStream& stream) {
    while (true) {
      client::ExecStream::Chunk chunk = TRY(stream.Read());
      if (chunk.data.empty()) break;
      TRY(chunk.fd == 2 ? console.Err(chunk.data) : console.Out(chunk.data));
      TRY(console.Flush());
    }
    return stream.Wait();
  }

  std::string container_;
  bool stdin_ = false;
  bool tty_ = false;
  bool quiet_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeExec() { return std::make_unique<Exec>(); }

}  // namespace knarr::cli
