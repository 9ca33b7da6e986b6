#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "base/unicode.h"
#include "doc/number.h"
#include "doc/text.h"
#include "doc/yaml.h"
#include "doc/yaml_resolve.h"

namespace knarr::doc {
namespace {

constexpr int kIndent = 2;
constexpr int kWidth = 80;
constexpr size_t kSimpleKeyMax = 128;

// --- The order of keys -----------------------------------------------------------------------------------------------

bool IsDigit(char32_t c) { return c >= '0' && c <= '9'; }

// Beyond ASCII: all but the blocks of spaces, punctuation, symbols and emoji.
bool IsLetter(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  if (c < 0xc0) return c == 0xaa || c == 0xb5 || c == 0xba;
  return c != 0xd7 && c != 0xf7 && !(c >= 0x2000 && c < 0x2c00) && !(c >= 0x3000 && c < 0x3005) &&
         !(c >= 0x3008 && c < 0x3031) && !(c >= 0xe000 && c < 0xf900) && !(c >= 0xfe00 && c < 0xfe70) &&
         !(c >= 0xfeff && c < 0xff21) && c != 0xfffd && !(c >= 0x1f000 && c < 0x20000);
}

// The value of the digits from `at`, with wrap-around as in Go, and where they end.
int64_t DigitsAt(std::string_view text, size_t at, uint64_t value, size_t& end) {
  for (end = at; end < text.size() && IsDigit(static_cast<unsigned char>(text[end])); ++end) {
    value = value * 10 + static_cast<uint64_t>(text[end] - '0');
  }
  return static_cast<int64_t>(value);
}

// go-yaml's order: runs of digits by their value, letters after everything else.
bool KeyLess(std::string_view a, std::string_view b) {
  const auto differ = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  auto at = static_cast<size_t>(differ.first - a.begin());
  if (at == a.size() || at == b.size()) return a.size() < b.size();
  while (at > 0 && (static_cast<unsigned char>(a[at]) & 0xc0) == 0x80) --at;
  const char32_t x = DecodeRune(a.substr(at)).rune;
  const char32_t y = DecodeRune(b.substr(at)).rune;
  if (IsLetter(x) && IsLetter(y)) return x < y;
  if (IsLetter(x) || IsLetter(y)) return IsLetter(y);
  uint64_t begin = 0;
  if (x == '0' || y == '0') {
    // A zero inside a number is one of its digits, not its beginning.
    for (size_t j = at; j > 0 && IsDigit(static_cast<unsigned char>(a[j - 1])); --j) {
      if (a[j - 1] != '0') begin = 1;
    }
  }
  size_t a_end = 0;
  size_t b_end = 0;
  const int64_t m = DigitsAt(a, at, begin, a_end);
  const int64_t n = DigitsAt(b, at, begin, b_end);
  if (m != n) return m < n;
  if (a_end != b_end) return a_end < b_end;
  return x < y;
}

// A merge sort of our own: KeyLess is not transitive ("8w" < "26" < "88" < "8w"), which std::sort does not survive.
[[gnu::noinline]] std::vector<const Member*> Sorted(const Value& object) {
  std::vector<const Member*> members;
  members.reserve(object.size());
  for (const Member& member : object.members()) members.push_back(&member);
  std::vector<const Member*> merged(members.size());
  for (size_t width = 1; width < members.size(); width *= 2) {
    for (size_t begin = 0; begin < members.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, members.size());
      const size_t end = std::min(begin + 2 * width, members.size());
      size_t left = begin;
      size_t right = middle;
      for (size_t out = begin; out < end; ++out) {
        const bool from_right = left == middle || (right < end && KeyLess(members[right]->key, members[left]->key));
        merged[out] = members[from_right ? right++ : left++];
      }
    }
    members.swap(merged);
  }
  return members;
}

// --- What a scalar allows --------------------------------------------------------------------------------------------

bool IsBreak(char32_t c) { return c == '\n' || c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029; }

bool IsYamlPrintable(char32_t c) {
  return c == '\n' || (c >= 0x20 && c <= 0x7e) || (c >= 0xa0 && c <= 0xfffd && c != 0xfeff);
}

enum class Style { kPlain, kSingleQuoted, kDoubleQuoted, kLiteral };

struct Analysis {
  bool multiline = false;
  bool plain = true;
  bool single_quoted = true;
  bool literal = true;
};

// Whether the character's place makes it an indicator that a plain scalar outside flow collections may not have.
bool IsIndicator(std::string_view text, size_t at, char32_t c, bool after_blank, bool before_blank) {
  constexpr std::string_view kFirst = "#,[]{}&*!|>'\"%@`";
  if (c >= 0x80) return false;
  if (at == 0 && kFirst.find(text[0]) != std::string_view::npos) return true;
  if (at == 0 && (c == '?' || c == '-')) return before_blank;
  if (c == ':') return before_blank;
  return at > 0 && c == '#' && after_blank;
}

Analysis Analyze(std::string_view text) {
  Analysis out;
  if (text.empty()) {
    out.literal = false;
    return out;
  }
  if (text.starts_with("---") || text.starts_with("...")) out.plain = false;
  bool after_blank = true;
  bool previous_space = false;
  bool previous_break = false;
  for (size_t i = 0; i < text.size();) {
    const DecodedRune decoded = DecodeRune(text.substr(i));
    const char32_t c = decoded.rune;
    const size_t next = i + decoded.length;
    const bool last = next == text.size();
    const bool before_blank = last || text[next] == ' ' || text[next] == '\t';
    if (IsIndicator(text, i, c, after_blank, before_blank)) out.plain = false;
    if (!IsYamlPrintable(c)) out.plain = out.single_quoted = out.literal = false;
    const bool line_break = IsBreak(c);
    if ((c == ' ' || line_break) && (i == 0 || last)) out.plain = false;
    if (c == ' ') {
      if (last) out.literal = false;
      if (previous_break) out.plain = out.single_quoted = false;
    } else if (line_break) {
      out.multiline = true;
      out.plain = false;
      if (previous_space) out.single_quoted = out.literal = false;
    }
    previous_space = c == ' ';
    previous_break = line_break;
    after_blank = c == ' ' || c == '\t' || line_break || c == 0;
    i = next;
  }
  return out;
}

// --- The emitter -----------------------------------------------------------------------------------------------------

// Follows libyaml's emitter, whose state (indention, whitespace, column) decides where lines break.
class Emitter {
 public:
  explicit Emitter(std::string& out) : out_(out) {}

