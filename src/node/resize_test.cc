#include "node/resize.h"

#include <gtest/gtest.h>

#include "api/pod_resources.h"
#include "doc/json.h"
#include "node/allocator.h"
#include "node/pod_state.h"
#include "node/resource_status.h"
#include "node/resources.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;
using runtime::ContainerState;

constexpr WallTime kNow{std::chrono::hours(24 * 365 * 50)};
constexpr int64_t kMi = 1 << 20;

api::ResourceList List(std::string_view json) { return api::ReadResources(MUST(doc::ParseJson(json)).root); }

doc::Document ParsePod(const std::string& spec) {
  return MUST(doc::ParseJson(R"({"metadata":{"name":"p","uid":"u","generation":2},"spec":)" + spec + "}"));
}

PodState StateOf(Pod before, Pod after) {
  PodState state = InitialState(after);
  state.actuated = AllocationOf(before);
  for (ContainerRecord& record : state.containers) {
    record.current =
        runtime::ContainerStatus{.id = record.name, .name = record.name, .state = ContainerState::kRunning};
  }
  return state;
}

std::string One(const char* name, const char* cpu, const char* memory, const char* more = "") {
  const std::string amounts = std::string(R"({"cpu":")") + cpu + R"(","memory":")" + memory + "\"}";
  return std::string(R"({"name":")") + name + R"(","resources":{"requests":)" + amounts + R"(,"limits":)" + amounts +
         "}" + more + "}";
}

std::string Names(const std::vector<ContainerUpdate>& updates) {
  std::string out;
  for (const ContainerUpdate& update : updates) out += update.container;
  return out;
}

TEST(PlanResize, WhatShrinksGoesFirst) {
  const auto spec = [](const std::string& a, const std::string& b, const std::string& c) {
    return R"({"containers":[)" + a + "," + b + "," + c + "]}";
  };
  const doc::Document before =
      ParsePod(spec(One("a", "100m", "100Mi"), One("b", "100m", "100Mi"), One("c", "100m", "100Mi")));
  struct Case {
    std::string what;
    std::string after;
    const char* memory;
    const char* cpu;
    const char* restart = "";
  };
  const char* again = R"(,"resizePolicy":[{"resourceName":"memory","restartPolicy":"RestartContainer"}])";
  const Case cases[] = {
      {"nothing", spec(One("a", "0.1", "104857600"), One("b", "100m", "100Mi"), One("c", "100m", "100Mi")), "", ""},
      {"both ways", spec(One("a", "200m", "200Mi"), One("b", "50m", "50Mi"), One("c", "300m", "60Mi")), "cba", "bac"},
      {"restart", spec(One("a", "200m", "100Mi", again), One("b", "100m", "99Mi", again), One("c", "100m", "1Mi")), "c",
       "a", "b"},
  };
  for (const Case& c : cases) {
    const doc::Document after = ParsePod(c.after);
    const ResizePlan plan = PlanResize(Pod(after.root), StateOf(Pod(before.root), Pod(after.root)));
    EXPECT_EQ(Names(plan.memory), c.memory) << c.what;
    EXPECT_EQ(Names(plan.cpu), c.cpu) << c.what;
    std::string restart;
    for (const std::string& name : plan.restart) restart += name;
    EXPECT_EQ(restart, c.restart) << c.what;
  }
}

TEST(PlanResize, WhatIsInDoubtIsGivenAgain) {
  const char* again = R"(,"resizePolicy":[{"resourceName":"memory","restartPolicy":"RestartContainer"}])";
  const doc::Document pod =
      ParsePod(R"({"containers":[)" + One("a", "1", "1Mi", again) + "," + One("b", "1", "1Mi") + "]}");
  PodState state = StateOf(Pod(pod.root), Pod(pod.root));
  EXPECT_TRUE(PlanResize(Pod(pod.root), state).empty());
  state.Find("a")->resources_in_doubt = true;
  const ResizePlan plan = PlanResize(Pod(pod.root), state);
  EXPECT_EQ(Names(plan.memory), "a");
  EXPECT_EQ(Names(plan.cpu), "a");
  EXPECT_TRUE(plan.restart.empty());
}

TEST(PlanResize, OnlyWhatRunsIsChanged) {
  const doc::Document before = ParsePod(R"({"initContainers":[)" + One("i", "1", "1Mi") + R"(],"containers":[)" +
                                        One("a", "1", "1Mi") + "," + One("b", "1", "1Mi") + "]}");
  const doc::Document after = ParsePod(R"({"initContainers":[)" + One("i", "2", "2Mi") + R"(],"containers":[)" +
                                       One("a", "2", "2Mi") + "," + One("b", "2", "2Mi") + "]}");
  PodState state = StateOf(Pod(before.root), Pod(after.root));
  state.Find("b")->current->state = ContainerState::kExited;
  const ResizePlan plan = PlanResize(Pod(after.root), state);
  EXPECT_EQ(Names(plan.memory), "ia");
  EXPECT_EQ(Names(plan.cpu), "ia");
}

TEST(PlanResize, APodsBudgetIsTheLimitOfThoseWithoutOne) {
  const doc::Document before =
      ParsePod(R"({"resources":{"limits":{"cpu":"1","memory":"100Mi"}},"containers":[{"name":"a"},)" +
               One("b", "100m", "10Mi") + "]}");
  const doc::Document after =
      ParsePod(R"({"resources":{"limits":{"cpu":"2","memory":"100Mi"}},"containers":[{"name":"a"},)" +
               One("b", "100m", "10Mi") + "]}");
  const ResizePlan plan = PlanResize(Pod(after.root), StateOf(Pod(before.root), Pod(after.root)));
  EXPECT_EQ(Names(plan.cpu), "a");
  EXPECT_TRUE(plan.memory.empty());
  EXPECT_EQ(GroupOf(plan.cpu[0].to).cpu_quota_us, 200000);
}

TEST(PlanResize, LimitsAreNotTakenAway) {
  const runtime::CgroupResources present{.cpu_shares = 100, .cpu_quota_us = 5000, .memory_limit = 7};
  const auto next = NextPodGroup(present, {.cpu_shares = 50});
  EXPECT_EQ(next.cpu_shares, 50);
  EXPECT_EQ(next.cpu_quota_us, 5000);
  EXPECT_EQ(next.memory_limit, 7);
  EXPECT_EQ(NextPodGroup(present, {.memory_limit = 9}).memory_limit, 9);
}

TEST(RefuseMemoryDecrease, WhatIsInUseCanNotBeTaken) {
  const doc::Document before =
      ParsePod(R"({"containers":[)" + One("a", "1", "100Mi") + "," + One("b", "1", "100Mi") + "]}");
  const doc::Document after =
      ParsePod(R"({"containers":[)" + One("a", "1", "50Mi") + "," + One("b", "1", "200Mi") + "]}");
  const ResizePlan plan = PlanResize(Pod(after.root), StateOf(Pod(before.root), Pod(after.root)));
  const auto refuse = [&](int64_t from, int64_t to, MemoryInUse used) {
    return RefuseMemoryDecrease(plan, {.memory_limit = from}, {.memory_limit = to}, used);
  };
  EXPECT_EQ(refuse(200 * kMi, 250 * kMi, {300 * kMi, {{"a", 49 * kMi}, {"b", 300 * kMi}}}), "");
  EXPECT_EQ(
      refuse(200 * kMi, 250 * kMi, {1, {{"a", 50 * kMi}}}),
      "cannot decrease memory limits: attempting to set container \"a\" memory limit (52428800) below current usage "
      "(52428800)");
  EXPECT_EQ(refuse(200 * kMi, 150 * kMi, {160 * kMi, {}}),
            "cannot decrease memory limits: [attempting to set pod memory limit (157286400) below current usage "
            "(167772160), missing container \"a\" memory usage]");
  EXPECT_EQ(refuse(0, 150 * kMi, {std::nullopt, {{"a", 1}}}),
            "cannot decrease memory limits: missing pod memory usage");
}

TEST(ResizeMessage, SaysWhatIsAskedFor) {
  const doc::Document pod = ParsePod(R"({"containers":[)" + One("a", "1", "50Mi") + R"(,{"name":"b"}]})");
  EXPECT_EQ(ResizeMessage("Pod resize started", Pod(pod.root), 2),
            R"(Pod resize started: {"containers":[{"name":"a","resources":{"limits":{"cpu":"1","memory":"50Mi"},)"
            R"("requests":{"cpu":"1","memory":"50Mi"}}},{"name":"b","resources":{}}],"generation":2})");
  EXPECT_TRUE(ResizeMessage("Pod resize error", Pod(pod.root), 3, "no").ends_with(R"(,"generation":3,"error":"no"})"));
}

TEST(ResizeConditions, KeepTheirTimeWhileTheReasonIsTheSame) {
  std::optional<ResizeCondition> condition;
  EXPECT_TRUE(SetCondition(condition, "Deferred", "a", 2, kNow));
  EXPECT_FALSE(SetCondition(condition, "Deferred", "a", 2, kNow + 1s));
  EXPECT_TRUE(SetCondition(condition, "Deferred", "b", 2, kNow + 2s));
  EXPECT_EQ(condition->since, kNow);
  EXPECT_EQ(condition->probed, kNow + 2s);
  EXPECT_TRUE(SetCondition(condition, "Infeasible", "b", 2, kNow + 3s));
  EXPECT_EQ(condition->since, kNow + 3s);
}

TEST(Allocation, IsReadAsItWasWritten) {
  const doc::Document document =
      ParsePod(R"({"resources":{"requests":{"cpu":"3"}},"initContainers":[)" + One("i", "1", "1Mi") +
               R"(],"containers":[)" + One("a", "250m", "1Gi") + "]}");
  const ResourceRecord record{AllocationOf(Pod(document.root)), {}, {.cpu_shares = 3, .memory_limit = 9}};
  const ResourceRecord read = MUST(ParseResourceRecord(ToJson(record)));
  EXPECT_EQ(read.allocated, record.allocated);
  EXPECT_EQ(read.actuated, Allocation());
  EXPECT_EQ(read.pod_group.cpu_shares, 3);
  EXPECT_EQ(read.pod_group.memory_limit, 9);
  const auto group = [](const std::string& amounts) { return R"({"allocated":{},"podGroup":{)" + amounts + "}}"; };
  EXPECT_TRUE(ParseResourceRecord(group("")).ok());
  for (const std::string& bad :
       {std::string(), std::string("{"), std::string("[]"), std::string("{}"), std::string(R"({"allocated":{}})"),
        std::string(R"({"podGroup":{}})"), group(R"("cpuShares":-1)"), group(R"("memoryLimit":9223372036854775807)"),
        group(R"("cpuQuota":1)"), ToJson(record).substr(0, 40)}) {
    EXPECT_FALSE(ParseResourceRecord(bad).ok()) << bad;
  }
}

TEST(Allocation, StandsInForTheSpec) {
  const auto object = [](const std::string& spec) { return api::Object::FromDocument(ParsePod(spec)); };
  const api::ObjectPtr pod =
      object(R"({"resources":{"limits":{"cpu":"4"}},"containers":[)" + One("a", "2", "1Gi") + "]}");
  Allocation allocation = AllocationOf(Pod(pod->tree()));
  EXPECT_EQ(WithAllocation(pod, allocation), pod);
  const api::ObjectPtr before = object(R"({"containers":[)" + One("a", "1", "1Gi") + "]}");
  const api::ObjectPtr shown = WithAllocation(pod, AllocationOf(Pod(before->tree())));
  EXPECT_TRUE(shown->tree().At("spec").Equals(before->tree().At("spec"))) << shown->json();
}

TEST(PodResources, CountSidecarsAndTheBudget) {
  const auto of = [](const std::string& spec, const char* qos) {
    const doc::Document pod = MUST(doc::ParseJson(R"({"spec":)" + spec + R"(,"status":{"qosClass":")" + qos + "\"}}"));
    return MUST(PodResources(Pod(pod.root)));
  };
  const auto sidecar = of(R"({"initContainers":[)" + One("s", "1", "10Mi", R"(,"restartPolicy":"Always")") + "," +
                              One("i", "5", "5Mi") + R"(],"containers":[)" + One("a", "1", "10Mi") + "]}",
                          "Guaranteed");
  EXPECT_EQ(sidecar.cpu_quota_us, 600000);
  EXPECT_EQ(sidecar.memory_limit, 20 * kMi);
  const auto budget = of(
      R"({"resources":{"requests":{"cpu":"2"},"limits":{"memory":"64Mi"}},"containers":[{"name":"a"}]})", "Burstable");
  EXPECT_EQ(budget.cpu_shares, 2048);
  EXPECT_EQ(budget.cpu_quota_us, 0);
  EXPECT_EQ(budget.memory_limit, 64 * kMi);
  EXPECT_EQ(of(R"({"containers":[{"name":"a"}]})", "BestEffort").cpu_shares, 2);
}

