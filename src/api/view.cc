#include "api/view.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "api/edit.h"

namespace knarr::api {
namespace {

const doc::Value kNull;

}  // namespace

const doc::Value& View::value() const { return value_ == nullptr ? kNull : *value_; }

std::optional<std::string_view> View::OptString(std::string_view name) const {
  const doc::Value& v = Member(name);
  return v.is_string() ? std::optional(v.AsString()) : std::nullopt;
}

std::optional<bool> View::OptBool(std::string_view name) const {
  const doc::Value& v = Member(name);
  return v.is_bool() ? std::optional(v.AsBool()) : std::nullopt;
}

std::optional<int32_t> View::OptInt32(std::string_view name) const {
  const doc::Value& v = Member(name);
  return v.is_int() ? std::optional(static_cast<int32_t>(v.AsInt())) : std::nullopt;
}

std::optional<int64_t> View::OptInt64(std::string_view name) const {
  const doc::Value& v = Member(name);
  return v.is_int() ? std::optional(v.AsInt()) : std::nullopt;
}

std::optional<double> View::OptDouble(std::string_view name) const {
  const doc::Value& v = Member(name);
  return v.is_number() ? std::optional(v.AsDouble()) : std::nullopt;
}

std::optional<WallTime> View::ReadTime(std::string_view name) const {
  const doc::Value& v = Member(name);
  if (!v.is_string()) return std::nullopt;
  const Result<WallTime> time = ParseTime(v.AsString());
  return time.ok() ? std::optional(*time) : std::nullopt;
}

IntOrString View::ReadIntOrString(std::string_view name) const { return IntOrString::From(Member(name)); }

std::optional<IntOrString> View::OptIntOrString(std::string_view name) const {
  const doc::Value& v = Member(name);
  return v.is_null() ? std::nullopt : std::optional(IntOrString::From(v));
}

std::optional<std::string_view> StringMap::Find(std::string_view key) const {
  for (const doc::Member& member : members_) {
    if (member.key == key) return member.value.AsString();
  }
  return std::nullopt;
}

IntOrString IntOrString::From(const doc::Value& value) {
  if (value.is_string()) return {.is_string = true, .number = 0, .text = value.AsString()};
  return {.is_string = false, .number = static_cast<int32_t>(value.AsInt()), .text = {}};
}

Result<int32_t> IntOrString::Scaled(int32_t total, bool round_up) const {
  if (!is_string) return number;
  int32_t percent = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, percent);
  if (error != std::errc() || at + 1 != end || *at != '%') {
    return BadRequest("invalid value for IntOrString: invalid type: string is not a percentage: \"" +
                      std::string(text) + "\"");
  }
  const double exact = static_cast<double>(percent) * total / 100;
  const double scaled = round_up ? std::ceil(exact) : std::floor(exact);
  if (std::abs(scaled) > std::numeric_limits<int32_t>::max()) {
    return BadRequest("invalid value for IntOrString: " + std::string(text) + " of " + std::to_string(total) +
                      " is out of range");
  }
  return static_cast<int32_t>(scaled);
}

Editor::Editor(EditTarget target, size_t fields) : value(target.value), arena(target.arena) {
  if (!value->is_object()) *value = doc::Value::Object();
  value->Reserve(*arena, fields);
}

void Editor::SetString(std::string_view name, std::string_view v) const {
  value->Set(*arena, name, doc::Value::String(*arena, v));
}
void Editor::SetInt(std::string_view name, int64_t v) const { value->Set(*arena, name, doc::Value::Int(v)); }
void Editor::SetBool(std::string_view name, bool v) const { value->Set(*arena, name, doc::Value::Bool(v)); }
void Editor::SetDouble(std::string_view name, double v) const { value->Set(*arena, name, doc::Value::Double(v)); }
void Editor::SetTime(std::string_view name, WallTime v, bool micro) const {
  SetString(name, micro ? FormatMicroTime(v) : FormatTime(v));
}
void Editor::SetRaw(std::string_view name, const doc::Value& v) const { value->Set(*arena, name, v.Clone(*arena)); }

void Editor::AppendString(std::string_view name, std::string_view v) const {
  value->Ensure(*arena, name).Append(*arena, doc::Value::String(*arena, v));
}
void Editor::AppendInt(std::string_view name, int64_t v) const {
  value->Ensure(*arena, name).Append(*arena, doc::Value::Int(v));
}
void Editor::AppendRaw(std::string_view name, const doc::Value& v) const {
  value->Ensure(*arena, name).Append(*arena, v.Clone(*arena));
}
void Editor::PutString(std::string_view name, std::string_view key, std::string_view v) const {
  value->Ensure(*arena, name).SetCopy(*arena, key, doc::Value::String(*arena, v));
}
void Editor::RemoveKey(std::string_view name, std::string_view key) const {
  if (doc::Value* map = value->Find(name)) map->Remove(key);
}

}  // namespace knarr::api
