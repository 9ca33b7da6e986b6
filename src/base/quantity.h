#pragma once

// Kubernetes' resource.Quantity: "100m", "1.5Gi", "12e6". An exact decimal number with nano precision and the notation
// it is printed in.
//
// Reading, rounding (up, away from zero, at one nano), the cap of binary quantities at 2^63-1 and the canonical text
// are upstream's, including that a text which is canonical enough is printed back as it came ("0100m" stays). Bounded
// where upstream is not: at most 1,000 characters and exponents from -1,000 to 1,000.

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace knarr {

struct Decimal;

enum class QuantityFormat : uint8_t {
  kDecimalSi,        // 12M = 12 * 10^6
  kBinarySi,         // 12Mi = 12 * 2^20
  kDecimalExponent,  // 12e6
};

class Quantity {
 public:
  Quantity() = default;
  explicit Quantity(int64_t value, QuantityFormat format = QuantityFormat::kDecimalSi)
      : value_(value), format_(format) {}
  /// value * 10^scale.
  static Quantity Scaled(int64_t value, int32_t scale, QuantityFormat format = QuantityFormat::kDecimalSi);
  static Quantity Milli(int64_t milli, QuantityFormat format = QuantityFormat::kDecimalSi) {
    return Scaled(milli, -3, format);
  }
  /// BadRequest with upstream's message. Surrounding space is an error here; JSON decoding trims it upstream.
  static Result<Quantity> Parse(std::string_view text);

  /// Whether the text is short and simple enough to see at a glance that Parse takes it and ToString gives it back:
  /// "2", "100m", "64Mi". False says nothing.
  static bool IsPlainCanonical(std::string_view text);

  /// The canonical text.
  std::string ToString() const;
  QuantityFormat format() const { return format_; }
  bool IsZero() const;
  /// -1, 0 or 1.
  int Sign() const;
  bool IsInteger() const;

  /// In units of one, of a thousandth, of 10^scale: rounded up (away from zero), held at int64's ends.
  int64_t Value() const { return ScaledValue(0); }
  int64_t MilliValue() const { return ScaledValue(-3); }
  int64_t ScaledValue(int32_t scale) const;
  double ToDouble() const;

  /// Zero takes the other's format, as upstream.
  Quantity& operator+=(const Quantity& other);
  Quantity& operator-=(const Quantity& other);
  friend Quantity operator+(Quantity a, const Quantity& b) { return a += b; }
  friend Quantity operator-(Quantity a, const Quantity& b) { return a -= b; }
  Quantity operator-() const;
  Quantity& operator*=(int64_t factor);
  /// Rounds up (away from zero) to a multiple of 10^scale.
  Quantity RoundedUp(int32_t scale) const;

  /// By number: 1Gi == 1073741824.
  std::strong_ordering operator<=>(const Quantity& other) const;
  bool operator==(const Quantity& other) const { return (*this <=> other) == 0; }

 private:
  int64_t value_ = 0;  // the number is value_ * 10^scale_, unless big_ is set
  int32_t scale_ = 0;
  QuantityFormat format_ = QuantityFormat::kDecimalSi;
  std::string text_;  // what was parsed, when it is printed back as it came
  std::shared_ptr<const Decimal> big_;
};

}  // namespace knarr
