#include "doc/number.h"

#include <charconv>
#include <cmath>
#include <string_view>

#include "base/check.h"

namespace knarr::doc {
namespace {

// sign · 0.d1d2d3… · 10^point
struct Decimal {
  bool negative = false;
  std::string digits;
  int point = 0;
};

template <typename Float>
Decimal Shortest(Float number) {
  CHECK(std::isfinite(number));
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, std::fabs(number), std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const size_t e = text.find('e');
  Decimal out;
  out.negative = std::signbit(number);
  for (char c : text.substr(0, e)) {
    if (c != '.') out.digits += c;
  }
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), end, exponent);
  out.point = number == 0 ? 1 : exponent + 1;
  return out;
}

void AppendPlain(const Decimal& decimal, std::string& out) {
  if (decimal.negative) out += '-';
  const auto count = static_cast<int>(decimal.digits.size());
  if (decimal.point <= 0) {
    out += "0.";
    out.append(static_cast<size_t>(-decimal.point), '0');
    out += decimal.digits;
  } else if (decimal.point >= count) {
    out += decimal.digits;
    out.append(static_cast<size_t>(decimal.point - count), '0');
  } else {
    out.append(decimal.digits, 0, static_cast<size_t>(decimal.point));
    out += '.';
    out.append(decimal.digits, static_cast<size_t>(decimal.point));
  }
}

void AppendExponent(const Decimal& decimal, int digits_min, std::string& out) {
  if (decimal.negative) out += '-';
  out += decimal.digits[0];
  if (decimal.digits.size() > 1) {
    out += '.';
    out.append(decimal.digits, 1);
  }
  const int exponent = decimal.point - 1;
  out += exponent < 0 ? "e-" : "e+";
  const std::string text = std::to_string(std::abs(exponent));
  if (static_cast<int>(text.size()) < digits_min) out += '0';
  out += text;
}

}  // namespace

void AppendJsonFloat(double number, std::string& out) {
  const double size = std::fabs(number);
  const Decimal decimal = Shortest(number);
  if (size == 0 || (size >= 1e-6 && size < 1e21)) {
    AppendPlain(decimal, out);
  } else {
    // encoding/json drops the leading zero of a negative exponent only; a positive one has two digits here anyway.
    AppendExponent(decimal, 1, out);
  }
}

namespace {

void AppendShortest(const Decimal& decimal, std::string& out) {
  const int exponent = decimal.point - 1;
  if (exponent < -4 || exponent >= 6) {
    AppendExponent(decimal, 2, out);
  } else {
    AppendPlain(decimal, out);
  }
}

}  // namespace

void AppendShortestFloat(double number, std::string& out) { AppendShortest(Shortest(number), out); }
void AppendShortestFloat(float number, std::string& out) { AppendShortest(Shortest(number), out); }

}  // namespace knarr::doc
