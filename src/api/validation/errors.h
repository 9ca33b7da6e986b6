#pragma once

// How rules report: a path, and one function for each type of error. Internal to api/validation.

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/validation.h"
#include "doc/value.h"

namespace knarr::api::validation {

/// "spec.containers[0].resources.limits[cpu]". Validation makes hundreds of paths that nobody reads: those of usual
/// length stand in the object itself.
class Path {
 public:
  Path() = default;
  explicit Path(std::string_view root) { Append(root); }
  Path operator/(std::string_view child) const;
  Path operator[](size_t index) const;
  Path Key(std::string_view key) const;
  std::string_view text() const { return long_.empty() ? std::string_view(short_, size_) : long_; }

  Path(const Path& other) : size_(other.size_), long_(other.long_) { std::memcpy(short_, other.short_, size_); }
  Path& operator=(const Path& other);

 private:
  void Append(std::string_view part);

  uint8_t size_ = 0;
  char short_[119];   // the first size_ bytes; nothing when long_ has the text
  std::string long_;
};

inline Path MetadataPath() { return Path("metadata"); }
inline Path SpecPath() { return Path("spec"); }

/// A value as Go's error bodies print it.
std::string Shown(const doc::Value& value);
std::string Shown(std::string_view text);
std::string Shown(int64_t number);

/// What is wrong with an object. A hostile one can have very many errors, each of which shows all of it: once they come
/// to kBytesMax, the rest is left out, and the last one says so.
class Errors {
 public:
  void Required(const Path& path, std::string_view detail = {});
  void Invalid(const Path& path, std::string_view value, std::string_view detail) {
    if (!Full()) Add(path, Shown(value), detail);
  }
  void Invalid(const Path& path, const char* value, std::string_view detail) {
    if (!Full()) Add(path, Shown(value), detail);
  }
  void Invalid(const Path& path, int64_t value, std::string_view detail) {
    if (!Full()) Add(path, Shown(value), detail);
  }
  void Invalid(const Path& path, const doc::Value& value, std::string_view detail) {
    if (!Full()) Add(path, Shown(value), detail);
  }
  /// The same of something that is not shown.
  void InvalidUnshown(const Path& path, std::string_view detail);
  /// One error for each problem.
  void InvalidAll(const Path& path, std::string_view value, const std::vector<std::string>& problems) {
    for (const std::string& problem : problems) Invalid(path, value, problem);
  }
  void InvalidAll(const Path& path, int64_t value, const std::vector<std::string>& problems) {
    for (const std::string& problem : problems) Invalid(path, value, problem);
  }
  void TypeInvalid(const Path& path, std::string_view value, std::string_view detail);
  void NotSupported(const Path& path, std::string_view value, std::span<const std::string_view> supported);
  void NotSupported(const Path& path, std::string_view value, std::initializer_list<std::string_view> supported) {
    NotSupported(path, value, std::span(supported.begin(), supported.size()));
  }
  /// The same of something that is no text.
  void NotSupported(const Path& path, const doc::Value& value, std::span<const std::string_view> supported);
  void NotSupported(const Path& path, const doc::Value& value, std::initializer_list<std::string_view> supported) {
    NotSupported(path, value, std::span(supported.begin(), supported.size()));
  }
  void Duplicate(const Path& path, std::string_view value);
  void Duplicate(const Path& path, const doc::Value& value, std::string_view detail = {});
  void NotFound(const Path& path, std::string_view value, std::string_view detail = {});
  void Forbidden(const Path& path, std::string_view detail);
  /// A bound below zero is not told.
  void TooLong(const Path& path, int64_t most);
  void TooMany(const Path& path, size_t actual, int64_t most);

  /// Required when it is empty; NotSupported when it is none of these.
  void OneOf(const Path& path, std::string_view value, std::initializer_list<std::string_view> supported);
  void NonNegative(const Path& path, int64_t value);

  bool empty() const { return size() == 0; }
  /// Also of those that were left out.
  size_t size() const { return list_.size() + left_out_; }
  /// Nothing more will be told.
  bool full() const { return bytes_ >= kBytesMax; }
  void Append(Errors&& other);
  void Append(ErrorList&& list);
  ErrorList Take() &&;

  static constexpr size_t kBytesMax = size_t{4} << 20;

 private:
  /// Before each error: true when it is left out.
  bool Full() {
    left_out_ += full() ? 1 : 0;
    return full();
  }
  void Add(const Path& path, const std::string& shown, std::string_view detail);
  void Add(FieldErrorType type, const Path& path, std::string body, std::string_view detail);
  void Put(FieldError&& error);
  ErrorList list_;
  size_t bytes_ = 0;
  size_t left_out_ = 0;
};

inline constexpr std::string_view kImmutable = "field is immutable";
inline constexpr std::string_view kNegative = "must be greater than or equal to 0";

}  // namespace knarr::api::validation
