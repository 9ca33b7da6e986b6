#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "base/unicode.h"
#include "doc/json_path.h"
#include "doc/json_path_nodes.h"

namespace knarr::doc {
namespace {

using Node = JsonPathNode;
using What = JsonPathNode::Kind;

constexpr size_t kTextBytesMax = 64 << 10;
constexpr int kNestingMax = 32;  // of filters and unions
constexpr char32_t kEnd = 0xffffffff;

bool IsDigit(char32_t c) { return c >= '0' && c <= '9'; }
bool IsEndOfLine(char32_t c) { return c == '\r' || c == '\n'; }
// Beyond ASCII all printable characters pass for letters.
bool IsAlphaNumeric(char32_t c) {
  return c == '_' || IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= 0x80 && c != kEnd && IsPrintable(c));
}
bool IsTerminator(char32_t c) {
  return c == kEnd || c == ' ' || c == '\t' || IsEndOfLine(c) ||
         (c < 0x80 && std::string_view(".,[]$@{}").find(static_cast<char>(c)) != std::string_view::npos);
}

// Go's %#U.
std::string CodePoint(char32_t c) {
  std::string hex;
  for (char32_t rest = c; rest != 0 || hex.size() < 4; rest >>= 4) hex.insert(0, 1, "0123456789ABCDEF"[rest & 15]);
  std::string out = "U+" + hex;
  if (!IsPrintable(c)) return out;
  out += " '";
  AppendRune(out, c);
  return out + "'";
}

// One character of a Go literal after its backslash; nullopt is a syntax error.
std::optional<std::string> Unescape(std::string_view& text, char quote) {
  constexpr std::string_view kFrom = "abfnrtv\\";
  constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\";
  if (text.empty()) return std::nullopt;
  const char c = text[0];
  text.remove_prefix(1);
  if (const size_t i = kFrom.find(c); i != std::string_view::npos) return std::string(1, kTo[i]);
  if (c == quote) return std::string(1, c);
  size_t digits = 0;
  uint32_t base = 16;
  if (c == 'x' || c == 'u' || c == 'U') {
    digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
  } else if (c >= '0' && c <= '7') {
    digits = 3;
    base = 8;
    text = {text.data() - 1, text.size() + 1};
  }
  if (digits == 0 || text.size() < digits) return std::nullopt;
  uint64_t value = 0;
  for (char d : text.substr(0, digits)) {
    const char lower = static_cast<char>(d | 0x20);
    uint32_t digit = 99;
    if (IsDigit(static_cast<unsigned char>(d))) digit = static_cast<uint32_t>(d - '0');
    if (lower >= 'a' && lower <= 'f') digit = static_cast<uint32_t>(lower - 'a' + 10);
    if (digit >= base) return std::nullopt;
    value = value * base + digit;
  }
  text.remove_prefix(digits);
  if (digits < 4) return value > 255 ? std::nullopt : std::optional(std::string(1, static_cast<char>(value)));
  if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return std::nullopt;
  std::string out;
  AppendRune(out, static_cast<char32_t>(value));
  return out;
}

std::optional<std::string> Unquote(std::string_view quoted) {
  const char quote = quoted[0];
  if (quoted.size() < 2 || quoted.back() != quote) return std::nullopt;
  std::string_view text = quoted.substr(1, quoted.size() - 2);
  std::string out;
  while (!text.empty()) {
    const char c = text[0];
    if (c == quote) return std::nullopt;
    text.remove_prefix(1);
    if (c != '\\') {
      out += c;
      continue;
    }
    const auto character = Unescape(text, quote);
    if (!character) return std::nullopt;
    out += *character;
  }
  return out;
}

// Client-go's recursive parser as a loop: a template, or the inside of a filter or union put in braces again.
class Parser {
 public:
  Parser(std::string_view input, int nesting) : input_(input), nesting_(nesting) {}

  Result<Node> Parse() {
    while (true) {
      const size_t open = input_.find('{', pos_);
      if (open != pos_ && pos_ < input_.size()) {
        root_.children.push_back({.kind = What::kText, .text = std::string(input_.substr(pos_, open - pos_))});
      }
      if (open == std::string_view::npos) return std::move(root_);
      pos_ = start_ = open + 1;
      list_ = {};
      bool closed = false;
      while (!closed) TRY(Action(closed));
      root_.children.push_back(std::move(list_));
    }
  }

