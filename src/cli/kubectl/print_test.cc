#include "cli/kubectl/print.h"

#include <gtest/gtest.h>

#include "api/core_v1.h"
#include "cli/kubectl/describe.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/manifest.h"

namespace knarr::cli {
namespace {

TEST(AlignColumns, SixWideThreeApartNothingBehindTheLast) {
  EXPECT_EQ(AlignColumns({{"A", "B"}, {"x", "y"}}), "A     B\nx     y\n");
  EXPECT_EQ(AlignColumns({{"NAME", "AGE"}, {"longer-name", "5s"}}), "NAME          AGE\nlonger-name   5s\n");
  // Widths are characters, not bytes.
  EXPECT_EQ(AlignColumns({{"ÄÖÜäöü", "x"}, {"abcdef", "x"}}), "ÄÖÜäöü   x\nabcdef   x\n");
  EXPECT_EQ(AlignColumns({}), "");
}

TEST(GrowingColumns, StayAsWideAsTheyWere) {
  GrowingColumns columns;
  EXPECT_EQ(columns.Align({{"NAME", "AGE"}, {"web-1", "5s"}}), "NAME    AGE\nweb-1   5s\n");
  EXPECT_EQ(columns.Align({{"longer-name", "6s"}}), "longer-name   6s\n");
  EXPECT_EQ(columns.Align({{"web-1", "7s"}}), "web-1         7s\n");
}

TEST(AlignTabs, NeighboursShareAWidth) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""},
      {"plain\n", "plain\n"},
      {"a:\tb\nlonger:\tc\n", "a:       b\nlonger:  c\n"},
      // A line without cells ends the block.
      {"a:\tb\nhead\nlonger:\tc\n", "a:  b\nhead\nlonger:  c\n"},
      // The second column is aligned only where it is there.
      {"a\tb\tc\nlong\tx\nq\tlonger\tz\n", "a     b  c\nlong  x\nq     longer  z\n"},
      {"\tx\nabc\ty\n", "     x\nabc  y\n"},
      {"a\t\n", "a  \n"},
      {"no\tbreak", "no  break"},
  };
  for (const auto& [text, want] : cases) EXPECT_EQ(AlignTabs(text), want) << text;
}

TEST(AlignTabs, ManyCellsAreNoTrouble) {
  // Deep recursion would end here.
  std::string text(200'000, '\t');
  EXPECT_EQ(AlignTabs(text).size(), 400'000U);
}

TEST(ErrorText, TellsWhoseWordItIs) {
  const std::string_view server = "https://10.0.0.1:6443";
  auto from_server = [&](const Status& status) { return ErrorText(MarkServerError(status, server), "get"); };
  EXPECT_EQ(ErrorText(BadRequest("own"), "get"), "error: own\n");
  EXPECT_EQ(ErrorText(NotFound("own"), "get"), "error: own\n");
  EXPECT_EQ(from_server(NotFound("pods \"a\" not found")), "Error from server (NotFound): pods \"a\" not found\n");
  EXPECT_EQ(from_server(BadRequest("x")), "Error from server (BadRequest): x\n");
  EXPECT_EQ(from_server(Status(Reason::kUnknown, "x")), "Error from server: x\n");
  EXPECT_EQ(from_server(Unauthorized("Unauthorized")), "error: You must be logged in to the server (Unauthorized)\n");
  EXPECT_EQ(from_server(Unavailable("dial tcp 10.0.0.1:6443: connect: connection refused")),
            "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?\n");
  EXPECT_EQ(from_server(Unavailable("lookup x: no such host")),
            "Unable to connect to the server: lookup x: no such host\n");
  EXPECT_EQ(ErrorText(UsageError("m"), "get"), "error: m\nSee 'kubectl get -h' for help and examples\n");
  EXPECT_EQ(ErrorText(UsageError("m", "create ns"), "create"),
            "error: m\nSee 'kubectl create ns -h' for help and examples\n");
  EXPECT_EQ(ErrorText(FlagError("unknown flag: --x"), "get"),
            "Error: unknown flag: --x\nSee 'kubectl get --help' for usage.\n");
  // A context put in front keeps whose word it is.
  EXPECT_EQ(ErrorText(MarkServerError(NotFound("x"), server).WithContext("error when creating \"f\""), "create"),
            "Error from server (NotFound): error when creating \"f\": x\n");
}

TEST(ErrorText, InvalidObjects) {
  StatusDetails details{.kind = "Pod", .name = "web"};
  details.causes.push_back({.type = "FieldValueRequired", .message = "Required value", .field = "spec.a"});
  EXPECT_EQ(ErrorText(MarkServerError(Invalid("m").WithDetails(details), ""), "create"),
            "The Pod \"web\" is invalid: spec.a: Required value\n");
  details.causes.push_back({.type = "FieldValueInvalid", .message = "Invalid value: 1", .field = "spec.b"});
  EXPECT_EQ(ErrorText(MarkServerError(Invalid("m").WithDetails(details), ""), "create"),
            "The Pod \"web\" is invalid: \n* spec.a: Required value\n* spec.b: Invalid value: 1\n");
}

TEST(NearestField, FindsTyposOnly) {
  const api::Type& spec = *api::FindType("core/v1", "PodSpec");
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"contaners", "containers"},
      {"Containers", "containers"},
      {"nodename", "nodeName"},
      {"restartpolicies", "restartPolicy"},
      {"xyz", ""},
      {"", ""},
  };
  for (const auto& [name, want] : cases) EXPECT_EQ(NearestField(spec, name), want) << name;
}

TEST(OutputFormat, KnowsItsForms) {
  EXPECT_EQ(OutputFormat::Parse("jsonpath={.a}")->argument, "{.a}");
  EXPECT_TRUE(OutputFormat::Parse("wide")->is_table());
  EXPECT_TRUE(OutputFormat::Parse("")->is_table());
  EXPECT_FALSE(OutputFormat::Parse("yaml")->is_table());
  EXPECT_FALSE(OutputFormat::Parse("go-template={{.x}}").ok());
}

}  // namespace
}  // namespace knarr::cli
