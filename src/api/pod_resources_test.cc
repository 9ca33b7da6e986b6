#include "api/pod_resources.h"

#include <gtest/gtest.h>

#include "doc/json.h"

namespace knarr::api {
namespace {

doc::Document Parse(const std::string& json) { return MUST(doc::ParseJson(json)); }

std::string Text(const ResourceList& list) {
  std::string out;
  for (const auto& [name, amount] : list) out += (out.empty() ? "" : " ") + name + "=" + amount.ToString();
  return out;
}

std::string Container(const std::string& name, const std::string& requests, const std::string& more = "") {
  return R"({"name":")" + name + R"(","resources":{"requests":)" + requests + "}" + more + "}";
}

const std::string kSidecar = R"(,"restartPolicy":"Always")";

TEST(PodRequests, AreTheSumOrThePeakOfInitContainers) {
  struct Case {
    const char* what;
    std::string spec;
    const char* requests;
  };
  const Case cases[] = {
      {"nothing", R"({"containers":[{"name":"a"}]})", ""},
      {"the sum",
       R"({"containers":[)" + Container("a", R"({"cpu":"100m","memory":"1Mi"})") + "," +
           Container("b", R"({"cpu":"200m","example.com/x":"2"})") + "]}",
       "cpu=300m example.com/x=2 memory=1Mi"},
      {"an init container that needs more",
       R"({"initContainers":[)" + Container("i", R"({"cpu":"1"})") + "," + Container("j", R"({"cpu":"400m"})") +
           R"(],"containers":[)" + Container("a", R"({"cpu":"100m","memory":"1Mi"})") + "]}",
       "cpu=1 memory=1Mi"},
      {"sidecars go on beside the containers, and beside the init containers that come behind them",
       R"({"initContainers":[)" + Container("i", R"({"cpu":"250m"})") + "," +
           Container("s", R"({"cpu":"200m"})", kSidecar) + "," + Container("j", R"({"cpu":"150m"})") +
           R"(],"containers":[)" + Container("a", R"({"cpu":"100m"})") + "]}",
       "cpu=350m"},
      {"overhead comes on top",
       R"({"overhead":{"cpu":"10m","memory":"2Mi"},"containers":[)" + Container("a", R"({"cpu":"100m"})") + "]}",
       "cpu=110m memory=2Mi"},
      {"the pod's own budget stands for its containers, but not for what it can't be about",
       R"({"resources":{"requests":{"cpu":"2","example.com/x":"9"}},"containers":[)" +
           Container("a", R"({"cpu":"100m","memory":"1Mi","example.com/x":"1"})") + "]}",
       "cpu=2 example.com/x=1 memory=1Mi"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Text(PodRequests(Parse(R"({"spec":)" + c.spec + "}").root)), c.requests) << c.what;
  }
}

TEST(PodRequests, OptionsSayWhatCounts) {
  const doc::Document pod = Parse(
      R"({"spec":{"overhead":{"cpu":"10m"},"resources":{"requests":{"cpu":"1","hugepages-2Mi":"4Mi"}},"containers":[)" +
      Container("a", R"({"cpu":"100m"})") + "]}}");
  EXPECT_EQ(Text(PodRequests(pod.root)), "cpu=1010m hugepages-2Mi=4Mi");
  EXPECT_EQ(Text(PodRequests(pod.root, {.overhead = false})), "cpu=1 hugepages-2Mi=4Mi");
  EXPECT_EQ(Text(PodRequests(pod.root, {.overhead = false, .pod_level_hugepages = false})), "cpu=1");
}

/// What the scheduler and the node count of a pod whose resources are being changed: the most of what it asks for, what
/// was set aside for it, and what it has.
TEST(PodRequests, OfAResizeCountTheMost) {
  const std::string spec = R"("spec":{"initContainers":[)" + Container("s", R"({"cpu":"50m"})", kSidecar) +
                           R"(],"containers":[)" + Container("a", R"({"cpu":"100m"})") + "]}";
  const auto status = [](const char* list, const char* name, const char* allocated, const char* actual) {
    return std::string("\"") + list + R"(":[{"name":")" + name + R"(","allocatedResources":{"cpu":")" + allocated +
           R"("},"resources":{"requests":{"cpu":")" + actual + "\"}}}]";
  };
  const std::string infeasible = R"("conditions":[{"type":"PodResizePending","reason":"Infeasible"}],)";
  const std::string deferred = R"("conditions":[{"type":"PodResizePending","reason":"Deferred"}],)";
  struct Case {
    const char* what;
    std::string status;
    const char* requests;
  };
  const Case cases[] = {
      {"nothing was given yet", R"("phase":"Pending")", "cpu=150m"},
      {"another container's", status("containerStatuses", "other", "1", "1"), "cpu=150m"},
      {"it shrinks, and has not yet", status("containerStatuses", "a", "100m", "400m"), "cpu=450m"},
      {"it was set aside, and not given yet", status("containerStatuses", "a", "300m", "100m"), "cpu=350m"},
      {"it grows", status("containerStatuses", "a", "10m", "10m"), "cpu=150m"},
      {"it waits for room", deferred + status("containerStatuses", "a", "10m", "10m"), "cpu=150m"},
      {"it never will", infeasible + status("containerStatuses", "a", "10m", "20m"), "cpu=70m"},
      {"a sidecar's", status("initContainerStatuses", "s", "1", "500m"), "cpu=1100m"},
      {"a status that does not tell of resources", R"("containerStatuses":[{"name":"a"}])", "cpu=150m"},
  };
  for (const Case& c : cases) {
    const doc::Document pod = Parse("{" + spec + R"(,"status":{)" + c.status + "}}");
    EXPECT_EQ(Text(PodRequests(pod.root, {.use_status = true})), c.requests) << c.what;
    EXPECT_EQ(Text(PodRequests(pod.root)), "cpu=150m") << c.what;
  }
}

TEST(PodRequests, OfABudgetThatIsResizedCountTheMost) {
  const std::string spec = R"("spec":{"resources":{"requests":{"cpu":"1"}},"containers":[{"name":"a"}]})";
  struct Case {
    const char* what;
    const char* status;
    const char* requests;
  };
  const Case cases[] = {
      {"nothing is told", "{}", "cpu=1"},
      {"it shrinks", R"({"resources":{"requests":{"cpu":"3"}},"allocatedResources":{"cpu":"1"}})", "cpu=3"},
      {"it was set aside", R"({"resources":{"requests":{"cpu":"1"}},"allocatedResources":{"cpu":"2"}})", "cpu=2"},
      {"it grows", R"({"resources":{"requests":{"cpu":"500m"}},"allocatedResources":{"cpu":"500m"}})", "cpu=1"},
      {"it never will", R"({"conditions":[{"type":"PodResizePending","reason":"Infeasible"}],
                            "resources":{"requests":{"cpu":"500m"}},"allocatedResources":{"cpu":"500m"}})",
       "cpu=500m"},
      {"set aside without being given counts for nothing", R"({"allocatedResources":{"cpu":"7"}})", "cpu=1"},
  };
  for (const Case& c : cases) {
    const doc::Document pod = Parse("{" + spec + R"(,"status":)" + c.status + "}");
    EXPECT_EQ(Text(PodRequests(pod.root, {.use_status = true})), c.requests) << c.what;
  }
}

TEST(PodLimits, HaveOverheadWhereThereIsALimit) {
  const doc::Document pod = Parse(
      R"({"spec":{"overhead":{"cpu":"10m","memory":"2Mi"},"containers":[
            {"name":"a","resources":{"limits":{"cpu":"1","memory":"0"},"requests":{"cpu":"100m"}}}]},
          "status":{"containerStatuses":[{"name":"a","allocatedResources":{"cpu":"9"},
            "resources":{"limits":{"cpu":"2"}}}]}})");
  EXPECT_EQ(Text(PodLimits(pod.root)), "cpu=1010m memory=0");
  EXPECT_EQ(Text(PodLimits(pod.root, {.overhead = false})), "cpu=1 memory=0");
  // What was set aside is about requests only.
  EXPECT_EQ(Text(PodLimits(pod.root, {.use_status = true})), "cpu=2010m memory=0");
}

TEST(HasPodLevelResources, OnlyOfWhatABudgetCanBeAbout) {
  const auto has = [](const std::string& resources) {
    return HasPodLevelResources(Parse(R"({"spec":{"resources":)" + resources + "}}").root);
  };
  EXPECT_FALSE(has("{}"));
  EXPECT_FALSE(has(R"({"requests":{"example.com/x":"1"}})"));
  EXPECT_TRUE(has(R"({"requests":{"cpu":"1"}})"));
  EXPECT_TRUE(has(R"({"limits":{"hugepages-2Mi":"2Mi"}})"));
}

}  // namespace
}  // namespace knarr::api