TEST(Allocator, SaysWhatIsShort) {
  const api::ResourceList node = List(R"({"cpu":"2","memory":"1Gi","pods":"2","hugepages-2Mi":"4Mi"})");
  struct Case {
    const char* used;
    int64_t others;
    const char* asked;
    const char* message;
  };
  const Case cases[] = {
      {"{}", 1, R"({"cpu":"2","memory":"1Gi"})", ""},
      {"{}", 2, "{}", "Node didn't have enough resource: pods, requested: 1, used: 2, capacity: 2"},
      {R"({"cpu":"500m"})", 1, R"({"cpu":"1501m"})",
       "Node didn't have enough resource: cpu, requested: 1501, used: 500, capacity: 2000"},
      {R"({"memory":"1Gi"})", 1, R"({"memory":"1"})",
       "Node didn't have enough resource: memory, requested: 1, used: 1073741824, capacity: 1073741824"},
      {R"({"cpu":"5"})", 1, R"({"memory":"1"})", ""},
      {"{}", 1, R"({"example.com/unknown":"1"})", ""},
      {R"({"hugepages-2Mi":"2Mi"})", 1, R"({"hugepages-2Mi":"4Mi"})",
       "Node didn't have enough resource: hugepages-2Mi, requested: 4194304, used: 2097152, capacity: 4194304"},
  };
  for (const Case& c : cases) {
    const auto shortage = FindShortage(node, List(c.used), c.others, List(c.asked));
    EXPECT_EQ(shortage ? shortage->Message() : "", c.message);
  }
  EXPECT_EQ(FindShortage(node, {}, 1, List(R"({"cpu":"3"})"))->Reason(), "OutOfcpu");
}

