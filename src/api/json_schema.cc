#include "api/json_schema.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "api/string_formats.h"
#include "api/validation/errors.h"
#include "base/regex.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "doc/json.h"
#include "doc/number.h"

namespace knarr::api {
namespace {

using doc::Value;
using validation::Errors;
using validation::Path;

constexpr std::string_view kInBody = " in body ";

// One thing that is wrong: the text tells it from others, the rest is what is reported.
struct Problem {
  std::string text;
  FieldError error;
};

// What became of a check. `matched` counts what held: of several schemas of which none fits, the best one's problems
// are told.
struct Outcome {
  std::vector<Problem> problems;
  int matched = 0;

  bool ok() const { return problems.empty(); }
  void Add(Problem problem) {
    const bool known = std::ranges::find(problems, problem.text, &Problem::text) != problems.end();
    if (!known) problems.push_back(std::move(problem));
  }
  void Merge(Outcome other) {
    for (Problem& problem : other.problems) Add(std::move(problem));
    matched += other.matched;
  }
};

std::string NumberText(double number) {
  std::string out;
  doc::AppendShortestFloat(number, out);
  return out;
}

// Go's conversion of a float64 to an int64, as it is on the machines Kubernetes runs on.
int64_t Truncated(double number) {
  constexpr double kEnd = 9223372036854775808.0;
  if (number >= -kEnd && number < kEnd) return static_cast<int64_t>(number);
  return std::numeric_limits<int64_t>::min();
}

// Whether kube-openapi takes it for an integer: a little more than one may be rounding.
bool IsWhole(double number) {
  constexpr double kMost = 9007199254740991.0;
  constexpr double kSlack = 1e-9;
  if (!std::isfinite(number) || std::fabs(number) > kMost) return false;
  const double whole = std::trunc(number);
  return number == whole || (whole > 0 && (number - whole) / (number + whole) < kSlack);
}

class Checker {
 public:
  explicit Checker(const Path& base) : base_(base) {}

  // `path`: kube-openapi's own, "" at the root, without a dot in front.
  Outcome Check(const Value& schema, const Value& value, const std::string& path) const {
    if (value.is_null()) {
      Outcome outcome = Type(schema, value, path);
      outcome.Merge(Enum(schema, value, path));
      return outcome;
    }
    Outcome outcome;
    const auto take = [&outcome](Outcome other) {
      outcome.Merge(std::move(other));
      ++outcome.matched;
    };
    if (!TypeOf(schema).empty() || !FormatOf(schema).empty()) take(Type(schema, value, path));
    take(Junctors(schema, value, path));
    if (value.is_string()) take(Text(schema, value, path));
    if (value.is_string() && IsKnownFormat(FormatOf(schema))) take(Format(schema, value, path));
    if (value.is_number()) take(Number(schema, value, path));
    if (value.is_array()) take(List(schema, value, path));
    take(Enum(schema, value, path));
    if (value.is_object()) take(Object(schema, value, path));
    ++outcome.matched;
    return outcome;
  }

 private:
  static std::string_view TypeOf(const Value& schema) { return schema.At("type").AsString(); }
  static std::string_view FormatOf(const Value& schema) { return schema.At("format").AsString(); }

  static std::string_view TypeOfValue(const Value& value) {
    if (value.is_bool()) return "boolean";
    if (value.is_int()) return "integer";
    if (value.is_double()) return "number";
    if (value.is_string()) return "string";
    return value.is_array() ? "array" : "object";
  }
  // The format that goes with the type by itself.
  static std::string_view FormatOfValue(const Value& value) {
    return value.is_int() ? "int64" : value.is_double() ? "float64" : "";
  }

  Path FieldOf(std::string_view path) const {
    ConsumePrefix(path, ".");
    return path.empty() ? base_ : base_ / path;
  }
  template <typename Report>
  static Problem Reported(std::string text, const Report& report) {
    Errors errors;
    report(errors);
    return {std::move(text), std::move(errors).Take().front()};
  }
  Problem Invalid(std::string_view path, const Value& value, const std::string& text) const {
    return Reported(text, [&](Errors& errors) { errors.Invalid(FieldOf(path), value, text); });
  }
  // What kube-openapi has no field for.
  Problem General(const std::string& text) const {
    return Reported(text, [&](Errors& errors) { errors.Invalid(base_, "", text); });
  }
  Problem WrongType(const std::string& path, std::string_view wanted, std::string_view found) const {
    const std::string text =
        path + std::string(kInBody) + "must be of type " + std::string(wanted) + ": " + GoQuote(found);
    return Reported(text, [&](Errors& errors) { errors.TypeInvalid(FieldOf(path), found, text); });
  }

