#include "base/selector.h"

#include <numeric>
#include <set>

#include "base/names.h"
#include "base/strings.h"

namespace knarr {
namespace {

using Op = SelectorOperator;

std::string_view OperatorText(Op op) {
  switch (op) {
    case Op::kEquals:
      return "=";
    case Op::kDoubleEquals:
      return "==";
    case Op::kNotEquals:
      return "!=";
    case Op::kIn:
      return " in ";
    case Op::kNotIn:
      return " notin ";
    case Op::kGreaterThan:
      return ">";
    case Op::kLessThan:
      return "<";
    case Op::kExists:
    case Op::kDoesNotExist:
      return "";
  }
  return "";
}

std::string InvalidValue(std::string_view path, std::string_view value, std::string_view detail) {
  return std::string(path) + ": Invalid value: " + GoQuote(value) + ": " + std::string(detail);
}

// The list of values as JSON, as field.Invalid shows a slice; an empty one is Go's nil.
std::string InvalidValues(const std::vector<std::string>& values, std::string_view detail) {
  if (values.empty()) return "values: Invalid value: null: " + std::string(detail);
  std::vector<std::string> quoted;
  for (const std::string& value : values) quoted.push_back(GoQuote(value));
  return "values: Invalid value: [" + Join(quoted, ",") + "]: " + std::string(detail);
}

// What is wrong with the number and the kind of the values.
void CheckValues(Op op, const std::vector<std::string>& values, std::vector<std::string>& errors) {
  switch (op) {
    case Op::kIn:
    case Op::kNotIn:
      if (values.empty()) {
        errors.push_back(InvalidValues(values, "for 'in', 'notin' operators, values set can't be empty"));
      }
      break;
    case Op::kEquals:
    case Op::kDoubleEquals:
    case Op::kNotEquals:
      if (values.size() != 1) {
        errors.push_back(InvalidValues(values, "exact-match compatibility requires one single value"));
      }
      break;
    case Op::kExists:
    case Op::kDoesNotExist:
      if (!values.empty()) {
        errors.push_back(InvalidValues(values, "values set must be empty for exists and does not exist"));
      }
      break;
    case Op::kGreaterThan:
    case Op::kLessThan:
      if (values.size() != 1) {
        errors.push_back(InvalidValues(values, "for 'Gt', 'Lt' operators, exactly one value is required"));
      }
      for (size_t i = 0; i < values.size(); ++i) {
        if (!ParseInt64(values[i]).ok()) {
          errors.push_back(InvalidValue("values[" + std::to_string(i) + "]", values[i],
                                        "for 'Gt', 'Lt' operators, the value must be an integer"));
        }
      }
      break;
  }
}

enum class Token : uint8_t {
  kError,
  kEnd,
  kClose,
  kComma,
  kNot,
  kDoubleEquals,
  kEquals,
  kGreater,
  kIdentifier,
  kIn,
  kLess,
  kNotEquals,
  kNotIn,
  kOpen,
};

struct Lexeme {
  Token token = Token::kEnd;
  std::string text;
};

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool IsSymbol(char c) { return std::string_view("=!(),><").find(c) != std::string_view::npos; }

Token SymbolToken(std::string_view text) {
  if (text == ")") return Token::kClose;
  if (text == ",") return Token::kComma;
  if (text == "!") return Token::kNot;
  if (text == "==") return Token::kDoubleEquals;
  if (text == "=") return Token::kEquals;
  if (text == ">") return Token::kGreater;
  if (text == "<") return Token::kLess;
  if (text == "!=") return Token::kNotEquals;
  if (text == "(") return Token::kOpen;
  return Token::kError;
}

// A zero byte ends a word or an operator, and the text where neither has begun, as it does upstream.
std::vector<Lexeme> Scan(std::string_view text) {
  std::vector<Lexeme> lexemes;
  size_t at = 0;
  while (true) {
    while (at < text.size() && IsSpace(text[at])) ++at;
    if (at == text.size() || text[at] == '\0') break;
    if (IsSymbol(text[at])) {
      const size_t length = SymbolToken(text.substr(at, 2)) != Token::kError && at + 1 < text.size() ? 2 : 1;
      const std::string_view symbol = text.substr(at, length);
      lexemes.push_back({SymbolToken(symbol), std::string(symbol)});
      at += length;
      if (at < text.size() && text[at] == '\0') ++at;
      continue;
    }
    const size_t start = at;
    while (at < text.size() && !IsSpace(text[at]) && !IsSymbol(text[at]) && text[at] != '\0') ++at;
    const std::string_view word = text.substr(start, at - start);
    if (at < text.size() && text[at] == '\0') ++at;
    const Token token = word == "in" ? Token::kIn : word == "notin" ? Token::kNotIn : Token::kIdentifier;
    lexemes.push_back({token, std::string(word)});
  }
  lexemes.push_back({Token::kEnd, ""});
  return lexemes;
}

class LabelParser {
 public:
  explicit LabelParser(std::string_view text) : lexemes_(Scan(text)) {}

