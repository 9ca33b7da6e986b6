#include "client/exec_credential.h"

#include "base/strings.h"
#include "doc/json.h"
#include "rt/process.h"

namespace knarr::client {

Ok RunExecPlugin(rt::Runtime& runtime, const doc::Value& exec, const std::string& folder,
                 const std::vector<std::string>& environment, RestConfig& config) {
  std::string command(exec.At("command").AsString());
  std::string version(exec.At("apiVersion").AsString("client.authentication.k8s.io/v1"));
  if (command.empty()) return BadRequest("exec plugin: no command");
  if (version != "client.authentication.k8s.io/v1" && version != "client.authentication.k8s.io/v1beta1") {
    return BadRequest("exec plugin: invalid apiVersion \"" + version + "\"");
  }
  if (command.find('/') != std::string::npos && !command.starts_with('/')) command = folder + "/" + command;
  rt::ProcessSpec spec;
  spec.argv = {command};
  for (const doc::Value& argument : exec.At("args").items()) spec.argv.emplace_back(argument.AsString());
  spec.environment = environment;
  for (const doc::Value& pair : exec.At("env").items()) {
    const std::string name = std::string(pair.At("name").AsString()) + "=";
    // Of a name that is there twice, programs see the first.
    std::erase_if(spec.environment, [&](const std::string& variable) { return variable.starts_with(name); });
    spec.environment.push_back(name + std::string(pair.At("value").AsString()));
  }
  doc::Document info;
  info.root = doc::Value::Object();
  info.root.Set(info.arena, "kind", doc::Value::Borrow("ExecCredential"));
  info.root.Set(info.arena, "apiVersion", doc::Value::Borrow(version));
  doc::Value wanted = doc::Value::Object();
  wanted.Set(info.arena, "interactive", doc::Value::Bool(false));
  info.root.Set(info.arena, "spec", wanted);
  spec.environment.push_back("KUBERNETES_EXEC_INFO=" + doc::ToJson(info.root));
  rt::Output out = TRY(runtime.processes().Run(spec).Context("exec plugin \"" + command + "\""));
  if (!out.status.ok()) {
    return Unauthorized("exec plugin \"" + command + "\" failed with " + out.status.ToString() + ": " +
                        std::string(TrimSpace(out.err)));
  }
  doc::Document credential = TRY(doc::ParseJson(out.out).Context("exec plugin \"" + command + "\""));
  const doc::Value& status = credential.root.At("status");
  if (credential.root.At("kind").AsString() != "ExecCredential" || !status.is_object()) {
    return Unauthorized("exec plugin \"" + command + "\" did not return an ExecCredential with a status");
  }
  if (auto token = status.At("token").AsString(); !token.empty()) config.token = token;
  if (auto pem = status.At("clientCertificateData").AsString(); !pem.empty()) config.client_certificate_pem = pem;
  if (auto pem = status.At("clientKeyData").AsString(); !pem.empty()) config.client_key_pem = pem;
  if (config.token.empty() && config.client_certificate_pem.empty()) {
    return Unauthorized("exec plugin \"" + command + "\" did not return a token or a certificate");
  }
  return {};
}

}  // namespace knarr::client
