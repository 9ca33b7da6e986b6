#include "client/http_pods.h"

#include "base/strings.h"
#include "client/http_ports.h"
#include "doc/json.h"
#include "rt/sync.h"

namespace knarr::client {
namespace {

constexpr std::string_view kV5 = "v5.channel.k8s.io";
constexpr std::string_view kV4 = "v4.channel.k8s.io";
constexpr size_t kStdinPart = 32 << 10;
constexpr size_t kReadSize = 32 << 10;

// The channels of remotecommand: the first byte of each message.
constexpr uint8_t kStdin = 0;
constexpr uint8_t kStdout = 1;
constexpr uint8_t kStderr = 2;
constexpr uint8_t kError = 3;
constexpr uint8_t kResize = 4;
constexpr uint8_t kClose = 255;

class HttpLogs : public LogStream {
 public:
  explicit HttpLogs(std::unique_ptr<net::ClientResponse> response) : response_(std::move(response)) {}
  Result<std::string> Read() override {
    std::string text(kReadSize, '\0');
    text.resize(TRY(response_->Read(text.data(), text.size())));
    return text;
  }

 private:
  std::unique_ptr<net::ClientResponse> response_;
};

class HttpExec : public ExecStream {
 public:
  HttpExec(rt::Runtime& runtime, std::unique_ptr<net::WebSocket> socket)
      : socket_(std::move(socket)), changed_(runtime) {}

  Result<Chunk> Read() override {
    reading_ = true;
    auto chunk = ReadChunk();
    reading_ = false;
    changed_.NotifyAll();
    return chunk;
  }

  Ok WriteStdin(std::string_view data) override {
    while (!data.empty()) {
      std::string message(1, static_cast<char>(kStdin));
      message += data.substr(0, kStdinPart);
      data.remove_prefix(std::min(data.size(), kStdinPart));
      TRY(socket_->Write(message));
    }
    return {};
  }

  void CloseStdin() override {
    // Version 4 has no way to say it; and a connection that is gone has no standard input.
    if (socket_->protocol() == kV5) (void)socket_->Write(std::string{static_cast<char>(kClose), '\0'});
  }

  Ok Resize(uint16_t columns, uint16_t rows) override {
    std::string message(1, static_cast<char>(kResize));
    message += "{\"Width\":" + std::to_string(columns) + ",\"Height\":" + std::to_string(rows) + "}";
    return socket_->Write(message);
  }

  Result<int> Wait() override {
    while (!exit_.has_value()) {
      if (reading_) {
        TRY(changed_.Wait());
      } else {
        TRY(Read());  // nobody else reads: what is left of the output is not wanted
      }
    }
    return *exit_;
  }

  void Close() override { socket_->Close(); }

 private:
  Result<Chunk> ReadChunk() {
    while (!ended_) {
      auto message = socket_->Read();
      if (!message.ok()) {
        ended_ = true;
        if (exit_.has_value()) break;
        exit_ = message.status().WithContext("exec: the connection ended before the command");
        return exit_->status();
      }
      if (message->data.empty()) continue;
      auto channel = static_cast<uint8_t>(message->data[0]);
      message->data.erase(0, 1);
      if (channel == kError && !message->data.empty()) {
        exit_ = ExitCodeOf(message->data);
      } else if ((channel == kStdout || channel == kStderr) && !message->data.empty()) {
        return Chunk{channel, std::move(message->data)};
      }
    }
    return Chunk{1, {}};
  }

  std::unique_ptr<net::WebSocket> socket_;
  rt::WaitQueue changed_;
  bool reading_ = false;
  bool ended_ = false;
  std::optional<Result<int>> exit_;
};

std::string PodPath(std::string_view ns, std::string_view pod, std::string_view subresource) {
  std::string path = "/api/v1/namespaces/";
  path += ns;
  path += "/pods/";
  path += pod;
  path += '/';
  path += subresource;
  return path;
}

Ok CheckNames(std::string_view ns, std::string_view pod) {
  for (std::string_view name : {ns, pod}) {
    if (name.empty() || name == "." || name == ".." || name.find_first_of("/%") != std::string_view::npos) {
      return BadRequest("invalid name " + GoQuote(name));
    }
  }
  return {};
}

class HttpPods : public PodAccess {
 public:
  HttpPods(rt::Runtime& runtime, HttpClient& client) : runtime_(runtime), client_(client), ports_(runtime, client) {}

