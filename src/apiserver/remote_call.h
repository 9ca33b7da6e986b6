#pragma once

// rt::CallOn for calls that may wait for long (output of a container): when the calling fiber is cancelled, the call on
// the other runtime is, too.

#include <memory>
#include <optional>
#include <utility>

#include "rt/sync.h"

namespace knarr::apiserver {

namespace detail {

struct RemoteCall {
  // Of the target's thread:
  rt::CancelScope* scope = nullptr;
  bool cancelled = false;
  // Of the caller's thread:
  bool done = false;
};

}  // namespace detail

/// Runs `function` as a fiber of `target` and waits for its result, which must be a Result.
template <typename Function>
auto CallOnCancellable(rt::Runtime& here, rt::Runtime& target, Function function) -> decltype(function()) {
  using R = decltype(function());
  if (&here == &target) return function();
  auto call = std::make_shared<detail::RemoteCall>();
  std::optional<R> result;
  rt::WaitQueue answered(here);
  target.Post([&, call] {
    std::optional<R> made;
    {
      rt::CancelScope scope(target);
      if (call->cancelled) scope.Stop();
      call->scope = &scope;
      made.emplace(function());
      call->scope = nullptr;
    }
    // What is moved over lives on the caller's stack, which waits for `done`.
    here.Post([&, call, moved = std::make_shared<std::optional<R>>(std::move(made))] {
      result = std::move(*moved);
      call->done = true;
      answered.NotifyAll();
    });
  });
  const Ok waited = answered.WaitUntil([&] { return call->done; });
  if (!waited.ok()) {
    target.Post([call] {
      call->cancelled = true;
      if (call->scope != nullptr) call->scope->Stop();
    });
    rt::Shield shield(here);
    (void)answered.WaitUntil([&] { return call->done; });
  }
  return std::move(*result);
}

}  // namespace knarr::apiserver
