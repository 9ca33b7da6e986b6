#include "main/store_command.h"

#include <fmt/format.h>

#include "apiserver/store_admin.h"
#include "base/path.h"
#include "cli/flags.h"
#include "client/http_client.h"
#include "client/kubeconfig.h"
#include "doc/json.h"
#include "main/server.h"
#include "rt/file_system.h"
#include "store/tools.h"

namespace knarr::main {
namespace {

constexpr int kDamageFound = 2;
constexpr size_t kAnswerMost = 16 << 20;
constexpr size_t kPiece = 256 << 10;

constexpr std::string_view kUsage =
    "Looks after a server's store, whether the server runs or not.\n"
    "\n"
    "Usage:\n"
    "  knarr store stats            what is in it, and how much\n"
    "  knarr store check            reads every record and compares it with its checksum\n"
    "  knarr store repair           mends what is damaged: from the server's memory while it runs; else what is "
    "damaged\n"
    "                               is moved to a file beside the store, and nothing else is touched\n"
    "  knarr store backup FILE      writes the state of this moment to a new file\n"
    "  knarr store restore FILE     makes the store of a backup; the server must be stopped\n"
    "  knarr store compact          forgets history and gives unused space back\n"
    "\n"
    "Exit codes: 0 done, 1 it could not be done, 2 damage was found.\n"
    "\n"
    "Flags:\n";

struct Flags {
  std::string data_directory;
  std::string output;
  bool force = false;
  int64_t bump = store::RestoreOptions().bump;
  bool help = false;
};

class StoreCommand {
 public:
  StoreCommand(cli::Invocation& invocation, Flags flags)
      : runtime_(invocation.runtime), console_(invocation.console), flags_(std::move(flags)) {}

  Result<int> Run(const std::vector<std::string>& args) {
    const std::string& verb = args.front();
    const bool wants_file = verb == "backup" || verb == "restore";
    if (args.size() != (wants_file ? 2 : 1)) {
      return BadRequest(wants_file ? "want the name of one file" : "unexpected argument \"" + args.back() + "\"");
    }
    if (verb == "stats") return Stats();
    if (verb == "check") return Check(false);
    if (verb == "repair") return Check(true);
    if (verb == "compact") return Compact();
    if (verb == "backup") return Backup(args[1]);
    if (verb == "restore") return Restore(args[1]);
    return BadRequest("unknown command \"" + verb + "\"; see knarr store --help");
  }

 private:
  std::string Folder() const { return flags_.data_directory + "/store"; }
  bool Json() const { return flags_.output == "json"; }
  int Print(std::string_view text) {
    (void)console_.Out(text);
    return 0;
  }
  static std::string Megabytes(int64_t bytes) { return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6); }

  Result<std::unique_ptr<net::ClientResponse>> Ask(std::string_view method, std::string_view path) {
    if (client_ == nullptr) {
      const client::RestConfig config =
          TRY(client::LoadKubeconfig(runtime_, {.path = flags_.data_directory + "/kubeconfig"})
                  .Context("the running server"));
      client_ = TRY(client::HttpClient::Create(runtime_, config));
    }
    return client_->Send(client_->MakeRequest(method, path)).Context("the running server");
  }
  Result<std::string> AskText(std::string_view method, std::string_view path) {
    const auto answer = TRY(Ask(method, path));
    return answer->ReadAll(kAnswerMost);
  }

  Result<int> Stats() {
    const auto stopped = store::StatsOfFolder(runtime_, Folder());
    const bool runs = stopped.Failed(Reason::kServiceUnavailable);
    if (!runs && !stopped.ok()) return stopped.status();
    const std::string text = runs ? TRY(AskText("GET", "/knarr/store")) : apiserver::StatsJson(*stopped, {});
    if (Json()) return Print(text + "\n");
    const doc::Document stats = TRY(doc::ParseJson(text));
    const auto number = [&](std::string_view name) { return stats.root.At(name).AsInt(); };
    const doc::Value& read_only = stats.root.At("readOnly");
    return Print(
        fmt::format("Server:    {}\nRevision:  {}\nCompacted: {}\nKeys:      {}\nValues:    {}\nHistory:   {} "
                    "changes\nOn disk:   {}\n",
                    !runs                 ? "stopped"
                    : read_only.is_null() ? "running"
                                          : "running, read-only: " + std::string(read_only.AsString()),
                    number("revision"), number("compacted"), number("keys"), Megabytes(number("valueBytes")),
                    number("historyEvents"), Megabytes(number("diskBytes"))));
  }

