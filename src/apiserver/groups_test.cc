// What is particular about the kinds of the groups besides core and apps.

#include "apiserver/strategy.h"
#include "apiserver/test_server.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

Result<api::ObjectPtr> Make(TestServer& server, std::string_view json) {
  const doc::Document object = TestServer::Json(json);
  const api::KindInfo& kind =
      TestServer::Kind(object.root.At("kind").AsString(), object.root.At("apiVersion").AsString());
  return server.client().Create(kind, kind.namespaced ? "default" : "", object.root);
}

constexpr std::string_view kJob = R"({"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"j"},"spec":{)"
                                  R"("template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":)"
                                  R"("i"}]}}},"status":{"active":5}})";

TEST(Groups, AJobPicksItsPodsByItsUid) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const auto job = MUST(Make(server, kJob));
    const Value& tree = job->tree();
    EXPECT_EQ(tree.Get("metadata", "generation").AsInt(), 1);
    EXPECT_EQ(tree.Get("status", "active").AsInt(), 0);
    const Value& labels = tree.Get("spec", "template", "metadata", "labels");
    EXPECT_EQ(labels.At("job-name").AsString(), "j");
    EXPECT_EQ(labels.At("batch.kubernetes.io/job-name").AsString(), "j");
    EXPECT_EQ(labels.At("controller-uid").AsString(), job->uid());
    EXPECT_TRUE(tree.Get("metadata", "labels").Equals(labels));
    EXPECT_EQ(doc::ToJson(tree.Get("spec", "selector")),
              R"({"matchLabels":{"batch.kubernetes.io/controller-uid":")" + std::string(job->uid()) + "\"}}");
    const auto labelled = MUST(Make(server, R"({"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"l","labels":)"
                                            R"({"x":"z"}},"spec":{"template":{"spec":{"restartPolicy":"Never",)"
                                            R"("containers":[{"name":"c","image":"i"}]}}}})"));
    EXPECT_EQ(doc::ToJson(labelled->tree().Get("metadata", "labels")), R"({"x":"z"})");
    const auto unselected =
        Make(server, R"({"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"k"},"spec":{"manualSelector":true,)"
                     R"("template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}})");
    EXPECT_EQ(unselected.status().message(),
              "Job.batch \"k\" is invalid: [spec.selector: Required value, spec.template.metadata.labels: Invalid "
              "value: null: `selector` does not match template `labels`]");
  });
}

TEST(Groups, OnlyAJobWithoutLabelsHasThoseOfItsPods) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const std::string spec = R"("spec":{"template":{"metadata":{"labels":{"x":"y"}},"spec":{"restartPolicy":"Never",)"
                             R"("containers":[{"name":"c","image":"i"}]}}}})";
    const std::string head = R"({"apiVersion":"batch/v1","kind":"Job","metadata":{"name":)";
    const auto bare = MUST(Make(server, head + R"("a"},)" + spec));
    const Value& all = bare->tree().Get("spec", "template", "metadata", "labels");
    EXPECT_EQ(all.size(), 5U);
    EXPECT_TRUE(bare->tree().Get("metadata", "labels").Equals(all));
    const auto empty = MUST(Make(server, head + R"("b","labels":{}},)" + spec));
    EXPECT_EQ(empty->tree().Get("metadata", "labels").size(), 5U);
    // The same ones, but written down.
    const auto own = MUST(Make(server, head + R"("c","labels":{"x":"y"}},)" + spec));
    EXPECT_EQ(doc::ToJson(own->tree().Get("metadata", "labels")), R"({"x":"y"})");
    EXPECT_EQ(own->tree().Get("spec", "template", "metadata", "labels").size(), 5U);
  });
}

TEST(Groups, AJobsPodsStayByDefault) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("Job", "batch/v1");
    MUST(Make(server, kJob));
    const auto deleted = MUST(server.client().Delete(kind, {"default", "j"}));
    EXPECT_EQ(deleted->tree().Get("metadata", "finalizers")[0].AsString(), "orphan");
  });
}

TEST(Groups, AJobsStatusIsCheckedAgainstWhatItWas) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const api::KindInfo& kind = TestServer::Kind("Job", "batch/v1");
    MUST(Make(server, kJob));
    const auto status = [&](std::string_view patch) {
      return server.client().Patch(kind, {"default", "j"}, client::PatchType::kMerge, patch, "status");
    };
    ASSERT_TRUE(status(R"({"status":{"startTime":"2026-01-01T00:00:00Z","succeeded":2}})").ok());
    EXPECT_EQ(status(R"({"status":{"succeeded":1}})").status().message(),
              "Job.batch \"j\" is invalid: status.succeeded: Invalid value: 1: cannot decrease the succeeded counter");
    const auto complete = status(R"({"status":{"conditions":[{"type":"Complete","status":"True"}]}})");
    EXPECT_NE(complete.status().message().find("completionTime is required for Complete jobs"), std::string::npos);
  });
}

