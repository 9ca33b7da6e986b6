#pragma once

// A node that runs nothing: every log has three lines, every command answers with its words and what it reads, every
// port repeats what it is sent, and the node's own server tells what it was asked.

#include <memory>
#include <string>

#include "client/node_access.h"
#include "net/http.h"
#include "rt/sync.h"

namespace knarr {

class EchoLog : public client::LogStream {
 public:
  EchoLog(rt::Runtime& runtime, bool follow) : runtime_(runtime), follow_(follow) {}
  Result<std::string> Read() override {
    if (line_ == 3) {
      if (follow_) TRY(runtime_.Sleep(1h));
      return std::string();
    }
    return "line " + std::to_string(++line_) + "\n";
  }

 private:
  rt::Runtime& runtime_;
  bool follow_;
  int line_ = 0;
};

/// `exit N` ends with N, `missing` can't be started; anything else prints its words and then its input until that ends.
class EchoExec : public client::ExecStream {
 public:
  EchoExec(rt::Runtime& runtime, const client::ExecOptions& options) : output_(runtime, 64) {
    std::string words;
    for (const std::string& word : options.command) words += (words.empty() ? "" : " ") + word;
    (void)output_.TryPush({1, words + "\n"});
    if (options.command.size() == 2 && options.command[0] == "exit") exit_ = std::stoi(options.command[1]);
    if (!options.stdin_open || exit_ != 0) output_.Close();
  }
  Result<Chunk> Read() override {
    Result<Chunk> chunk = output_.Pop();
    if (chunk.ok()) return chunk;
    if (output_.closed()) return Chunk{1, ""};
    return chunk.status();
  }
  Ok WriteStdin(std::string_view data) override {
    (void)output_.TryPush({1, "<" + std::string(data) + ">"});
    return {};
  }
  void CloseStdin() override { output_.Close(); }
  Ok Resize(uint16_t columns, uint16_t rows) override {
    (void)output_.TryPush({1, "[" + std::to_string(columns) + "x" + std::to_string(rows) + "]"});
    return {};
  }
  Result<int> Wait() override { return exit_; }
  void Close() override { output_.Close(); }

 private:
  rt::Queue<Chunk> output_;
  int exit_ = 0;
};

class EchoNode : public client::NodeAccess {
 public:
  explicit EchoNode(rt::Runtime& runtime) : runtime_(runtime), fibers_(runtime, "echo node") {}
  ~EchoNode() override { fibers_.StopAndJoin(); }
  rt::Runtime& runtime() override { return runtime_; }
  Result<std::unique_ptr<client::LogStream>> Logs(std::string_view /*ns*/, std::string_view pod,
                                                  const client::LogOptions& options) override {
    if (options.previous) {
      return BadRequest("previous terminated container \"" + options.container + "\" in pod \"" + std::string(pod) +
                        "\" not found");
    }
    return std::unique_ptr<client::LogStream>(std::make_unique<EchoLog>(runtime_, options.follow));
  }
  Result<std::unique_ptr<client::ExecStream>> Exec(std::string_view /*ns*/, std::string_view /*pod*/,
                                                   const client::ExecOptions& options) override {
    if (!options.command.empty() && options.command[0] == "missing") {
      return Internal("exec: \"missing\": executable file not found in $PATH: unknown");
    }
    return std::unique_ptr<client::ExecStream>(std::make_unique<EchoExec>(runtime_, options));
  }
  Result<std::unique_ptr<client::ExecStream>> Attach(std::string_view ns, std::string_view pod,
                                                     const client::AttachOptions& options) override {
    return Exec(ns, pod, {.container = options.container, .command = {"attached"}, .stdin_open = options.stdin_open});
  }
  /// Nobody listens on port 1.
  Result<std::unique_ptr<net::Stream>> Dial(std::string_view /*ns*/, std::string_view /*pod*/,
                                            uint16_t port) override {
    if (port == 1) return Unavailable("dial tcp4 127.0.0.1:1: connect: connection refused");
    auto ends = net::MemoryPipe(runtime_);
    fibers_.Spawn("port", [stream = std::shared_ptr<net::Stream>(std::move(ends.first))] { Echo(*stream); });
    return std::move(ends.second);
  }
  Result<std::unique_ptr<net::Stream>> DialServer() override {
    auto ends = net::MemoryPipe(runtime_);
    fibers_.Spawn("server", [this, end = std::make_shared<std::unique_ptr<net::Stream>>(std::move(ends.first))] {
      net::ServeConnection(runtime_, std::move(*end), {}, [](net::Request& request, net::Response& response) {
        (void)response.Send(200, {}, request.method + " " + request.target + "\n");
      });
    });
    return std::move(ends.second);
  }

 private:
  static void Echo(net::Stream& stream) {
    char part[1024];
    for (;;) {
      const auto count = stream.Read(part, sizeof part);
      if (!count.ok() || *count == 0 || !stream.Write({part, *count}).ok()) break;
    }
    (void)stream.CloseWrite();
  }

  rt::Runtime& runtime_;
  rt::TaskGroup fibers_;
};

}  // namespace knarr