  Result<std::vector<Requirement>> Parse() {
    std::vector<Requirement> requirements;
    if (PeekToken() == Token::kEnd) return requirements;
    if (PeekToken() != Token::kIdentifier && PeekToken() != Token::kNot) {
      return Expected(", expected: !, identifier, or 'end of string'");
    }
    while (true) {
      requirements.push_back(TRY(ParseRequirement().Context("unable to parse requirement")));
      if (PeekToken() == Token::kEnd) return requirements;
      if (PeekToken() != Token::kComma) return Expected(", expected: ',' or 'end of string'");
      Next();
      if (PeekToken() != Token::kIdentifier && PeekToken() != Token::kNot) {
        return Expected(", expected: identifier after ','");
      }
    }
  }

 private:
  /// The next token, where "in" and "notin" are plain words; the place of an operator looks at RawToken.
  Token PeekToken() const {
    const Token token = RawToken();
    return token == Token::kIn || token == Token::kNotIn ? Token::kIdentifier : token;
  }
  Token RawToken() const { return lexemes_[at_].token; }
  const std::string& PeekText() const { return lexemes_[at_].text; }
  std::string Next() {
    const std::string& text = lexemes_[at_].text;
    if (at_ + 1 < lexemes_.size()) ++at_;  // the end stays the end
    return text;
  }
  Status Expected(std::string_view rest) const { return BadRequest("found '" + PeekText() + "'" + std::string(rest)); }

  Result<Requirement> ParseRequirement() {
    const bool negated = PeekToken() == Token::kNot;
    if (negated) Next();
    if (PeekToken() != Token::kIdentifier) return Expected(", expected: identifier");
    std::string key = Next();
    if (const Problems problems = CheckQualifiedName(key); !problems.empty()) {
      return BadRequest(InvalidValue("<nil>", key, Join(problems, "; ")));
    }
    // "!a" takes nothing behind the key; what follows is the caller's to refuse.
    if (negated) return Requirement::Create(std::move(key), Op::kDoesNotExist, {});
    if (PeekToken() == Token::kEnd || PeekToken() == Token::kComma) {
      return Requirement::Create(std::move(key), Op::kExists, {});
    }
    const Op op = TRY(ParseOperator());
    std::set<std::string> values = TRY(op == Op::kIn || op == Op::kNotIn ? ParseValues() : ParseExactValue());
    return Requirement::Create(std::move(key), op, {values.begin(), values.end()});
  }

  Result<Op> ParseOperator() {
    Op op = Op::kEquals;
    switch (RawToken()) {
      case Token::kIn:
        op = Op::kIn;
        break;
      case Token::kNotIn:
        op = Op::kNotIn;
        break;
      case Token::kEquals:
        break;
      case Token::kDoubleEquals:
        op = Op::kDoubleEquals;
        break;
      case Token::kNotEquals:
        op = Op::kNotEquals;
        break;
      case Token::kGreater:
        op = Op::kGreaterThan;
        break;
      case Token::kLess:
        op = Op::kLessThan;
        break;
      default:
        return Expected(", expected: in, notin, =, ==, !=, gt, lt");
    }
    Next();
    return op;
  }

  // "(x,y)"; an empty place between commas is the empty value.
  Result<std::set<std::string>> ParseValues() {
    if (PeekToken() != Token::kOpen) return Expected(" expected: '('");
    Next();
    std::set<std::string> values;
    if (PeekToken() == Token::kClose) {
      Next();
      values.insert("");
      return values;
    }
    if (PeekToken() != Token::kIdentifier && PeekToken() != Token::kComma) {
      return Expected(", expected: ',', ')' or identifier");
    }
    while (true) {
      if (PeekToken() == Token::kIdentifier) {
        values.insert(Next());
        if (PeekToken() != Token::kComma && PeekToken() != Token::kClose) return Expected(", expected: ',' or ')'");
      } else if (PeekToken() == Token::kComma) {
        Next();
        const bool empty_place = PeekToken() == Token::kClose || PeekToken() == Token::kComma;
        if (values.empty() || empty_place) values.insert("");
      } else {
        return Expected(", expected: ',', or identifier");
      }
      if (PeekToken() == Token::kClose) {
        Next();
        return values;
      }
    }
  }

