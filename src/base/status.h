#pragma once

// Errors as values.
//
// Everything that can fail returns Result<T>. An error here is data: it reaches the user as a Kubernetes Status
// object, steers control flow (NotFound, Conflict, AlreadyExists), and crosses threads and sockets, so it is a value
// and not an exception. The reasons are Kubernetes' own; one table (HttpCode) maps them to HTTP.
//
//   Result<Pod> Load(std::string_view name) {
//     auto bytes = TRY(store.Get(name));                 // returns the error to our caller
//     return Parse(bytes).Context("pod {}", name);       // adds where it happened
//   }

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace knarr {

/// Kubernetes' metav1.StatusReason values, and Cancelled, which never leaves the process.
enum class Reason : uint8_t {
  kUnknown,
  kUnauthorized,
  kForbidden,
  kNotFound,
  kAlreadyExists,
  kConflict,
  kGone,
  kInvalid,
  kServerTimeout,
  kTimeout,
  kTooManyRequests,
  kBadRequest,
  kMethodNotAllowed,
  kNotAcceptable,
  kRequestEntityTooLarge,
  kUnsupportedMediaType,
  kInternalError,
  kExpired,
  kServiceUnavailable,
  kCancelled,  ///< The fiber's task group or scope was stopped while it waited.
};

/// The reason's text as it stands in a Status object ("NotFound"); "" for kUnknown.
std::string_view ReasonText(Reason reason);
/// The reverse of ReasonText; kUnknown for a text that is no reason.
Reason ReasonFromText(std::string_view text);
/// The HTTP status code that carries the reason.
int HttpCode(Reason reason);
/// The reason that best fits an HTTP status code, for answers that carry no Status object.
Reason ReasonFromHttpCode(int code);

/// One metav1.StatusCause: what is wrong with which field.
struct StatusCause {
  std::string type;     ///< "FieldValueRequired", "FieldValueInvalid", …
  std::string message;  ///< For a person.
  std::string field;    ///< "spec.containers[0].name"
  bool operator==(const StatusCause&) const = default;
};

/// metav1.StatusDetails: what the error is about.
struct StatusDetails {
  std::string group;
  std::string kind;  ///< The resource's plural name, as upstream fills it in ("pods").
  std::string name;
  std::string uid;
  std::vector<StatusCause> causes;
  int32_t retry_after_seconds = 0;
  bool operator==(const StatusDetails&) const = default;
};

/// An error: never "ok". Cheap to move, and to copy (the payload is shared and immutable).
class [[nodiscard]] Status {
 public:
  Status(Reason reason, std::string message);
  Status(Reason reason, std::string message, StatusDetails details);

  Reason reason() const { return rep_->reason; }
  const std::string& message() const { return rep_->message; }
  const StatusDetails& details() const { return rep_->details; }
  /// The HTTP code: the reason's, unless one was set (an unusual code that came over the wire).
  int code() const;

  bool Is(Reason reason) const { return rep_->reason == reason; }

  /// The same error with "context: " put before its message.
  Status WithContext(std::string_view context) const;
  Status WithDetails(StatusDetails details) const;
  Status WithCause(StatusCause cause) const;
  Status WithRetryAfter(int32_t seconds) const;
  Status WithCode(int code) const;

  /// "NotFound: pods "a" not found", for logs.
  std::string ToString() const;
  bool operator==(const Status& other) const;

 private:
  struct Rep {
    Reason reason;
    int code = 0;
    std::string message;
    StatusDetails details;
    bool operator==(const Rep&) const = default;
  };
  explicit Status(Rep rep);
  std::shared_ptr<const Rep> rep_;
};

/// Shorthands; the message is what the user reads.
Status NotFound(std::string message);
Status AlreadyExists(std::string message);
Status Conflict(std::string message);
Status BadRequest(std::string message);
Status Invalid(std::string message);
Status Forbidden(std::string message);
Status Unauthorized(std::string message);
Status Timeout(std::string message);
Status Cancelled(std::string message);
Status Internal(std::string message);
Status Unavailable(std::string message);
Status Expired(std::string message);
Status Gone(std::string message);
/// From errno: "open /x: No such file or directory"; ENOENT is NotFound, EEXIST is AlreadyExists, EACCES and EPERM are
/// Forbidden, ETIMEDOUT is Timeout, all else is InternalError.
Status FromErrno(int error, std::string_view what);

/// A T or the Status that says why there is none.
template <typename T = void>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : value_(std::move(value)) {}                          // NOLINT(google-explicit-constructor)
  Result(Status status) : value_(std::unexpected(std::move(status))) {}  // NOLINT(google-explicit-constructor)
  template <typename U>
    requires(std::is_convertible_v<U &&, T> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
             !std::is_same_v<std::remove_cvref_t<U>, Status> && !std::is_same_v<std::remove_cvref_t<U>, T>)
  Result(U&& value) : value_(T(std::forward<U>(value))) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  /// REQUIRES: ok().
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  T value_or(T other) && { return ok() ? *std::move(value_) : std::move(other); }
  /// REQUIRES: !ok().
  const Status& status() const { return value_.error(); }
  /// !ok() for this reason.
  bool Failed(Reason reason) const { return !ok() && status().Is(reason); }
  Result Context(std::string_view context) && {
    return ok() ? std::move(*this) : Result(status().WithContext(context));
  }

 private:
  std::expected<T, Status> value_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)
  bool ok() const { return !status_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const {}
  const Status& status() const { return *status_; }
  bool Failed(Reason reason) const { return !ok() && status().Is(reason); }
  Result Context(std::string_view context) && { return ok() ? Result() : Result(status_->WithContext(context)); }

 private:
  std::optional<Status> status_;
};

using Ok = Result<void>;

/// TRY(expr): the value of a Result, or return its error from the enclosing function.
#define TRY(...)                                        \
  __extension__({                                       \
    auto try_result_ = (__VA_ARGS__);                   \
    if (!try_result_.ok()) return try_result_.status(); \
    std::move(try_result_).value();                     \
  })

/// MUST(expr): the value of a Result that is proven to be ok (say why in a comment); crashes otherwise.
#define MUST(...)                                                                           \
  __extension__({                                                                           \
    auto must_result_ = (__VA_ARGS__);                                                      \
    if (!must_result_.ok()) ::knarr::MustFailed(__FILE__, __LINE__, must_result_.status()); \
    std::move(must_result_).value();                                                        \
  })

[[noreturn]] void MustFailed(const char* file, int line, const Status& status);

}  // namespace knarr