  Result<int> Check(bool repair) {
    const auto stopped = repair ? store::RepairFolder(runtime_, Folder()) : store::CheckFolder(runtime_, Folder());
    const bool runs = stopped.Failed(Reason::kServiceUnavailable);
    if (!runs && !stopped.ok()) return stopped.status();
    const std::string text = !runs    ? apiserver::ReportJson(*stopped)
                             : repair ? TRY(AskText("POST", "/knarr/store/repair"))
                                      : TRY(AskText("GET", "/knarr/store/check"));
    const doc::Document report = TRY(doc::ParseJson(text));
    const bool damaged = report.root.At("damaged").AsInt() > 0;
    const int code = damaged && !repair ? kDamageFound : 0;
    if (Json()) {
      Print(text + "\n");
      return code;
    }
    Print(fmt::format("{} records are good, up to revision {}; {} on the disk\n", report.root.At("records").AsInt(),
                      report.root.At("revision").AsInt(), Megabytes(report.root.At("diskBytes").AsInt())));
    for (const doc::Value& damage : report.root.At("damages").items()) Print(Line(damage));
    const int64_t more = report.root.At("damaged").AsInt() - static_cast<int64_t>(report.root.At("damages").size());
    if (more > 0) Print(fmt::format("and {} more\n", more));
    if (report.root.At("quarantine").is_string()) {
      Print(fmt::format("what was damaged is in {}\n", report.root.At("quarantine").AsString()));
    }
    Print(!damaged ? "nothing is damaged\n"
          : repair ? "the store is whole again\n"
                   : "damage was found: knarr store repair mends it, or restore a backup\n");
    return code;
  }

  static std::string Line(const doc::Value& damage) {
    std::string where;
    if (damage.At("row").is_int()) where = fmt::format("record {}", damage.At("row").AsInt());
    if (damage.At("rowEnd").is_int()) where += fmt::format(" to {}", damage.At("rowEnd").AsInt());
    if (damage.At("toTheEnd").AsBool()) where += " to the last";
    if (damage.At("revision").is_int()) where += fmt::format(", revision {}", damage.At("revision").AsInt());
    std::string line = "damaged: ";
    if (damage.At("object").is_string()) line += fmt::format("{} ({}) ", damage.At("object").AsString(), where);
    if (!damage.At("object").is_string() && !where.empty()) line += where + " ";
    line += damage.At("why").AsString();
    if (damage.At("outcome").is_string()) line += fmt::format("; {}", damage.At("outcome").AsString());
    return line + "\n";
  }

  Result<int> Compact() {
    const auto stopped = store::CompactFolder(runtime_, Folder());
    const bool runs = stopped.Failed(Reason::kServiceUnavailable);
    if (!runs && !stopped.ok()) return stopped.status();
    const std::string text = runs ? TRY(AskText("POST", "/knarr/store/compact")) : apiserver::ReclaimedJson(*stopped);
    if (Json()) return Print(text + "\n");
    const doc::Document done = TRY(doc::ParseJson(text));
    return Print(fmt::format("history up to revision {} is gone; {} on the disk, {} before\n",
                             done.root.At("compacted").AsInt(), Megabytes(done.root.At("diskBytes").AsInt()),
                             Megabytes(done.root.At("diskBytesBefore").AsInt())));
  }