  rt::Runtime& runtime() override { return runtime_; }

  Result<std::unique_ptr<LogStream>> Logs(std::string_view ns, std::string_view pod,
                                          const LogOptions& options) override {
    TRY(CheckNames(ns, pod));
    QueryList query;
    auto add = [&](const char* name, const std::optional<int64_t>& value) {
      if (value.has_value()) query.emplace_back(name, std::to_string(*value));
    };
    if (!options.container.empty()) query.emplace_back("container", options.container);
    if (options.follow) query.emplace_back("follow", "true");
    if (options.previous) query.emplace_back("previous", "true");
    if (options.timestamps) query.emplace_back("timestamps", "true");
    add("sinceSeconds", options.since_seconds);
    if (options.since_time.has_value()) query.emplace_back("sinceTime", FormatTime(*options.since_time));
    add("tailLines", options.tail_lines);
    add("limitBytes", options.limit_bytes);
    net::ClientRequest request = client_.MakeRequest("GET", PodPath(ns, pod, "log"), query);
    request.headers.Set("Accept", "*/*");
    return std::unique_ptr<LogStream>(std::make_unique<HttpLogs>(TRY(client_.Send(request))));
  }

  Result<std::unique_ptr<ExecStream>> Exec(std::string_view ns, std::string_view pod,
                                           const ExecOptions& options) override {
    TRY(CheckNames(ns, pod));
    QueryList query;
    for (const std::string& part : options.command) query.emplace_back("command", part);
    return Command(PodPath(ns, pod, "exec"), std::move(query), options);
  }

  Result<std::unique_ptr<ExecStream>> Attach(std::string_view ns, std::string_view pod,
                                             const AttachOptions& options) override {
    TRY(CheckNames(ns, pod));
    return Command(PodPath(ns, pod, "attach"), {}, options);
  }

  Result<std::unique_ptr<net::Stream>> Dial(std::string_view ns, std::string_view pod, uint16_t port) override {
    TRY(CheckNames(ns, pod));
    return ports_.Dial(PodPath(ns, pod, "portforward"), port);
  }

 private:
  template <typename Options>
  Result<std::unique_ptr<ExecStream>> Command(const std::string& path, QueryList query, const Options& options) {
    if (!options.container.empty()) query.emplace_back("container", options.container);
    if (options.stdin_open) query.emplace_back("stdin", "true");
    if (options.stdout_open) query.emplace_back("stdout", "true");
    if (options.stderr_open && !options.tty) query.emplace_back("stderr", "true");
    if (options.tty) query.emplace_back("tty", "true");
    net::ClientRequest request = client_.MakeRequest("GET", path, query);
    request.headers.Remove("Accept");
    auto socket = TRY(client_.OpenWebSocket(request, {std::string(kV5), std::string(kV4)}));
    if (socket->protocol().empty()) return BadRequest("exec: the server did not agree on a protocol");
    return std::unique_ptr<ExecStream>(std::make_unique<HttpExec>(runtime_, std::move(socket)));
  }

  rt::Runtime& runtime_;
  HttpClient& client_;
  HttpPorts ports_;
};

}  // namespace

Result<int> ExitCodeOf(std::string_view json) {
  doc::Document status = TRY(doc::ParseJson(json).Context("exec: the server's status"));
  if (status.root.At("status").AsString() == "Success") return 0;
  if (status.root.At("reason").AsString() == "NonZeroExitCode") {
    for (const doc::Value& cause : status.root.Get("details", "causes").items()) {
      if (cause.At("reason").AsString() == "ExitCode") return ParseInt<int>(cause.At("message").AsString());
    }
  }
  // Those who write it leave its kind out.
  Reason reason = ReasonFromText(status.root.At("reason").AsString());
  if (reason == Reason::kUnknown) reason = ReasonFromHttpCode(static_cast<int>(status.root.At("code").AsInt(500)));
  return Status(reason, std::string(status.root.At("message").AsString()));
}

std::unique_ptr<PodAccess> MakeHttpPods(rt::Runtime& runtime, HttpClient& client) {
  return std::make_unique<HttpPods>(runtime, client);
}

}  // namespace knarr::client
