#include "runtime/oci_error.h"

#include <gtest/gtest.h>

namespace knarr::runtime {
namespace {

TEST(OciError, Translates) {
  struct Case {
    const char* log;
    const char* expected;
  };
  const Case cases[] = {
      {R"({"msg":"executable file `nope` not found in $PATH: No such file or directory","level":"error"})",
       "exec: \"nope\": executable file not found in $PATH"},
      {R"({"msg":"executable file `/nope` not found in $PATH: No such file or directory","level":"error"})",
       "exec: \"/nope\": stat /nope: no such file or directory"},
      {R"({"msg":"open executable: Operation not permitted"})", "exec: \"prog\": permission denied"},
      {R"({"msg":"chdir `/x`: No such file or directory"})",
       "chdir to cwd (\"/x\") set in config.json failed: no such file or directory"},
      {"{\"level\":\"warning\",\"msg\":\"first\"}\n{\"level\":\"error\",\"msg\":\"runc create failed: unable to start "
       "container process: error during container init: exec: \\\"a\\\": executable file not found in $PATH\"}\n",
       "exec: \"a\": executable file not found in $PATH"},
      {R"({"level":"error","msg":"exec failed: unable to start container process: exec: \"b\": permission denied"})",
       "exec: \"b\": permission denied"},
      {"plain words\n", "plain words"},
      {R"({"msg":"mount_setattr `/v`: Invalid argument"})",
       "failed to set MOUNT_ATTR_IDMAP on /v: invalid argument (maybe the filesystem used doesn't support idmap "
       "mounts on this kernel?)"},
      {R"({"msg":"mount_setattr `/v`: Operation not permitted"})",
       "failed to set MOUNT_ATTR_IDMAP on /v: operation not permitted"},
      {R"({"msg":"mount `x` to `y`: Invalid argument"})", "mount `x` to `y`: Invalid argument"},
      {"{\"msg\":", "{\"msg\":"},
      {"", ""},
  };
  for (const Case& c : cases) EXPECT_EQ(TranslateOciError(c.log, "prog"), c.expected) << c.log;
}

TEST(OciError, Frames) {
  EXPECT_EQ(
      StartErrorMessage("crun", "x"),
      "failed to create containerd task: failed to create shim task: OCI runtime create failed: crun create failed: "
      "unable to start container process: error during container init: x: unknown");
  EXPECT_EQ(ExecErrorMessage("id", "x"),
            "failed to exec in container: failed to start exec \"id\": OCI runtime exec failed: exec failed: unable to "
            "start container process: x: unknown");
}

}  // namespace
}  // namespace knarr::runtime
