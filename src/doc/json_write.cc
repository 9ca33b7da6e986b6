#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/unicode.h"
#include "doc/json.h"
#include "doc/number.h"

namespace knarr::doc {
namespace {

// Which bytes do not stand for themselves in a literal.
constexpr std::array<bool, 256> kNeedsCare = [] {
  std::array<bool, 256> care{};
  for (int c = 0; c < 256; ++c) {
    care[c] = c < 0x20 || c >= 0x80 || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&';
  }
  return care;
}();

// The first byte that does not stand for itself in a literal.
const char* SkipPlain(const char* p, const char* end) {
#ifdef __SSE2__
  const auto is = [](__m128i bytes, char c) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)); };
  while (end - p >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    // As signed bytes, what is below 0x20 includes everything outside ASCII.
    __m128i stop = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    stop = _mm_or_si128(stop, _mm_or_si128(is(bytes, '"'), is(bytes, '\\')));
    stop = _mm_or_si128(stop, _mm_or_si128(_mm_or_si128(is(bytes, '<'), is(bytes, '>')), is(bytes, '&')));
    const auto stops = static_cast<unsigned>(_mm_movemask_epi8(stop));
    if (stops != 0) return p + std::countr_zero(stops);
    p += 16;
  }
#endif
  while (p < end && !kNeedsCare[static_cast<unsigned char>(*p)]) ++p;
  return p;
}

// Appends to a string through a pointer into its spare room: a string's own push_back is several times slower.
class Output {
 public:
  explicit Output(std::string& out) : out_(out), data_(out.data()), size_(out.size()), used_(out.size()) {}
  ~Output() { out_.resize(used_); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void Put(char c) {
    if (used_ == size_) Grow(1);
    data_[used_++] = c;
  }
  void Put(std::string_view text) {
    if (size_ - used_ < text.size()) Grow(text.size());
    // memcpy of nothing may not have a null pointer.
    if (!text.empty()) std::memcpy(data_ + used_, text.data(), text.size());
    used_ += text.size();
  }
  /// Two characters around a text that needs no escapes.
  void PutQuoted(std::string_view text) {
    if (size_ - used_ < text.size() + 2) Grow(text.size() + 2);
    data_[used_++] = '"';
    if (!text.empty()) std::memcpy(data_ + used_, text.data(), text.size());
    used_ += text.size();
    data_[used_++] = '"';
  }

 private:
  void Grow(size_t more) {
    const size_t size = std::max(used_ + more, std::max<size_t>(2 * out_.size(), 256));
    out_.resize_and_overwrite(size, [](char*, size_t n) { return n; });
    data_ = out_.data();
    size_ = size;
  }
  std::string& out_;
  // Of `out_`, kept here: the compiler can't know that writing characters leaves the string's own fields alone.
  char* data_;
  size_t size_;
  size_t used_;
};

// Puts the escape for the character at `p` and returns where the next one begins.
const char* PutEscaped(const char* p, const char* end, Output& out) {
  const auto c = static_cast<unsigned char>(*p);
  if (c >= 0x80) {
    const DecodedRune decoded = DecodeRune({p, static_cast<size_t>(end - p)});
    if (!decoded.valid) {
      out.Put("\\ufffd");
    } else if (decoded.rune == 0x2028 || decoded.rune == 0x2029) {
      out.Put(decoded.rune == 0x2028 ? "\\u2028" : "\\u2029");
    } else {
      out.Put(std::string_view(p, decoded.length));
    }
    return p + decoded.length;
  }
  constexpr std::string_view kFrom = "\"\\\b\f\n\r\t";
  constexpr std::string_view kTo = "\"\\bfnrt";
  if (const size_t i = kFrom.find(*p); i != std::string_view::npos) {
    out.Put('\\');
    out.Put(kTo[i]);
  } else {
    constexpr char kHex[] = "0123456789abcdef";
    out.Put("\\u00");
    out.Put(kHex[c >> 4]);
    out.Put(kHex[c & 15]);
  }
  return p + 1;
}

void PutString(std::string_view text, Output& out) {
  const char* p = text.data();
  const char* const end = p + text.size();
  if (SkipPlain(p, end) == end) return out.PutQuoted(text);
  out.Put('"');
  while (true) {
    const char* const stop = SkipPlain(p, end);
    out.Put(std::string_view(p, static_cast<size_t>(stop - p)));
    if (stop == end) break;
    p = PutEscaped(stop, end, out);
  }
  out.Put('"');
}

class Writer {
 public:
  // indent < 0: compact.
  Writer(std::string& out, int indent) : out_(out), indent_(indent) {}

  void Write(const Value& value) {
    switch (value.kind()) {
      case Kind::kNull:
        return out_.Put("null");
      case Kind::kBool:
        return out_.Put(value.AsBool() ? "true" : "false");
      case Kind::kInt:
        return WriteInt(value.AsInt());
      case Kind::kDouble:
        return WriteDouble(value.AsDouble());
      case Kind::kString:
        return PutString(value.AsString(), out_);
      case Kind::kArray:
        return WriteArray(value);
      case Kind::kObject:
        return WriteObject(value);
    }
  }

 private:
  void WriteInt(int64_t number) {
    char buffer[24];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
    out_.Put(std::string_view(buffer, static_cast<size_t>(end - buffer)));
  }

  void WriteDouble(double number) {
    if (!std::isfinite(number)) return out_.Put("null");
    std::string text;
    AppendJsonFloat(number, text);
    out_.Put(text);
  }

  void WriteArray(const Value& value) {
    out_.Put('[');
    ++depth_;
    bool first = true;
    for (const Value& item : value.items()) {
      Separate(first);
      Write(item);
    }
    --depth_;
    if (!first) NewLine();
    out_.Put(']');
  }

  void WriteObject(const Value& value) {
    out_.Put('{');
    ++depth_;
    bool first = true;
    for (const Member& member : value.members()) {
      Separate(first);
      PutString(member.key, out_);
      out_.Put(indent_ < 0 ? ":" : ": ");
      Write(member.value);
    }
    --depth_;
    if (!first) NewLine();
    out_.Put('}');
  }

  void Separate(bool& first) {
    if (!first) out_.Put(',');
    first = false;
    NewLine();
  }

  void NewLine() {
    if (indent_ < 0) return;
    out_.Put('\n');
    for (int i = 0; i < depth_ * indent_; ++i) out_.Put(' ');
  }

  Output out_;
  const int indent_;
  int depth_ = 0;
};

}  // namespace

void WriteJson(const Value& value, std::string& out) { Writer(out, -1).Write(value); }

std::string ToJson(const Value& value) {
  std::string out;
  WriteJson(value, out);
  return out;
}

std::string ToPrettyJson(const Value& value, int indent) {
  std::string out;
  Writer(out, indent).Write(value);
  return out;
}

void WriteJsonString(std::string_view text, std::string& out) {
  Output output(out);
  PutString(text, output);
}

}  // namespace knarr::doc
