// Transcripts of kubectl sessions (tests/golden/cli/*.txt), each run against an API server of its own in virtual time.
// A transcript is
//
//   # a remark
//   %file /m/pod.yaml            a file, up to %end
//   %status Pod default/web {…}  a merge patch of the object's status
//   %sleep 30s                   time goes by
//   $ get pods -o wide           a command; '…' keeps words together, "< FILE" gives it standard input
//   NAME   READY …               what it prints; lines of standard error begin with "2> "
//   [1]                          its exit code, when it is not 0
//
// UPDATE_GOLDEN=1 writes what is printed now into the files.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "api/core_v1.h"
#include "apiserver/apiserver.h"
#include "base/strings.h"
#include "cli/invocation.h"
#include "cli/kubectl/session.h"
#include "net/http_client.h"
#include "rt/file_system.h"
#include "rt/sim.h"
#include "store/store.h"

namespace knarr::cli {
namespace {

constexpr std::string_view kToken = "secret";

/// Answers a request in memory.
class MemoryResponse : public net::Response {
 public:
  int code = 0;
  std::string body;
  Ok Send(int status, net::Headers /*headers*/, std::string_view bytes) override {
    code = status;
    body = bytes;
    return {};
  }
  Ok SendPieces(int status, net::Headers /*headers*/, std::vector<std::string_view> pieces) override {
    code = status;
    for (std::string_view piece : pieces) body += piece;
    return {};
  }
  Ok Start(int status, net::Headers /*headers*/) override {
    code = status;
    return {};
  }
  Ok Write(std::string_view bytes) override {
    body += bytes;
    return {};
  }
  Ok Finish() override { return {}; }
  bool started() const override { return code != 0; }
  Result<std::unique_ptr<net::Stream>> Hijack(net::Headers /*headers*/) override {
    return BadRequest("no stream here");
  }
  void WaitClosed() override {}
};

/// A log of three lines, whatever the pod.
class ThreeLines : public client::LogStream {
 public:
  explicit ThreeLines(const client::LogOptions& options) {
    const int64_t tail = std::min<int64_t>(options.tail_lines.value_or(3), 3);
    for (int64_t line = 4 - tail; line <= 3; ++line) text_ += "line " + std::to_string(line) + "\n";
  }
  Result<std::string> Read() override { return std::exchange(text_, ""); }

 private:
  std::string text_;
};

/// A command that says what it was called with, on both streams, and ends with this code.
class Echo : public client::ExecStream {
 public:
  Echo(const client::ExecOptions& options, int code) : code_(code) {
    chunks_.push_back({1, "ran " + Join(options.command, " ") + " in " + options.container + "\n"});
    chunks_.push_back({2, "and complained\n"});
  }
  Result<Chunk> Read() override { return at_ < chunks_.size() ? chunks_[at_++] : Chunk{1, ""}; }
  Ok WriteStdin(std::string_view /*data*/) override { return {}; }
  void CloseStdin() override {}
  Ok Resize(uint16_t /*columns*/, uint16_t /*rows*/) override { return {}; }
  Result<int> Wait() override { return code_; }
  void Close() override {}

 private:
  const int code_;
  std::vector<Chunk> chunks_;
  size_t at_ = 0;
};

class Pods : public client::PodAccess {
 public:
  explicit Pods(rt::Runtime& runtime) : runtime_(runtime) {}
  rt::Runtime& runtime() override { return runtime_; }
  Result<std::unique_ptr<client::LogStream>> Logs(std::string_view /*ns*/, std::string_view /*pod*/,
                                                  const client::LogOptions& options) override {
    return std::unique_ptr<client::LogStream>(new ThreeLines(options));
  }
  Result<std::unique_ptr<client::ExecStream>> Exec(std::string_view /*ns*/, std::string_view /*pod*/,
                                                   const client::ExecOptions& options) override {
    return std::unique_ptr<client::ExecStream>(new Echo(options, 3));
  }
  Result<std::unique_ptr<client::ExecStream>> Attach(std::string_view /*ns*/, std::string_view /*pod*/,
                                                     const client::AttachOptions& options) override {
    return std::unique_ptr<client::ExecStream>(new Echo({.container = options.container, .command = {"before"}}, 0));
  }
  Result<std::unique_ptr<net::Stream>> Dial(std::string_view /*ns*/, std::string_view /*pod*/,
                                            uint16_t /*port*/) override {
    return Unavailable("connection refused");
  }

 private:
  rt::Runtime& runtime_;
};

class LocalConnection : public Connection {
 public:
  LocalConnection(rt::Runtime& runtime, apiserver::ApiServer& server)
      : server_(server), client_(server.LocalClient({"tester", "", {"system:masters"}})), pods_(runtime) {}
  client::Client& client() override { return *client_; }
  client::PodAccess& pods() override { return pods_; }
  std::string server() const override { return "https://127.0.0.1:6443"; }
  std::string ns() const override { return "default"; }
  Result<std::string> GetRaw(std::string_view path) override {
    net::Request request{.method = "GET", .target = std::string(path)};
    request.url = TRY(net::Url::Parse(path));
    request.headers.Add("Authorization", "Bearer " + std::string(kToken));
    request.read_body = [](size_t) -> Result<std::string> { return std::string(); };
    MemoryResponse response;
    server_.handler()(request, response);
    if (response.code >= 400) return net::StatusOfResponse(response.code, response.body);
    return response.body;
  }