  int PrintBackup(std::string_view what, const store::BackupInfo& info, const std::string& file) {
    if (Json()) {
      return Print(fmt::format("{{\"revision\":{},\"records\":{}}}\n", info.revision, info.records));
    }
    return Print(fmt::format("{} {}: {} objects at revision {}\n", what, file, info.records, info.revision));
  }

  /// Under another name until all of it is there and was read again.
  Result<int> Backup(const std::string& file) {
    rt::FileSystem& files = runtime_.files();
    if (files.Exists(file)) return AlreadyExists(file + " is there already: give the backup a name of its own");
    const std::string partial = file + ".partial";
    const Result<store::BackupInfo> info = WriteBackup(partial);
    if (!info.ok()) {
      (void)files.Remove(partial);
      return info.status();
    }
    TRY(files.Rename(partial, file));
    TRY(files.SyncDirectory(DirName(file)));
    return PrintBackup("written to", *info, file);
  }

  Result<store::BackupInfo> WriteBackup(const std::string& partial) {
    {
      // One that was killed left it, and whoever made it may have let others read it.
      TRY(runtime_.files().Remove(partial));
      const auto out = TRY(runtime_.files().Open(partial, rt::OpenMode::kCreateNew, 0600));
      const auto stopped =
          store::BackupFolder(runtime_, Folder(), [&](std::string_view bytes) { return out->Append(bytes); });
      if (stopped.Failed(Reason::kServiceUnavailable)) {
        TRY(Fetch(*out));
      } else if (!stopped.ok()) {
        return stopped.status();
      }
      TRY(out->Sync());
    }
    return store::CheckBackup(runtime_, partial);
  }

  Ok Fetch(rt::File& out) {
    const auto answer = TRY(Ask("GET", "/knarr/store/backup"));
    std::string piece(kPiece, '\0');
    while (true) {
      const size_t size = TRY(answer->Read(piece.data(), piece.size()));
      if (size == 0) return {};
      TRY(out.Append(std::string_view(piece).substr(0, size)));
    }
  }

  Result<int> Restore(const std::string& file) {
    const store::BackupInfo info =
        TRY(store::RestoreFolder(runtime_, Folder(), file, {.force = flags_.force, .bump = flags_.bump}));
    return PrintBackup("restored from", info, file);
  }

  rt::Runtime& runtime_;
  cli::Console& console_;
  const Flags flags_;
  std::unique_ptr<client::HttpClient> client_;
};

Result<int> RunWith(cli::Invocation& invocation) {
  Flags flags;
  flags.data_directory = invocation.env("KNARR_DATA_DIR").value_or(ServerOptions().data_directory);
  cli::FlagSet set;
  set.String(&flags.data_directory, "data-dir", 0, "The server's data folder");
  set.String(&flags.output, "output", 'o', "json: the answer for programs");
  set.Bool(&flags.force, "force", 0, "restore: replace a store that has something");
  set.Int(
      &flags.bump, "bump-revision", 0,
      "restore: how far behind the backup's revision the store goes on, so that no revision a client has seen comes "
      "again");
  set.Bool(&flags.help, "help", 'h', "Show this text");
  const std::vector<std::string> args = TRY(set.Parse(invocation.args));
  if (flags.help || args.empty()) {
    const std::string usage = std::string(kUsage) + set.Usage();
    (void)(flags.help ? invocation.console.Out(usage) : invocation.console.Err(usage));
    return flags.help ? 0 : 1;
  }
  if (!flags.output.empty() && flags.output != "json") return BadRequest("--output: want json");
  if (flags.bump < 0) return BadRequest("--bump-revision: want no less than 0");
  if (!flags.data_directory.starts_with('/')) return BadRequest("--data-dir: want an absolute path");
  return StoreCommand(invocation, std::move(flags)).Run(args);
}

}  // namespace

int RunStore(cli::Invocation invocation) {
  const Result<int> code = RunWith(invocation);
  if (code.ok()) return *code;
  (void)invocation.console.Err("error: " + code.status().message() + "\n");
  return 1;
}

}  // namespace knarr::main
