#include <gtest/gtest.h>

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "api/meta_v1.h"
#include "api/object.h"
#include "api/schema.h"
#include "doc/json.h"

namespace knarr::api {
namespace {

TEST(SchemaTest, FindsKindsResourcesAndTypes) {
  const KindInfo* pod = FindKind("v1", "Pod");
  ASSERT_NE(pod, nullptr);
  EXPECT_EQ(pod, &core_v1::PodInfo());
  EXPECT_EQ(pod, FindResource("", "v1", "pods"));
  EXPECT_EQ(pod->api_version, "v1");
  EXPECT_EQ(pod->singular, "pod");
  EXPECT_TRUE(pod->has_status);
  EXPECT_TRUE(pod->namespaced);
  EXPECT_EQ(pod->type, &core_v1::Pod::SchemaType());
  ASSERT_NE(pod->list_type, nullptr);
  EXPECT_EQ(pod->list_type->name, "PodList");
  EXPECT_EQ(apps_v1::DeploymentInfo().api_version, "apps/v1");
  EXPECT_FALSE(core_v1::NodeInfo().namespaced);
  EXPECT_EQ(core_v1::BindingInfo().list_type, nullptr);
  EXPECT_EQ(FindKind("v1", "Nothing"), nullptr);
  EXPECT_NE(FindKind("autoscaling/v1", "Scale"), nullptr);
  for (const KindInfo& kind : AllKinds()) EXPECT_FALSE(kind.plural.empty()) << kind.kind;
}

TEST(SchemaTest, RootTypesCoverListsAndShared) {
  for (auto [api_version, kind] : {std::pair{"v1", "PodList"},
                                   {"apps/v1", "DeleteOptions"},
                                   {"v1", "Status"},
                                   {"v1", "List"},
                                   {"v1", "PodExecOptions"},
                                   {"meta.k8s.io/v1", "Table"}}) {
    EXPECT_NE(FindRootType(api_version, kind), nullptr) << api_version << " " << kind;
  }
  for (auto [api_version, kind] :
       {std::pair{"v1", "PodSpec"}, {"apps/v1", "Status"}, {"apps/v2", "Deployment"}, {"", "Pod"}, {"v1", ""}}) {
    EXPECT_EQ(FindRootType(api_version, kind), nullptr) << api_version << " " << kind;
  }
}

TEST(SchemaTest, FieldsCarryTheirMarkers) {
  const Type* spec = FindType("core/v1", "PodSpec");
  ASSERT_NE(spec, nullptr);
  const Field* volumes = spec->Find("volumes");
  ASSERT_NE(volumes, nullptr);
  EXPECT_EQ(volumes->number, 1);
  EXPECT_EQ(volumes->shape, Shape::kList);
  EXPECT_TRUE(volumes->Has(FieldFlag::kPatchMerge));
  EXPECT_TRUE(volumes->Has(FieldFlag::kPatchRetainKeys));
  EXPECT_EQ(volumes->patch_merge_key, "name");
  EXPECT_EQ(volumes->list_type, ListType::kMap);
  EXPECT_EQ(volumes->go_type, "[]v1.Volume");
  // Inlined structs are looked into.
  const Field* host_path = volumes->message->Find("hostPath");
  ASSERT_NE(host_path, nullptr);
  EXPECT_EQ(host_path->number, 1);
  const Field* port_protocol = FindType("core/v1", "ContainerPort")->Find("protocol");
  EXPECT_EQ(port_protocol->default_json, "\"TCP\"");
  EXPECT_EQ(port_protocol->enum_values.size(), 3U);
  EXPECT_TRUE(FindType("meta/v1", "APIResource")->Find("verbs")->Has(FieldFlag::kWrapped));
}

TEST(SchemaTest, EveryFieldHasItsSentence) {
  for (const Package& package : AllPackages()) {
    for (const Type& type : package.types) {
      for (const Field& field : type.fields) {
        if (field.Has(FieldFlag::kInline)) continue;
        EXPECT_TRUE(field.doc.ends_with('.')) << package.name << " " << type.name << "." << field.name;
      }
    }
  }
}

TEST(SchemaTest, ProtobufNumbersAreUniqueAndInOrder) {
  for (const Package& package : AllPackages()) {
    for (const Type& type : package.types) {
      for (size_t i = 1; i < type.wire.size(); ++i) {
        EXPECT_LT(type.wire[i - 1]->number, type.wire[i]->number) << type.name << "." << type.wire[i]->name;
      }
    }
  }
}

TEST(ViewTest, ReadsInPlace) {
  const ObjectPtr object = Object::FromBytes(std::make_shared<const std::string>(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n","labels":{"app":"web"},)"
      R"("creationTimestamp":"2026-11-21T10:00:00Z"},"spec":{"containers":[{"name":"c","ports":[{"containerPort":80}],)"
      R"("resources":{"requests":{"cpu":"100m"}},"livenessProbe":{"httpGet":{"path":"/","port":"web"}}}],)"
      R"("terminationGracePeriodSeconds":0},"status":{"phase":"Running"}})"));
  const core_v1::Pod pod(object->tree());
  EXPECT_EQ(pod.metadata().name(), "a");
  EXPECT_EQ(pod.metadata().ns(), "n");
  EXPECT_EQ(pod.metadata().labels().Find("app"), "web");
  EXPECT_FALSE(pod.metadata().labels().Has("none"));
  ASSERT_TRUE(pod.metadata().creation_timestamp().has_value());
  EXPECT_FALSE(pod.metadata().deletion_timestamp().has_value());
  ASSERT_EQ(pod.spec().containers().size(), 1U);
  for (const core_v1::Container c : pod.spec().containers()) {
    EXPECT_EQ(c.name(), "c");
    EXPECT_EQ(c.ports()[0].container_port(), 80);
    EXPECT_EQ(c.resources().requests().Find("cpu"), "100m");
    EXPECT_TRUE(c.has_liveness_probe());
    EXPECT_TRUE(c.liveness_probe().http_get().port().is_string);
    EXPECT_FALSE(c.readiness_probe());
  }
  EXPECT_EQ(pod.spec().termination_grace_period_seconds(), 0);
  EXPECT_FALSE(pod.spec().active_deadline_seconds().has_value());
  EXPECT_EQ(KeyOf(*object), "n/a");
}

TEST(ViewTest, EditsStayValidWhileMembersAreAdded) {
  doc::Document document;
  core_v1::PodEdit pod(document);
  core_v1::PodStatusEdit status = pod.status();
  pod.metadata().set_name("a").put_labels("app", "web");
  core_v1::PodSpecEdit spec = pod.spec();
  spec.add_containers().set_name("c").set_image("i").add_command("sh");
  spec.set_termination_grace_period_seconds(30).set_node_name("n").set_host_network(true);
  spec.add_tolerations().set_key("k");
  spec.security_context().set_run_as_user(1);
  status.set_phase("Running");
  status.add_conditions().set_type("Ready").set_status("True").set_last_transition_time(WallTime(0s));
  spec.clear_node_name();
  EXPECT_EQ(doc::ToJson(document.root),
            R"({"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True",)"
            R"("lastTransitionTime":"1970-01-01T00:00:00Z"}]},"metadata":{"name":"a","labels":{"app":"web"}},)"
            R"("spec":{"containers":[{"name":"c","image":"i","command":["sh"]}],"terminationGracePeriodSeconds":30,)"
            R"("hostNetwork":true,"tolerations":[{"key":"k"}],"securityContext":{"runAsUser":1}}})");
  EXPECT_FALSE(pod.view().spec().has_affinity());
  pod.metadata().remove_labels("app");
  EXPECT_TRUE(pod.metadata().labels().empty());
}

TEST(ViewTest, IntOrStringScales) {
  struct Case {
    IntOrString value;
    int32_t total;
    bool up;
    int32_t want;
  };
  for (const Case& c : {Case{{false, 3, ""}, 10, true, 3}, Case{{true, 0, "25%"}, 10, true, 3},
                        Case{{true, 0, "25%"}, 10, false, 2}, Case{{true, 0, "0%"}, 10, true, 0}}) {
    const Result<int32_t> got = c.value.Scaled(c.total, c.up);
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(*got, c.want);
  }
  for (const char* bad : {"", "%", "a%", "10", "10%%", "99999999999%"}) {
    EXPECT_FALSE((IntOrString{true, 0, bad}.Scaled(10, true).ok())) << bad;
  }
}

}  // namespace
}  // namespace knarr::api
