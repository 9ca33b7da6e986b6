#include "cli/flags.h"

#include <gtest/gtest.h>

namespace knarr::cli {
namespace {

struct Case {
  std::vector<std::string> args;
  std::string error;  // "" when it parses
  std::string ns;
  bool wide = false;
  bool tty = false;
  bool in = false;
  int64_t replicas = 1;
  std::vector<std::string> files;
  std::vector<std::string> rest;
};

TEST(Flags, ParsesAsPflagDoes) {
  const Case cases[] = {
      {.args = {"pods", "-n", "a", "x"}, .ns = "a", .rest = {"pods", "x"}},
      {.args = {"-na", "--wide"}, .ns = "a", .wide = true},
      {.args = {"-n=a", "--wide=false"}, .ns = "a"},
      {.args = {"--namespace=a", "-it", "p", "--", "sh", "-c", "x"},
       .ns = "a",
       .tty = true,
       .in = true,
       .rest = {"p", "sh", "-c", "x"}},
      {.args = {"--replicas", "3"}, .replicas = 3},
      {.args = {"-f", "a,b", "-f", "c"}, .files = {"a", "b", "c"}},
      {.args = {"--nope"}, .error = "unknown flag: --nope"},
      {.args = {"-z"}, .error = "unknown shorthand flag: 'z' in -z"},
      {.args = {"--namespace"}, .error = "flag needs an argument: --namespace"},
      {.args = {"-n"}, .error = "flag needs an argument: 'n' in -n"},
      {.args = {"--replicas=x"},
       .error = "invalid argument \"x\" for \"--replicas\" flag: strconv.ParseInt: parsing \"x\": invalid syntax"},
      {.args = {"--replicas=9223372036854775808"},
       .error = "invalid argument \"9223372036854775808\" for \"--replicas\" flag: strconv.ParseInt: parsing "
                "\"9223372036854775808\": value out of range"},
      {.args = {"--wide=x"},
       .error = "invalid argument \"x\" for \"-w, --wide\" flag: strconv.ParseBool: parsing \"x\": invalid syntax"},
  };
  for (const Case& c : cases) {
    std::string ns;
    bool wide = false;
    bool tty = false;
    bool in = false;
    int64_t replicas = 1;
    std::vector<std::string> files;
    FlagSet flags;
    flags.String(&ns, "namespace", 'n', "");
    flags.Bool(&wide, "wide", 'w', "");
    flags.Bool(&tty, "tty", 't', "");
    flags.Bool(&in, "stdin", 'i', "");
    flags.Int(&replicas, "replicas", 0, "");
    flags.StringSlice(&files, "filename", 'f', "");
    auto rest = flags.Parse(c.args);
    if (!c.error.empty()) {
      ASSERT_FALSE(rest.ok());
      EXPECT_EQ(rest.status().message(), c.error);
      continue;
    }
    ASSERT_TRUE(rest.ok()) << rest.status().message();
    EXPECT_EQ(*rest, c.rest);
    EXPECT_EQ(ns, c.ns);
    EXPECT_EQ(wide, c.wide);
    EXPECT_EQ(tty, c.tty);
    EXPECT_EQ(in, c.in);
    EXPECT_EQ(replicas, c.replicas);
    EXPECT_EQ(files, c.files);
  }
}

TEST(Flags, OptionalValueAndDash) {
  std::string dry_run = "none";
  FlagSet flags;
  flags.OptionalString(&dry_run, "dry-run", 0, "unchanged", "");
  ASSERT_TRUE(flags.Parse({"a", "--dry-run", "b", "--", "c"}).ok());
  EXPECT_EQ(dry_run, "unchanged");
  EXPECT_TRUE(flags.Changed("dry-run"));
  EXPECT_EQ(flags.dash_position(), 2U);
}

}  // namespace
}  // namespace knarr::cli
