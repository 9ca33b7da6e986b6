#include "rt/background.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace knarr::rt {

namespace {

/// As the kernel has it, in its first version; the C library of some systems does not.
struct Attributes {
  uint32_t size = sizeof(Attributes);
  uint32_t policy = SCHED_OTHER;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;  ///< of a turn, in nanoseconds; 0: as is usual
  uint64_t deadline = 0;
  uint64_t period = 0;
};

/// The longest turn there is: who wants a shorter one need not wait for its end.
constexpr uint64_t kLongTurn = 100'000'000;

/// Whether the calling thread had the one policy and has the other. One that somebody chose for the whole program is
/// left alone.
bool Change(uint32_t from, uint32_t to, uint64_t turn) {
  Attributes attributes;
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0 || attributes.policy != from) return false;
  attributes.policy = to;
  attributes.runtime = turn;
  return syscall(SYS_sched_setattr, 0, &attributes, 0) == 0;
}

}  // namespace

Background::Background(const Runtime& runtime)
    : lowered_(!runtime.OnThisThread() && Change(SCHED_OTHER, SCHED_BATCH, kLongTurn)) {}

Background::~Background() {
  if (lowered_) Change(SCHED_BATCH, SCHED_OTHER, 0);
}

}  // namespace knarr::rt
