#include "base/status.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace knarr {
namespace {

struct ReasonRow {
  Reason reason;
  std::string_view text;
  int code;
};

// The first row of a code is the reason that code stands for when an answer carries no Status.
constexpr ReasonRow kReasons[] = {
    {Reason::kUnknown, "", 500},
    {Reason::kBadRequest, "BadRequest", 400},
    {Reason::kUnauthorized, "Unauthorized", 401},
    {Reason::kForbidden, "Forbidden", 403},
    {Reason::kNotFound, "NotFound", 404},
    {Reason::kMethodNotAllowed, "MethodNotAllowed", 405},
    {Reason::kNotAcceptable, "NotAcceptable", 406},
    {Reason::kConflict, "Conflict", 409},
    {Reason::kAlreadyExists, "AlreadyExists", 409},
    {Reason::kGone, "Gone", 410},
    {Reason::kExpired, "Expired", 410},
    {Reason::kRequestEntityTooLarge, "RequestEntityTooLarge", 413},
    {Reason::kUnsupportedMediaType, "UnsupportedMediaType", 415},
    {Reason::kInvalid, "Invalid", 422},
    {Reason::kTooManyRequests, "TooManyRequests", 429},
    {Reason::kInternalError, "InternalError", 500},
    {Reason::kServiceUnavailable, "ServiceUnavailable", 503},
    {Reason::kTimeout, "Timeout", 504},
    {Reason::kServerTimeout, "ServerTimeout", 500},
    {Reason::kCancelled, "Cancelled", 499},
};

}  // namespace

std::string_view ReasonText(Reason reason) {
  for (const ReasonRow& row : kReasons) {
    if (row.reason == reason) return row.text;
  }
  return "";
}

Reason ReasonFromText(std::string_view text) {
  for (const ReasonRow& row : kReasons) {
    if (row.text == text && row.reason != Reason::kCancelled) return row.reason;
  }
  return Reason::kUnknown;
}

int HttpCode(Reason reason) {
  for (const ReasonRow& row : kReasons) {
    if (row.reason == reason) return row.code;
  }
  return 500;
}

Reason ReasonFromHttpCode(int code) {
  for (const ReasonRow& row : kReasons) {
    const bool ours = row.reason == Reason::kUnknown || row.reason == Reason::kCancelled;
    if (row.code == code && !ours) return row.reason;
  }
  return Reason::kUnknown;
}

Status::Status(Rep rep) : rep_(std::make_shared<const Rep>(std::move(rep))) {}

Status::Status(Reason reason, std::string message)
    : Status(Rep{.reason = reason, .message = std::move(message), .details = {}}) {}

Status::Status(Reason reason, std::string message, StatusDetails details)
    : Status(Rep{.reason = reason, .message = std::move(message), .details = std::move(details)}) {}

int Status::code() const { return rep_->code != 0 ? rep_->code : HttpCode(rep_->reason); }

Status Status::WithContext(std::string_view context) const {
  Rep rep = *rep_;
  rep.message.insert(0, ": ");
  rep.message.insert(0, context);
  return Status(std::move(rep));
}

Status Status::WithDetails(StatusDetails details) const {
  Rep rep = *rep_;
  rep.details = std::move(details);
  return Status(std::move(rep));
}

Status Status::WithCause(StatusCause cause) const {
  Rep rep = *rep_;
  rep.details.causes.push_back(std::move(cause));
  return Status(std::move(rep));
}

Status Status::WithRetryAfter(int32_t seconds) const {
  Rep rep = *rep_;
  rep.details.retry_after_seconds = seconds;
  return Status(std::move(rep));
}

Status Status::WithCode(int code) const {
  Rep rep = *rep_;
  rep.code = code;
  return Status(std::move(rep));
}

std::string Status::ToString() const {
  std::string text(ReasonText(reason()));
  if (text.empty()) return message();
  return text + ": " + message();
}

bool Status::operator==(const Status& other) const { return rep_ == other.rep_ || *rep_ == *other.rep_; }

Status NotFound(std::string message) { return {Reason::kNotFound, std::move(message)}; }
Status AlreadyExists(std::string message) { return {Reason::kAlreadyExists, std::move(message)}; }
Status Conflict(std::string message) { return {Reason::kConflict, std::move(message)}; }
Status BadRequest(std::string message) { return {Reason::kBadRequest, std::move(message)}; }
Status Invalid(std::string message) { return {Reason::kInvalid, std::move(message)}; }
Status Forbidden(std::string message) { return {Reason::kForbidden, std::move(message)}; }
Status Unauthorized(std::string message) { return {Reason::kUnauthorized, std::move(message)}; }
Status Timeout(std::string message) { return {Reason::kTimeout, std::move(message)}; }
Status Cancelled(std::string message) { return {Reason::kCancelled, std::move(message)}; }
Status Internal(std::string message) { return {Reason::kInternalError, std::move(message)}; }
Status Unavailable(std::string message) { return {Reason::kServiceUnavailable, std::move(message)}; }
Status Expired(std::string message) { return {Reason::kExpired, std::move(message)}; }
Status Gone(std::string message) { return {Reason::kGone, std::move(message)}; }

Status FromErrno(int error, std::string_view what) {
  Reason reason = Reason::kInternalError;
  switch (error) {
    case ENOENT:
    case ENODEV:
      reason = Reason::kNotFound;
      break;
    case EEXIST:
      reason = Reason::kAlreadyExists;
      break;
    case EACCES:
    case EPERM:
      reason = Reason::kForbidden;
      break;
    case ETIMEDOUT:
      reason = Reason::kTimeout;
      break;
    default:
      break;
  }
  char buffer[128];
  const char* text = strerror_r(error, buffer, sizeof buffer);
  Status status(reason, std::string(what) + ": " + text);
  constexpr int kInsufficientStorage = 507;
  return error == ENOSPC || error == EDQUOT ? status.WithCode(kInsufficientStorage) : status;
}

void MustFailed(const char* file, int line, const Status& status) {
  std::fprintf(stderr, "%s:%d: MUST failed: %s\n", file, line, status.ToString().c_str());
  std::abort();
}

}  // namespace knarr
