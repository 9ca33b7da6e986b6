#include "apiserver/patch.h"

#include <optional>

#include "apiserver/test_server.h"

namespace knarr::apiserver {
namespace {

using client::PatchType;

constexpr std::string_view kDeployment = R"({"metadata":{"name":"d","annotations":{"k":"1"}},"spec":{"replicas":2,
    "selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":
    [{"name":"one","image":"i:1","ports":[{"containerPort":80}]},{"name":"two","image":"j:1"}]}}}})";

struct PatchCase {
  std::string_view name;
  PatchType type;
  std::string_view patch;
  std::optional<Reason> error;
  std::string_view expected;  // path=value in the result, or a part of the message
};

// "spec.replicas" of the tree as JSON; list elements by number.
std::string At(const doc::Value& tree, std::string_view path) {
  const doc::Value* value = &tree;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t dot = std::min(path.find('.', begin), path.size());
    const std::string_view part = path.substr(begin, dot - begin);
    value = value->is_array() ? &(*value)[static_cast<size_t>(std::stoi(std::string(part)))] : &value->At(part);
    begin = dot + 1;
  }
  return doc::ToJson(*value);
}

const PatchCase kCases[] = {
    {"merge", PatchType::kMerge, R"({"spec":{"replicas":5}})", {}, "spec.replicas=5"},
    {"merge removes", PatchType::kMerge, R"({"metadata":{"annotations":null}})", {}, "metadata.annotations=null"},
    {"merge replaces lists",
     PatchType::kMerge,
     R"({"spec":{"template":{"spec":{"containers":[{"name":"x","image":"y"}]}}}})",
     {},
     "spec.template.spec.containers.0.name=\"x\""},
    {"strategic merges lists by key",
     PatchType::kStrategicMerge,
     R"({"spec":{"template":{"spec":{"containers":[{"name":"two","image":"j:2"}]}}}})",
     {},
     "spec.template.spec.containers.1.image=\"j:2\""},
    {"strategic deletes by key",
     PatchType::kStrategicMerge,
     R"({"spec":{"template":{"spec":{"containers":[{"name":"one","$patch":"delete"}]}}}})",
     {},
     "spec.template.spec.containers.0.name=\"two\""},
    {"json patch", PatchType::kJson, R"([{"op":"replace","path":"/spec/replicas","value":7}])", {}, "spec.replicas=7"},
    {"json patch test fails", PatchType::kJson, R"([{"op":"test","path":"/spec/replicas","value":7}])",
     Reason::kInvalid, "the server rejected our request due to an error in our request"},
    {"a result of the wrong type", PatchType::kMerge, R"({"kind":"Deployment","spec":{"replicas":"x"}})",
     Reason::kInvalid, "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"},
    {"a result of another kind", PatchType::kMerge, R"({"kind":"Pod","apiVersion":"v1"})", Reason::kInvalid,
     "converting (v1.Pod) to (apps.Deployment): unknown conversion"},
    {"a result of no kind", PatchType::kJson, R"([{"op":"replace","path":"/kind","value":"Foo"}])", Reason::kInvalid,
     R"(no kind "Foo" is registered for version "apps/v1" in scheme "pkg/api/legacyscheme/scheme.go:30")"},
    {"strategic patches do not change the kind",
     PatchType::kStrategicMerge,
     R"({"kind":"Foo"})",
     {},
     "kind=\"Deployment\""},
    {"a strategic patch's result of the wrong type", PatchType::kStrategicMerge, R"({"spec":{"paused":"x"}})",
     Reason::kInvalid, R"( "" is invalid: patch: Invalid value: "map[spec:map[paused:x]]": )"},
    {"no such directive", PatchType::kStrategicMerge, R"({"$patch":"foo"})", Reason::kUnknown,
     "unknown patch type: foo in map: map[$patch:foo]"},
    {"an invalid result", PatchType::kMerge, R"({"spec":{"replicas":-1}})", Reason::kInvalid,
     "Deployment.apps \"d\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"},
    {"the name is not to change", PatchType::kMerge, R"({"metadata":{"name":"e"}})", Reason::kBadRequest,
     "the name of the object (e) does not match the name on the URL (d)"},
    {"a stale version", PatchType::kMerge, R"({"metadata":{"resourceVersion":"1"}})", Reason::kConflict,
     "Operation cannot be fulfilled on deployments.apps \"d\": the object has been modified; please apply your changes "
     "to the latest version and try again"},
    {"another uid", PatchType::kMerge, R"({"metadata":{"uid":"x"}})", Reason::kInvalid,
     "Deployment.apps \"d\" is invalid: metadata.uid: Invalid value: \"x\": field is immutable"},
    {"times of the system's are left alone",
     PatchType::kMerge,
     R"({"metadata":{"creationTimestamp":"2001-01-01T00:00:00Z"}})",
     {},
     "metadata.name=\"d\""},
    {"status is left alone", PatchType::kMerge, R"({"status":{"replicas":9}})", {}, "status={}"},
    {"no patch", PatchType::kMerge, R"([])", Reason::kBadRequest,
     "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"},
    {"no strategic patch", PatchType::kStrategicMerge, R"({"a")", Reason::kBadRequest, "unexpected end of JSON input"},
    {"no JSON patch", PatchType::kJson, R"([{"op":1}])", Reason::kBadRequest,
     "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string"},
    {"apply", PatchType::kApply, R"({})", Reason::kBadRequest, "invalid object type: /, Kind="},
};

TEST(Patch, Table) {
  for (const PatchCase& test : kCases) {
    SCOPED_TRACE(test.name);
    InSim([&](rt::Runtime& runtime) {
      TestServer server(runtime);
      MUST(server.Create("Deployment", kDeployment));
      const auto result =
          server.client().Patch(TestServer::Kind("Deployment", "apps/v1"), {"default", "d"}, test.type, test.patch);
      if (test.error.has_value()) {
        ASSERT_FALSE(result.ok());
        EXPECT_EQ(result.status().reason(), *test.error) << result.status().ToString();
        EXPECT_NE(result.status().message().find(test.expected), std::string::npos) << result.status().message();
        return;
      }
      ASSERT_TRUE(result.ok()) << result.status().ToString();
      const size_t equals = test.expected.find('=');
      EXPECT_EQ(At((*result)->tree(), test.expected.substr(0, equals)), test.expected.substr(equals + 1));
    });
  }
}

TEST(Patch, WritersThatMeetBothWin) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    InSim(
        [&](rt::Runtime& runtime) {
          TestServer server(runtime);
          const api::KindInfo& kind = TestServer::Kind("ConfigMap");
          MUST(server.Create("ConfigMap", R"({"metadata":{"name":"c"}})"));
          rt::TaskGroup group(runtime, "writers");
          constexpr int kWriters = 10;
          for (int i = 0; i < kWriters; ++i) {
            group.Spawn("writer", [&, i] {
              const std::string key = "k" + std::to_string(i);
              MUST(server.client().Patch(kind, {"default", "c"}, PatchType::kMerge,
                                         R"({"data":{")" + key + R"(":"x"}})"));
            });
          }
          group.Join();
          const auto now = MUST(server.client().Get(kind, {"default", "c"}));
          EXPECT_EQ(now->tree().At("data").size(), static_cast<size_t>(kWriters));
        },
        seed);
  }
}

}  // namespace
}  // namespace knarr::apiserver
