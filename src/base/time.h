#pragma once

// Time as types. No clock is read here: the time comes from rt::Runtime.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace knarr {

using Duration = std::chrono::nanoseconds;
using std::chrono_literals::operator""h;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ns;

/// Calendar time: nanoseconds since 1970-01-01T00:00:00Z. May jump.
struct WallClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<WallClock>;
  static constexpr bool is_steady = false;
};
using WallTime = WallClock::time_point;

/// Elapsed time: nanoseconds since some start; never goes back.
struct MonoClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonoClock>;
  static constexpr bool is_steady = true;
};
using MonoTime = MonoClock::time_point;

/// A calendar time of any year from 0 to 9999, which is more than WallTime can hold: what API objects carry.
struct Timestamp {
  int64_t seconds = 0;      ///< since 1970-01-01T00:00:00Z
  int32_t nanoseconds = 0;  ///< 0 to 999,999,999
  auto operator<=>(const Timestamp&) const = default;
};

/// "2026-11-21T10:00:00Z", metav1.Time's form (whole seconds, UTC).
std::string FormatTime(WallTime time);
/// "2026-11-21T10:00:00.123456Z", metav1.MicroTime's form.
std::string FormatMicroTime(WallTime time);
/// "2026-11-21T10:00:00.123456789Z", the CRI log's form (RFC 3339 with nanoseconds).
std::string FormatNanoTime(WallTime time);
std::string FormatTime(Timestamp time);
std::string FormatMicroTime(Timestamp time);
/// RFC 3339 with any offset and fraction, as Go's time.Parse reads it. BadRequest on anything else, with Go's message,
/// and on years WallTime can't hold (before 1678, after 2261).
Result<WallTime> ParseTime(std::string_view text);
/// The same without WallTime's limits.
Result<Timestamp> ParseTimestamp(std::string_view text);
/// metav1.MicroTime's form: exactly six digits of fraction.
Result<Timestamp> ParseMicroTimestamp(std::string_view text);

/// Go's time.Duration text: "1m30s", "1h30m0s", "300ms", "1.5µs".
std::string FormatDuration(Duration duration);
/// What Go's time.ParseDuration takes ("1.5h", "-2m3.5s", "0"). BadRequest with its message otherwise.
Result<Duration> ParseDuration(std::string_view text);
/// kubectl's AGE column: "45s", "3m12s", "5h2m", "3d4h", "2y10d" (apimachinery's HumanDuration).
std::string FormatAge(Duration age);

}  // namespace knarr
