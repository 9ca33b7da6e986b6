#include "base/status.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "base/check.h"

namespace knarr {
namespace {

TEST(StatusTest, ReasonsAndCodes) {
  EXPECT_EQ(ReasonText(Reason::kNotFound), "NotFound");
  EXPECT_EQ(ReasonFromText("Conflict"), Reason::kConflict);
  EXPECT_EQ(ReasonFromText("Nonsense"), Reason::kUnknown);
  EXPECT_EQ(HttpCode(Reason::kInvalid), 422);
  EXPECT_EQ(ReasonFromHttpCode(409), Reason::kConflict);
  EXPECT_EQ(ReasonFromHttpCode(418), Reason::kUnknown);
  // Who waits here was cancelled by nobody there: it would end loops that are to go on.
  EXPECT_EQ(ReasonFromText("Cancelled"), Reason::kUnknown);
  EXPECT_EQ(ReasonFromHttpCode(499), Reason::kUnknown);
  EXPECT_EQ(FromErrno(ENOENT, "open /x").message(), "open /x: No such file or directory");
  EXPECT_TRUE(FromErrno(EEXIST, "x").Is(Reason::kAlreadyExists));
}

Result<int> Half(int n) {
  if (n % 2 != 0) return BadRequest("odd");
  return n / 2;
}

Result<int> Quarter(int n) {
  const int half = TRY(Half(n).Context("first"));
  return Half(half).Context("second");
}

TEST(StatusTest, TryAndContext) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(7).status().message(), "first: odd");
  EXPECT_EQ(Quarter(6).status().ToString(), "BadRequest: second: odd");
  EXPECT_EQ(NotFound("a").WithRetryAfter(3).details().retry_after_seconds, 3);
  EXPECT_EQ(NotFound("a").WithCode(499).code(), 499);
  EXPECT_TRUE(NotFound("a") == NotFound("a"));
  EXPECT_FALSE(NotFound("a") == NotFound("b"));
}

TEST(StatusTest, ChecksAndBugs) {
  EXPECT_DEATH(CHECK(1 + 1 == 3), "CHECK failed: 1 \\+ 1 == 3");
  EXPECT_DEATH((void)MUST(Half(1)), "MUST failed: BadRequest: odd");
  const uint64_t before = BugCount();
  EXPECT_TRUE(BUG_IF(before == before));
  EXPECT_EQ(BugCount(), before + 1);
  EXPECT_DEATH(
      {
        MakeBugsFatal();
        (void)BUG_IF(true);
      },
      "bug: true");
}

}  // namespace
}  // namespace knarr
