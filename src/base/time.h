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

/// "2026-11-21T10:00:00Z", metav1.Time's form (whole seconds, UTC).
std::string FormatTime(WallTime time);
/// "2026-11-21T10:00:00.123456Z", metav1.MicroTime's form.
std::string FormatMicroTime(WallTime time);
/// "2026-11-21T10:00:00.123456789Z", the CRI log's form (RFC 3339 with nanoseconds).
std::string FormatNanoTime(WallTime time);
/// RFC 3339 with any offset and fraction. BadRequest on anything else.
Result<WallTime> ParseTime(std::string_view text);

/// Go's time.Duration text: "1m30s", "1.5h", "300ms".
std::string FormatDuration(Duration duration);
Result<Duration> ParseDuration(std::string_view text);
/// kubectl's AGE column: "45s", "3m12s", "5h2m", "3d4h", "2y10d" (apimachinery's HumanDuration).
std::string FormatAge(Duration age);

}  // namespace knarr
