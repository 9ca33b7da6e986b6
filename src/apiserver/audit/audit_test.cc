#include "apiserver/audit/event.h"
#include "apiserver/audit/policy.h"
#include "apiserver/http_world.h"
#include "base/strings.h"
#include "rt/file_system.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kHead = "apiVersion: audit.k8s.io/v1\nkind: Policy\n";

Attributes For(std::string_view verb, std::string_view resource, std::string_view ns = "", std::string_view name = "",
               std::string_view subresource = "") {
  Attributes out;
  out.user = {"alice", "", {"devs", "system:authenticated"}};
  out.verb = verb;
  out.resource_request = true;
  out.version = "v1";
  out.resource = resource;
  out.ns = ns;
  out.name = name;
  out.subresource = subresource;
  return out;
}

TEST(AuditPolicy, TheFirstRuleThatMatches) {
  struct Case {
    std::string_view rule;
    Attributes request;
    bool matches;
  };
  Attributes path;
  path.verb = "get";
  path.path = "/healthz/ready";
  Attributes app = For("create", "deployments", "default");
  app.group = "apps";
  const Case cases[] = {
      {"level: Metadata", For("get", "pods"), true},
      {"level: Metadata", path, true},
      {"level: Metadata\n  users: [bob]", For("get", "pods"), false},
      {"level: Metadata\n  users: [alice]", For("get", "pods"), true},
      {"level: Metadata\n  userGroups: [ops, devs]", For("get", "pods"), true},
      {"level: Metadata\n  userGroups: [ops]", For("get", "pods"), false},
      {"level: Metadata\n  verbs: [list]", For("get", "pods"), false},
      {"level: Metadata\n  namespaces: [default]", For("get", "pods", "default"), true},
      {"level: Metadata\n  namespaces: [default]", For("get", "nodes"), false},
      {"level: Metadata\n  namespaces: ['']", For("get", "nodes"), true},
      {"level: Metadata\n  namespaces: ['']", path, false},
      {"level: Metadata\n  resources: [{group: apps}]", app, true},
      {"level: Metadata\n  resources: [{group: apps}]", For("get", "pods"), false},
      {"level: Metadata\n  resources: [{resources: [pods]}]", For("get", "pods", "", "", "log"), false},
      {"level: Metadata\n  resources: [{resources: [pods/log]}]", For("get", "pods", "", "", "log"), true},
      {"level: Metadata\n  resources: [{resources: ['pods/*']}]", For("get", "pods", "", "", "log"), true},
      {"level: Metadata\n  resources: [{resources: ['*/log']}]", For("get", "pods", "", "", "log"), true},
      {"level: Metadata\n  resources: [{group: '*', resources: ['*']}]", app, true},
      {"level: Metadata\n  resources: [{resources: [pods], resourceNames: [a]}]", For("get", "pods", "", "a"), true},
      {"level: Metadata\n  resources: [{resources: [pods], resourceNames: [a]}]", For("get", "pods", "", "b"), false},
      {"level: Metadata\n  nonResourceURLs: ['/healthz*']", path, true},
      {"level: Metadata\n  nonResourceURLs: ['/healthz']", path, false},
      {"level: Metadata\n  nonResourceURLs: ['*']", For("get", "pods"), false},
  };
  for (const Case& each : cases) {
    const AuditPolicy policy =
        MUST(AuditPolicy::Parse(std::string(kHead) + "rules:\n- " + std::string(each.rule) + "\n- level: None\n"));
    EXPECT_EQ(policy.For(each.request).level == AuditLevel::kMetadata, each.matches) << each.rule;
  }
}