  Result<std::set<std::string>> ParseExactValue() {
    if (PeekToken() == Token::kEnd || PeekToken() == Token::kComma) return std::set<std::string>{""};
    if (PeekToken() != Token::kIdentifier) return Expected(", expected: identifier");
    return std::set<std::string>{Next()};
  }

  std::vector<Lexeme> lexemes_;
  size_t at_ = 0;
};

// Equal keys keep their order.
void SortByKey(std::vector<Requirement>& requirements) {
  std::vector<size_t> order(requirements.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return std::pair(std::string_view(requirements[i].key()), i); });
  std::vector<Requirement> sorted;
  sorted.reserve(requirements.size());
  for (const size_t i : order) sorted.push_back(std::move(requirements[i]));
  requirements = std::move(sorted);
}

}  // namespace

Result<Requirement> Requirement::Create(std::string key, SelectorOperator op, std::vector<std::string> values) {
  std::vector<std::string> errors;
  if (const Problems problems = CheckQualifiedName(key); !problems.empty()) {
    errors.push_back(InvalidValue("key", key, Join(problems, "; ")));
  }
  CheckValues(op, values, errors);
  for (size_t i = 0; i < values.size(); ++i) {
    if (const Problems problems = CheckLabelValue(values[i]); !problems.empty()) {
      errors.push_back(InvalidValue("values[" + std::to_string(i) + "][" + key + "]", values[i], Join(problems, "; ")));
    }
  }
  if (errors.size() == 1) return BadRequest(errors[0]);
  if (!errors.empty()) return BadRequest("[" + Join(errors, ", ") + "]");
  return Requirement(std::move(key), op, std::move(values));
}

bool Requirement::Matches(std::optional<std::string_view> value) const {
  switch (op_) {
    case Op::kIn:
    case Op::kEquals:
    case Op::kDoubleEquals:
      return value.has_value() && std::ranges::find(values_, *value) != values_.end();
    case Op::kNotIn:
    case Op::kNotEquals:
      return !value.has_value() || std::ranges::find(values_, *value) == values_.end();
    case Op::kExists:
      return value.has_value();
    case Op::kDoesNotExist:
      return !value.has_value();
    case Op::kGreaterThan:
    case Op::kLessThan: {
      if (!value.has_value() || values_.size() != 1) return false;
      const Result<int64_t> have = ParseInt64(*value);
      const Result<int64_t> bound = ParseInt64(values_[0]);
      if (!have.ok() || !bound.ok()) return false;
      return op_ == Op::kGreaterThan ? *have > *bound : *have < *bound;
    }
  }
  return false;
}

std::string Requirement::ToString() const {
  std::string text = op_ == Op::kDoesNotExist ? "!" : "";
  text += key_;
  text += OperatorText(op_);
  if (op_ == Op::kExists || op_ == Op::kDoesNotExist) return text;
  std::vector<std::string> sorted = values_;
  std::ranges::sort(sorted);
  const bool set = op_ == Op::kIn || op_ == Op::kNotIn;
  return text + (set ? "(" : "") + Join(sorted, ",") + (set ? ")" : "");
}

LabelSelector::LabelSelector(std::vector<Requirement> requirements) : requirements_(std::move(requirements)) {
  SortByKey(requirements_);
}

LabelSelector LabelSelector::Nothing() {
  LabelSelector selector;
  selector.nothing_ = true;
  return selector;
}

Result<LabelSelector> LabelSelector::Parse(std::string_view text) {
  return LabelSelector(TRY(LabelParser(text).Parse()));
}

LabelSelector LabelSelector::FromMap(const std::vector<std::pair<std::string, std::string>>& labels) {
  std::vector<Requirement> requirements;
  for (const auto& [key, value] : labels) requirements.push_back(Requirement(key, Op::kEquals, {value}));
  return LabelSelector(std::move(requirements));
}

std::optional<std::string_view> LabelSelector::ExactValue(std::string_view key) const {
  for (const Requirement& requirement : requirements_) {
    if (requirement.key() != key || requirement.values().size() != 1) continue;
    if (requirement.op() == Op::kEquals || requirement.op() == Op::kDoubleEquals || requirement.op() == Op::kIn) {
      return requirement.values()[0];
    }
  }
  return std::nullopt;
}

std::string LabelSelector::ToString() const {
  std::vector<std::string> parts;
  for (const Requirement& requirement : requirements_) parts.push_back(requirement.ToString());
  return Join(parts, ",");
}

}  // namespace knarr