  Outcome Type(const Value& schema, const Value& value, const std::string& path) const {
    const std::string_view type = TypeOf(schema);
    const std::string_view format = FormatOf(schema);
    Outcome outcome;
    const auto fail = [&](std::string_view wanted, std::string_view found) {
      outcome.Add(WrongType(path, wanted, found));
      return outcome;
    };
    if (value.is_null()) {
      if (!type.empty() && type != "null" && !schema.At("nullable").AsBool()) return fail(type, "null");
      outcome.matched = 1;
      return outcome;
    }
    const std::string_view own = TypeOfValue(value);
    const bool numeric =
        (value.is_double() && IsWhole(value.AsDouble()) && type == "integer") || (value.is_int() && type == "number");
    const bool sequence = value.is_string() || value.is_array();
    const bool fits = type == own || numeric;
    if (!sequence && !format.empty() && !fits && format != FormatOfValue(value)) {
      return fail(format, FormatOfValue(value));
    }
    const bool by_format = sequence && !format.empty() && type != "number" && type != "integer";
    if (!by_format && !fits) return fail(type, own);
    outcome.matched = 1;
    return outcome;
  }

  Outcome AnyOf(const Value& schemas, const Value& value, const std::string& path) const {
    std::optional<Outcome> best;
    for (const Value& schema : schemas.items()) {
      Outcome outcome = Check(schema, value, path);
      if (outcome.ok()) return outcome;
      if (!best || outcome.matched > best->matched) best = std::move(outcome);
    }
    Outcome failed;
    failed.Add(General(GoQuote(path) + " must validate at least one schema (anyOf)"));
    if (best) failed.Merge(std::move(*best));
    return failed;
  }

  Outcome OneOf(const Value& schemas, const Value& value, const std::string& path) const {
    std::optional<Outcome> best;
    std::optional<Outcome> first;
    int count = 0;
    for (const Value& schema : schemas.items()) {
      Outcome outcome = Check(schema, value, path);
      if (outcome.ok()) {
        ++count;
        best.reset();
        if (!first) first = std::move(outcome);
      } else if (count == 0 && (!best || outcome.matched > best->matched)) {
        best = std::move(outcome);
      }
    }
    if (count == 1) return std::move(*first);
    Outcome failed;
    const std::string found =
        count == 0 ? "Found none valid" : "Found " + std::to_string(count) + " valid alternatives";
    failed.Add(General(GoQuote(path) + " must validate one and only one schema (oneOf). " + found));
    if (best) failed.Merge(std::move(*best));
    return failed;
  }

  Outcome AllOf(const Value& schemas, const Value& value, const std::string& path) const {
    Outcome outcome;
    size_t count = 0;
    for (const Value& schema : schemas.items()) {
      Outcome one = Check(schema, value, path);
      if (one.ok()) ++count;
      outcome.Merge(std::move(one));
    }
    if (count == schemas.size()) return outcome;
    outcome.Add(
        General(GoQuote(path) + " must validate all the schemas (allOf)" + (count == 0 ? ". None validated" : "")));
    return outcome;
  }

  Outcome Junctors(const Value& schema, const Value& value, const std::string& path) const {
    Outcome outcome;
    if (const Value& any = schema.At("anyOf"); !any.empty()) outcome.Merge(AnyOf(any, value, path));
    if (const Value& one = schema.At("oneOf"); !one.empty()) outcome.Merge(OneOf(one, value, path));
    if (const Value& all = schema.At("allOf"); !all.empty()) outcome.Merge(AllOf(all, value, path));
    const Value& never = schema.At("not");
    if (never.is_object() && Check(never, value, path).ok()) {
      outcome.Add(General(GoQuote(path) + " must not validate the schema (not)"));
    }
    ++outcome.matched;
    return outcome;
  }

  // The first thing wrong with a text ends its checks.
  Outcome Text(const Value& schema, const Value& value, const std::string& path) const {
    Outcome outcome;
    const auto length = static_cast<int64_t>(RuneCount(value.AsString()));
    const Value& most = schema.At("maxLength");
    const Value& least = schema.At("minLength");
    const std::string_view pattern = schema.At("pattern").AsString();
    if (most.is_int() && length > most.AsInt()) {
      outcome.Add(
          Reported(path + std::string(kInBody) + "should be at most " + std::to_string(most.AsInt()) + " chars long",
                   [&](Errors& errors) { errors.TooLong(FieldOf(path), most.AsInt()); }));
    } else if (least.is_int() && length < least.AsInt()) {
      outcome.Add(
          Invalid(path, value,
                  path + std::string(kInBody) + "should be at least " + std::to_string(least.AsInt()) + " chars long"));
    } else if (!pattern.empty()) {
      const Result<Regex> regex = Regex::Compile(pattern);
      std::string shown(pattern);
      if (!regex.ok()) shown += ", but pattern is invalid: " + regex.status().message();
      if (!regex.ok() || !regex->Search(value.AsString())) {
        outcome.Add(Invalid(path, value, path + std::string(kInBody) + "should match '" + shown + "'"));
      }
    }
    return outcome;
  }

