#include "main/etcd_flags.h"

#include <algorithm>

#include "base/strings.h"
#include "rt/file_system.h"
#include "store/etcd/cluster.h"
#include "store/etcd/engine.h"
#include "store/folder.h"

namespace knarr::main {
namespace {

constexpr size_t kFileMax = 1 << 20;
constexpr std::string_view kRoot = "/registry/";

/// "/a/b/" of "a/b", as kube-apiserver reads its prefix.
Result<std::string> Prefix(const std::string& text) {
  std::string out = "/";
  for (const std::string_view part : Split(text, '/')) {
    if (!part.empty()) out.append(part).append("/");
  }
  if (out == "/") return BadRequest("--etcd-prefix: want a name");
  return out;
}

Result<store::etcd::ClusterOptions> ClusterOf(rt::Runtime& world, const EtcdFlags& flags) {
  rt::FileSystem& files = world.files();
  store::etcd::ClusterOptions out;
  out.servers = flags.servers;
  if (!flags.ca_file.empty()) out.ca_pem = TRY(files.ReadFile(flags.ca_file, kFileMax).Context("--etcd-cafile"));
  if (flags.certificate_file.empty() != flags.key_file.empty()) {
    return BadRequest("--etcd-certfile and --etcd-keyfile go together");
  }
  if (!flags.certificate_file.empty()) {
    net::KeyPair pair;
    pair.certificate_pem = TRY(files.ReadFile(flags.certificate_file, kFileMax).Context("--etcd-certfile"));
    pair.key_pem = TRY(files.ReadFile(flags.key_file, kFileMax).Context("--etcd-keyfile"));
    out.identity = std::move(pair);
  }
  const bool secure = std::ranges::all_of(flags.servers, [](const auto& url) { return url.starts_with("https://"); });
  if (!secure && (!flags.ca_file.empty() || !flags.certificate_file.empty())) {
    return BadRequest("--etcd-cafile and --etcd-certfile are for servers with https://");
  }
  if (flags.user.empty() != flags.password_file.empty()) {
    return BadRequest("--etcd-username and --etcd-password-file go together");
  }
  if (flags.user.empty()) return out;
  out.user = flags.user;
  const std::string password = TRY(files.ReadFile(flags.password_file, kFileMax).Context("--etcd-password-file"));
  out.password = password.substr(0, password.find_first_of("\r\n"));
  return out;
}

}  // namespace

void RegisterEtcdFlags(cli::FlagSet& flags, EtcdFlags& out) {
  flags.StringSlice(
      &out.servers, "etcd-servers", 0,
      "The etcd servers (http://HOST:PORT or https://HOST:PORT) that keep the cluster's state, instead of "
      "the data folder; several servers may share them");
  flags.String(&out.ca_file, "etcd-cafile", 0, "The certificate authority of the etcd servers");
  flags.String(&out.certificate_file, "etcd-certfile", 0, "The certificate to show to the etcd servers");
  flags.String(&out.key_file, "etcd-keyfile", 0, "The key of --etcd-certfile");
  flags.String(&out.prefix, "etcd-prefix", 0, "The prefix of all keys in etcd");
  flags.DurationOf(&out.compaction_interval, "etcd-compaction-interval", 0,
                   "How often etcd's history is compacted, by one of the servers; 0: not by them");
  flags.String(&out.user, "etcd-username", 0, "The user of etcd");
  flags.String(&out.password_file, "etcd-password-file", 0, "A file with the password of --etcd-username");
}

Result<OpenedStore> OpenStore(rt::Runtime& world, const EtcdFlags& flags, store::EmbeddedOptions embedded) {
  OpenedStore out;
  if (flags.servers.empty()) {
    if (flags != EtcdFlags()) return BadRequest("flags of etcd without --etcd-servers");
    out.store = TRY(store::OpenEmbedded(world, std::move(embedded)));
    return out;
  }
  if (flags.compaction_interval < Duration{}) return BadRequest("--etcd-compaction-interval: want no negative time");
  store::etcd::EngineOptions options;
  options.prefix = TRY(Prefix(flags.prefix));
  options.root = kRoot;
  options.sealer = std::move(embedded.sealer);
  options.compaction_interval = flags.compaction_interval;
  // The data folder is this server's alone, wherever the state is.
  TRY(world.files().MakeDirectories(embedded.directory, 0700));
  out.lock = TRY(store::LockFolder(world, embedded.directory));
  store::etcd::ClusterOptions cluster = TRY(ClusterOf(world, flags));
  auto api = TRY(store::etcd::OpenCluster(world, std::move(cluster)));
  out.store = TRY(store::etcd::Engine::Open(world, std::move(options), std::move(api)).Context("--etcd-servers"));
  return out;
}

}  // namespace knarr::main
