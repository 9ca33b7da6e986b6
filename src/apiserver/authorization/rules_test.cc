#include "apiserver/authorization/rules.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace knarr::apiserver {
namespace {

// "verbs groups resources [names]" or "verbs url paths", lists with commas, as the policy's text.
PolicyRule Rule(std::string_view text) {
  const std::vector<std::string_view> words = Fields(text);
  const auto list = [](std::string_view word) {
    std::vector<std::string> out;
    for (const std::string_view part : Split(word, ',')) out.emplace_back(part == "core" ? "" : part);
    return out;
  };
  if (words[1] == "url") return {list(words[0]), {}, {}, {}, list(words[2])};
  return {list(words[0]),
          list(words[1]),
          list(words[2]),
          words.size() > 3 ? list(words[3]) : std::vector<std::string>(),
          {}};
}

// "verb group resource[/sub] [name]" or "verb path".
Attributes Asked(std::string_view text) {
  const std::vector<std::string_view> words = Fields(text);
  Attributes out;
  out.verb = words[0];
  if (words.size() == 2) {
    out.path = words[1];
    return out;
  }
  out.resource_request = true;
  out.group = words[1] == "core" ? "" : words[1];
  const auto parts = Cut(words[2], "/");
  out.resource = parts.has_value() ? parts->first : words[2];
  if (parts.has_value()) out.subresource = parts->second;
  if (words.size() > 3) out.name = words[3];
  return out;
}

TEST(Rules, Allow) {
  struct Case {
    std::string_view rule;
    std::string_view asked;
    bool allowed;
  };
  const Case cases[] = {
      {"get,list core pods", "get core pods a", true},
      {"get,list core pods", "watch core pods", false},
      {"get,list core pods", "get apps pods a", false},
      {"get,list core pods", "get core pods/log a", false},
      {"* core pods", "frobnicate core pods a", true},
      {"get * pods", "get apps pods a", true},
      {"get core *", "get core pods/log a", true},
      {"get core pods/log", "get core pods/log a", true},
      {"get core pods/log", "get core pods a", false},
      {"get core */log", "get core pods/log a", true},
      {"get core */log", "get core pods/xlog a", false},
      {"get core */log", "get core pods a", false},
      {"get core */*", "get core pods/log a", false},
      {"get core pods a,b", "get core pods b", true},
      {"get core pods a,b", "get core pods c", false},
      {"get core pods a,b", "list core pods", false},
      {"get url /healthz,/api/*", "get /healthz", true},
      {"get url /healthz,/api/*", "get /healthz/x", false},
      {"get url /healthz,/api/*", "get /api/v1", true},
      {"get url /healthz,/api/*", "get /api", false},
      {"get url *", "get /anything", true},
      {"get url *", "get core pods a", false},
      {"get core *", "get /anything", false},
      {"get core,* *", "get /anything", false},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(RuleAllows(Rule(test.rule), Asked(test.asked)), test.allowed) << test.rule << " | " << test.asked;
  }
}

TEST(Rules, Cover) {
  struct Case {
    std::vector<std::string_view> owned;
    std::vector<std::string_view> wanted;
    std::string missing;  ///< one line each; "": covered
  };
  const Case cases[] = {
      {{"get,list core pods"}, {"get core pods"}, ""},
      {{"get core pods", "list core pods"}, {"get,list core pods"}, ""},
      {{"get core pods"},
       {"get,list core pods,services"},
       R"({APIGroups:[""], Resources:["pods"], Verbs:["list"]})"
       "\n"
       R"({APIGroups:[""], Resources:["services"], Verbs:["get" "list"]})"},
      {{"* * *"}, {"get core pods", "x y z n"}, ""},
      {{"* * *"}, {"get url /x"}, R"({NonResourceURLs:["/x"], Verbs:["get"]})"},
      {{"* url *"}, {"get url /x,/y/*"}, ""},
      {{"get url /y/*"}, {"get url /y/z/*"}, ""},
      {{"get url /y/z"}, {"get url /y/*"}, R"({NonResourceURLs:["/y/*"], Verbs:["get"]})"},
      {{"get core */scale"}, {"get core deployments/scale"}, ""},
      {{"get core */scale"}, {"get core deployments"}, R"({APIGroups:[""], Resources:["deployments"], Verbs:["get"]})"},
      {{"get core pods a"}, {"get core pods a"}, ""},
      {{"get core pods"}, {"get core pods a"}, ""},
      {{"get core pods a"},
       {"get core pods a,b"},
       R"({APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]})"},
      {{"get core pods a"}, {"get core pods"}, R"({APIGroups:[""], Resources:["pods"], Verbs:["get"]})"},
      {{}, {"* * *"}, R"({APIGroups:["*"], Resources:["*"], Verbs:["*"]})"},
  };
  for (const Case& test : cases) {
    std::vector<PolicyRule> owned;
    std::vector<const PolicyRule*> pointers;
    std::vector<PolicyRule> wanted;
    for (const std::string_view text : test.owned) owned.push_back(Rule(text));
    for (const PolicyRule& rule : owned) pointers.push_back(&rule);
    for (const std::string_view text : test.wanted) wanted.push_back(Rule(text));
    EXPECT_EQ(Join(DescribeMissing(Uncovered(pointers, wanted)), "\n"), test.missing);
  }
  // A rule for the name "" is for no name, not for all of them.
  PolicyRule nameless = Rule("get core pods");
  nameless.resource_names = {""};
  const PolicyRule* owned[] = {&nameless};
  const PolicyRule wanted[] = {Rule("get core pods a")};
  EXPECT_EQ(Uncovered(owned, wanted).size(), 1u);
}

}  // namespace
}  // namespace knarr::apiserver
