#include "apiserver/errors.h"

#include <fmt/format.h>

#include "api/conversion/conversion.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

StatusDetails Details(const GroupResource& what, std::string_view name) {
  StatusDetails details;
  details.group = what.group;
  details.kind = what.resource;
  details.name = name;
  return details;
}

}  // namespace

std::string GroupResource::ToString() const {
  return group.empty() ? std::string(resource) : fmt::format("{}.{}", resource, group);
}

Status NotFoundError(const GroupResource& what, std::string_view name) {
  return {Reason::kNotFound, fmt::format("{} \"{}\" not found", what.ToString(), name), Details(what, name)};
}

Status AlreadyExistsError(const GroupResource& what, std::string_view name) {
  return {Reason::kAlreadyExists, fmt::format("{} \"{}\" already exists", what.ToString(), name), Details(what, name)};
}

Status ConflictError(const GroupResource& what, std::string_view name, std::string_view why) {
  return {Reason::kConflict, fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", what.ToString(), name, why),
          Details(what, name)};
}

Status ModifiedError(const GroupResource& what, std::string_view name) {
  return ConflictError(what, name,
                       "the object has been modified; please apply your changes to the latest version and try again");
}

Status ForbiddenError(const GroupResource& what, std::string_view name, std::string_view why) {
  std::string message = name.empty() ? fmt::format("{} is forbidden: {}", what.ToString(), why)
                                     : fmt::format("{} \"{}\" is forbidden: {}", what.ToString(), name, why);
  return {Reason::kForbidden, std::move(message), Details(what, name)};
}

Status InvalidError(const api::KindInfo& kind, std::string_view name, std::vector<StatusCause> causes) {
  StatusDetails details;
  details.group = kind.group;
  details.kind = kind.kind;
  details.name = name;
  std::string why;
  for (const StatusCause& cause : causes) {
    if (!why.empty()) why += ", ";
    why += cause.field.empty() ? cause.message : fmt::format("{}: {}", cause.field, cause.message);
  }
  if (causes.size() > 1) why = fmt::format("[{}]", why);
  details.causes = std::move(causes);
  const std::string what = kind.group.empty() ? std::string(kind.kind) : fmt::format("{}.{}", kind.kind, kind.group);
  return {Reason::kInvalid, fmt::format("{} \"{}\" is invalid: {}", what, name, why), std::move(details)};
}

Status MethodNotAllowedError(const GroupResource& what, std::string_view verb) {
  return Status(Reason::kMethodNotAllowed,
                fmt::format("{} is not supported on resources of kind \"{}\"", verb, what.ToString()),
                Details(what, {}));
}

Status InternalError(std::string_view why) {
  StatusDetails details;
  details.causes.push_back({"", std::string(why), ""});
  return {Reason::kInternalError, fmt::format("Internal error occurred: {}", why), std::move(details)};
}

Status NoSuchResourceError() {
  return RouteError(Reason::kNotFound, "the server could not find the requested resource");
}

Status RouteMethodError() {
  return RouteError(Reason::kMethodNotAllowed, "the server does not allow this method on the requested resource");
}

// Details that stand in the answer though they say nothing: a cause without a word, which no other error has.
Status RouteError(Reason reason, std::string message) {
  StatusDetails details;
  details.causes.emplace_back();
  return {reason, std::move(message), std::move(details)};
}

Status TooLargeResourceVersionError(int64_t asked, int64_t current) {
  StatusDetails details;
  details.causes.push_back({"ResourceVersionTooLarge", "Too large resource version", ""});
  details.retry_after_seconds = 1;
  return {Reason::kTimeout, fmt::format("Timeout: Too large resource version: {}, current: {}", asked, current),
          std::move(details)};
}

Status BareError(std::string message) {
  constexpr int kInternalServerError = 500;
  return Status(Reason::kUnknown, std::move(message)).WithCode(kInternalServerError);
}

std::string InternalName(const api::KindInfo& kind) {
  const std::string_view package = api::StorageKind(kind).type->package;
  return fmt::format("{}.{}", package.substr(0, package.find('/')), kind.kind);
}

namespace {

doc::Value DetailsValue(const StatusDetails& details, doc::Arena& arena) {
  using doc::Value;
  Value out = Value::Object();
  if (!details.name.empty()) out.AddMember(arena, "name", Value::String(arena, details.name));
  if (!details.group.empty()) out.AddMember(arena, "group", Value::String(arena, details.group));
  if (!details.kind.empty()) out.AddMember(arena, "kind", Value::String(arena, details.kind));
  if (!details.uid.empty()) out.AddMember(arena, "uid", Value::String(arena, details.uid));
  if (!details.causes.empty()) {
    Value causes = Value::Array();
    for (const StatusCause& cause : details.causes) {
      if (cause == StatusCause()) continue;
      Value one = Value::Object();
      if (!cause.type.empty()) one.AddMember(arena, "reason", Value::String(arena, cause.type));
      if (!cause.message.empty()) one.AddMember(arena, "message", Value::String(arena, cause.message));
      if (!cause.field.empty()) one.AddMember(arena, "field", Value::String(arena, cause.field));
      causes.Append(arena, one);
    }
    if (!causes.empty()) out.AddMember(arena, "causes", causes);
  }
  if (details.retry_after_seconds > 0) {
    out.AddMember(arena, "retryAfterSeconds", Value::Int(details.retry_after_seconds));
  }
  return out;
}

}  // namespace

doc::Document StatusDocument(const Status& status, std::string_view continue_token) {
  using doc::Value;
  doc::Document out;
  doc::Arena& arena = out.arena;
  out.root = Value::Object();
  out.root.AddMember(arena, "kind", Value::Borrow("Status"));
  out.root.AddMember(arena, "apiVersion", Value::Borrow("v1"));
  Value& metadata = out.root.AddMember(arena, "metadata", Value::Object());
  if (!continue_token.empty()) metadata.AddMember(arena, "continue", Value::String(arena, continue_token));
  out.root.AddMember(arena, "status", Value::Borrow("Failure"));
  out.root.AddMember(arena, "message", Value::String(arena, status.message()));
  const std::string_view reason = ReasonText(status.reason());
  if (!reason.empty()) out.root.AddMember(arena, "reason", Value::Borrow(reason));
  if (status.details() != StatusDetails{}) {
    out.root.AddMember(arena, "details", DetailsValue(status.details(), arena));
  }
  out.root.AddMember(arena, "code", Value::Int(status.code()));
  return out;
}

void WriteStatusObject(const Status& status, std::string& json, std::string_view continue_token) {
  const doc::Document document = StatusDocument(status, continue_token);
  doc::WriteJson(document.root, json);
}

}  // namespace knarr::apiserver