 private:
  char32_t Next() {
    width_ = 0;
    if (pos_ >= input_.size()) return kEnd;
    const DecodedRune decoded = DecodeRune(input_.substr(pos_));
    width_ = decoded.length;
    pos_ += width_;
    return decoded.rune;
  }
  void Backup() { pos_ -= width_; }
  std::string_view Consume() {
    const std::string_view out = input_.substr(start_, pos_ - start_);
    start_ = pos_;
    return out;
  }
  bool At(std::string_view prefix) const { return input_.substr(pos_).starts_with(prefix); }
  void Append(Node node) { list_.children.push_back(std::move(node)); }

  // The list that `text` in braces makes.
  Result<Node> Nested(std::string_view text) {
    if (nesting_ >= kNestingMax)
      return BadRequest("filters and unions nested deeper than " + std::to_string(kNestingMax));
    const std::string braced = "{" + std::string(text) + "}";
    Node root = TRY(Parser(braced, nesting_ + 1).Parse());
    return std::move(root.children[0]);
  }

  // One piece of an expression.
  Ok Action(bool& closed) {
    if (At("}")) {
      start_ = ++pos_;
      closed = true;
      return {};
    }
    if (At("[?(")) return Filter();
    if (At("..")) return Recursive();
    const char32_t c = Next();
    if (c == kEnd || IsEndOfLine(c)) return BadRequest("unclosed action");
    switch (c) {
      case ' ':
      case '@':
      case '$':
        Consume();
        return {};
      case '[':
        return Array();
      case '"':
      case '\'':
        return Quote(static_cast<char>(c));
      case '.':
        Field();
        return {};
      default:
        break;
    }
    Backup();
    if (c == '+' || c == '-' || IsDigit(c)) return Number();
    if (IsAlphaNumeric(c)) return Identifier();
    return BadRequest("unrecognized character in action: " + CodePoint(c));
  }

  Ok Identifier() {
    while (!IsTerminator(Next())) {
    }
    Backup();
    const std::string_view value = Consume();
    if (value == "true" || value == "false") {
      Append({.kind = What::kBool, .integer = value == "true"});
    } else {
      Append({.kind = What::kIdentifier, .text = std::string(value)});
    }
    return {};
  }

  Ok Recursive() {
    if (!list_.children.empty() && list_.children.back().kind == What::kRecursive) {
      return BadRequest("invalid multiple recursive descent");
    }
    pos_ += 2;
    Consume();
    Append({.kind = What::kRecursive});
    const char32_t c = Next();
    Backup();
    if (IsAlphaNumeric(c)) Field();
    return {};
  }

  Ok Number() {
    char32_t c = Next();
    if (c != '+' && c != '-') Backup();
    do c = Next();
    while (c == '.' || IsDigit(c));
    Backup();
    const std::string_view value = Consume();
    if (const auto integer = ParseInt64(value); integer.ok()) {
      Append({.kind = What::kInt, .integer = *integer});
      return {};
    }
    const auto number = ParseDouble(value);
    if (!number.ok()) return BadRequest("cannot parse number " + std::string(value));
    Append({.kind = What::kFloat, .number = *number});
    return {};
  }

  void Field() {
    Consume();
    while (true) {
      const char32_t c = Next();
      if (c == '\\') {
        Next();
      } else if (IsTerminator(c)) {
        break;
      }
    }
    Backup();
    const std::string_view value = Consume();
    if (value == "*") return Append({.kind = What::kWildcard});
    std::string name(value);
    std::erase(name, '\\');
    Append({.kind = What::kField, .text = std::move(name)});
  }

  Ok Quote(char quote) {
    while (true) {
      const char32_t c = Next();
      if (c == kEnd || c == '\n') return BadRequest("unterminated quoted string");
      if (c == static_cast<unsigned char>(quote) && input_[pos_ - 2] != '\\') break;
    }
    const std::string_view value = Consume();
    auto text = Unquote(value);
    if (!text) return BadRequest("unquote string " + std::string(value) + " error invalid syntax");
    Append({.kind = What::kText, .text = *std::move(text)});
    return {};
  }