TEST(Groups, GenerationsCountWhatTheyCount) {
  struct Case {
    std::string_view json;
    std::string_view patch;
    int64_t created;
    int64_t changed;
  };
  const Case cases[] = {
      {R"({"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"n"},)"
       R"("spec":{"podSelector":{}}})",
       R"({"spec":{"podSelector":{"matchLabels":{"a":"b"}}}})", 1, 2},
      {R"({"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","metadata":{"name":"n"},)"
       R"("spec":{"controller":"a/b"}})",
       R"({"metadata":{"labels":{"a":"b"}}})", 1, 1},
      {R"({"apiVersion":"storage.k8s.io/v1","kind":"CSIDriver","metadata":{"name":"n"},"spec":{}})",
       R"({"spec":{"fsGroupPolicy":"File"}})", 0, 1},
      {R"({"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"n"},"value":5})",
       R"({"description":"d"})", 1, 1},
      {R"({"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"n"},"spec":{"minAvailable":1}})",
       R"({"spec":{"minAvailable":2}})", 1, 2},
  };
  InSim([&cases](rt::Runtime& runtime) {
    TestServer server(runtime);
    for (const Case& test : cases) {
      SCOPED_TRACE(test.json);
      const auto made = MUST(Make(server, test.json));
      EXPECT_EQ(made->tree().Get("metadata", "generation").AsInt(), test.created);
      const api::KindInfo& kind = TestServer::Kind(made->kind(), made->api_version());
      const auto changed =
          server.client().Patch(kind, {std::string(made->ns()), "n"}, client::PatchType::kMerge, test.patch);
      ASSERT_TRUE(changed.ok()) << changed.status().ToString();
      EXPECT_EQ((*changed)->tree().Get("metadata", "generation").AsInt(), test.changed);
    }
  });
}

TEST(Groups, StatusWritersOwnNothingElse) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    MUST(Make(server, R"({"apiVersion":"storage.k8s.io/v1","kind":"VolumeAttachment","metadata":{"name":"v"},"spec":)"
                      R"({"attacher":"a.b","nodeName":"n","source":{"persistentVolumeName":"p"}}})"));
    const auto attached = MUST(server.client().Patch(
        TestServer::Kind("VolumeAttachment", "storage.k8s.io/v1"), {"", "v"}, client::PatchType::kMerge,
        R"({"metadata":{"labels":{"a":"b"}},"spec":{"nodeName":"m"},"status":{"attached":true}})", "status"));
    EXPECT_TRUE(attached->tree().Get("status", "attached").AsBool());
    EXPECT_TRUE(attached->tree().Get("metadata", "labels").is_null());
    EXPECT_EQ(attached->tree().Get("spec", "nodeName").AsString(), "n");
  });
}

TEST(Groups, SystemPriorityClassesStay) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const auto refused =
        server.client().Delete(TestServer::Kind("PriorityClass", "scheduling.k8s.io/v1"), {"", "system-node-critical"});
    EXPECT_EQ(refused.status().message(),
              "priorityclasses.scheduling.k8s.io \"system-node-critical\" is forbidden: this is a system priority "
              "class and cannot be deleted");
  });
}

TEST(Groups, LeasesHaveNoElectionStrategy) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const auto lease = MUST(Make(server, R"({"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":)"
                                         R"({"name":"l"},"spec":{"strategy":"OldestEmulationVersion"}})"));
    EXPECT_TRUE(lease->tree().Get("spec", "strategy").is_null());
  });
}

TEST(Groups, EndpointSlicesTakeNoTopology) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const auto slice = MUST(Make(server, R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":)"
                                         R"({"name":"s"},"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"],)"
                                         R"("deprecatedTopology":{"kubernetes.io/hostname":"n"}}],"ports":[]})"));
    EXPECT_TRUE(slice->tree().At("endpoints")[0].At("deprecatedTopology").is_null());
    EXPECT_TRUE(slice->tree().At("endpoints")[0].At("nodeName").is_null());
  });
}