class Seeker : public ResizeSeeker {
 public:
  Seeker(Allocator& allocator, std::string uid, const char* wanted, int64_t priority, std::string& order)
      : allocator_(allocator), uid_(std::move(uid)), wanted_(List(wanted)), priority_(priority), order_(order) {}
  ResizeRank Rank() const override { return {.priority = priority_}; }
  bool TryResize() override {
    if (allocator_.Check(uid_, wanted_)) return false;
    order_ += uid_;
    allocator_.Hold(uid_, wanted_);
    return true;
  }

 private:
  Allocator& allocator_;
  const std::string uid_;
  const api::ResourceList wanted_;
  const int64_t priority_;
  std::string& order_;
};

TEST(Allocator, AsksWhoWaitsInTheirOrderWhenThereIsRoom) {
  Allocator allocator(List(R"({"cpu":"4"})"));
  std::string order;
  for (const char* uid : {"a", "b", "c"}) allocator.Hold(uid, List(R"({"cpu":"1"})"));
  allocator.Hold("d", List(R"({"cpu":"1"})"));
  Seeker a(allocator, "a", R"({"cpu":"2"})", 0, order);
  Seeker b(allocator, "b", R"({"cpu":"2"})", 7, order);
  allocator.Seek("a", a);
  allocator.Seek("b", b);
  allocator.Retry();
  EXPECT_EQ(order, "");
  allocator.Hold("d", List(R"({"cpu":"500m"})"));
  EXPECT_EQ(order, "");
  allocator.Release("d");
  EXPECT_EQ(order, "b");
  allocator.Release("c");
  EXPECT_EQ(order, "ba");
  // Who becomes smaller makes room for who waits, also while that is being looked at.
  Seeker small(allocator, "b", R"({"cpu":"1"})", 1, order);
  Seeker large(allocator, "a", R"({"cpu":"3"})", 9, order);
  allocator.Seek("a", large);
  allocator.Seek("b", small);
  allocator.Retry();
  EXPECT_EQ(order, "baba");
  allocator.Leave("a");
  allocator.Leave("b");
}

