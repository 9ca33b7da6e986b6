#include "base/quantity.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/decimal.h"
#include "base/strings.h"

namespace knarr {
namespace {

constexpr size_t kTextMax = 1000;
constexpr int64_t kExponentMax = 1000;
constexpr int32_t kNano = -9;
constexpr int64_t kMostPositive = std::numeric_limits<int64_t>::max();
constexpr int64_t kMostNegative = std::numeric_limits<int64_t>::min();

struct Suffix {
  std::string_view text;
  int base;
  int32_t exponent;
};

constexpr Suffix kSuffixes[] = {
    {"", 10, 0},   {"n", 10, -9}, {"u", 10, -6}, {"m", 10, -3}, {"k", 10, 3},  {"M", 10, 6},
    {"G", 10, 9},  {"T", 10, 12}, {"P", 10, 15}, {"E", 10, 18}, {"Ki", 2, 10}, {"Mi", 2, 20},
    {"Gi", 2, 30}, {"Ti", 2, 40}, {"Pi", 2, 50}, {"Ei", 2, 60},
};
constexpr int32_t kDecimalExponentMax = 18;
constexpr int32_t kBinaryExponentMax = 60;

Status WrongFormat() {
  return BadRequest("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}
Status BadNumber() { return BadRequest("unable to parse numeric part of quantity"); }
Status BadSuffix() { return BadRequest("unable to parse quantity's suffix"); }

struct QuantityText {
  bool negative = false;
  std::string_view whole;     // digits before the point, without leading zeros; "0" when there are none
  std::string_view fraction;  // digits behind it
  std::string_view suffix;
  bool has_digits = false;
};

size_t SkipDigits(std::string_view text, size_t at) {
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  return at;
}

Result<QuantityText> SplitText(std::string_view text) {
  QuantityText parts;
  size_t at = 0;
  if (text[0] == '-' || text[0] == '+') {
    parts.negative = text[0] == '-';
    at = 1;
  }
  while (at < text.size() && text[at] == '0') ++at;
  const size_t whole_end = SkipDigits(text, at);
  parts.has_digits = whole_end > 0 && text[whole_end - 1] >= '0' && text[whole_end - 1] <= '9';
  parts.whole = whole_end > at ? text.substr(at, whole_end - at) : "0";
  at = whole_end;
  if (at < text.size() && text[at] == '.') {
    const size_t end = SkipDigits(text, at + 1);
    parts.fraction = text.substr(at + 1, end - at - 1);
    parts.has_digits = parts.has_digits || !parts.fraction.empty();
    at = end;
  }
  parts.suffix = text.substr(at);
  size_t end = parts.suffix.find_first_not_of("eEinumkKMGTP");
  if (end == std::string_view::npos) return parts;
  if (parts.suffix[end] == '-' || parts.suffix[end] == '+') ++end;
  if (SkipDigits(parts.suffix, end) != parts.suffix.size()) return WrongFormat();
  return parts;
}

struct Notation {
  int base = 10;
  int32_t exponent = 0;
  QuantityFormat format = QuantityFormat::kDecimalSi;
};

Result<Notation> ReadSuffix(std::string_view text) {
  for (const Suffix& suffix : kSuffixes) {
    if (suffix.text != text) continue;
    const auto format = suffix.base == 2 ? QuantityFormat::kBinarySi : QuantityFormat::kDecimalSi;
    return Notation{.base = suffix.base, .exponent = suffix.exponent, .format = format};
  }
  if (text.size() < 2 || (text[0] != 'e' && text[0] != 'E')) return BadSuffix();
  const Result<int64_t> exponent = ParseInt64(text.substr(1));
  if (!exponent.ok() || *exponent > kExponentMax || *exponent < -kExponentMax) return BadSuffix();
  return Notation{.base = 10, .exponent = static_cast<int32_t>(*exponent), .format = QuantityFormat::kDecimalExponent};
}

std::string_view WriteSuffix(int base, int32_t exponent) {
  for (const Suffix& suffix : kSuffixes) {
    if (suffix.base == base && suffix.exponent == exponent) return suffix.text;
  }
  return "";
}

// The digits and an exponent that is a multiple of three (and at most `most`), without needless zeros.
std::string DecimalText(const Decimal& number, QuantityFormat format) {
  std::string digits = number.magnitude.Digits();
  int32_t exponent = number.scale;
  while (digits.size() > 1 && digits.back() == '0') {
    digits.pop_back();
    ++exponent;
  }
  const int32_t most = format == QuantityFormat::kDecimalSi ? kDecimalExponentMax : std::numeric_limits<int32_t>::max();
  while (exponent % 3 != 0 || exponent > most) {
    digits += '0';
    --exponent;
  }
  std::string text = (number.negative ? "-" : "") + digits;
  if (format == QuantityFormat::kDecimalSi) return text.append(WriteSuffix(10, exponent));
  return exponent == 0 ? text : text + "e" + std::to_string(exponent);
}

std::string BinaryText(const Decimal& whole) {
  BigNatural magnitude = whole.magnitude;
  magnitude.MultiplyPow10(static_cast<uint32_t>(whole.scale));
  int32_t exponent = 0;
  while (exponent < kBinaryExponentMax) {
    BigNatural divided = magnitude;
    if (divided.Divide(1024) != 0) break;
    magnitude = divided;
    exponent += 10;
  }
  return (whole.negative ? "-" : "") + magnitude.Digits() + (exponent > 0 ? std::string(WriteSuffix(2, exponent)) : "");
}

// value * 10^power, when it fits.
bool ScaleUp(int64_t value, int32_t power, int64_t& result) {
  result = value;
  if (value == 0) return true;
  for (int32_t i = 0; i < power; ++i) {
    if (__builtin_mul_overflow(result, int64_t{10}, &result)) return false;
  }
  return true;
}

// value / 10^power, away from zero.
int64_t ScaleDown(int64_t value, int32_t power) {
  bool lost = false;
  int64_t result = value;
  for (int32_t i = 0; i < power && result != 0; ++i) {
    lost = lost || result % 10 != 0;
    result /= 10;
  }
  if (!lost) return result;
  return value > 0 ? result + 1 : result - 1;
}

int64_t Saturate(int sign) { return sign < 0 ? kMostNegative : kMostPositive; }

// The power of ten that the canonical text would show: the exponent and the zeros at the end of the digits.
int64_t CanonicalExponent(const QuantityText& parts, const Notation& notation) {
  const std::string digits = std::string(parts.whole) + std::string(parts.fraction);
  const size_t last = digits.find_last_not_of('0');
  if (last == std::string::npos) return 0;
  return notation.exponent + static_cast<int64_t>(digits.size() - 1 - last) -
         static_cast<int64_t>(parts.fraction.size());
}

// The exact path: any number of digits, rounded up at one nano, binary ones capped.
Decimal ParseExact(const QuantityText& parts, const Notation& notation, QuantityFormat& format) {
  Decimal number;
  number.magnitude = BigNatural::FromDigits(std::string(parts.whole) + std::string(parts.fraction));
  number.scale = -static_cast<int32_t>(parts.fraction.size());
  if (notation.base == 10) {
    number.scale += notation.exponent;
  } else {
    for (int32_t i = 0; i < notation.exponent; i += 10) number.magnitude.Multiply(1024);
  }
  number = number.RoundedUp(kNano);
  if (format == QuantityFormat::kBinarySi) {
    const Decimal cap = Decimal::From(kMostPositive, 0);
    if (number.Compare(cap) > 0) number = cap;
    if (number.Sign() > 0 && number.Compare(Decimal::From(1, 0)) < 0) format = QuantityFormat::kDecimalSi;
  }
  number.negative = parts.negative && !number.magnitude.IsZero();
  return number;
}

}  // namespace

Quantity Quantity::Scaled(int64_t value, int32_t scale, QuantityFormat format) {
  Quantity quantity(value, format);
  quantity.scale_ = scale;
  return quantity;
}

Result<Quantity> Quantity::Parse(std::string_view text) {
  if (text.empty()) return WrongFormat();
  if (text.size() > kTextMax) return BadNumber();
  const QuantityText parts = TRY(SplitText(text));
  const Notation notation = TRY(ReadSuffix(parts.suffix));
  if (CanonicalExponent(parts, notation) > kExponentMax) return BadNumber();
  const auto digits = static_cast<int32_t>(parts.whole.size() + parts.fraction.size());
  const bool binary = notation.format == QuantityFormat::kBinarySi;
  Quantity quantity(0, notation.format);
  quantity.scale_ = binary ? 0 : notation.exponent - static_cast<int32_t>(parts.fraction.size());

  // Upstream's quick path: few enough digits for 64 bits. It decides what is kept as it was written.
  const bool quick = binary ? parts.fraction.empty() && 15 - digits - notation.exponent * 3 / 10 - 1 >= 0
                            : digits <= 18 && quantity.scale_ >= kNano;
  if (quick) {
    const std::string shifted = std::string(parts.whole) + std::string(parts.fraction);
    const int64_t value = MUST(ParseInt64(shifted));  // at most 18 digits
    const int64_t factor = binary ? int64_t{1} << notation.exponent : 1;
    if (!__builtin_mul_overflow(value, factor, &quantity.value_)) {
      if (parts.negative) quantity.value_ = -quantity.value_;
      const bool keep =
          binary ? (value & 7) != 0 : quantity.scale_ % 3 == 0 && !shifted.ends_with("000") && shifted[0] != '0';
      if (keep || text == "0") quantity.text_ = text;
      return quantity;
    }
  }
  if (!parts.has_digits) return BadNumber();  // the quick path takes "Ki" for zero, as upstream does
  quantity.value_ = 0;
  quantity.scale_ = 0;
  quantity.big_ = std::make_shared<const Decimal>(ParseExact(parts, notation, quantity.format_));
  return quantity;
}

bool Quantity::IsPlainCanonical(std::string_view text) {
  constexpr size_t kDigitsMax = 9;  // so that no suffix below comes near to the largest number
  const size_t digits = SkipDigits(text, 0);
  if (digits == 0 || digits > kDigitsMax || text.front() == '0') return false;
  const int64_t number = ParseInt64(text.substr(0, digits)).value_or(0);
  const std::string_view suffix = text.substr(digits);
  if (suffix == "Ki" || suffix == "Mi" || suffix == "Gi") return number % 1024 != 0;
  // What a larger suffix divides is written with that one.
  return (suffix.empty() || suffix == "m" || suffix == "k" || suffix == "M" || suffix == "G") && number % 1000 != 0;
}

std::string Quantity::ToString() const {
  if (!text_.empty()) return text_;
  if (IsZero()) return "0";
  const Decimal number = big_ != nullptr ? *big_ : Decimal::From(value_, scale_);
  if (format_ != QuantityFormat::kBinarySi) return DecimalText(number, format_);
  const bool small = number.Compare(Decimal::From(-1024, 0)) > 0 && number.Compare(Decimal::From(1024, 0)) < 0;
  bool whole = false;
  const Decimal rounded = number.RoundedUp(0, &whole);
  if (small || !whole) return DecimalText(number, QuantityFormat::kDecimalSi);
  return BinaryText(rounded);
}

bool Quantity::IsZero() const { return Sign() == 0; }

int Quantity::Sign() const {
  if (big_ != nullptr) return big_->Sign();
  return value_ == 0 ? 0 : value_ < 0 ? -1 : 1;
}

bool Quantity::IsInteger() const {
  bool exact = true;
  const Decimal number = big_ != nullptr ? *big_ : Decimal::From(value_, scale_);
  (void)number.RoundedUp(0, &exact);
  return exact;
}

int64_t Quantity::ScaledValue(int32_t scale) const {
  if (big_ == nullptr) {
    if (scale_ < scale) return ScaleDown(value_, scale - scale_);
    int64_t result = 0;
    return ScaleUp(value_, scale_ - scale, result) ? result : Saturate(Sign());
  }
  Decimal number = big_->RoundedUp(scale);
  number.scale -= scale;
  int64_t result = 0;
  return number.ToInt64(result) ? result : Saturate(Sign());
}

double Quantity::ToDouble() const {
  if (big_ == nullptr) return static_cast<double>(value_) * std::pow(10.0, scale_);
  const std::string text = (big_->negative ? "-" : "") + big_->magnitude.Digits() + "e" + std::to_string(big_->scale);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  (void)end;
  if (error == std::errc::result_out_of_range) return big_->negative ? -HUGE_VAL : HUGE_VAL;
  return value;
}

Quantity& Quantity::operator+=(const Quantity& other) {
  const QuantityFormat format = IsZero() ? other.format_ : format_;
  text_.clear();
  format_ = format;
  if (big_ == nullptr && other.big_ == nullptr) {
    if (other.value_ == 0) return *this;
    if (value_ == 0) {
      value_ = other.value_;
      scale_ = other.scale_;
      return *this;
    }
    const int32_t least = std::min(scale_, other.scale_);
    int64_t a = 0;
    int64_t b = 0;
    int64_t sum = 0;
    if (ScaleUp(value_, scale_ - least, a) && ScaleUp(other.value_, other.scale_ - least, b) &&
        !__builtin_add_overflow(a, b, &sum)) {
      value_ = sum;
      scale_ = least;
      return *this;
    }
  }
  const Decimal a = big_ != nullptr ? *big_ : Decimal::From(value_, scale_);
  const Decimal b = other.big_ != nullptr ? *other.big_ : Decimal::From(other.value_, other.scale_);
  big_ = std::make_shared<const Decimal>(a.Add(b));
  return *this;
}

Quantity& Quantity::operator-=(const Quantity& other) { return *this += -other; }

Quantity Quantity::operator-() const {
  Quantity negated = *this;
  negated.text_.clear();
  if (big_ == nullptr && value_ != kMostNegative) {
    negated.value_ = -value_;
    return negated;
  }
  Decimal number = big_ != nullptr ? *big_ : Decimal::From(value_, scale_);
  number.negative = !number.negative && !number.magnitude.IsZero();
  negated.big_ = std::make_shared<const Decimal>(std::move(number));
  return negated;
}

Quantity& Quantity::operator*=(int64_t factor) {
  text_.clear();
  int64_t product = 0;
  if (big_ == nullptr && !__builtin_mul_overflow(value_, factor, &product)) {
    value_ = product;
    return *this;
  }
  Decimal number = big_ != nullptr ? *big_ : Decimal::From(value_, scale_);
  const Decimal by = Decimal::From(factor, 0);
  // Long multiplication by the factor's base-2^32 digits: high * 2^32 + low.
  uint64_t magnitude = 0;
  (void)by.magnitude.ToUint64(magnitude);  // it came from an int64
  BigNatural high = number.magnitude;
  high.Multiply(static_cast<uint32_t>(magnitude >> 32));
  high.Multiply(1U << 16);
  high.Multiply(1U << 16);
  number.magnitude.Multiply(static_cast<uint32_t>(magnitude));
  number.magnitude.Add(high);
  number.negative = number.negative != by.negative && !number.magnitude.IsZero();
  big_ = std::make_shared<const Decimal>(std::move(number));
  return *this;
}

Quantity Quantity::RoundedUp(int32_t scale) const {
  if (big_ == nullptr && scale_ >= scale) return *this;
  Quantity rounded = *this;
  rounded.text_.clear();
  if (big_ != nullptr) {
    rounded.big_ = std::make_shared<const Decimal>(big_->RoundedUp(scale));
  } else {
    rounded.value_ = ScaleDown(value_, scale - scale_);
    rounded.scale_ = scale;
  }
  return rounded;
}

std::strong_ordering Quantity::operator<=>(const Quantity& other) const {
  if (big_ == nullptr && other.big_ == nullptr && scale_ == other.scale_) return value_ <=> other.value_;
  const Decimal a = big_ != nullptr ? *big_ : Decimal::From(value_, scale_);
  const Decimal b = other.big_ != nullptr ? *other.big_ : Decimal::From(other.value_, other.scale_);
  return a.Compare(b) <=> 0;
}

}  // namespace knarr