// Strategies are asked directly: what is a warning over HTTP is nothing to a client in the process.
TEST(Groups, WarnsOfWhatIsFineButOdd) {
  const struct {
    std::string_view json;
    std::vector<std::string> warnings;
  } kCases[] = {
      {R"({"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"a.b"}})",
       {"metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label "
        "is recommended: [must not contain dots]"}},
      {R"({"apiVersion":"networking.k8s.io/v1","kind":"Ingress",)"
       R"("metadata":{"annotations":{"kubernetes.io/ingress.class":"x"}}})",
       {"annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"}},
      {R"({"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy",)"
       R"("spec":{"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.1/8","except":["2001:DB8::/64",)"
       R"("010.0.0.0/16"]}}]}]}})",
       {R"(spec.ingress[0].from[0].ipBlock.cidr: CIDR value "10.0.0.1/8" is ambiguous in this context (should be )"
        R"("10.0.0.0/8" or "10.0.0.1/32"?))",
        R"(spec.ingress[0].from[0].ipBlock.except[0]: IPv6 CIDR value "2001:DB8::/64" should be in RFC 5952 canonical )"
        R"(format ("2001:db8::/64"))",
        R"(spec.ingress[0].from[0].ipBlock.except[1]: non-standard CIDR value "010.0.0.0/16" is invalid: use )"
        R"("10.0.0.0/16")"}},
      {R"({"apiVersion":"storage.k8s.io/v1","kind":"StorageClass",)"
       R"("allowedTopologies":[{"matchLabelExpressions":[{"key":"beta.kubernetes.io/os"}]}]})",
       {"allowedTopologies[0].matchLabelExpressions[0].key: deprecated since v1.14; use \"kubernetes.io/os\" instead"}},
      {R"({"apiVersion":"storage.k8s.io/v1","kind":"CSIStorageCapacity",)"
       R"("nodeTopology":{"matchLabels":{"node-role.kubernetes.io/master":"x"}}})",
       {"nodeTopology.matchLabels.node-role.kubernetes.io/master: use \"node-role.kubernetes.io/control-plane\" "
        "instead"}},
      {R"({"apiVersion":"storage.k8s.io/v1","kind":"CSIDriver","spec":{"tokenRequests":[{"audience":"a"}]}})",
       {"spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible "
        "logging of tokens in volume attributes"}},
      {R"({"apiVersion":"node.k8s.io/v1","kind":"RuntimeClass",)"
       R"("scheduling":{"nodeSelector":{"app.kubernetes.io/created-by":"x"}}})",
       {"scheduling.nodeSelector: deprecated since v1.9"}},
      {R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"FQDN",)"
       R"("endpoints":[{"addresses":["::ffff:1.2.3.4"]}]})",
       {"spec.addressType: FQDN endpoints are deprecated",
        R"(endpoints[0].addresses[0]: non-standard IP address "::ffff:1.2.3.4" is invalid: use "1.2.3.4")"}},
      {R"({"apiVersion":"policy/v1","kind":"PodDisruptionBudget"})", {}},
      {R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a.b"},"spec":{"imagePullSecrets":[{}]}})",
       {"metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is "
        "recommended: [must not contain dots]",
        "spec.imagePullSecrets[0].name: invalid empty name \"\""}},
      {R"({"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"a.b"},"spec":{"revisionHistoryLimit":-1,)"
       R"("template":{"spec":{"terminationGracePeriodSeconds":-1}},)"
       R"("volumeClaimTemplates":[{"spec":{"resources":{"requests":{"storage":"1m"}}}}]}})",
       {"spec.template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be "
        "treated as 1",
        "spec.volumeClaimTemplates[0].resources.requests[storage]: fractional byte value \"1m\" is invalid, must be an "
        "integer",
        "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"}},
  };
  for (const auto& test : kCases) {
    const doc::Document object = TestServer::Json(test.json);
    const api::KindInfo& kind =
        TestServer::Kind(object.root.At("kind").AsString(), object.root.At("apiVersion").AsString());
    EXPECT_EQ(MakeStrategy(kind, kind, {})->Warnings(Target::kObject, object.root, nullptr), test.warnings)
        << test.json;
  }
}

TEST(Groups, APutWithoutAVersionIsRefusedByTheResourcesName) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    constexpr std::string_view kBudget =
        R"({"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"p"},"spec":{"minAvailable":1}})";
    MUST(Make(server, kBudget));
    const auto refused = server.client().Update(TestServer::Kind("PodDisruptionBudget", "policy/v1"), {"default", "p"},
                                                TestServer::Json(kBudget).root);
    EXPECT_EQ(refused.status().message(),
              "poddisruptionbudgets.policy \"p\" is invalid: metadata.resourceVersion: Invalid value: 0: must be "
              "specified for an update");
  });
}

TEST(Groups, PutsNeedAVersionWhereUpstreamWantsOne) {
  for (const auto& [api_version, kind, unconditional, creates] :
       {std::tuple{"policy/v1", "PodDisruptionBudget", false, false},
        {"node.k8s.io/v1", "RuntimeClass", false, true},
        {"storage.k8s.io/v1", "CSIDriver", false, false},
        {"storage.k8s.io/v1", "StorageClass", true, false},
        {"coordination.k8s.io/v1", "Lease", false, true},
        {"v1", "ServiceAccount", true, false},
        {"batch/v1", "Job", true, false},
        {"networking.k8s.io/v1", "Ingress", true, false}}) {
    const api::KindInfo& info = TestServer::Kind(kind, api_version);
    const auto strategy = MakeStrategy(info, info, {});
    EXPECT_EQ(strategy->allow_unconditional_update(), unconditional) << kind;
    EXPECT_EQ(strategy->allow_create_on_update(), creates) << kind;
  }
}

}  // namespace
}  // namespace knarr::apiserver