TEST(Allocator, RanksAsTheKubelet) {
  const ResizeRank shrinks{.grows = false};
  const ResizeRank important{.priority = 5};
  const ResizeRank guaranteed{.guaranteed = true, .since = kNow};
  const ResizeRank early{.since = kNow};
  const ResizeRank late{.since = kNow + 1s};
  const ResizeRank* order[] = {&shrinks, &important, &guaranteed, &early, &late};
  for (size_t i = 0; i < std::size(order); ++i) {
    for (size_t j = 0; j < std::size(order); ++j) EXPECT_EQ(order[i]->Before(*order[j]), i < j) << i << " " << j;
  }
}

TEST(ResourceStatus, ShowsWhatIsInForce) {
  const doc::Document before = ParsePod(R"({"containers":[)" + One("a", "1", "64Mi") + R"(,{"name":"b"}]})");
  const doc::Document after = ParsePod(R"({"containers":[)" + One("a", "2", "64Mi") + R"(,{"name":"b"}]})");
  PodState state = StateOf(Pod(before.root), Pod(after.root));
  state.Find("a")->current->user = runtime::ContainerUser{1, 2, {2, 3}};
  state.pod_group = {.cpu_shares = 102, .cpu_quota_us = 150000, .memory_limit = 64 * kMi};
  doc::Document status;
  const api::core_v1::PodStatusEdit edit(status);
  const auto of = [&](const char* name) {
    doc::Document one;
    const api::core_v1::ContainerStatusEdit to(one);
    WriteContainerResources(state, *state.Find(name), to);
    return doc::ToJson(one.root);
  };
  EXPECT_EQ(of("a"),
            R"({"allocatedResources":{"cpu":"2","memory":"64Mi"},"resources":{"limits":{"cpu":"1","memory":"64Mi"},)"
            R"("requests":{"cpu":"1","memory":"64Mi"}},"user":{"linux":{"uid":1,"gid":2,)"
            R"("supplementalGroups":[2,3]}}})");
  EXPECT_EQ(of("b"), R"({"resources":{}})");
  state.Find("a")->current->state = ContainerState::kExited;
  state.Find("a")->current->user.reset();
  EXPECT_EQ(of("a"),
            R"({"allocatedResources":{"cpu":"2","memory":"64Mi"},"resources":{"limits":{"cpu":"2","memory":"64Mi"},)"
            R"("requests":{"cpu":"2","memory":"64Mi"}}})");
  state.Find("b")->current.reset();
  EXPECT_EQ(of("b"), "{}");
  // Of the pod as a whole.
  const auto pod = [&](const char* phase) {
    doc::Document whole = doc::Document::Copy(after.root);
    whole.root.Ensure(whole.arena, "status").Set(whole.arena, "phase", doc::Value::Borrow(phase));
    doc::Document out;
    WritePodResources(Pod(whole.root), state, api::core_v1::PodStatusEdit(out));
    return doc::ToJson(out.root);
  };
  EXPECT_EQ(pod("Pending"), R"({"allocatedResources":{"cpu":"2","memory":"64Mi"},"resources":{"limits":{"cpu":"2",)"
                            R"("memory":"64Mi"},"requests":{"cpu":"2","memory":"64Mi"}}})");
  EXPECT_EQ(pod("Running"), R"({"allocatedResources":{"cpu":"2","memory":"64Mi"},"resources":{"limits":{"cpu":"1500m",)"
                            R"("memory":"64Mi"},"requests":{"cpu":"100m","memory":"64Mi"}}})");
}

}  // namespace
}  // namespace knarr::node
