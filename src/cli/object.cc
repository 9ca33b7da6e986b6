#include "cli/invocation.h"
#include "cli/object_convert.h"

namespace knarr::cli {
namespace {

constexpr size_t kInputMax = 64 << 20;

}  // namespace

int RunObject(Invocation invocation) {
  const VerbOutput done = RunObject(invocation.args, [&] { return invocation.console.ReadAll(kInputMax); });
  (void)invocation.console.Out(done.out);
  if (!done.err.empty()) (void)invocation.console.Err(done.err);
  return done.exit_code;
}

}  // namespace knarr::cli
