#pragma once

// kubeconfig files: reading them as client-go does, and adding our cluster to one without touching the rest.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "doc/value.h"
#include "rt/runtime.h"

namespace knarr::client {

/// How to reach a server and who to be there: what a kubeconfig's context and the command line come to.
struct RestConfig {
  std::string server = "http://localhost:8080";  ///< kubectl's own default when nothing says otherwise
  std::string tls_server_name;
  std::string ca_pem;  ///< "": the system's authorities
  bool insecure = false;
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string token;
  std::string username;
  std::string password;
  std::string impersonate_user;
  std::vector<std::string> impersonate_groups;
  std::string ns = "default";  ///< the context's namespace
  std::string context;         ///< its name, "" for none
  std::string user_agent;      ///< "": knarr and its version
  /// Called with the text of each `Warning:` header of a response.
  std::function<void(std::string_view text)> on_warning;
  /// How long one request, with its answer's body, may take; zero: as long as it likes.
  Duration request_timeout{};
  /// kubectl's -v, and who is told what (client/http_trace.h).
  int64_t trace_level = 0;
  std::function<void(std::string_view place, std::string_view message)> on_trace;
};

/// Where to look, and what the command line says instead. No environment is read here: the caller gives it.
struct KubeconfigSource {
  std::string path;                       ///< --kubeconfig: this file alone, and it must be there
  std::string environment;                ///< $KUBECONFIG: a list of files, the first to say something wins
  std::string home;                       ///< for ~/.kube/config, when neither is given
  std::vector<std::string> exec_environ;  ///< "NAME=value", for credential plugins
  std::string context;
  std::string cluster;
  std::string user;
  std::string server;
  std::string token;
  std::string certificate_authority;  ///< a file
  std::string client_certificate;     ///< a file
  std::string client_key;             ///< a file
  std::string impersonate_user;
  std::string ns;
  bool insecure = false;
  /// Called with the path of each file that was read.
  std::function<void(const std::string& path)> on_file;
};

/// Reads and merges the files, takes the context, reads the files it names, and runs its credential plugin if it has
/// one. NotFound with kubectl's words for a context, cluster or user that is not there.
Result<RestConfig> LoadKubeconfig(rt::Runtime& runtime, const KubeconfigSource& source);

/// What MergeKubeconfig writes: a cluster, a user and a context, all of one name.
struct KubeconfigEntry {
  std::string name;
  std::string server;
  std::string ca_pem;
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string token;
  /// Makes it the current context even when another one is.
  bool set_current = false;
};

/// What to do while another program has the file's lock. (One that is older than ten seconds is nobody's: whoever made
/// it has died. client-go, which gives up at once, would stop for ever at such a lock.)
enum class LockWait : uint8_t {
  kPatient,  ///< wait for two seconds
  kNone,     ///< Conflict at once
};

/// Adds the entry to the file, or replaces what the file has under its name; everything else in it stays (comments do
/// not: no tool keeps them). The file is replaced as a whole, mode 0600, under the lock file that kubectl takes too.
/// A new file and its folder belong to the owner of the folder they are made in.
Ok MergeKubeconfig(rt::Runtime& runtime, const std::string& path, const KubeconfigEntry& entry,
                   LockWait wait = LockWait::kPatient);
/// Reads the file (which need not be there), changes its tree and replaces it as a whole, as MergeKubeconfig does.
Ok EditKubeconfig(rt::Runtime& runtime, const std::string& path, const std::function<void(doc::Document&)>& change);
/// Removes the cluster, user and context of this name, and forgets them as the current one. Fine if there is no file.
Ok RemoveFromKubeconfig(rt::Runtime& runtime, const std::string& path, std::string_view name);

}  // namespace knarr::client
