// Any text either is refused or prints a canonical text that means the same number.

#include <cstdint>
#include <cstdlib>

#include "base/quantity.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using knarr::Quantity;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto quantity = Quantity::Parse(text);
  if (!quantity.ok()) return 0;
  const auto again = Quantity::Parse(quantity->ToString());
  if (!again.ok() || *again != *quantity) std::abort();
  // Without the kept text.
  const Quantity canonical = *quantity + Quantity();
  if (canonical != *quantity || Quantity::Parse(canonical.ToString()).value_or(Quantity(7)) != canonical) std::abort();
  if (*quantity - *quantity != Quantity() || -(-*quantity) != *quantity) std::abort();
  if (quantity->RoundedUp(0) < *quantity && quantity->Sign() > 0) std::abort();
  (void)quantity->MilliValue();
  (void)quantity->ToDouble();
  Quantity product = *quantity;
  product *= INT64_MIN;
  return 0;
}