 private:
  apiserver::ApiServer& server_;
  std::unique_ptr<client::Client> client_;
  Pods pods_;
};

/// Words of a command line; single quotes keep what is between them together.
std::vector<std::string> SplitWords(std::string_view line) {
  std::vector<std::string> out;
  bool quoted = false;
  bool open = false;
  for (char c : line) {
    if (c == '\'') {
      quoted = !quoted;
      if (!open) out.emplace_back();
      open = true;
    } else if (c == ' ' && !quoted) {
      open = false;
    } else {
      if (!open) out.emplace_back();
      open = true;
      out.back() += c;
    }
  }
  return out;
}

class Transcript {
 public:
  explicit Transcript(rt::SimRuntime& runtime) : runtime_(runtime), store_(store::OpenMemory(runtime)) {
    apiserver::ApiServerOptions options;
    options.security.tokens.emplace_back(kToken, apiserver::UserInfo{"tester", "", {"system:masters"}});
    server_ = MUST(apiserver::ApiServer::Create(runtime, {&runtime}, *store_, options));
    MUST(server_->Bootstrap());
  }
  ~Transcript() {
    server_->Stop(Duration(0));
    server_.reset();
    store_->Close();
  }

  /// The transcript with what its commands print now.
  std::string Replay(const std::string& text) {
    std::string out;
    std::vector<std::string_view> lines = Lines(text);
    for (size_t i = 0; i < lines.size(); ++i) {
      const std::string_view line = lines[i];
      if (line.starts_with("$ ") || line.starts_with("%") || line.starts_with("#")) out += std::string(line) + "\n";
      if (line.starts_with("%file ")) {
        std::string content;
        while (++i < lines.size() && lines[i] != "%end") content += std::string(lines[i]) + "\n";
        out += content + "%end\n";
        WriteFile(std::string(line.substr(6)), content);
      } else if (line.starts_with("%status ")) {
        SetStatus(line.substr(8));
      } else if (line.starts_with("%sleep ")) {
        const Duration time = MUST(ParseDuration(line.substr(7)));
        MUST(runtime_.Sleep(time));
      } else if (line.starts_with("$ ")) {
        out += Run(line.substr(2));
      }
    }
    return out;
  }

 private:
  void WriteFile(const std::string& path, std::string_view content) {
    MUST(runtime_.files().MakeDirectories(path.substr(0, path.rfind('/'))));
    MUST(runtime_.files().WriteFile(path, content));
  }

  void SetStatus(std::string_view line) {
    const auto kind = *Cut(line, " ");
    const auto name = *Cut(kind.second, " ");
    const auto parts = Cut(name.first, "/");
    const client::ObjectName object = parts ? client::ObjectName{std::string(parts->first), std::string(parts->second)}
                                            : client::ObjectName{"", std::string(name.first)};
    const api::KindInfo* info = api::FindKind("v1", kind.first);
    if (info == nullptr) info = api::FindKind("apps/v1", kind.first);
    LocalConnection connection(runtime_, *server_);
    const std::string patch = "{\"status\":" + std::string(name.second) + "}";
    auto patched = connection.client().Patch(*info, object, client::PatchType::kMerge, patch, "status");
    EXPECT_TRUE(patched.ok()) << line << ": " << (patched.ok() ? "" : patched.status().message());
  }

  std::string Run(std::string_view line) {
    MemoryConsole console;
    std::vector<std::string> args = SplitWords(line);
    if (args.size() > 2 && args[args.size() - 2] == "<") {
      console.input = MUST(runtime_.files().ReadFile(args.back(), 1 << 20));
      args.resize(args.size() - 2);
    }
    const std::map<std::string, std::string, std::less<>> variables = {
        {"HOME", "/home"}, {"PWD", "/m"}, {"KUBECONFIG", "/home/config"}};
    Invocation invocation{.runtime = runtime_, .console = console, .args = args, .env = [&](std::string_view name) {
                            auto found = variables.find(name);
                            return found == variables.end() ? std::nullopt : std::optional(found->second);
                          }};
    const int code =
        RunKubectlWith(invocation, [&](const Invocation&, const GlobalFlags&) -> Result<std::unique_ptr<Connection>> {
          return std::unique_ptr<Connection>(new LocalConnection(runtime_, *server_));
        });
    std::string out = console.out;
    if (!out.empty() && out.back() != '\n') out += "(no line break)\n";
    for (std::string_view error : Lines(console.err)) out += "2> " + std::string(error) + "\n";
    if (code != 0) out += "[" + std::to_string(code) + "]\n";
    // Lines of output that look like commands would be taken for some.
    std::string escaped;
    for (std::string_view text : Lines(out)) {
      const bool special = text.starts_with("$ ") || text.starts_with("%") || text.starts_with("#");
      escaped += (special ? " " : "") + std::string(text) + "\n";
    }
    return escaped;
  }

  rt::SimRuntime& runtime_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<apiserver::ApiServer> server_;
};

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

TEST(CliGolden, PrintsWhatTheTranscriptsSay) {
  // Times are told in the local time zone.
  setenv("TZ", "UTC", 1);
  const bool update = std::getenv("UPDATE_GOLDEN") != nullptr;
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(KNARR_SOURCE_DIR "/tests/golden/cli")) {
    if (entry.path().extension() != ".txt") continue;
    ++count;
    const std::string want = ReadAll(entry.path());
    std::string got;
    const auto runtime = rt::SimRuntime::Create({.seed = 1});
    runtime->Run([&] {
      Transcript transcript(*runtime);
      got = transcript.Replay(want);
    });
    if (update) {
      std::ofstream(entry.path(), std::ios::binary) << got;
    } else {
      EXPECT_EQ(got, want) << entry.path();
    }
  }
  EXPECT_GE(count, 5U);
}

}  // namespace
}  // namespace knarr::cli
