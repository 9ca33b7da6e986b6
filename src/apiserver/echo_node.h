#pragma once

// A node that runs nothing: every log has three lines, and every command answers with its words and what it reads.

#include <memory>
#include <string>

#include "client/node_access.h"
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

/// `exit N` ends with N; anything else prints its words and then its input until that ends.
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
  explicit EchoNode(rt::Runtime& runtime) : runtime_(runtime) {}
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
    return std::unique_ptr<client::ExecStream>(std::make_unique<EchoExec>(runtime_, options));
  }

 private:
  rt::Runtime& runtime_;
};

}  // namespace knarr
