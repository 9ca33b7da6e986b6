// Reading kubeconfig files.

#include "client/kubeconfig.h"

#include <optional>

#include "base/strings.h"
#include "client/exec_credential.h"
#include "doc/yaml.h"
#include "rt/file_system.h"

namespace knarr::client {
namespace {

constexpr size_t kFileMax = 16 << 20;

/// One file: its tree, and the folder that its relative paths start from.
struct ConfigFile {
  std::string path;
  std::string folder;
  doc::YamlDocument document;
  const doc::Value& root() const { return document.root(); }
};

/// A named entry and where it was found.
struct Entry {
  const doc::Value* value = nullptr;
  const ConfigFile* file = nullptr;
  const doc::Value& Get(std::string_view field) const {
    static const doc::Value null;
    return value == nullptr ? null : value->At(field);
  }
};

std::string FolderOf(std::string_view path) {
  size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(slash == 0 ? "/" : path.substr(0, slash));
}

Result<std::optional<ConfigFile>> ReadOne(rt::Runtime& runtime, const std::string& path, bool must_exist) {
  auto text = runtime.files().ReadFile(path, kFileMax);
  if (text.Failed(Reason::kNotFound) && !must_exist) return std::optional<ConfigFile>();
  if (text.Failed(Reason::kNotFound)) return NotFound("stat " + path + ": no such file or directory");
  if (!text.ok()) return text.status();
  auto document = doc::ParseYaml(*text);
  if (!document.ok()) return BadRequest("error loading config file \"" + path + "\": " + document.status().message());
  if (!document->root().is_object() && !document->root().is_null()) {
    return BadRequest("error loading config file \"" + path + "\": it is no mapping");
  }
  return std::optional<ConfigFile>(ConfigFile{path, FolderOf(path), std::move(*document)});
}

Result<std::vector<ConfigFile>> ReadAll(rt::Runtime& runtime, const KubeconfigSource& source) {
  std::vector<ConfigFile> files;
  auto add = [&](ConfigFile file) {
    if (source.on_file) source.on_file(file.path);
    files.push_back(std::move(file));
  };
  if (!source.path.empty()) {
    add(*TRY(ReadOne(runtime, source.path, true)));
    return files;
  }
  std::vector<std::string> paths;
  for (std::string_view path : Split(source.environment, ':')) {
    if (!path.empty()) paths.emplace_back(path);
  }
  if (paths.empty() && !source.home.empty()) paths.push_back(source.home + "/.kube/config");
  for (const std::string& path : paths) {
    if (auto file = TRY(ReadOne(runtime, path, false)); file.has_value()) add(std::move(*file));
  }
  return files;
}

/// The entry of a list such as "clusters", in the first file that has it.
Entry Find(const std::vector<ConfigFile>& files, std::string_view list, std::string_view inner, std::string_view name) {
  for (const ConfigFile& file : files) {
    for (const doc::Value& item : file.root().At(list).items()) {
      if (item.At("name").AsString() == name) return {&item.At(inner), &file};
    }
  }
  return {};
}

std::string CurrentContext(const std::vector<ConfigFile>& files) {
  for (const ConfigFile& file : files) {
    if (auto name = file.root().At("current-context").AsString(); !name.empty()) return std::string(name);
  }
  return {};
}

Result<std::string> ReadPem(rt::Runtime& runtime, const std::string& path, std::string_view what) {
  auto text = runtime.files().ReadFile(path, kFileMax);
  if (text.ok()) return text;
  return BadRequest("unable to read " + std::string(what) + " " + path + ": " + text.status().message());
}

/// `<field>-data` (base64) if it is there, else the file that `<field>` names.
Result<std::string> PemOf(rt::Runtime& runtime, const Entry& entry, const std::string& field) {
  if (auto data = entry.Get(field + "-data").AsString(); !data.empty()) {
    auto pem = Base64Decode(data);
    if (!pem.ok()) return BadRequest(entry.file->path + ": " + field + "-data: " + pem.status().message());
    return pem;
  }
  std::string path(entry.Get(field).AsString());
  if (path.empty()) return std::string();
  if (!path.starts_with('/')) path = entry.file->folder + "/" + path;
  return ReadPem(runtime, path, field);
}

Ok ReadCluster(rt::Runtime& runtime, const Entry& cluster, RestConfig& config) {
  if (auto server = cluster.Get("server").AsString(); !server.empty()) config.server = server;
  config.tls_server_name = cluster.Get("tls-server-name").AsString();
  config.insecure = cluster.Get("insecure-skip-tls-verify").AsBool();
  config.ca_pem = TRY(PemOf(runtime, cluster, "certificate-authority"));
  return {};
}

Ok ReadUser(rt::Runtime& runtime, const Entry& user, const KubeconfigSource& source, RestConfig& config) {
  config.client_certificate_pem = TRY(PemOf(runtime, user, "client-certificate"));
  config.client_key_pem = TRY(PemOf(runtime, user, "client-key"));
  config.token = user.Get("token").AsString();
  if (auto path = user.Get("tokenFile").AsString(); !path.empty()) {
    std::string whole = path.starts_with('/') ? std::string(path) : user.file->folder + "/" + std::string(path);
    config.token = TrimSpace(TRY(ReadPem(runtime, whole, "tokenFile")));
  }
  config.username = user.Get("username").AsString();
  config.password = user.Get("password").AsString();
  config.impersonate_user = user.Get("as").AsString();
  for (const doc::Value& group : user.Get("as-groups").items()) {
    config.impersonate_groups.emplace_back(group.AsString());
  }
  if (user.Get("auth-provider").is_object()) {
    return BadRequest("the auth-provider plugin \"" + std::string(user.Get("auth-provider").At("name").AsString()) +
                      "\" has been removed from Kubernetes; use an exec plugin");
  }
  if (user.Get("exec").is_object() && source.token.empty() && source.client_certificate.empty()) {
    return RunExecPlugin(runtime, user.Get("exec"), user.file->folder, source.exec_environ, config);
  }
  return {};
}

Ok ApplyOverrides(rt::Runtime& runtime, const KubeconfigSource& source, RestConfig& config) {
  if (!source.server.empty()) config.server = source.server;
  if (!source.token.empty()) config.token = source.token;
  if (!source.ns.empty()) config.ns = source.ns;
  if (!source.impersonate_user.empty()) config.impersonate_user = source.impersonate_user;
  if (!source.certificate_authority.empty()) {
    config.ca_pem = TRY(ReadPem(runtime, source.certificate_authority, "certificate-authority"));
    config.insecure = false;
  }
  if (!source.client_certificate.empty()) {
    config.client_certificate_pem = TRY(ReadPem(runtime, source.client_certificate, "client-certificate"));
  }
  if (!source.client_key.empty()) config.client_key_pem = TRY(ReadPem(runtime, source.client_key, "client-key"));
  if (source.insecure) {
    config.insecure = true;
    config.ca_pem.clear();
  }
  if (config.server.find("://") == std::string::npos) config.server = "https://" + config.server;
  return {};
}

}  // namespace

Result<RestConfig> LoadKubeconfig(rt::Runtime& runtime, const KubeconfigSource& source) {
  std::vector<ConfigFile> files = TRY(ReadAll(runtime, source));
  RestConfig config;
  config.context = source.context.empty() ? CurrentContext(files) : source.context;
  Entry context;
  if (!config.context.empty()) {
    context = Find(files, "contexts", "context", config.context);
    if (context.value == nullptr) return NotFound("context \"" + config.context + "\" does not exist");
  }
  std::string cluster_name(source.cluster.empty() ? context.Get("cluster").AsString() : source.cluster);
  std::string user_name(source.user.empty() ? context.Get("user").AsString() : source.user);
  if (auto ns = context.Get("namespace").AsString(); !ns.empty()) config.ns = ns;
  Entry cluster = Find(files, "clusters", "cluster", cluster_name);
  if (!cluster_name.empty() && cluster.value == nullptr) {
    return NotFound("cluster \"" + cluster_name + "\" does not exist");
  }
  if (cluster.value != nullptr) TRY(ReadCluster(runtime, cluster, config));
  Entry user = Find(files, "users", "user", user_name);
  if (!user_name.empty() && user.value == nullptr) return NotFound("auth info \"" + user_name + "\" does not exist");
  if (user.value != nullptr) TRY(ReadUser(runtime, user, source, config));
  TRY(ApplyOverrides(runtime, source, config));
  return config;
}

}  // namespace knarr::client
