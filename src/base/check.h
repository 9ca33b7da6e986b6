#pragma once

// CHECK (kept in release builds): our own bug, after which the state can't be trusted. BUG_IF: our own bug inside one
// request or reconcile: logged and counted, fatal in tests, and the caller returns Internal. Neither is ever applied to
// outside input.

#include <cstdint>

namespace knarr {

[[noreturn]] void CheckFailed(const char* file, int line, const char* expression);

/// Logs and counts the bug; aborts where bugs are fatal. Always returns true.
bool ReportBug(const char* file, int line, const char* expression);
/// Makes BUG_IF abort: test programs call it first thing.
void MakeBugsFatal();
/// How many bugs ReportBug has seen. Any thread.
uint64_t BugCount();

}  // namespace knarr

#define CHECK(...)                                                              \
  do {                                                                          \
    if (!(__VA_ARGS__)) ::knarr::CheckFailed(__FILE__, __LINE__, #__VA_ARGS__); \
  } while (false)

/// if (BUG_IF(index > size)) return Internal("…");
#define BUG_IF(...) ((__VA_ARGS__) && ::knarr::ReportBug(__FILE__, __LINE__, #__VA_ARGS__))
