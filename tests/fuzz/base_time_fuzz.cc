// Times, durations and the encodings of base/strings.h: what is accepted comes back from its own text.

#include <cstdint>
#include <cstdlib>

#include "base/strings.h"
#include "base/time.h"
#include "base/unicode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto time = ParseTimestamp(text); time.ok()) {
    // An offset can lead out of the years 0 to 9999.
    const bool in_range = time->seconds >= -62167219200 && time->seconds <= 253402300799;
    const auto again = ParseTimestamp(FormatTime(*time));
    if (in_range && (!again.ok() || again->seconds != time->seconds)) std::abort();
  }
  (void)ParseMicroTimestamp(text);
  if (const auto time = ParseTime(text); time.ok()) {
    if (ParseTime(FormatNanoTime(*time)).value_or(WallTime()) != *time) std::abort();
  }
  if (const auto duration = ParseDuration(text); duration.ok()) {
    if (ParseDuration(FormatDuration(*duration)).value_or(Duration(-1)) != *duration) std::abort();
    (void)FormatAge(*duration);
  }
  if (Base64Decode(Base64Encode(text)).value_or("") != text) std::abort();
  if (Base64UrlDecode(Base64UrlEncode(text)).value_or("") != text) std::abort();
  if (HexDecode(HexEncode(text)).value_or("") != text) std::abort();
  if (UrlDecode(UrlEncode(text), true).value_or("") != text) std::abort();
  (void)Base64Decode(text);
  (void)HexDecode(text);
  (void)UrlDecode(text, false);
  if (!IsValidUtf8(GoQuote(text))) std::abort();
  (void)ParseDouble(text);
  if (const auto number = ParseInt64(text); number.ok()) {
    if (ParseInt64(std::to_string(*number)).value_or(0) != *number) std::abort();
  }
  return 0;
}
