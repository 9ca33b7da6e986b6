#pragma once

// The API's paths and operations as plain data, before they are written in one of OpenAPI's dialects.

#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"

namespace knarr::apiserver {

struct OpenApiParameter {
  std::string name;
  bool in_path = false;  ///< in the query otherwise
  std::string_view type;
  std::string_view doc;
};

/// What a body or an answer holds.
enum class OpenApiContent : uint8_t {
  kNothing,
  kObject,  ///< `type`, in every form that objects are served in
  kStream,  ///< the same, and as the changes of a watch
  kPatch,   ///< a patch of some kind
  kText,    ///< anything; a string
  kLog,     ///< text, in any of the forms
};

struct OpenApiOperation {
  std::string_view method;  ///< "get"
  std::string_view action;  ///< x-kubernetes-action; "" for what is no resource's
  std::string id;
  std::string doc;
  std::vector<OpenApiParameter> parameters;
  OpenApiContent body = OpenApiContent::kNothing;
  const api::Type* body_type = nullptr;
  bool body_required = true;
  OpenApiContent answer = OpenApiContent::kObject;
  const api::Type* answer_type = nullptr;
  std::vector<int> codes = {200};
  const api::KindInfo* kind = nullptr;  ///< x-kubernetes-group-version-kind
};

struct OpenApiPath {
  std::string path;
  std::string tag;
  std::vector<OpenApiOperation> operations;
};

/// Everything below a resource: its collection, its objects, their subresources, and the old paths for watching.
/// `returns_deleted`: a DELETE answers with the object, not with a Status.
void AddResourcePaths(const api::KindInfo& kind, bool returns_deleted, std::vector<OpenApiPath>& paths);
/// "/apis/batch/v1/", which lists the resources of a group and version.
OpenApiPath ResourceListPath(const api::KindInfo& any);
/// "/apis/batch/", which lists a group's versions.
OpenApiPath GroupPath(std::string_view group);
/// "/api/" and "/apis/".
OpenApiPath CoreVersionsPath();
OpenApiPath GroupsPath();

}  // namespace knarr::apiserver
