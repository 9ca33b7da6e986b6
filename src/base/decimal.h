#pragma once

// Exact decimal numbers of any length, for the quantities that do not fit 64 bits. Not for use outside base/.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace knarr {

/// A natural number of any size.
class BigNatural {
 public:
  BigNatural() = default;
  explicit BigNatural(uint64_t value);
  /// REQUIRES: decimal digits only.
  static BigNatural FromDigits(std::string_view digits);

  bool IsZero() const { return limbs_.empty(); }
  /// Without leading zeros; "0" for zero.
  std::string Digits() const;
  /// False when it does not fit.
  bool ToUint64(uint64_t& value) const;
  /// -1, 0, 1.
  int Compare(const BigNatural& other) const;
  void Add(const BigNatural& other);
  /// REQUIRES: other <= *this.
  void Subtract(const BigNatural& other);
  void Multiply(uint32_t factor);
  void MultiplyPow10(uint32_t power);
  /// Returns the remainder. REQUIRES: divisor > 0.
  uint32_t Divide(uint32_t divisor);
  /// Divides by 10^power; whether anything was lost.
  bool DividePow10(uint32_t power);

 private:
  void Trim();
  std::vector<uint32_t> limbs_;  // base 10^9, least first; no zero at the end
};

/// sign * magnitude * 10^scale.
struct Decimal {
  bool negative = false;  ///< false for zero
  BigNatural magnitude;
  int32_t scale = 0;

  static Decimal From(int64_t value, int32_t scale);
  int Sign() const { return magnitude.IsZero() ? 0 : negative ? -1 : 1; }
  int Compare(const Decimal& other) const;
  Decimal Add(const Decimal& other) const;
  /// Away from zero, to a multiple of 10^scale; unchanged when it is one.
  Decimal RoundedUp(int32_t to_scale, bool* exact = nullptr) const;
  /// The number in units of 10^0 when that is whole and fits.
  bool ToInt64(int64_t& value) const;
};

}  // namespace knarr
