#include <gtest/gtest.h>
#include <unistd.h>

#include "cli/invocation.h"
#include "rt/file_system.h"
#include "rt/real.h"

namespace knarr::cli {
namespace {

// What JSON can't carry goes where bytes go, to the last byte.
TEST(CreateConfigMap, OnlyUtf8IsText) {
  struct Case {
    const char* what;
    std::string content;
    std::string shown;
  };
  const Case cases[] = {
      {"text", "gr\xc3\xbc\xc3\x9f", "data:\n  f: gr\xc3\xbc\xc3\x9f\n"},
      {"a surrogate", "\xed\xa0\x80", "binaryData:\n  f: 7aCA\n"},
      {"an overlong form", "\xe0\x80\xaf", "binaryData:\n  f: 4ICv\n"},
      {"beyond the last character", "\xf5\x80\x80\x80", "binaryData:\n  f: 9YCAgA==\n"},
  };
  auto runtime = rt::RealRuntime::Create({.name = "test"}, rt::BlockingPool::Create(2));
  runtime->Run([&] {
    const std::string path = "/tmp/knarr-generators-test-" + std::to_string(getpid());
    for (const Case& c : cases) {
      ASSERT_TRUE(runtime->files().WriteFile(path, c.content).ok());
      MemoryConsole console;
      EXPECT_EQ(RunKubectl({*runtime,
                            console,
                            {"create", "configmap", "m", "--from-file=f=" + path, "--dry-run=client", "-o", "yaml",
                             "--server", "http://127.0.0.1:1"},
                            [](std::string_view) { return std::nullopt; }}),
                0)
          << console.err;
      EXPECT_NE(console.out.find(c.shown), std::string::npos) << c.what << ":\n" << console.out;
    }
    ASSERT_TRUE(runtime->files().Remove(path).ok());
  });
}

}  // namespace
}  // namespace knarr::cli
