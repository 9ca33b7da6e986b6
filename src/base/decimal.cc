#include "base/decimal.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace knarr {
namespace {

constexpr uint32_t kBase = 1'000'000'000;
constexpr uint32_t kBaseDigits = 9;

constexpr uint32_t kPow10[] = {1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000};

}  // namespace

BigNatural::BigNatural(uint64_t value) {
  for (; value > 0; value /= kBase) limbs_.push_back(static_cast<uint32_t>(value % kBase));
}

BigNatural BigNatural::FromDigits(std::string_view digits) {
  BigNatural number;
  while (!digits.empty()) {
    const size_t length = std::min<size_t>(digits.size(), kBaseDigits);
    uint32_t limb = 0;
    for (const char c : digits.substr(digits.size() - length)) limb = limb * 10 + static_cast<uint32_t>(c - '0');
    number.limbs_.push_back(limb);
    digits.remove_suffix(length);
  }
  number.Trim();
  return number;
}

void BigNatural::Trim() {
  while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
}

std::string BigNatural::Digits() const {
  if (limbs_.empty()) return "0";
  std::string digits = std::to_string(limbs_.back());
  for (size_t i = limbs_.size() - 1; i > 0; --i) {
    const std::string limb = std::to_string(limbs_[i - 1]);
    digits.append(kBaseDigits - limb.size(), '0');
    digits += limb;
  }
  return digits;
}

bool BigNatural::ToUint64(uint64_t& value) const {
  value = 0;
  for (size_t i = limbs_.size(); i > 0; --i) {
    if (__builtin_mul_overflow(value, uint64_t{kBase}, &value)) return false;
    if (__builtin_add_overflow(value, uint64_t{limbs_[i - 1]}, &value)) return false;
  }
  return true;
}

int BigNatural::Compare(const BigNatural& other) const {
  if (limbs_.size() != other.limbs_.size()) return limbs_.size() < other.limbs_.size() ? -1 : 1;
  for (size_t i = limbs_.size(); i > 0; --i) {
    if (limbs_[i - 1] != other.limbs_[i - 1]) return limbs_[i - 1] < other.limbs_[i - 1] ? -1 : 1;
  }
  return 0;
}

void BigNatural::Add(const BigNatural& other) {
  uint32_t carry = 0;
  for (size_t i = 0; i < other.limbs_.size() || carry > 0; ++i) {
    if (i == limbs_.size()) limbs_.push_back(0);
    const uint32_t sum = limbs_[i] + (i < other.limbs_.size() ? other.limbs_[i] : 0) + carry;
    limbs_[i] = sum % kBase;
    carry = sum / kBase;
  }
}

void BigNatural::Subtract(const BigNatural& other) {
  uint32_t borrow = 0;
  for (size_t i = 0; i < limbs_.size(); ++i) {
    const uint32_t take = (i < other.limbs_.size() ? other.limbs_[i] : 0) + borrow;
    borrow = limbs_[i] < take ? 1 : 0;
    limbs_[i] = limbs_[i] + borrow * kBase - take;
  }
  Trim();
}

void BigNatural::Multiply(uint32_t factor) {
  uint64_t carry = 0;
  for (uint32_t& limb : limbs_) {
    const uint64_t product = static_cast<uint64_t>(limb) * factor + carry;
    limb = static_cast<uint32_t>(product % kBase);
    carry = product / kBase;
  }
  for (; carry > 0; carry /= kBase) limbs_.push_back(static_cast<uint32_t>(carry % kBase));
  Trim();
}

void BigNatural::MultiplyPow10(uint32_t power) {
  if (limbs_.empty()) return;
  limbs_.insert(limbs_.begin(), power / kBaseDigits, 0);
  Multiply(kPow10[power % kBaseDigits]);
}

uint32_t BigNatural::Divide(uint32_t divisor) {
  uint64_t remainder = 0;
  for (size_t i = limbs_.size(); i > 0; --i) {
    const uint64_t value = remainder * kBase + limbs_[i - 1];
    limbs_[i - 1] = static_cast<uint32_t>(value / divisor);
    remainder = value % divisor;
  }
  Trim();
  return static_cast<uint32_t>(remainder);
}

bool BigNatural::DividePow10(uint32_t power) {
  const size_t whole = std::min<size_t>(power / kBaseDigits, limbs_.size());
  bool lost = std::any_of(limbs_.begin(), limbs_.begin() + static_cast<ptrdiff_t>(whole),
                          [](uint32_t limb) { return limb != 0; });
  limbs_.erase(limbs_.begin(), limbs_.begin() + static_cast<ptrdiff_t>(whole));
  if (power % kBaseDigits != 0 && Divide(kPow10[power % kBaseDigits]) != 0) lost = true;
  return lost;
}

Decimal Decimal::From(int64_t value, int32_t scale) {
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  return {.negative = value < 0, .magnitude = BigNatural(magnitude), .scale = scale};
}

int Decimal::Compare(const Decimal& other) const {
  if (Sign() != other.Sign()) return Sign() < other.Sign() ? -1 : 1;
  const int32_t least = std::min(scale, other.scale);
  BigNatural a = magnitude;
  BigNatural b = other.magnitude;
  a.MultiplyPow10(static_cast<uint32_t>(scale - least));
  b.MultiplyPow10(static_cast<uint32_t>(other.scale - least));
  const int order = a.Compare(b);
  return negative ? -order : order;
}

Decimal Decimal::Add(const Decimal& other) const {
  const int32_t least = std::min(scale, other.scale);
  Decimal a = *this;
  Decimal b = other;
  a.magnitude.MultiplyPow10(static_cast<uint32_t>(scale - least));
  b.magnitude.MultiplyPow10(static_cast<uint32_t>(other.scale - least));
  a.scale = b.scale = least;
  if (a.negative == b.negative) {
    a.magnitude.Add(b.magnitude);
    return a;
  }
  if (a.magnitude.Compare(b.magnitude) < 0) std::swap(a, b);
  a.magnitude.Subtract(b.magnitude);
  if (a.magnitude.IsZero()) a.negative = false;
  return a;
}

Decimal Decimal::RoundedUp(int32_t to_scale, bool* exact) const {
  if (exact != nullptr) *exact = true;
  if (scale >= to_scale) return *this;
  Decimal rounded = *this;
  const bool lost = rounded.magnitude.DividePow10(static_cast<uint32_t>(to_scale - scale));
  if (lost) rounded.magnitude.Add(BigNatural(1));
  if (exact != nullptr) *exact = !lost;
  rounded.scale = to_scale;
  return rounded;
}

bool Decimal::ToInt64(int64_t& value) const {
  Decimal whole = *this;
  if (whole.scale < 0) {
    if (whole.magnitude.DividePow10(static_cast<uint32_t>(-whole.scale))) return false;
  } else {
    whole.magnitude.MultiplyPow10(static_cast<uint32_t>(whole.scale));
  }
  uint64_t magnitude_value = 0;
  if (!whole.magnitude.ToUint64(magnitude_value)) return false;
  const uint64_t limit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) + (negative ? 1 : 0);
  if (magnitude_value > limit) return false;
  value = static_cast<int64_t>(negative ? 0 - magnitude_value : magnitude_value);
  return true;
}

}  // namespace knarr
