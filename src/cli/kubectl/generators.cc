#include "cli/kubectl/generators.h"
#include "cli/kubectl/errors.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "base/names.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "doc/json.h"
#include "rt/file_system.h"

namespace knarr::cli {
namespace {

constexpr size_t kFileMax = 4 << 20;

std::string BaseName(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

Ok AddKey(std::vector<std::pair<std::string, std::string>>& data, std::string key, std::string value) {
  for (const auto& [present, unused] : data) {
    if (present == key)
      return BadRequest(fmt::format("cannot add key \"{}\", another key by that name already exists", key));
  }
  data.emplace_back(std::move(key), std::move(value));
  return {};
}

/// NAME=value lines, or names alone, whose values are the environment's; empty ones and comments are passed over.
Ok AddEnvFile(const Environment& env, std::vector<std::pair<std::string, std::string>>& data, std::string_view text) {
  for (std::string_view line : Split(text, '\n')) {
    line = TrimSpace(line);
    if (line.empty() || line.front() == '#') continue;
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      TRY(AddKey(data, std::string(line), env(line).value_or("")));
      continue;
    }
    TRY(AddKey(data, std::string(line.substr(0, equals)), std::string(line.substr(equals + 1))));
  }
  return {};
}

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> ParseLabels(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  if (text.empty()) return out;
  for (std::string_view part : Split(text, ',')) {
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0)
      return BadRequest(fmt::format("unexpected label spec: {}", part));
    out.emplace_back(part.substr(0, equals), part.substr(equals + 1));
  }
  return out;
}

Result<std::string> ReadUserFile(Session& session, const std::string& path) {
  const std::string full = path.starts_with('/') ? path : session.invocation().env("PWD").value_or("") + "/" + path;
  Result<std::string> text = session.runtime().files().ReadFile(full, kFileMax);
  if (text.Failed(Reason::kNotFound))
    return BadRequest(fmt::format("error reading {}: no such file or directory", path));
  return text;
}

void Generator::AddFlags(FlagSet& flags) {
  flags.StringArray(&literals_, "from-literal", 0, "KEY=VALUE of a configmap or secret");
  flags.StringArray(&files_, "from-file", 0, "[KEY=]FILE or folder of a configmap or secret");
  flags.StringArray(&env_files_, "from-env-file", 0, "File of KEY=VALUE lines of a configmap or secret");
  flags.StringSlice(&images_, "image", 0, "Images of a deployment's containers");
  flags.StringSlice(&tcp_, "tcp", 0, "PORT[:TARGETPORT] of a service");
  flags.String(&type_, "type", 0, "A secret's type");
  flags.String(&cluster_ip_, "clusterip", 0, "A service's address; None: headless");
  flags.String(&docker_server_, "docker-server", 0, "Registry of a docker-registry secret");
  flags.String(&docker_username_, "docker-username", 0, "User of a docker-registry secret");
  flags.String(&docker_password_, "docker-password", 0, "Password of a docker-registry secret");
  flags.String(&docker_email_, "docker-email", 0, "E-mail of a docker-registry secret");
  flags.String(&cert_, "cert", 0, "Certificate file of a tls secret");
  flags.String(&key_, "key", 0, "Key file of a tls secret");
  flags.Int(&replicas_, "replicas", 'r', "Replicas of a deployment");
  flags.Int(&port_, "port", 0, "Port of a deployment's container");
  flags.Int(&node_port_, "node-port", 0, "Node port of a nodeport service");
}

Result<GeneratedObject> Generator::Make(Session& session, const std::vector<std::string>& args) const {
  const std::string kind = args.front();
  auto name_at = [&](size_t at, std::string_view command) -> Result<std::string> {
    if (args.size() == at + 1) return args[at];
    return UsageError(fmt::format("exactly one NAME is required, got {}", args.size() > at ? args.size() - at : 0),
                      fmt::format("create {}", command));
  };
  GeneratedObject out;
  if (kind == "namespace" || kind == "ns") {
    out.kind = &api::core_v1::NamespaceInfo();
    api::core_v1::NamespaceEdit edit(out.document);
    edit.set_api_version("v1").set_kind("Namespace");
    edit.metadata().set_name(TRY(name_at(1, "namespace")));
    edit.spec();
    edit.status();
    return out;
  }
  if (kind == "serviceaccount" || kind == "sa") {
    out.kind = &api::core_v1::ServiceAccountInfo();
    api::core_v1::ServiceAccountEdit edit(out.document);
    edit.set_api_version("v1").set_kind("ServiceAccount");
    edit.metadata().set_name(TRY(name_at(1, "serviceaccount")));
    return out;
  }
  Result<GeneratedObject> made = UsageError(fmt::format("Unexpected args: [{}]", fmt::join(args, " ")));
  if (kind == "configmap" || kind == "cm") {
    made = MakeConfigMap(session, TRY(name_at(1, "configmap")));
  } else if (kind == "secret" && args.size() > 1) {
    made = MakeSecret(session, args[1], TRY(name_at(2, "secret " + args[1])));
  } else if ((kind == "service" || kind == "svc") && args.size() > 1) {
    made = MakeService(args[1], TRY(name_at(2, "service " + args[1])));
  } else if (kind == "deployment" || kind == "deploy") {
    made = MakeDeployment(args);
  }
  if (made.ok()) made->noun = ToLower(made->kind->kind);
  return made;
}

Result<std::vector<std::pair<std::string, std::string>>> Generator::Data(Session& session) const {
  std::vector<std::pair<std::string, std::string>> data;
  for (const std::string& literal : literals_) {
    const size_t equals = literal.find('=');
    if (equals == std::string::npos || equals == 0) {
      return BadRequest(fmt::format("invalid literal source {}, expected key=value", literal));
    }
    TRY(AddKey(data, literal.substr(0, equals), literal.substr(equals + 1)));
  }
  for (const std::string& source : files_) {
    const size_t equals = source.find('=');
    const std::string path = equals == std::string::npos ? source : source.substr(equals + 1);
    if (path.find('=') != std::string::npos) return BadRequest("key names or file paths cannot contain '='");
    const std::string full = path.starts_with('/') ? path : session.invocation().env("PWD").value_or("") + "/" + path;
    Result<rt::FileInfo> info = session.runtime().files().Stat(full);
    if (!info.ok()) return BadRequest(fmt::format("error reading {}: no such file or directory", path));
    if (info->type != rt::FileType::kDirectory) {
      const std::string key = equals == std::string::npos ? BaseName(path) : source.substr(0, equals);
      std::string text = TRY(ReadUserFile(session, path));
      TRY(AddKey(data, key, std::move(text)));
      continue;
    }
    std::vector<rt::DirectoryEntry> entries = TRY(session.runtime().files().List(full));
    std::ranges::sort(entries, {}, &rt::DirectoryEntry::name);
    for (const rt::DirectoryEntry& entry : entries) {
      if (entry.type != rt::FileType::kFile || !CheckConfigMapKey(entry.name).empty()) continue;
      std::string text = TRY(ReadUserFile(session, path + "/" + entry.name));
      TRY(AddKey(data, entry.name, std::move(text)));
    }
  }
  for (const std::string& path : env_files_) {
    const std::string text = TRY(ReadUserFile(session, path));
    TRY(AddEnvFile(session.invocation().env, data, text));
  }
  std::ranges::sort(data);
  for (const auto& [key, value] : data) {
    const Problems wrong = CheckConfigMapKey(key);
    if (!wrong.empty()) {
      return BadRequest(fmt::format("\"{}\" is not a valid key name for a ConfigMap: {}", key, fmt::join(wrong, ",")));
    }
  }
  return data;
}

Result<GeneratedObject> Generator::MakeConfigMap(Session& session, const std::string& name) const {
  GeneratedObject out{.kind = &api::core_v1::ConfigMapInfo()};
  api::core_v1::ConfigMapEdit edit(out.document);
  edit.set_api_version("v1").set_kind("ConfigMap");
  edit.metadata().set_name(name);
  for (const auto& [key, value] : TRY(Data(session))) {
    if (IsValidUtf8(value)) {
      edit.put_data(key, value);
    } else {
      edit.put_binary_data(key, Base64Encode(value));
    }
  }
  return out;
}

Result<GeneratedObject> Generator::MakeSecret(Session& session, const std::string& type,
                                              const std::string& name) const {
  if (type == "docker-registry") return MakeDockerSecret(name);
  GeneratedObject out{.kind = &api::core_v1::SecretInfo()};
  api::core_v1::SecretEdit edit(out.document);
  edit.set_api_version("v1").set_kind("Secret");
  edit.metadata().set_name(name);
  if (type == "tls") {
    if (cert_.empty() || key_.empty()) return BadRequest("key and cert must be specified");
    edit.set_type("kubernetes.io/tls");
    edit.put_data("tls.crt", Base64Encode(TRY(ReadUserFile(session, cert_))));
    edit.put_data("tls.key", Base64Encode(TRY(ReadUserFile(session, key_))));
    return out;
  }
  if (type != "generic") return UsageError(fmt::format("unknown secret type \"{}\"", type));
  for (const auto& [key, value] : TRY(Data(session))) edit.put_data(key, Base64Encode(value));
  if (!type_.empty()) edit.set_type(type_);
  return out;
}

Result<GeneratedObject> Generator::MakeDockerSecret(const std::string& name) const {
  if (docker_username_.empty() || docker_password_.empty()) {
    return UsageError(
        "either --from-file or the combination of --docker-username, --docker-password and --docker-server is "
        "required");
  }
  doc::Document config;
  doc::Value entry = doc::Value::Object();
  entry.Set(config.arena, "username", doc::Value::Borrow(docker_username_));
  entry.Set(config.arena, "password", doc::Value::Borrow(docker_password_));
  if (!docker_email_.empty()) entry.Set(config.arena, "email", doc::Value::Borrow(docker_email_));
  entry.Set(config.arena, "auth",
            doc::Value::String(config.arena, Base64Encode(docker_username_ + ":" + docker_password_)));
  config.root.Set(config.arena, "auths", doc::Value::Object()).Set(config.arena, docker_server_, entry);
  GeneratedObject out{.kind = &api::core_v1::SecretInfo()};
  api::core_v1::SecretEdit edit(out.document);
  edit.set_api_version("v1").set_kind("Secret").set_type("kubernetes.io/dockerconfigjson");
  edit.metadata().set_name(name);
  edit.put_data(".dockerconfigjson", Base64Encode(doc::ToJson(config.root)));
  return out;
}

Result<GeneratedObject> Generator::MakeService(const std::string& type, const std::string& name) const {
  std::string_view api_type;
  if (type == "clusterip") api_type = "ClusterIP";
  if (type == "nodeport") api_type = "NodePort";
  if (type == "loadbalancer") api_type = "LoadBalancer";
  if (api_type.empty()) return UsageError(fmt::format("unknown service type \"{}\"", type));
  if (tcp_.empty() && cluster_ip_ != "None") return BadRequest("at least one tcp port specifier must be provided");
  GeneratedObject out{.kind = &api::core_v1::ServiceInfo()};
  api::core_v1::ServiceEdit edit(out.document);
  edit.set_api_version("v1").set_kind("Service");
  edit.metadata().set_name(name).put_labels("app", name);
  edit.spec().set_type(api_type).put_selector("app", name);
  if (!cluster_ip_.empty()) edit.spec().set_cluster_ip(cluster_ip_);
  for (const std::string& spec : tcp_) {
    const size_t colon = spec.find(':');
    const int32_t port = TRY(ParseInt<int32_t>(spec.substr(0, colon)));
    const int32_t target = colon == std::string::npos ? port : TRY(ParseInt<int32_t>(spec.substr(colon + 1)));
    std::string port_name = spec;
    std::ranges::replace(port_name, ':', '-');
    auto to = edit.spec().add_ports();
    to.set_name(port_name).set_port(port).set_protocol("TCP").set_target_port(target);
    if (node_port_ > 0) to.set_node_port(static_cast<int32_t>(node_port_));
  }
  edit.status().load_balancer();
  return out;
}

Result<GeneratedObject> Generator::MakeDeployment(const std::vector<std::string>& args) const {
  if (images_.empty()) return BadRequest("required flag(s) \"image\" not set");
  if (args.size() < 2) return UsageError("exactly one NAME is required, got 0", "create deployment");
  const std::string& name = args[1];
  GeneratedObject out{.kind = &api::apps_v1::DeploymentInfo()};
  api::apps_v1::DeploymentEdit edit(out.document);
  edit.set_api_version("apps/v1").set_kind("Deployment");
  edit.metadata().set_name(name).put_labels("app", name);
  edit.spec().set_replicas(static_cast<int32_t>(replicas_));
  edit.spec().selector().put_match_labels("app", name);
  edit.spec().strategy();
  edit.status();
  auto pod_template = edit.spec().template_();
  pod_template.metadata().put_labels("app", name);
  for (const std::string& image : images_) {
    std::string container_name = BaseName(image);
    container_name = container_name.substr(0, container_name.find_first_of(":@"));
    auto container = pod_template.spec().add_containers();
    container.set_name(container_name).set_image(image);
    container.resources();
    for (size_t i = 2; i < args.size(); ++i) container.add_command(args[i]);
    if (port_ > 0) container.add_ports().set_container_port(static_cast<int32_t>(port_));
  }
  return out;
}

}  // namespace knarr::cli
