#include "base/check.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "base/log.h"

namespace knarr {
namespace {

std::atomic<bool> bugs_fatal{false};
std::atomic<uint64_t> bug_count{0};

}  // namespace

void CheckFailed(const char* file, int line, const char* expression) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, expression);
  std::abort();
}

bool ReportBug(const char* file, int line, const char* expression) {
  bug_count.fetch_add(1, std::memory_order_relaxed);
  if (bugs_fatal.load(std::memory_order_relaxed)) {
    std::fprintf(stderr, "%s:%d: bug: %s\n", file, line, expression);
    std::abort();
  }
  LOG_ERROR("bug in this program", {"file", file}, {"line", line}, {"expression", expression});
  return true;
}

void MakeBugsFatal() { bugs_fatal.store(true, std::memory_order_relaxed); }

uint64_t BugCount() { return bug_count.load(std::memory_order_relaxed); }

}  // namespace knarr