  void Document(const Value& root) {
    Node(root, /*in_mapping=*/false);
    Indent();
  }

 private:
  void Put(std::string_view character) {
    out_ += character;
    ++column_;
  }
  void Break() {
    out_ += '\n';
    column_ = 0;
  }
  void Indent() {
    const int indent = std::max(indent_, 0);
    if (!indention_ || column_ > indent || (column_ == indent && !whitespace_)) Break();
    if (column_ < indent) out_.append(static_cast<size_t>(indent - column_), ' ');
    column_ = std::max(column_, indent);
    whitespace_ = indention_ = true;
  }
  void Indicator(char c, bool need_space, bool is_space, bool is_indention) {
    if (need_space && !whitespace_) Put(" ");
    Put({&c, 1});
    whitespace_ = is_space;
    indention_ = indention_ && is_indention;
  }
  // Returns the old indent, for whoever comes back to it.
  int IncreaseIndent(bool scalar_or_flow, bool indentless) {
    const int old = indent_;
    if (indent_ < 0) {
      indent_ = scalar_or_flow ? kIndent : 0;
    } else if (!indentless) {
      indent_ += kIndent;
    }
    return old;
  }

  // Only this recursion is as deep as the tree: what the leaves need stays out of its frames (fibers' stacks are
  // small).
  void Node(const Value& value, bool in_mapping) {
    if (value.is_array()) return Sequence(value, in_mapping);
    if (value.is_object()) return Mapping(value);
    Leaf(value);
  }

  [[gnu::noinline]] void Leaf(const Value& value) {
    switch (value.kind()) {
      case Kind::kBool:
        return Scalar(value.AsBool() ? "true" : "false", Style::kPlain, false);
      case Kind::kInt:
        return Scalar(std::to_string(value.AsInt()), Style::kPlain, false);
      case Kind::kDouble:
        return Scalar(DoubleText(value.AsDouble()), Style::kPlain, false);
      case Kind::kString:
        return String(value.AsString(), false);
      default:
        return Scalar("null", Style::kPlain, false);
    }
  }

