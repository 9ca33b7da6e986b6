#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <vector>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/strings.h"
#include "base/unicode.h"
#include "doc/json.h"
#include "doc/text.h"

namespace knarr::doc {
namespace {

// The first byte of [p, end) that ends a plain run inside a string literal: a quote, a backslash or a control
// character. Sets `wide` when it passed bytes outside ASCII.
const char* SkipPlain(const char* p, const char* end, bool& wide) {
#ifdef __SSE2__
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i control = _mm_set1_epi8(0x1f);
  while (end - p >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i stop = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                                      _mm_cmpeq_epi8(_mm_max_epu8(bytes, control), control));
    const auto stops = static_cast<unsigned>(_mm_movemask_epi8(stop));
    const auto wides = static_cast<unsigned>(_mm_movemask_epi8(bytes));
    if (stops != 0) {
      const int at = std::countr_zero(stops);
      wide |= (wides & ((1u << at) - 1)) != 0;
      return p + at;
    }
    wide |= wides != 0;
    p += 16;
  }
#endif
  for (; p < end; ++p) {
    const auto c = static_cast<unsigned char>(*p);
    if (c == '"' || c == '\\' || c < 0x20) break;
    wide |= c >= 0x80;
  }
  return p;
}

// The character as Go's messages quote it.
std::string Quoted(char c) {
  if (c == '\'') return "'\\''";
  if (c == '"') return "'\"'";
  std::string rune;
  AppendRune(rune, static_cast<unsigned char>(c));
  std::string quoted = GoQuote(rune);
  quoted.front() = quoted.back() = '\'';
  return quoted;
}

// An explicit stack instead of recursion: the depth of outside input never costs stack, only kDepthMax frames.
// Finished elements wait in values_ and members_ until their container closes and takes them over, exactly sized.
class Parser {
 public:
  Parser(std::string_view text, Arena& arena, const JsonOptions& options)
      : begin_(text.data()), p_(begin_), end_(begin_ + text.size()), arena_(arena), options_(options) {}

  Result<Value> Parse() {
    values_.reserve(32);
    members_.reserve(64);
    frames_.reserve(16);
    if (!ParseValues()) return Error();
    SkipSpace();
    if (p_ != end_) return Unexpected("after top-level value"), Error();
    return root_;
  }

 private:
  struct Frame {
    bool object;
    bool duplicates = false;
    size_t values;                                               // where this container's elements begin
    size_t members;                                              // where its members begin
    uint64_t seen = 0;                                           // the bits of its keys
    std::unique_ptr<std::set<std::string_view>> keys = nullptr;  // once it has many
  };
  static constexpr size_t kKeysLinear = 24;

  bool Fail(const char* at, std::string what) {
    error_at_ = at;
    error_ = std::move(what);
    return false;
  }
  bool Unexpected(std::string_view where) { return UnexpectedAt(p_, where); }
  bool UnexpectedAt(const char* at, std::string_view where) {
    if (at >= end_) return Fail(end_, "unexpected end of JSON input");
    return Fail(at, "invalid character " + Quoted(*at) + " " + std::string(where));
  }
  Status Error() const {
    size_t line = 1;
    size_t column = 1;
    for (const char* p = begin_; p < error_at_; ++p) {
      if (*p == '\n') {
        ++line;
        column = 1;
      } else if ((static_cast<unsigned char>(*p) & 0xc0) != 0x80) {
        ++column;
      }
    }
    return BadRequest("line " + std::to_string(line) + ", column " + std::to_string(column) + ": " + error_);
  }

