#pragma once

// One request's audit event (audit.k8s.io/v1 Event) while the request is answered. Each stage that the policy wants is
// a line of the log.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/audit/log.h"
#include "apiserver/authorization/authorizer.h"
#include "doc/value.h"
#include "rt/runtime.h"

namespace knarr::apiserver {

/// What is known of a request when it comes.
struct AuditRequest {
  const Attributes& attributes;  ///< with the user who was authenticated
  std::string uri;
  std::string user_agent;
  std::vector<std::string> source_ips;
  std::string id;
};

/// A request's id where it brings none.
std::string NewAuditId(rt::Runtime& runtime);

class AuditEvent {
 public:
  /// Decides by the policy. `log` outlives it.
  AuditEvent(AuditLog& log, rt::Runtime& runtime, AuditRequest request);
  AuditEvent(const AuditEvent&) = delete;
  AuditEvent& operator=(const AuditEvent&) = delete;

  bool enabled() const { return decision_.level != AuditLevel::kNone; }
  bool wants_request() const { return decision_.level >= AuditLevel::kRequest; }
  bool wants_response() const { return decision_.level >= AuditLevel::kRequestResponse; }

  /// The request goes on in another's name.
  void SetImpersonated(const UserInfo& user, std::string constraint);
  /// What the request carries: fills in what the object reference lacks. JSON is written only where it is wanted.
  void SetRequestObject(const doc::Value& object);
  void SetRequestJson(std::string json);
  /// A patch's body: JSON, or YAML of an apply patch.
  void SetRequestPatch(std::string_view body);
  void SetResponseJson(std::string json);
  void SetCode(int code) { code_ = code; }
  void SetError(const Status& status);
  /// A Status that answers a request, also one that says all went well.
  void SetStatus(const doc::Value& status);
  /// What is said first of a key stands.
  void Annotate(std::string key, std::string value) { annotations_.try_emplace(std::move(key), std::move(value)); }

  void Stage(AuditStage stage);
  /// The end: also of a request whose answer never began.
  void Complete(bool long_running);

 private:
  std::string Line(AuditStage stage, WallTime now) const;
  void WriteReference(std::string& out) const;
  std::string WithoutManagedFields(std::string json) const;

  AuditLog& log_;
  rt::Runtime& runtime_;
  AuditDecision decision_;
  const WallTime received_;
  std::string id_;
  std::string uri_;
  std::string user_agent_;
  std::vector<std::string> source_ips_;
  std::string verb_;
  UserInfo user_;
  std::optional<UserInfo> impersonated_;
  std::string constraint_;  ///< the right by which, if it is none of old
  struct Reference {
    std::string resource, ns, name, uid, group, version, resource_version, subresource;
  };
  std::optional<Reference> reference_;
  std::optional<int> code_;
  std::string status_;  ///< members of the Status that was answered, without its code
  std::string request_json_;
  std::string response_json_;
  std::map<std::string, std::string> annotations_;
};

}  // namespace knarr::apiserver