TEST(AuditPolicy, StagesAndManagedFields) {
  const AuditPolicy policy = MUST(AuditPolicy::Parse(std::string(kHead) + R"(omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: Request
  verbs: [get]
  omitStages: [Panic]
  omitManagedFields: false
- level: RequestResponse
)"));
  const AuditDecision first = policy.For(For("get", "pods"));
  EXPECT_TRUE(first.Omits(AuditStage::kRequestReceived));
  EXPECT_TRUE(first.Omits(AuditStage::kPanic));
  EXPECT_FALSE(first.omit_managed_fields);
  const AuditDecision second = policy.For(For("list", "pods"));
  EXPECT_EQ(second.level, AuditLevel::kRequestResponse);
  EXPECT_FALSE(second.Omits(AuditStage::kPanic));
  EXPECT_TRUE(second.omit_managed_fields);
}

std::vector<doc::Document> Lines(rt::Runtime& runtime, const std::string& path = "/audit/audit.log") {
  std::vector<doc::Document> out;
  const auto text = runtime.files().ReadFile(path);
  if (!text.ok()) return out;
  for (const std::string_view line : Split(*text, '\n')) {
    if (!line.empty()) out.push_back(MUST(doc::ParseJson(line)));
  }
  return out;
}

/// The events of one verb and resource.
std::vector<const doc::Value*> Of(const std::vector<doc::Document>& all, std::string_view verb,
                                  std::string_view resource, std::string_view stage = "ResponseComplete") {
  std::vector<const doc::Value*> out;
  for (const doc::Document& each : all) {
    const doc::Value& event = each.root;
    if (event.At("verb").AsString() == verb && event.Get("objectRef", "resource").AsString() == resource &&
        event.At("stage").AsString() == stage) {
      out.push_back(&event);
    }
  }
  return out;
}

ApiServerOptions Audited(std::string_view rules) {
  ApiServerOptions options;
  options.audit.path = "/audit/audit.log";
  options.audit.policy = std::string(kHead) + std::string(rules);
  return options;
}

TEST(Audit, CallsInTheProcess) {
  InSim([](rt::Runtime& runtime) {
    {
      TestServer server(runtime, Audited("rules:\n- level: RequestResponse\n  users: [tester]\n"));
      MUST(server.Create("ConfigMap", R"({"metadata":{"name":"c"},"data":{"k":"v"}})"));
      EXPECT_FALSE(server.client().Get(TestServer::Kind("ConfigMap"), {"default", "none"}).ok());
      const auto nobody = server.server().LocalClient({"nobody", "", {"system:authenticated"}});
      EXPECT_FALSE(nobody->Get(TestServer::Kind("ConfigMap"), {"default", "c"}).ok());
    }
    const auto lines = Lines(runtime);
    const auto created = Of(lines, "create", "configmaps");
    ASSERT_EQ(created.size(), 1U);
    const doc::Value& event = *created[0];
    EXPECT_EQ(event.At("kind").AsString(), "Event");
    EXPECT_EQ(event.At("apiVersion").AsString(), "audit.k8s.io/v1");
    EXPECT_EQ(event.At("level").AsString(), "RequestResponse");
    EXPECT_EQ(event.At("requestURI").AsString(), "/api/v1/namespaces/default/configmaps/c");
    EXPECT_EQ(event.Get("user", "username").AsString(), "tester");
    EXPECT_EQ(event.Get("responseStatus", "code").AsInt(), 201);
    EXPECT_EQ(event.Get("requestObject", "data", "k").AsString(), "v");
    EXPECT_FALSE(event.Get("responseObject", "metadata", "uid").AsString().empty());
    EXPECT_EQ(event.Get("annotations", "authorization.k8s.io/decision").AsString(), "allow");
    EXPECT_EQ(Of(lines, "create", "configmaps", "RequestReceived").size(), 1U);
    const auto missed = Of(lines, "get", "configmaps");
    ASSERT_EQ(missed.size(), 1U);
    EXPECT_EQ(missed[0]->Get("responseStatus", "code").AsInt(), 404);
    EXPECT_EQ(missed[0]->Get("responseStatus", "reason").AsString(), "NotFound");
  });
}

TEST(Audit, AdmissionsNotes) {
  InSim([](rt::Runtime& runtime) {
    {
      TestServer server(runtime, Audited("omitStages: [RequestReceived]\nrules:\n- level: Metadata\n"
                                         "  resources: [{resources: [pods]}]\n"));
      MUST(server.Create("Namespace", R"({"metadata":{"name":"a","labels":{)"
                                      R"("pod-security.kubernetes.io/audit":"restricted"}}})"));
      MUST(server.Create("ServiceAccount", R"({"metadata":{"name":"default"}})", "a"));
      MUST(server.Create("Pod", PodJson("p"), "a"));
    }
    const auto lines = Lines(runtime);
    ASSERT_EQ(lines.size(), 1U);
    const doc::Value& notes = lines[0].root.At("annotations");
    EXPECT_EQ(notes.At("pod-security.kubernetes.io/enforce-policy").AsString(), "privileged:latest");
    EXPECT_TRUE(notes.At("pod-security.kubernetes.io/audit-violations")
                    .AsString()
                    .starts_with("would violate PodSecurity \"restricted:latest\": "));
    EXPECT_TRUE(lines[0].root.At("requestObject").is_null());
  });
}

TEST(Audit, RequestsOverHttp) {
  InSim([](rt::Runtime& runtime) {
    {
      HttpWorld world(runtime, Audited("rules:\n- level: None\n  nonResourceURLs: ['/livez*']\n"
                                       "- level: Request\n  users: [jane]\n- level: RequestResponse\n"
                                       "  users: [root]\n- level: RequestResponse\n  verbs: [list]\n"
                                       "  resources: [{group: '', resources: [configmaps]}]\n"));
      const std::string maps = "/api/v1/namespaces/default/configmaps";
      EXPECT_NE(world
                    .Send("POST", maps + "?dryRun=All", R"({"metadata":{"name":"c"},"data":{"k":"v"}})",
                          "User-Agent: kubectl/v1.36\r\nAudit-Id: my-id\r\nX-Forwarded-For: 192.0.2.7\r\n")
                    .head.find("my-id"),
                std::string::npos);
      world.Send("GET", maps + "/none", "", "", "weak");
      world.Send("GET", maps, "", "", "bad");
      world.Send("GET", "/livez");
      world.Send("GET", maps + "/none", "", "Impersonate-User: jim\r\n");
      world.Send("GET", maps, "", "Accept: application/yaml\r\n");
    }
    const auto lines = Lines(runtime);
    const auto created = Of(lines, "create", "configmaps");
    ASSERT_EQ(created.size(), 1U);
    EXPECT_EQ(created[0]->At("auditID").AsString(), "my-id");
    EXPECT_EQ(created[0]->At("requestURI").AsString(), "/api/v1/namespaces/default/configmaps?dryRun=All");
    EXPECT_EQ(created[0]->At("userAgent").AsString(), "kubectl/v1.36");
    EXPECT_EQ(created[0]->At("sourceIPs")[0].AsString(), "192.0.2.7");
    EXPECT_EQ(created[0]->Get("objectRef", "name").AsString(), "c");
    EXPECT_EQ(created[0]->Get("requestObject", "kind").AsString(), "ConfigMap");
    EXPECT_EQ(created[0]->Get("responseObject", "data", "k").AsString(), "v");
    const auto got = Of(lines, "get", "configmaps");
    ASSERT_EQ(got.size(), 2U);
    EXPECT_EQ(got[0]->Get("annotations", "authorization.k8s.io/decision").AsString(), "forbid");
    EXPECT_EQ(got[0]->Get("responseStatus", "code").AsInt(), 403);
    EXPECT_TRUE(got[0]->At("responseObject").is_null());
    EXPECT_EQ(got[1]->Get("user", "username").AsString(), "root");
    EXPECT_EQ(got[1]->Get("impersonatedUser", "username").AsString(), "jim");
    const auto unknown = Of(lines, "list", "configmaps", "ResponseStarted");
    ASSERT_EQ(unknown.size(), 1U);
    EXPECT_EQ(unknown[0]->Get("responseStatus", "message").AsString(), "Unauthorized");
    EXPECT_EQ(unknown[0]->Get("responseStatus", "code").AsInt(), 401);
    const auto listed = Of(lines, "list", "configmaps");
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed[0]->Get("responseObject", "kind").AsString(), "ConfigMapList");
    for (const doc::Document& line : lines) EXPECT_NE(line.root.At("requestURI").AsString(), "/livez");
  });
}

