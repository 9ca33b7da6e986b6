#pragma once

// Structured logging: a message and key–value pairs, one line an event. The sink is set once, by main (or by a test);
// until then lines are dropped. Log an error once: where it is dropped.
//
//   LOG_INFO("pod started", {"pod", key}, {"took", FormatDuration(took)});

#include <concepts>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/status.h"

namespace knarr {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };

/// One pair of a log line. Numbers, strings, bools and Status convert.
struct LogField {
  std::string_view key;
  std::string value;
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  LogField(std::string_view k, const Status& status) : key(k), value(status.ToString()) {}
  LogField(std::string_view k, std::integral auto v) : key(k), value(std::to_string(v)) {}
  LogField(std::string_view k, double v) : key(k), value(std::to_string(v)) {}
};

using LogFields = std::initializer_list<LogField>;

/// Receives finished lines; called from any thread.
using LogSink = std::function<void(LogLevel level, std::string_view message, LogFields fields)>;

/// REQUIRES: called before other threads log.
void SetLogSink(LogSink sink, LogLevel least);
bool LogEnabled(LogLevel level);
void Log(LogLevel level, std::string_view message, LogFields fields = {});

/// `level=info msg="pod started" pod=default/a`: logfmt, values quoted where needed.
std::string FormatLogLine(LogLevel level, std::string_view message, LogFields fields);

}  // namespace knarr

#define KNARR_LOG(level, message, ...)                                           \
  do {                                                                           \
    if (::knarr::LogEnabled(level)) ::knarr::Log(level, message, {__VA_ARGS__}); \
  } while (false)
#define LOG_DEBUG(message, ...) KNARR_LOG(::knarr::LogLevel::kDebug, message __VA_OPT__(, ) __VA_ARGS__)
#define LOG_INFO(message, ...) KNARR_LOG(::knarr::LogLevel::kInfo, message __VA_OPT__(, ) __VA_ARGS__)
#define LOG_WARN(message, ...) KNARR_LOG(::knarr::LogLevel::kWarn, message __VA_OPT__(, ) __VA_ARGS__)
#define LOG_ERROR(message, ...) KNARR_LOG(::knarr::LogLevel::kError, message __VA_OPT__(, ) __VA_ARGS__)