  void SkipSpace() {
    while (p_ < end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\t' || *p_ == '\r')) ++p_;
  }

  bool ParseValues() {
    while (true) {
      SkipSpace();
      bool opened = false;
      if (!ParseOne(opened)) return false;
      if (opened) continue;
      bool next = false;
      while (!next) {
        if (frames_.empty()) return true;
        if (!AfterValue(next)) return false;
      }
    }
  }

  // At the beginning of a value: reads a scalar or an empty container whole; of any other container its opening (and
  // the first key), and says so.
  bool ParseOne(bool& opened) {
    if (p_ == end_) return Unexpected("");
    switch (*p_) {
      case '{':
      case '[':
        return Open(opened);
      case '"': {
        ++p_;
        std::string_view text;
        if (!ParseString(text)) return false;
        Emit(Value::Borrow(text));
        return true;
      }
      case 't':
        return Literal("true", Value::Bool(true));
      case 'f':
        return Literal("false", Value::Bool(false));
      case 'n':
        return Literal("null", Value::Null());
      default:
        if (*p_ == '-' || (*p_ >= '0' && *p_ <= '9')) return ParseNumber();
        return Unexpected("looking for beginning of value");
    }
  }

  bool Open(bool& opened) {
    const bool object = *p_ == '{';
    if (frames_.size() >= static_cast<size_t>(kDepthMax)) {
      return Fail(p_, "exceeded max depth of " + std::to_string(kDepthMax));
    }
    ++p_;
    SkipSpace();
    if (p_ < end_ && *p_ == (object ? '}' : ']')) {
      ++p_;
      Emit(object ? Value::Object() : Value::Array());
      return true;
    }
    frames_.push_back({.object = object, .values = values_.size(), .members = members_.size()});
    opened = true;
    return !object || ParseKey();
  }

  // After a value inside a container: takes the comma (and the next key) or closes the container.
  bool AfterValue(bool& next) {
    SkipSpace();
    const bool object = frames_.back().object;
    if (p_ < end_ && *p_ == ',') {
      ++p_;
      next = true;
      if (!object) return true;
      SkipSpace();
      return ParseKey();
    }
    if (p_ < end_ && *p_ == (object ? '}' : ']')) {
      ++p_;
      Close();
      return true;
    }
    return Unexpected(object ? "after object key:value pair" : "after array element");
  }

  void Emit(Value value) {
    if (frames_.empty()) {
      root_ = value;
    } else if (frames_.back().object) {
      members_.back().value = value;
    } else {
      values_.push_back(value);
    }
  }

  void Close() {
    Frame& frame = frames_.back();
    Value value;
    if (frame.object) {
      if (frame.duplicates) DropDuplicates(frame.members);
      value = Value::ObjectOf(arena_, std::span(members_).subspan(frame.members));
      members_.resize(frame.members);
    } else {
      value = Value::ArrayOf(arena_, std::span(values_).subspan(frame.values));
      values_.resize(frame.values);
    }
    frames_.pop_back();
    Emit(value);
  }

  bool ParseKey() {
    if (p_ == end_ || *p_ != '"') return Unexpected("looking for beginning of object key string");
    ++p_;
    std::string_view key;
    if (!ParseString(key)) return false;
    SkipSpace();
    if (p_ == end_ || *p_ != ':') return Unexpected("after object key");
    ++p_;
    if (IsDuplicate(key)) {
      frames_.back().duplicates = true;
      if (options_.on_duplicate) options_.on_duplicate(Path(key));
    }
    members_.push_back({key, Value()});
    return true;
  }

  // One of 64 bits for a key: most keys of an object have bits of their own.
  static uint64_t KeyBit(std::string_view key) {
    uint32_t first = 0;
    uint32_t last = 0;
    const size_t size = std::min(key.size(), sizeof first);
    if (size > 0) {
      std::memcpy(&first, key.data(), size);
      std::memcpy(&last, key.data() + key.size() - size, size);
    }
    return uint64_t{1} << (((first * 0x9e3779b1u) ^ (last * 0x85ebca6bu) ^ (key.size() * 0xc2b2ae35u)) >> 26 & 63);
  }

  bool IsDuplicate(std::string_view key) {
    Frame& frame = frames_.back();
    const uint64_t bit = KeyBit(key);
    const bool maybe = (frame.seen & bit) != 0;
    frame.seen |= bit;
    const std::span<const Member> before = std::span(members_).subspan(frame.members);
    if (before.size() < kKeysLinear) {
      if (!maybe) return false;
      for (const Member& member : before) {
        if (member.key == key) return true;
      }
      return false;
    }
    if (frame.keys == nullptr) {
      frame.keys = std::make_unique<std::set<std::string_view>>();
      for (const Member& member : before) frame.keys->insert(member.key);
    }
    return !frame.keys->insert(key).second;
  }

  // The last value of a key wins, at the place of the first.
  void DropDuplicates(size_t begin) {
    std::set<std::pair<std::string_view, size_t>> places;
    size_t kept = begin;
    for (size_t i = begin; i < members_.size(); ++i) {
      const auto found = places.lower_bound({members_[i].key, 0});
      if (found != places.end() && found->first == members_[i].key) {
        members_[found->second].value = members_[i].value;
      } else {
        places.insert({members_[i].key, kept});
        members_[kept++] = members_[i];
      }
    }
    members_.resize(kept);
  }

  std::string Path(std::string_view key) const {
    std::string out;
    for (size_t i = 0; i + 1 < frames_.size(); ++i) {
      if (frames_[i].object) {
        if (!out.empty()) out += '.';
        out += members_[frames_[i + 1].members - 1].key;
      } else {
        out += '[' + std::to_string(frames_[i + 1].values - frames_[i].values) + ']';
      }
    }
    if (!out.empty()) out += '.';
    return out.append(key);
  }

  bool Literal(std::string_view word, Value value) {
    for (size_t i = 0; i < word.size(); ++i) {
      if (p_ + i < end_ && p_[i] == word[i]) continue;
      return UnexpectedAt(p_ + i, "in literal " + std::string(word) + " (expecting '" + word[i] + "')");
    }
    p_ += word.size();
    Emit(value);
    return true;
  }

  bool IsDigit() const { return p_ < end_ && *p_ >= '0' && *p_ <= '9'; }

  bool ParseNumber() {
    const char* const begin = p_;
    const bool negative = *p_ == '-';
    if (negative) ++p_;
    if (!IsDigit()) return Unexpected("in numeric literal");
    uint64_t magnitude = 0;
    const char* const digits = p_;
    if (*p_ == '0') {
      ++p_;
    } else {
      for (; IsDigit(); ++p_) magnitude = magnitude * 10 + static_cast<uint64_t>(*p_ - '0');
    }
    bool integer = true;
    const auto digit_count = p_ - digits;
    if (p_ < end_ && *p_ == '.') {
      integer = false;
      ++p_;
      if (!IsDigit()) return Unexpected("after decimal point in numeric literal");
      while (IsDigit()) ++p_;
    }
    if (p_ < end_ && (*p_ == 'e' || *p_ == 'E')) {
      integer = false;
      ++p_;
      if (p_ < end_ && (*p_ == '+' || *p_ == '-')) ++p_;
      if (!IsDigit()) return Unexpected("in exponent of numeric literal");
      while (IsDigit()) ++p_;
    }
    if (integer && digit_count <= 18) {
      const auto value = static_cast<int64_t>(magnitude);
      Emit(Value::Int(negative ? -value : value));
      return true;
    }
    return SlowNumber(begin, integer);
  }

  // Long integers and everything with a fraction or an exponent.
  bool SlowNumber(const char* begin, bool integer) {
    if (integer) {
      int64_t value = 0;
      if (std::from_chars(begin, p_, value).ec == std::errc()) {
        Emit(Value::Int(value));
        return true;
      }
    }
    double value = 0;
    if (std::from_chars(begin, p_, value).ec != std::errc()) {
      // Out of range: too small rounds as strtod says, too large is an error, as in Go.
      const std::string text(begin, p_);
      value = std::strtod(text.c_str(), nullptr);
      if (value > 1 || value < -1) return Fail(begin, "number " + text + " is out of range");
    }
    Emit(Value::Double(value));
    return true;
  }

  // After the opening quote.
  bool ParseString(std::string_view& out) {
    const char* const begin = p_;
    bool wide = false;
    p_ = SkipPlain(p_, end_, wide);
    if (p_ == end_) return Unexpected("");
    if (*p_ == '"') {
      out = {begin, static_cast<size_t>(p_ - begin)};
      if (wide && !IsValidUtf8(out)) {
        scratch_.clear();
        AppendRun(begin, p_, wide);
        out = arena_.Copy(scratch_);
      }
      ++p_;
      return true;
    }
    return ParseEscapedString(begin, wide, out);
  }

  bool ParseEscapedString(const char* run, bool wide, std::string_view& out) {
    scratch_.clear();
    while (true) {
      AppendRun(run, p_, wide);
      if (p_ == end_) return Unexpected("");
      if (*p_ == '"') break;
      if (*p_ != '\\') return Unexpected("in string literal");
      ++p_;
      if (!ParseEscape()) return false;
      run = p_;
      wide = false;
      p_ = SkipPlain(p_, end_, wide);
    }
    ++p_;
    out = arena_.Copy(scratch_);
    return true;
  }

  // Plain bytes of a string; what is not UTF-8 becomes U+FFFD, byte by byte.
  void AppendRun(const char* begin, const char* end, bool wide) {
    std::string_view text(begin, static_cast<size_t>(end - begin));
    if (!wide || IsValidUtf8(text)) {
      scratch_ += text;
      return;
    }
    scratch_ += RepairUtf8(text);
  }

  // After a backslash.
  bool ParseEscape() {
    if (p_ == end_) return Unexpected("");
    constexpr std::string_view kFrom = "\"\\/bfnrt";
    constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    if (const size_t i = kFrom.find(*p_); i != std::string_view::npos) {
      scratch_ += kTo[i];
      ++p_;
      return true;
    }
    if (*p_ != 'u') return Unexpected("in string escape code");
    ++p_;
    char32_t rune = 0;
    if (!ParseHex4(rune)) return false;
    if (rune >= 0xd800 && rune < 0xdc00 && end_ - p_ >= 2 && p_[0] == '\\' && p_[1] == 'u') {
      const char* const after = p_;
      p_ += 2;
      char32_t low = 0;
      if (!ParseHex4(low)) return false;
      if (low >= 0xdc00 && low < 0xe000) {
        rune = 0x10000 + ((rune - 0xd800) << 10) + (low - 0xdc00);
      } else {
        p_ = after;  // a lone surrogate; the other escape is read by itself
      }
    }
    AppendRune(scratch_, rune);
    return true;
  }

  bool ParseHex4(char32_t& out) {
    out = 0;
    for (int i = 0; i < 4; ++i, ++p_) {
      const char c = p_ < end_ ? *p_ : '\0';
      const char lower = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9') {
        out = out << 4 | static_cast<char32_t>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        out = out << 4 | static_cast<char32_t>(lower - 'a' + 10);
      } else {
        return Unexpected("in \\u hexadecimal character escape");
      }
    }
    return true;
  }

  const char* const begin_;
  const char* p_;
  const char* const end_;
  Arena& arena_;
  const JsonOptions& options_;
  Value root_;
  std::vector<Value> values_;
  std::vector<Member> members_;
  std::vector<Frame> frames_;
  std::string scratch_;
  const char* error_at_ = nullptr;
  std::string error_;
};

}  // namespace

Result<Value> ParseJsonBorrowing(std::string_view text, Arena& arena, const JsonOptions& options) {
  if (text.size() > kTextMax) {
    return Status(Reason::kRequestEntityTooLarge, "JSON text of " + std::to_string(text.size()) + " bytes is too long");
  }
  return Parser(text, arena, options).Parse();
}

Result<Document> ParseJson(std::string_view text, const JsonOptions& options) {
  Document out;
  out.root = TRY(ParseJsonBorrowing(out.arena.Copy(text), out.arena, options));
  return out;
}

}  // namespace knarr::doc