  Outcome Format(const Value& schema, const Value& value, const std::string& path) const {
    Outcome outcome;
    const std::string_view format = FormatOf(schema);
    if (!HasFormat(format, value.AsString())) outcome.Add(WrongType(path, format, value.AsString()));
    return outcome;
  }

  // Whether the number, as its text, is one of the schema's type and format.
  std::optional<Problem> OutOfRange(const Value& schema, const Value& number, std::string_view what,
                                    const std::string& path) const {
    const std::string_view type = TypeOf(schema);
    const std::string_view given = FormatOf(schema);
    const double as_double = number.AsDouble();
    std::string_view format;
    bool fits = true;
    if (type == "integer") {
      if (given == "int32" || given == "int64") format = given;
      const bool whole = number.is_int() || (as_double == std::trunc(as_double) && std::fabs(as_double) < 0x1p63) ||
                         as_double == -0x1p63;
      const bool narrow =
          as_double >= std::numeric_limits<int32_t>::min() && as_double <= std::numeric_limits<int32_t>::max();
      fits = whole && (format != "int32" || narrow);
    } else if (type == "number") {
      if (given == "float" || given == "double") format = given;
      fits = format != "float" || std::isfinite(static_cast<float>(as_double));
    }
    if (fits) return std::nullopt;
    const std::string how = format.empty() ? "(default format)" : "with format " + std::string(format);
    return General(std::string(what) + " value must be of type " + std::string(type) + " " + how + " in " + path);
  }

  Outcome Number(const Value& schema, const Value& value, const std::string& path) const {
    Outcome outcome;
    if (auto problem = OutOfRange(schema, value, "Checked", path)) outcome.Add(std::move(*problem));
    if (const Value& factor = schema.At("multipleOf"); factor.is_number()) {
      outcome.Merge(MultipleOf(schema, factor, value, path));
    }
    if (const Value& least = schema.At("minimum"); least.is_number()) {
      outcome.Merge(Bound(schema, least, value, true, path));
    }
    if (const Value& most = schema.At("maximum"); most.is_number()) {
      outcome.Merge(Bound(schema, most, value, false, path));
    }
    ++outcome.matched;
    return outcome;
  }

  // Whole numbers are compared as such, with a bound that is cut to one, unless the bound itself is out of range.
  Outcome Bound(const Value& schema, const Value& bound, const Value& value, bool least,
                const std::string& path) const {
    Outcome outcome;
    auto unfit = OutOfRange(schema, bound, least ? "Minimum boundary" : "Maximum boundary", path);
    const bool exclusive = schema.At(least ? "exclusiveMinimum" : "exclusiveMaximum").AsBool();
    const bool whole = value.is_int() && !unfit;
    const double limit = bound.AsDouble();
    const int64_t whole_limit = bound.is_int() ? bound.AsInt() : Truncated(limit);
    const auto order = whole ? std::partial_ordering(value.AsInt() <=> whole_limit) : value.AsDouble() <=> limit;
    const bool wrong = least ? order < 0 || (exclusive && order == 0) : order > 0 || (exclusive && order == 0);
    if (unfit) outcome.Add(std::move(*unfit));
    if (!wrong) return outcome;
    const std::string side = least ? "should be greater than " : "should be less than ";
    outcome.Add(Invalid(path, whole ? value : Value::Double(value.AsDouble()),
                        path + std::string(kInBody) + side + (exclusive ? "" : "or equal to ") +
                            (whole ? std::to_string(whole_limit) : NumberText(limit))));
    return outcome;
  }

  Outcome MultipleOf(const Value& schema, const Value& factor, const Value& value, const std::string& path) const {
    Outcome outcome;
    auto unfit = OutOfRange(schema, factor, "MultipleOf", path);
    const bool whole = value.is_int() && !unfit;
    const double by = factor.AsDouble();
    const int64_t whole_by = factor.is_int() ? factor.AsInt() : Truncated(by);
    const std::string shown = whole ? std::to_string(whole_by) : NumberText(by);
    if (unfit) outcome.Add(std::move(*unfit));
    if (whole ? whole_by <= 0 : by <= 0) {
      outcome.Add(Invalid(path, whole ? Value::Int(whole_by) : Value::Double(by),
                          "factor MultipleOf declared for " + path + " must be positive: " + shown));
      return outcome;
    }
    const double number = value.AsDouble();
    const bool divides = whole ? value.AsInt() % whole_by == 0 : IsWhole(by < 1 ? 1 / by * number : number / by);
    if (!divides) {
      outcome.Add(Invalid(path, whole ? value : Value::Double(number),
                          path + std::string(kInBody) + "should be a multiple of " + shown));
    }
    return outcome;
  }