TEST(Audit, LogsRotateAndAreRemoved) {
  InSim([](rt::Runtime& runtime) {
    AuditOptions options;
    options.policy = std::string(kHead) + "rules: [{level: Metadata}]";
    options.path = "/audit/audit.log";
    options.max_size_megabytes = 1;
    options.max_backups = 2;
    const auto log = MUST(AuditLog::Create(runtime, options));
    log->Start();
    for (int i = 0; i < 5; ++i) {
      log->Write(std::string(700 << 10, static_cast<char>('a' + i)));
      MUST(runtime.Sleep(std::chrono::seconds(1)));
    }
    log->Stop();
    std::vector<std::string> names;
    for (const auto& entry : MUST(runtime.files().List("/audit"))) names.push_back(entry.name);
    EXPECT_EQ(names.size(), 3U);
    EXPECT_EQ(MUST(runtime.files().ReadFile(options.path)).front(), 'e');
    EXPECT_EQ(log->dropped(), 0U);
  });
}

TEST(Audit, HalfOfItLogsNothingButIsChecked) {
  InSim([](rt::Runtime& runtime) {
    const std::string policy = std::string(kHead) + "rules: [{level: Metadata}]\n";
    EXPECT_EQ(MUST(AuditLog::Create(runtime, {})), nullptr);
    EXPECT_EQ(MUST(AuditLog::Create(runtime, {.path = "/audit.log"})), nullptr);
    EXPECT_EQ(MUST(AuditLog::Create(runtime, {.policy = policy})), nullptr);
    EXPECT_FALSE(AuditLog::Create(runtime, {.policy = std::string(kHead) + "rules: [{level: Loud}]\n"}).ok());
    EXPECT_NE(MUST(AuditLog::Create(runtime, {.policy = policy, .path = "/audit.log"})), nullptr);
  });
}

TEST(Audit, AFullQueueDropsAndCounts) {
  InSim([](rt::Runtime& runtime) {
    AuditOptions options;
    options.policy = std::string(kHead) + "rules: [{level: Metadata}]";
    options.path = "/audit/audit.log";
    const auto log = MUST(AuditLog::Create(runtime, options));
    log->Start();
    for (int i = 0; i < 10100; ++i) log->Write("{}");
    EXPECT_EQ(log->dropped(), 100U);
    log->Stop();
    EXPECT_EQ(Lines(runtime).size(), 10000U);
  });
}

}  // namespace
}  // namespace knarr::apiserver
