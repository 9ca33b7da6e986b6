#include "api/validation/errors.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <set>

#include "base/strings.h"
#include "doc/json.h"
#include "doc/number.h"

namespace knarr::api {
namespace validation {

Path& Path::operator=(const Path& other) {
  size_ = other.size_;
  std::memmove(short_, other.short_, size_);
  long_ = other.long_;
  return *this;
}

void Path::Append(std::string_view part) {
  if (long_.empty() && size_ + part.size() <= sizeof short_) {
    std::memcpy(short_ + size_, part.data(), part.size());
    size_ = static_cast<uint8_t>(size_ + part.size());
    return;
  }
  if (long_.empty()) long_.assign(short_, size_);
  size_ = 0;
  long_ += part;
}

Path Path::operator/(std::string_view child) const {
  Path path = *this;
  if (!text().empty()) path.Append(".");
  path.Append(child);
  return path;
}

Path Path::operator[](size_t index) const {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, index).ptr;
  return Key({digits, static_cast<size_t>(end - digits)});
}

Path Path::Key(std::string_view key) const {
  Path path = *this;
  path.Append("[");
  path.Append(key);
  path.Append("]");
  return path;
}

std::string Shown(const doc::Value& value) {
  if (value.is_string()) return Shown(value.AsString());
  if (!value.is_double()) return doc::ToJson(value);
  std::string out;
  doc::AppendShortestFloat(value.AsDouble(), out);
  return out;
}
std::string Shown(std::string_view text) { return GoQuote(text); }
std::string Shown(int64_t number) { return std::to_string(number); }

void Errors::Add(const Path& path, const std::string& shown, std::string_view detail) {
  Add(FieldErrorType::kInvalid, path, "Invalid value: " + shown, detail);
}

void Errors::Add(FieldErrorType type, const Path& path, std::string body, std::string_view detail) {
  if (!detail.empty()) body.append(": ").append(detail);
  Put({type, std::string(path.text()), std::move(body)});
}

void Errors::Put(FieldError&& error) {
  bytes_ += sizeof error + error.field.size() + error.body.size();
  list_.push_back(std::move(error));
}

ErrorList Errors::Take() && {
  if (left_out_ > 0) list_.push_back({FieldErrorType::kTooMany, {}, "Too many errors: the rest is not shown"});
  return std::move(list_);
}

void Errors::InvalidUnshown(const Path& path, std::string_view detail) {
  if (Full()) return;
  Add(FieldErrorType::kInvalid, path, "Invalid value", detail);
}

void Errors::TypeInvalid(const Path& path, std::string_view value, std::string_view detail) {
  if (Full()) return;
  Add(FieldErrorType::kTypeInvalid, path, "Invalid value: " + Shown(value), detail);
}

void Errors::Required(const Path& path, std::string_view detail) {
  if (Full()) return;
  Add(FieldErrorType::kRequired, path, "Required value", detail);
}

namespace {

std::string SupportedValues(std::span<const std::string_view> supported) {
  std::vector<std::string> quoted;
  std::ranges::transform(supported, std::back_inserter(quoted), [](std::string_view text) { return GoQuote(text); });
  return quoted.empty() ? std::string() : "supported values: " + Join(quoted, ", ");
}

}  // namespace

void Errors::NotSupported(const Path& path, std::string_view value, std::span<const std::string_view> supported) {
  if (Full()) return;
  Add(FieldErrorType::kNotSupported, path, "Unsupported value: " + Shown(value), SupportedValues(supported));
}
void Errors::NotSupported(const Path& path, const doc::Value& value, std::span<const std::string_view> supported) {
  if (Full()) return;
  Add(FieldErrorType::kNotSupported, path, "Unsupported value: " + Shown(value), SupportedValues(supported));
}

void Errors::Duplicate(const Path& path, std::string_view value) {
  if (Full()) return;
  Add(FieldErrorType::kDuplicate, path, "Duplicate value: " + Shown(value), {});
}
void Errors::Duplicate(const Path& path, const doc::Value& value, std::string_view detail) {
  if (Full()) return;
  Add(FieldErrorType::kDuplicate, path, "Duplicate value: " + Shown(value), detail);
}
void Errors::NotFound(const Path& path, std::string_view value, std::string_view detail) {
  if (Full()) return;
  Add(FieldErrorType::kNotFound, path, "Not found: " + Shown(value), detail);
}
void Errors::Forbidden(const Path& path, std::string_view detail) {
  if (Full()) return;
  Add(FieldErrorType::kForbidden, path, "Forbidden", detail);
}
void Errors::TooLong(const Path& path, int64_t most) {
  if (Full()) return;
  const std::string bound = "may not be more than " + std::to_string(most) + (most == 1 ? " byte" : " bytes");
  Add(FieldErrorType::kTooLong, path, "Too long", most < 0 ? "value is too long" : bound);
}
void Errors::TooMany(const Path& path, size_t actual, int64_t most) {
  if (Full()) return;
  const std::string bound = "must have at most " + std::to_string(most) + (most == 1 ? " item" : " items");
  Add(FieldErrorType::kTooMany, path, "Too many: " + std::to_string(actual), most < 0 ? "has too many items" : bound);
}

void Errors::OneOf(const Path& path, std::string_view value, std::initializer_list<std::string_view> supported) {
  if (value.empty()) {
    Required(path);
  } else if (std::ranges::find(supported, value) == supported.end()) {
    NotSupported(path, value, supported);
  }
}

void Errors::NonNegative(const Path& path, int64_t value) {
  if (value < 0) Invalid(path, value, kNegative);
}

void Errors::Append(Errors&& other) {
  Append(std::move(other.list_));
  left_out_ += other.left_out_;
  other = {};
}
void Errors::Append(ErrorList&& list) {
  for (FieldError& error : list) {
    if (!Full()) Put(std::move(error));
  }
}

namespace {

std::string_view CauseType(FieldErrorType type) {
  switch (type) {
    case FieldErrorType::kNotFound:
      return "FieldValueNotFound";
    case FieldErrorType::kRequired:
      return "FieldValueRequired";
    case FieldErrorType::kDuplicate:
      return "FieldValueDuplicate";
    case FieldErrorType::kInvalid:
      return "FieldValueInvalid";
    case FieldErrorType::kTypeInvalid:
      return "FieldValueTypeInvalid";
    case FieldErrorType::kNotSupported:
      return "FieldValueNotSupported";
    case FieldErrorType::kForbidden:
      return "FieldValueForbidden";
    case FieldErrorType::kTooLong:
      return "FieldValueTooLong";
    case FieldErrorType::kTooMany:
      return "FieldValueTooMany";
    case FieldErrorType::kInternal:
      return "InternalError";
  }
  return {};
}

}  // namespace
}  // namespace validation

Status InvalidObject(const KindInfo& kind, std::string_view name, const ErrorList& errors) {
  StatusDetails details;
  details.group = kind.group;
  details.kind = kind.kind;
  details.name = name;
  std::vector<std::string> texts;
  std::set<std::string> told;
  for (const FieldError& error : errors) {
    details.causes.push_back({std::string(validation::CauseType(error.type)), error.body, error.field});
    std::string text = error.field + ": " + error.body;
    if (told.insert(text).second) texts.push_back(std::move(text));
  }
  std::string message(kind.kind);
  if (!kind.group.empty()) message += "." + std::string(kind.group);
  message += " " + GoQuote(name) + " is invalid: ";
  message += texts.size() == 1 ? texts.front() : "[" + Join(texts, ", ") + "]";
  return Status(Reason::kInvalid, std::move(message), std::move(details));
}

}  // namespace knarr::api
