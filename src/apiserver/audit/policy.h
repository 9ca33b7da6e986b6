#pragma once

// What of which requests goes into the audit log (audit.k8s.io/v1 Policy): the first rule that matches a request says.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/authorization/authorizer.h"
#include "base/status.h"

namespace knarr::apiserver {

/// Each has what the ones before it have.
enum class AuditLevel : uint8_t { kNone, kMetadata, kRequest, kRequestResponse };
enum class AuditStage : uint8_t { kRequestReceived, kResponseStarted, kResponseComplete, kPanic };
std::string_view LevelText(AuditLevel level);
std::string_view StageText(AuditStage stage);

/// What a request's rule says.
struct AuditDecision {
  AuditLevel level = AuditLevel::kNone;
  std::array<bool, 4> omitted{};  ///< by stage
  bool omit_managed_fields = false;

  bool Omits(AuditStage stage) const { return omitted[static_cast<size_t>(stage)]; }
};

class AuditPolicy {
 public:
  /// From YAML or JSON. BadRequest with upstream's texts.
  static Result<AuditPolicy> Parse(std::string_view text);
  AuditDecision For(const Attributes& attributes) const;

 private:
  struct Resources {
    std::string group;
    std::vector<std::string> resources;
    std::vector<std::string> names;
  };
  struct Rule {
    std::vector<std::string> users;
    std::vector<std::string> groups;
    std::vector<std::string> verbs;
    std::vector<std::string> namespaces;
    std::vector<Resources> resources;
    std::vector<std::string> paths;
    AuditDecision decision;
  };
  class Reader;
  static bool Matches(const Rule& rule, const Attributes& attributes);
  static bool MatchesResource(const Rule& rule, const Attributes& attributes);

  std::vector<Rule> rules_;
};

}  // namespace knarr::apiserver
