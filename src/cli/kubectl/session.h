#pragma once

// What every kubectl verb works with: its flags, the connection, the namespace, the output.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/flags.h"
#include "cli/invocation.h"
#include "client/client.h"
#include "client/node_access.h"

namespace knarr::cli {

/// How a verb reaches a cluster. Tests give an in-process one.
class Connection {
 public:
  virtual ~Connection() = default;
  virtual client::Client& client() = 0;
  /// Logs and exec of pods.
  virtual client::PodAccess& pods() = 0;
  /// The body of a GET of a path ("/version").
  virtual Result<std::string> GetRaw(std::string_view path) = 0;
  virtual std::string server() const = 0;
  /// The context's namespace, "default" when it names none.
  virtual std::string ns() const = 0;
};

struct GlobalFlags {
  std::string kubeconfig;
  std::string context;
  std::string cluster;
  std::string user;
  std::string ns;
  std::string server;
  std::string token;
  std::string request_timeout = "0";
  std::string certificate_authority;
  std::string client_certificate;
  std::string client_key;
  std::string as;
  bool insecure = false;
  int64_t verbosity = 0;
};

/// Connects by the kubeconfig and the global flags.
using Connect = std::function<Result<std::unique_ptr<Connection>>(const Invocation&, const GlobalFlags&)>;
Result<std::unique_ptr<Connection>> ConnectByKubeconfig(const Invocation& invocation, const GlobalFlags& flags);

class Session {
 public:
  explicit Session(Invocation invocation);
  /// By the global flags, once they are parsed.
  Ok Open(const Connect& connect);

  rt::Runtime& runtime() { return invocation_.runtime; }
  Console& console() { return invocation_.console; }
  const Invocation& invocation() const { return invocation_; }
  FlagSet& flags() { return flags_; }
  const GlobalFlags& globals() const { return globals_; }

  /// Ready before a command runs (the network is used with the first request only).
  Connection& connection() { return *connection_; }
  client::Client& client() { return connection_->client(); }
  /// --namespace, or the context's.
  std::string ns() const { return globals_.ns.empty() ? connection_->ns() : globals_.ns; }
  /// "" for kinds without a namespace.
  Result<std::string> NamespaceFor(const api::KindInfo& kind, std::string_view written = {});

  Ok Print(std::string_view text) { return console().Out(text); }
  Ok PrintLine(std::string_view text);
  Ok Warn(std::string_view text);

 private:
  Invocation invocation_;
  GlobalFlags globals_;
  FlagSet flags_;
  std::unique_ptr<Connection> connection_;
};

/// One verb: a file in this folder. Its members are its flags' variables.
class Command {
 public:
  virtual ~Command() = default;
  virtual void AddFlags(FlagSet& flags) = 0;
  /// Whether Run talks to a cluster; asked once the flags are read.
  virtual bool needs_connection() const { return true; }
  /// `args` are the arguments that are no flags. An error is printed by the caller; the result is the exit code.
  virtual Result<int> Run(Session& session, const std::vector<std::string>& args) = 0;
};

struct Verb {
  std::string_view name;
  std::string_view usage;    ///< "get (TYPE [NAME] | TYPE/NAME | -f FILE) [flags]"
  std::string_view summary;  ///< one line
  std::unique_ptr<Command> (*make)();
};
/// verbs.cc: the one list.
std::span<const Verb> AllVerbs();

/// `knarr kubectl` with another way to connect: for tests.
int RunKubectlWith(Invocation invocation, const Connect& connect);

}  // namespace knarr::cli
