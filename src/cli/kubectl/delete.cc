#include <fmt/format.h>

#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"
#include "cli/kubectl/write.h"

namespace knarr::cli {
namespace {

class Delete : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    select_.AddFlags(flags);
    flags.Int(&grace_, "grace-period", 0, "Seconds to end in; -1: what the object says");
    flags.Bool(&now_, "now", 0, "End within a second");
    flags.Bool(&force_, "force", 0, "Take the object away at once, without waiting for its end");
    flags.Bool(&wait_, "wait", 0, "Wait until the objects are gone");
    flags.Bool(&ignore_not_found_, "ignore-not-found", 0, "A missing object is no error");
    flags.OptionalString(&cascade_, "cascade", 0, "background", "background, foreground or orphan");
    flags.DurationOf(&timeout_, "timeout", 0, "How long to wait; 0: as long as the grace period and more");
    flags.String(&dry_run_, "dry-run", 0, "none, client or server");
    flags.String(&output_, "output", 'o', "name: print names only");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    client::DeleteOptions options = TRY(Options());
    if (!output_.empty() && output_ != "name") {
      return BadRequest(fmt::format("unexpected -o output mode: {}. We only support '-o name'", output_));
    }
    std::vector<SelectFlags::Item> items = TRY(select_.Select(session, args, false));
    if (items.empty()) {
      TRY(session.console().Out("No resources found\n"));
      return 0;
    }
    if (force_) {
      TRY(session.Warn(
          "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. "
          "The resource may continue to run on the cluster indefinitely.\n"));
    }
    // What was listed may be gone by its turn: with the owner of others, these go, too.
    const bool ignore_not_found =
        ignore_not_found_ || select_.all || !select_.selector.empty() || !select_.field_selector.empty();
    Failures failures;
    std::vector<std::pair<SelectFlags::Item, std::string>> waiting;
    for (SelectFlags::Item& item : items) {
      Result<std::string> uid = DeleteOne(session, item, options);
      if (!uid.ok()) {
        if (uid.Failed(Reason::kNotFound) && ignore_not_found) continue;
        TRY(failures.Add(session, uid.status()));
      } else if (!uid->empty()) {
        waiting.emplace_back(std::move(item), *uid);
      }
    }
    TRY(session.console().Flush());
    if (!wait_ || dry_run_ != "none") return failures.ExitCode();
    for (auto& [item, uid] : waiting) {
      const Ok gone = WaitGone(session, item, uid);
      // Who may delete and not look has deleted all the same.
      if (gone.Failed(Reason::kForbidden) || gone.Failed(Reason::kMethodNotAllowed)) break;
      TRY(gone);
    }
    return failures.ExitCode();
  }

 private:
  Result<client::DeleteOptions> Options() const {
    client::DeleteOptions options;
    if (now_ && grace_ >= 0) return BadRequest("--now and --grace-period cannot be specified together");
    if (grace_ == 0 && !force_) {
      // As kubectl: 0 without --force would leave the process behind, so it becomes 1.
      options.grace_seconds = 1;
    } else if (grace_ >= 0) {
      options.grace_seconds = grace_;
    }
    if (grace_ > 0 && force_)
      return BadRequest("--force and --grace-period greater than 0 cannot be specified together");
    if (now_) options.grace_seconds = 1;
    if (force_) options.grace_seconds = 0;
    if (cascade_ == "background") {
      options.propagation = client::Propagation::kBackground;
    } else if (cascade_ == "foreground") {
      options.propagation = client::Propagation::kForeground;
    } else if (cascade_ == "orphan") {
      options.propagation = client::Propagation::kOrphan;
    } else {
      return BadRequest(
          fmt::format("invalid cascade value ({}). Must be \"background\", \"foreground\", or \"orphan\"", cascade_));
    }
    options.dry_run = dry_run_ == "server";
    if (dry_run_ != "none" && dry_run_ != "client" && dry_run_ != "server") {
      return BadRequest(
          fmt::format("invalid dry-run value ({}). Must be \"none\", \"server\", or \"client\"", dry_run_));
    }
    return options;
  }

  /// The uid of what is being deleted.
  Result<std::string> DeleteOne(Session& session, const SelectFlags::Item& item, const client::DeleteOptions& options) {
    client::Client& client = session.client();
    api::ObjectPtr object;
    if (dry_run_ == "client") {
      object = TRY(client.Get(*item.kind, item.name));
    } else {
      object = TRY(client.Delete(*item.kind, item.name, options));
    }
    if (output_ == "name") {
      TRY(session.PrintLine(TypedName(*item.kind, item.name.name)));
      return std::string(object->uid());
    }
    const std::string where = item.name.ns.empty() ? "" : fmt::format(" from {} namespace", item.name.ns);
    std::string_view how = force_ ? "force deleted" : "deleted";
    std::string_view suffix = dry_run_ == "client" ? " (dry run)" : dry_run_ == "server" ? " (server dry run)" : "";
    const std::string kind = std::string(TypedName(*item.kind, ""));
    TRY(session.Print(
        fmt::format("{} \"{}\" {}{}{}\n", kind.substr(0, kind.size() - 1), item.name.name, how, where, suffix)));
    return std::string(object->uid());
  }

  Ok WaitGone(Session& session, const SelectFlags::Item& item, const std::string& uid) {
    rt::CancelScope limit(session.runtime(), timeout_ > Duration::zero() ? timeout_ : Duration(7 * 24h));
    client::Client& client = session.client();
    while (true) {
      Result<api::ObjectPtr> now = client.Get(*item.kind, item.name);
      if (now.Failed(Reason::kNotFound)) return {};
      if (!now.ok()) return now.status();
      if ((*now)->uid() != uid) return {};
      client::WatchOptions options{.field_selector = "metadata.name=" + item.name.name,
                                   .resource_version = std::string((*now)->resource_version())};
      auto stream = TRY(client.Watch(*item.kind, item.name.ns, options));
      while (true) {
        Result<std::vector<client::WatchEvent>> events = stream->Next();
        if (events.Failed(Reason::kTimeout)) {
          return Timeout(
              fmt::format("timed out waiting for the condition on {}/{}", item.kind->plural, item.name.name));
        }
        if (!events.ok()) break;
        for (const client::WatchEvent& event : *events) {
          if (event.type == client::WatchEventType::kDeleted && event.object->uid() == uid) return {};
        }
      }
    }
  }

  SelectFlags select_;
  int64_t grace_ = -1;
  bool now_ = false;
  bool force_ = false;
  bool wait_ = true;
  bool ignore_not_found_ = false;
  std::string cascade_ = "background";
  Duration timeout_{};
  std::string dry_run_ = "none";
  std::string output_;
};

}  // namespace

std::unique_ptr<Command> MakeDelete() { return std::make_unique<Delete>(); }

}  // namespace knarr::cli