  // kubectl's numbers come by way of JSON text, which makes whole ones integers again.
  static std::string DoubleText(double number) {
    if (!(number - number == 0)) return number != number ? ".nan" : number > 0 ? ".inf" : "-.inf";
    std::string text;
    AppendJsonFloat(number, text);
    const YamlScalar scalar = ResolveYamlScalar(text);
    if (scalar.kind == YamlScalar::Kind::kInt) return std::to_string(scalar.integer);
    if (scalar.kind == YamlScalar::Kind::kUint) return std::to_string(scalar.natural);
    text.clear();
    AppendShortestFloat(number, text);
    return text;
  }

  [[gnu::noinline]] void Sequence(const Value& value, bool in_mapping) {
    if (value.empty()) {
      Indicator('[', true, true, false);
      return Indicator(']', false, false, false);
    }
    const int outer = IncreaseIndent(false, in_mapping && !indention_);
    for (const Value& item : value.items()) {
      Indent();
      Indicator('-', true, false, true);
      Node(item, false);
    }
    indent_ = outer;
  }

  [[gnu::noinline]] void Mapping(const Value& value) {
    if (value.empty()) {
      Indicator('{', true, true, false);
      return Indicator('}', false, false, false);
    }
    const int outer = IncreaseIndent(false, false);
    for (const Member* member : Sorted(value)) {
      Indent();
      Key(member->key);
      Node(member->value, true);
    }
    indent_ = outer;
  }

  [[gnu::noinline]] void Key(std::string_view key) {
    if (key.size() <= kSimpleKeyMax && !Analyze(key).multiline) {
      String(key, true);
      return Indicator(':', false, false, false);
    }
    Indicator('?', true, false, true);
    String(key, false);
    Indent();
    Indicator(':', true, false, true);
  }

  void String(std::string_view text, bool simple_key) {
    if (!IsValidUtf8(text)) return String(RepairUtf8(text), simple_key);
    if (text.find('\n') != std::string_view::npos) return Scalar(text, Style::kLiteral, simple_key);
    // As a plain key it would be read as "merge"; go-yaml, whose printer ours follows otherwise, lets it.
    const bool merges = simple_key && text == "<<";
    const bool plain = !merges && ResolveYamlScalar(text).kind == YamlScalar::Kind::kString && !LooksLikeBase60(text);
    Scalar(text, plain ? Style::kPlain : Style::kDoubleQuoted, simple_key);
  }

  void Scalar(std::string_view text, Style style, bool simple_key) {
    const Analysis allowed = Analyze(text);
    if (simple_key && allowed.multiline) style = Style::kDoubleQuoted;
    if (style == Style::kPlain && (!allowed.plain || (text.empty() && simple_key))) style = Style::kSingleQuoted;
    if (style == Style::kSingleQuoted && !allowed.single_quoted) style = Style::kDoubleQuoted;
    if (style == Style::kLiteral && (!allowed.literal || simple_key)) style = Style::kDoubleQuoted;
    const int outer = IncreaseIndent(true, false);
    switch (style) {
      case Style::kPlain:
        Plain(text, !simple_key);
        break;
      case Style::kSingleQuoted:
        SingleQuoted(text, !simple_key);
        break;
      case Style::kDoubleQuoted:
        DoubleQuoted(text, !simple_key);
        break;
      case Style::kLiteral:
        Literal(text);
        break;
    }
    indent_ = outer;
  }

  static std::string_view Next(std::string_view text, size_t at) {
    return text.substr(at, DecodeRune(text.substr(at)).length);
  }

  void Plain(std::string_view text, bool fold) {
    if (!whitespace_) Put(" ");
    bool spaces = false;
    for (size_t i = 0; i < text.size();) {
      const std::string_view c = Next(text, i);
      if (c == " ") {
        if (fold && !spaces && column_ > kWidth && text[i + 1] != ' ') {
          Indent();
        } else {
          Put(c);
        }
        spaces = true;
      } else {
        Put(c);
        indention_ = spaces = false;
      }
      i += c.size();
    }
    whitespace_ = indention_ = false;
  }

