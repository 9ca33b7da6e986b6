#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "rt/fiber.h"

#if defined(__SANITIZE_ADDRESS__)
#define KNARR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KNARR_ASAN 1
#endif
#endif
#ifdef KNARR_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace knarr::rt {
namespace {

// A stack keeps the pages that its fiber touched, so only some wait for reuse as they are; others keep their place in
// the address space, and the rest goes back to the kernel.
constexpr size_t kWarmMax = 64;
constexpr size_t kColdMax = 1024;

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

size_t PageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

void Unmap(const Stack& stack) { CHECK(munmap(stack.mapping, stack.mapping_size) == 0); }

// The last frames of an ended fiber never returned, so their red zones are still marked; whoever has the memory next (a
// fiber, or anything at all once it is unmapped) must not run into them.
#ifdef KNARR_ASAN
void Unmark(const Stack& stack) { __asan_unpoison_memory_region(stack.bottom, stack.size); }
#else
void Unmark(const Stack& /*stack*/) {}
#endif

}  // namespace

StackPool::StackPool(size_t size) {
  const size_t page = PageSize();
  size_ = (size + page - 1) / page * page;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  size_ *= 4;  // their frames are larger
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  size_ *= 4;
#endif
#endif
}

StackPool::~StackPool() {
  for (const Stack& stack : warm_) Unmap(stack);
  for (const Stack& stack : cold_) Unmap(stack);
}

Stack StackPool::Take() {
  for (std::vector<Stack>* free : {&warm_, &cold_}) {
    if (free->empty()) continue;
    const Stack stack = free->back();
    free->pop_back();
    return stack;
  }
  const size_t guard = PageSize();
  Stack stack{.mapping = nullptr, .mapping_size = size_ + guard, .bottom = nullptr, .size = size_};
  stack.mapping = mmap(nullptr, stack.mapping_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  CHECK(stack.mapping != MAP_FAILED);  // out of memory or of mappings (vm.max_map_count)
  // Linux 6.13's guard regions need no mapping of their own, of which a process may have only 65,530; before, two go
  // for each stack.
  if (madvise(stack.mapping, guard, MADV_GUARD_INSTALL) != 0) CHECK(mprotect(stack.mapping, guard, PROT_NONE) == 0);
  stack.bottom = static_cast<char*>(stack.mapping) + guard;
  return stack;
}

void StackPool::Give(Stack stack) {
  Unmark(stack);
  if (warm_.size() < kWarmMax) {
    warm_.push_back(stack);
  } else if (cold_.size() < kColdMax && madvise(stack.bottom, stack.size, MADV_DONTNEED) == 0) {
    cold_.push_back(stack);
  } else {
    Unmap(stack);
  }
}

}  // namespace knarr::rt
