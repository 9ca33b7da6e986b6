#include "base/log.h"

#include <atomic>

#include "base/strings.h"

namespace knarr {
namespace {

// Set once and never freed: other threads may log until the very end of the process.
std::atomic<const LogSink*> log_sink{nullptr};
std::atomic<LogLevel> log_least{LogLevel::kError};

std::string_view LevelText(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "unknown";
}

bool NeedsQuotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
  }
  return false;
}

void AppendPair(std::string& line, std::string_view key, std::string_view value) {
  if (!line.empty()) line += ' ';
  line += key;
  line += '=';
  if (NeedsQuotes(value)) {
    line += GoQuote(value);
  } else {
    line += value;
  }
}

}  // namespace

void SetLogSink(LogSink sink, LogLevel least) {
  log_least.store(least, std::memory_order_relaxed);
  log_sink.store(sink ? new LogSink(std::move(sink)) : nullptr, std::memory_order_release);
}

bool LogEnabled(LogLevel level) {
  return level >= log_least.load(std::memory_order_relaxed) && log_sink.load(std::memory_order_relaxed) != nullptr;
}

void Log(LogLevel level, std::string_view message, LogFields fields) {
  const LogSink* sink = log_sink.load(std::memory_order_acquire);
  if (sink != nullptr && level >= log_least.load(std::memory_order_relaxed)) (*sink)(level, message, fields);
}

std::string FormatLogLine(LogLevel level, std::string_view message, LogFields fields) {
  std::string line;
  AppendPair(line, "level", LevelText(level));
  AppendPair(line, "msg", message);
  for (const LogField& field : fields) AppendPair(line, field.key, field.value);
  return line;
}

}  // namespace knarr