  void SingleQuoted(std::string_view text, bool fold) {
    Indicator('\'', true, false, false);
    bool spaces = false;
    bool breaks = false;
    for (size_t i = 0; i < text.size();) {
      const std::string_view c = Next(text, i);
      const bool inner = i > 0 && i + 1 < text.size();
      if (c == " ") {
        if (fold && !spaces && column_ > kWidth && inner && text[i + 1] != ' ') {
          Indent();
        } else {
          Put(c);
        }
        spaces = true;
      } else if (IsBreak(DecodeRune(c).rune)) {
        Put(c);
        column_ = 0;
        indention_ = breaks = true;
      } else {
        if (breaks) Indent();
        if (c == "'") Put("'");
        Put(c);
        indention_ = spaces = breaks = false;
      }
      i += c.size();
    }
    Indicator('\'', false, false, false);
    whitespace_ = indention_ = false;
  }

  void DoubleQuoted(std::string_view text, bool fold) {
    Indicator('"', true, false, false);
    // go-yaml escapes every character of a text that begins with a byte order mark.
    const bool all = text.starts_with("\xef\xbb\xbf");
    bool spaces = false;
    for (size_t i = 0; i < text.size();) {
      const std::string_view c = Next(text, i);
      const char32_t rune = DecodeRune(c).rune;
      if (all || !IsYamlPrintable(rune) || IsBreak(rune) || rune == '"' || rune == '\\') {
        Escape(rune);
        spaces = false;
      } else if (c == " ") {
        if (fold && !spaces && column_ > kWidth && i > 0 && i + 1 < text.size()) {
          Indent();
          if (text[i + 1] == ' ') Put("\\");
        } else {
          Put(c);
        }
        spaces = true;
      } else {
        Put(c);
        spaces = false;
      }
      i += c.size();
    }
    Indicator('"', false, false, false);
    whitespace_ = indention_ = false;
  }

  void Escape(char32_t rune) {
    Put("\\");
    switch (rune) {
      case 0x00:
        return Put("0");
      case 0x1b:
        return Put("e");
      case '"':
        return Put("\"");
      case '\\':
        return Put("\\");
      case 0x85:
        return Put("N");
      case 0xa0:
        return Put("_");
      case 0x2028:
        return Put("L");
      case 0x2029:
        return Put("P");
      default:
        break;
    }
    if (rune >= 0x07 && rune <= 0x0d) return Put(std::string_view("abtnvfr").substr(rune - 7, 1));
    const int digits = rune <= 0xff ? 2 : rune <= 0xffff ? 4 : 8;
    Put(digits == 2 ? "x" : digits == 4 ? "u" : "U");
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) {
      Put(std::string_view("0123456789ABCDEF").substr(rune >> shift & 15, 1));
    }
  }

  void Literal(std::string_view text) {
    Indicator('|', true, false, false);
    if (text[0] == ' ' || IsBreak(DecodeRune(text).rune))
      Indicator(static_cast<char>('0' + kIndent), false, false, false);
    // How many line breaks end the text: none is "-", one is the default, more are "+".
    std::array<char32_t, 2> tail{0, 0};
    for (size_t i = 0; i < text.size(); i += Next(text, i).size()) {
      tail = {tail[1], DecodeRune(text.substr(i)).rune};
    }
    if (!IsBreak(tail[1])) {
      Indicator('-', false, false, false);
    } else if (tail[0] == 0 || IsBreak(tail[0])) {
      Indicator('+', false, false, false);
    }
    Break();
    indention_ = whitespace_ = true;
    bool breaks = true;
    for (size_t i = 0; i < text.size();) {
      const std::string_view c = Next(text, i);
      if (c == "\n") {
        Break();
        indention_ = breaks = true;
      } else if (IsBreak(DecodeRune(c).rune)) {
        Put(c);
        column_ = 0;
        indention_ = breaks = true;
      } else {
        if (breaks) Indent();
        Put(c);
        indention_ = breaks = false;
      }
      i += c.size();
    }
  }

  std::string& out_;
  int indent_ = -1;
  int column_ = 0;
  bool whitespace_ = true;
  bool indention_ = true;
};

}  // namespace

void WriteYaml(const Value& value, std::string& out) { Emitter(out).Document(value); }

std::string ToYaml(const Value& value) {
  std::string out;
  WriteYaml(value, out);
  return out;
}

}  // namespace knarr::doc
