#include "cli/invocation.h"
#include "cli/object_convert.h"

namespace knarr::cli {
namespace {

constexpr size_t kInputMax = 64 << 20;

}  // namespace

int RunObject(Invocation invocation) {
  Result<std::string> input = invocation.console.ReadAll(kInputMax);
  if (!input.ok()) {
    (void)invocation.console.Err("error: " + input.status().message() + "\n");
    return 1;
  }
  VerbOutput done = RunObject(invocation.args, *input);
  (void)invocation.console.Out(done.out);
  if (!done.err.empty()) (void)invocation.console.Err(done.err);
  return done.exit_code;
}

}  // namespace knarr::cli