  // maxItems, minProperties, …
  void Count(const Value& schema, std::string_view bound, bool least, std::string_view of, const Value& value,
             const std::string& path, Outcome& outcome) const {
    const Value& limit = schema.At(bound);
    const auto size = static_cast<int64_t>(value.size());
    if (!limit.is_int() || (least ? size >= limit.AsInt() : size <= limit.AsInt())) return;
    const std::string number = std::to_string(limit.AsInt());
    const std::string text = path + std::string(kInBody) + (least ? "should have at least " : "should have at most ") +
                             number + " " + std::string(of);
    outcome.Add(least ? Invalid(path, Value::Int(size), text) : Reported(text, [&](Errors& errors) {
      errors.TooMany(FieldOf(path), value.size(), limit.AsInt());
    }));
  }

  Outcome List(const Value& schema, const Value& value, const std::string& path) const {
    Outcome outcome;
    if (const Value& items = schema.At("items"); items.is_object()) {
      for (size_t i = 0; i < value.size(); ++i) {
        outcome.Merge(Check(items, value[i], path + '[' + std::to_string(i) + ']'));
      }
    }
    Count(schema, "minItems", true, "items", value, path, outcome);
    Count(schema, "maxItems", false, "items", value, path, outcome);
    ++outcome.matched;
    return outcome;
  }

  static bool IsEnumValue(const Value& choice, const Value& value) {
    if (choice.is_double() && value.is_number()) return choice.AsDouble() == value.AsDouble();
    // Go converts: what is behind the point is cut off.
    if (choice.is_int() && value.is_double()) return choice.AsInt() == Truncated(value.AsDouble());
    return !choice.is_null() && choice.Equals(value);
  }

  Outcome Enum(const Value& schema, const Value& value, const std::string& path) const {
    Outcome outcome;
    const Value& choices = schema.At("enum");
    if (choices.empty()) return outcome;
    std::vector<std::string> texts;
    for (const Value& choice : choices.items()) {
      if (IsEnumValue(choice, value)) return outcome;
      texts.push_back(choice.is_string() ? std::string(choice.AsString()) : doc::ToJson(choice));
    }
    const std::vector<std::string_view> supported(texts.begin(), texts.end());
    outcome.Add(Reported(path + std::string(kInBody) + "should be one of [" + Join(texts, " ") + "]",
                         [&](Errors& errors) { errors.NotSupported(FieldOf(path), value, supported); }));
    return outcome;
  }

  Outcome Object(const Value& schema, const Value& value, const std::string& path) const {
    Outcome outcome;
    Count(schema, "minProperties", true, "properties", value, path, outcome);
    Count(schema, "maxProperties", false, "properties", value, path, outcome);
    const Value& properties = schema.At("properties");
    const Value& additional = schema.At("additionalProperties");
    for (const doc::Member& member : value.members()) {
      if (properties.Find(member.key) != nullptr) continue;
      const std::string key(member.key);
      if (additional.is_bool() && !additional.AsBool()) {
        outcome.Add(
            Invalid(path, Value::Borrow(key), path + "." + key + std::string(kInBody) + "is a forbidden property"));
      } else if (additional.is_object()) {
        outcome.Merge(Check(additional, member.value, path + '.' + key));
      }
    }
    for (const doc::Member& property : properties.members()) {
      const Value* member = value.Find(property.key);
      if (member == nullptr) continue;
      const std::string key(property.key);
      outcome.Merge(Check(property.value, *member, path.empty() ? key : path + '.' + key));
    }
    for (const Value& name : schema.At("required").items()) {
      if (value.Find(name.AsString()) != nullptr) continue;
      const std::string at = path + '.' + std::string(name.AsString());
      outcome.Add(
          Reported(at + std::string(kInBody) + "is required", [&](Errors& errors) { errors.Required(FieldOf(at)); }));
    }
    return outcome;
  }

  const Path base_;
};

}  // namespace

ErrorList CheckAgainstSchema(const Value& schema, const Value& value, const std::string& path) {
  ErrorList errors;
  for (Problem& problem : Checker(Path(path)).Check(schema, value, "").problems)
    errors.push_back(std::move(problem.error));
  return errors;
}

}  // namespace knarr::api
