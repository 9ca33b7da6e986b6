#include "cli/kubectl/session.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "cli/kubectl/errors.h"

namespace knarr::cli {
Session::Session(Invocation invocation) : invocation_(std::move(invocation)) {
  flags_.String(&globals_.kubeconfig, "kubeconfig", 0, "Path to the kubeconfig file");
  flags_.String(&globals_.context, "context", 0, "The kubeconfig context to use");
  flags_.String(&globals_.cluster, "cluster", 0, "The kubeconfig cluster to use");
  flags_.String(&globals_.user, "user", 0, "The kubeconfig user to use");
  flags_.String(&globals_.ns, "namespace", 'n', "The namespace to work in");
  flags_.String(&globals_.server, "server", 's', "Address and port of the API server");
  flags_.String(&globals_.token, "token", 0, "Bearer token for the API server");
  flags_.String(&globals_.request_timeout, "request-timeout", 0,
                "How long one request may take (1s, 2m, seconds); 0: no limit");
  flags_.String(&globals_.certificate_authority, "certificate-authority", 0, "File of the authority's certificate");
  flags_.String(&globals_.client_certificate, "client-certificate", 0, "File of the client's certificate");
  flags_.String(&globals_.client_key, "client-key", 0, "File of the client's key");
  flags_.String(&globals_.as, "as", 0, "User to act as");
  flags_.Bool(&globals_.insecure, "insecure-skip-tls-verify", 0, "Do not check the server's certificate");
  flags_.Int(&globals_.verbosity, "v", 'v', "How much to tell of each request: 6 to 10");
}

Ok Session::Open(const Connect& connect) {
  connection_ = MarkErrors(TRY(connect(invocation_, globals_)));
  return {};
}

Result<std::string> Session::NamespaceFor(const api::KindInfo& kind, std::string_view written) {
  if (!kind.namespaced) return std::string();
  if (!written.empty()) {
    if (!globals_.ns.empty() && globals_.ns != written) {
      return BadRequest(
          fmt::format("the namespace from the provided object \"{}\" does not match the namespace \"{}\". "
                      "You must pass '--namespace={}' to perform this operation.",
                      written, globals_.ns, written));
    }
    return std::string(written);
  }
  return ns();
}

Ok Session::PrintLine(std::string_view text) {
  TRY(Print(text));
  return Print("\n");
}

Ok Session::Warn(std::string_view text) { return console().Err(text); }

namespace {

/// Where the verb stands among the arguments: global flags may come before it (`kubectl -n x get pods`).
size_t FindVerb(const std::vector<std::string>& args) {
  size_t at = 0;
  while (at < args.size() && args[at].starts_with('-')) {
    const bool has_value = args[at].find('=') != std::string::npos;
    const bool boolean = args[at] == "--insecure-skip-tls-verify" || args[at] == "--help" || args[at] == "-h";
    const bool glued = !args[at].starts_with("--") && args[at].size() > 2;
    at += has_value || boolean || glued ? 1 : 2;
  }
  return std::min(at, args.size());
}

bool AsksForHelp(const std::vector<std::string>& args) {
  for (const std::string& arg : args) {
    if (arg == "--") return false;
    if (arg == "--help" || arg == "-h") return true;
  }
  return false;
}

int ListVerbs(Console& console) {
  std::string text = "kubectl controls the Kubernetes cluster.\n\nCommands:\n";
  for (const Verb& verb : AllVerbs()) text += fmt::format("  {:<14}{}\n", verb.name, verb.summary);
  text += "\nUse \"kubectl VERB --help\" for a verb's flags.\n";
  return console.Out(text).ok() ? 0 : 1;
}

int RunVerb(const Verb& verb, Invocation invocation, const Connect& connect) {
  Console& console = invocation.console;
  const std::vector<std::string> args = invocation.args;
  Session session(std::move(invocation));
  std::unique_ptr<Command> command = verb.make();
  command->AddFlags(session.flags());
  if (AsksForHelp(args)) {
    const std::string text =
        fmt::format("{}\n\nUsage:\n  kubectl {}\n\nOptions:\n{}", verb.summary, verb.usage, session.flags().Usage());
    return console.Out(text).ok() ? 0 : 1;
  }
  Result<int> done = 1;
  Result<std::vector<std::string>> rest = session.flags().Parse(args);
  if (!rest.ok()) {
    done = FlagError(rest.status().message());
  } else {
    const Ok opened = command->needs_connection() ? session.Open(connect) : Ok();
    done = opened.ok() ? command->Run(session, *rest) : opened.status();
  }
  if (done.ok()) return *done;
  // An error after output that nobody reads any more (a closed pipe) is not worth a line.
  if (console.Flush().ok()) (void)console.Err(ErrorText(done.status(), verb.name));
  return 1;
}

}  // namespace

int RunKubectlWith(Invocation invocation, const Connect& connect) {
  const size_t at = FindVerb(invocation.args);
  const std::string name = at < invocation.args.size() ? invocation.args[at] : "";
  if (name.empty() || name == "help") return ListVerbs(invocation.console);
  for (const Verb& verb : AllVerbs()) {
    if (verb.name != name) continue;
    invocation.args.erase(invocation.args.begin() + static_cast<ptrdiff_t>(at));
    return RunVerb(verb, std::move(invocation), connect);
  }
  (void)invocation.console.Err(fmt::format("error: unknown command \"{}\" for \"kubectl\"\n", name));
  return 1;
}

int RunKubectl(Invocation invocation) { return RunKubectlWith(std::move(invocation), ConnectByKubeconfig); }

}  // namespace knarr::cli