  Ok Array() {
    while (true) {
      const char32_t c = Next();
      if (c == kEnd || c == '\n') return BadRequest("unterminated array");
      if (c == ']') break;
    }
    std::string_view text = Consume();
    text = text.substr(1, text.size() - 2);
    if (text == "*") text = ":";
    if (text.find(',') != std::string_view::npos) {
      Node node{.kind = What::kUnion};
      for (std::string_view part : Split(text, ',')) {
        part = TrimRight(TrimLeft(part, " "), " ");
        node.children.push_back(TRY(Nested("[" + std::string(part) + "]")));
      }
      Append(std::move(node));
      return {};
    }
    if (text.size() >= 2 && text[0] == '\'' && text.find('\'', 1) == text.size() - 1) {
      Node list = TRY(Nested("." + std::string(text.substr(1, text.size() - 2))));
      for (Node& node : list.children) Append(std::move(node));
      return {};
    }
    return Slice(text);
  }

  // -?digits, then up to two of :-?digits, each number optional.
  Ok Slice(std::string_view text) {
    const std::vector<std::string_view> parts = Split(text, ':');
    const auto good = [](std::string_view part) {
      if (part.starts_with('-')) part.remove_prefix(1);
      return std::ranges::all_of(part, [](char c) { return IsDigit(static_cast<unsigned char>(c)); });
    };
    if (parts.size() > 3 || !std::ranges::all_of(parts, good)) {
      return BadRequest("invalid array index " + std::string(text));
    }
    Node node{.kind = What::kArray};
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].empty()) continue;
      const auto value = ParseInt<int32_t>(parts[i]);
      if (!value.ok()) return BadRequest("array index " + std::string(parts[i]) + " is not a number");
      node.slice[i] = {.value = *value, .known = true};
    }
    if (parts.size() == 1) {
      if (node.slice[0].value == INT32_MAX) return BadRequest("array index " + std::string(text) + " is not a number");
      node.slice[1] = {.value = node.slice[0].value + 1, .known = true, .derived = true};
    }
    Append(std::move(node));
    return {};
  }

  Ok Filter() {
    pos_ += 3;
    Consume();
    bool begin = false;
    bool end = false;
    char32_t pair = 0;
    while (true) {
      const char32_t c = Next();
      if (c == kEnd || c == '\n') return BadRequest("unterminated filter");
      if (c == '"' || c == '\'') {
        if (!begin) {
          begin = true;
          pair = c;
        } else if (input_[pos_ - 2] != '\\' && c == pair) {
          end = true;
        }
      } else if (c == ')' && begin == end) {
        break;
      }
    }
    if (Next() != ']') return BadRequest("unclosed array expect ]");
    std::string_view text = Consume();
    text.remove_suffix(2);
    constexpr std::string_view kOperators = "!<>=";
    Node node{.kind = What::kFilter, .text = "exists"};
    const size_t left = text.find_first_of(kOperators);
    const size_t right = left == 0 ? std::string_view::npos : text.find_first_not_of(kOperators, left);
    if (left != std::string_view::npos && right != std::string_view::npos) {
      node.text = text.substr(left, right - left);
      node.children.push_back(TRY(Nested(text.substr(0, left))));
      node.children.push_back(TRY(Nested(text.substr(right))));
    } else {
      node.children.push_back(TRY(Nested(text)));
    }
    Append(std::move(node));
    return {};
  }

  const std::string_view input_;
  const int nesting_;
  size_t pos_ = 0;
  size_t start_ = 0;
  size_t width_ = 0;
  Node root_;
  Node list_;
};

}  // namespace

Result<JsonPathNode> ParseJsonPath(std::string_view text) {
  if (text.size() > kTextBytesMax) {
    return BadRequest("JSONPath template of " + std::to_string(text.size()) + " bytes is longer than " +
                      std::to_string(kTextBytesMax));
  }
  return Parser(text, 0).Parse();
}

Result<std::string> RelaxJsonPath(std::string_view expression) {
  if (expression.empty()) return std::string();
  std::string_view inner = expression;
  if (inner.starts_with('{') && inner.ends_with('}')) inner = inner.substr(1, inner.size() - 2);
  if (inner.starts_with('.')) inner.remove_prefix(1);
  if (inner.empty() || inner.find_first_of("{}") != std::string_view::npos) {
    return BadRequest(
        "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'");
  }
  return "{." + std::string(inner) + "}";
}

}  // namespace knarr::doc
