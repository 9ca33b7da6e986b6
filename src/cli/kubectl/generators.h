#pragma once

// Objects made from arguments: `kubectl create namespace x`, `create configmap x --from-literal=a=b`, ….

#include <string>
#include <vector>

#include "api/schema.h"
#include "cli/flags.h"
#include "cli/kubectl/session.h"
#include "doc/value.h"

namespace knarr::cli {

struct GeneratedObject {
  const api::KindInfo* kind = nullptr;
  std::string noun;  ///< "configmap", "secret": how messages name it
  doc::Document document;
};

class Generator {
 public:
  void AddFlags(FlagSet& flags);
  /// `args` begin with the kind. UsageError for a kind that can't be made from arguments or a missing name.
  Result<GeneratedObject> Make(Session& session, const std::vector<std::string>& args) const;

 private:
  Result<GeneratedObject> MakeConfigMap(Session& session, const std::string& name) const;
  Result<GeneratedObject> MakeSecret(Session& session, const std::string& type, const std::string& name) const;
  Result<GeneratedObject> MakeDockerSecret(const std::string& name) const;
  Result<GeneratedObject> MakeService(const std::string& type, const std::string& name) const;
  Result<GeneratedObject> MakeDeployment(const std::vector<std::string>& args) const;
  /// Names and contents of --from-literal, --from-file and --from-env-file.
  Result<std::vector<std::pair<std::string, std::string>>> Data(Session& session) const;

  std::vector<std::string> literals_;
  std::vector<std::string> files_;
  std::vector<std::string> env_files_;
  std::vector<std::string> images_;
  std::vector<std::string> tcp_;
  std::string type_;
  std::string cluster_ip_;
  std::string docker_server_ = "https://index.docker.io/v1/";
  std::string docker_username_;
  std::string docker_password_;
  std::string docker_email_;
  std::string cert_;
  std::string key_;
  int64_t replicas_ = 1;
  int64_t port_ = -1;
  int64_t node_port_ = 0;
};

/// "a=b,c=d" into labels. UsageError for anything else.
Result<std::vector<std::pair<std::string, std::string>>> ParseLabels(std::string_view text);
/// A file named on the command line, relative to the working directory.
Result<std::string> ReadUserFile(Session& session, const std::string& path);

}  // namespace knarr::cli
