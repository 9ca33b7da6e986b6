// The client against a server that answers as it is told: what goes over the wire, and what is made of the answers.

#include "client/http_client.h"

#include <gtest/gtest.h>

#include <deque>

#include "client/http_pods.h"
#include "doc/json.h"
#include "net/spdy.h"
#include "net/websocket_stream.h"
#include "rt/real.h"
#include "rt/sync.h"

namespace knarr::client {
namespace {

struct Answer {
  int code = 200;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::vector<std::string> stream = {};  // instead of the body: parts, one after the other
};

struct World {
  rt::RealRuntime& runtime;
  std::unique_ptr<net::HttpServer> server;
  std::unique_ptr<HttpClient> client;
  std::deque<Answer> answers;
  std::vector<std::string> requests;  // "METHOD target content-type body"
  net::Headers last_headers;
  std::function<void(net::Request&, net::Response&)> upgrade;
  std::vector<std::string> warnings;

  explicit World(rt::RealRuntime& r, std::string base_path = "") : runtime(r) {
    server = *net::HttpServer::Start({&r}, {"127.0.0.1", 0, ""}, {},
                                     [this](net::Request& q, net::Response& p) { Handle(q, p); });
    RestConfig config;
    config.server = "http://" + server->local().ToString() + base_path;
    config.token = "tok";
    config.impersonate_user = "jane";
    config.on_warning = [this](std::string_view text) { warnings.emplace_back(text); };
    client = *HttpClient::Create(r, config);
  }
  ~World() { server->Stop(0s); }

  void Handle(net::Request& request, net::Response& response) {
    if (net::IsWebSocketUpgrade(request)) {
      requests.push_back(request.method + " " + request.target);
      upgrade(request, response);
      return;
    }
    std::string body = *request.read_body(1 << 20);
    std::string type(request.headers.Get("Content-Type"));
    requests.push_back(request.method + " " + request.target + (type.empty() ? "" : " " + type + " " + body));
    last_headers = request.headers;
    Answer answer{500, "no answer left"};
    if (!answers.empty()) {
      answer = std::move(answers.front());
      answers.pop_front();
    }
    net::Headers headers;
    for (auto& [name, value] : answer.headers) headers.Add(name, value);
    if (answer.stream.empty()) {
      EXPECT_TRUE(response.Send(answer.code, headers, answer.body).ok());
      return;
    }
    EXPECT_TRUE(response.Start(answer.code, headers).ok());
    for (const std::string& part : answer.stream) {
      EXPECT_TRUE(response.Write(part).ok());
      if (!runtime.Sleep(5ms).ok()) return;  // the client has seen enough
    }
    EXPECT_TRUE(response.Finish().ok());
  }
};

void RunReal(const std::function<void(rt::RealRuntime&)>& body) {
  auto runtime = rt::RealRuntime::Create({.name = "test"}, rt::BlockingPool::Create(2));
  runtime->Run([&] { body(*runtime); });
}

const KindInfo& Pods() { return *api::FindKind("v1", "Pod"); }
const KindInfo& Deployments() { return *api::FindKind("apps/v1", "Deployment"); }
const KindInfo& Nodes() { return *api::FindKind("v1", "Node"); }

constexpr const char* kPod = R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"n"}})";

TEST(HttpClient, PathsQueriesAndBodies) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime);
    doc::Document pod = *doc::ParseJson(kPod);
    auto expect = [&](const std::string& request, auto call) {
      world.answers.push_back({200, kPod});
      auto result = call();
      ASSERT_TRUE(result.ok()) << request << ": " << result.status().message();
      EXPECT_EQ(world.requests.back(), request);
    };
    Client& c = *world.client;
    expect("GET /api/v1/namespaces/n/pods/a", [&] { return c.Get(Pods(), {"n", "a"}); });
    expect("GET /api/v1/nodes/a/status", [&] { return c.Get(Nodes(), {"", "a"}, "status"); });
    expect("GET /apis/apps/v1/namespaces/n/deployments/a/scale",
           [&] { return c.Get(Deployments(), {"n", "a"}, "scale"); });
    std::string body = std::string(" application/json ") + kPod;
    expect("POST /api/v1/namespaces/n/pods?dryRun=All&fieldManager=m&fieldValidation=Strict" + body, [&] {
      return c.Create(Pods(), "n", pod.root, {.dry_run = true, .field_manager = "m", .field_validation = "Strict"});
    });
    expect("POST /api/v1/namespaces/n/pods/a/binding" + body,
           [&] { return c.CreateSub(Pods(), {"n", "a"}, "binding", pod.root); });
    expect("PUT /api/v1/namespaces/n/pods/a/status" + body,
           [&] { return c.Update(Pods(), {"n", "a"}, pod.root, "status"); });
    expect("PATCH /api/v1/namespaces/n/pods/a application/strategic-merge-patch+json {}",
           [&] { return c.Patch(Pods(), {"n", "a"}, PatchType::kStrategicMerge, "{}"); });
    expect("PATCH /api/v1/namespaces/n/pods/a?fieldManager=me&force=true application/apply-patch+yaml a: b", [&] {
      return c.Patch(Pods(), {"n", "a"}, PatchType::kApply, "a: b", {}, {.field_manager = "me", .force = true});
    });
    expect(
        "DELETE /api/v1/namespaces/n/pods/a application/json "
        R"({"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"preconditions":{"uid":"u"},)"
        R"("propagationPolicy":"Foreground"})",
        [&] {
          return c.Delete(Pods(), {"n", "a"},
                          {.grace_seconds = 0, .uid = "u", .propagation = Propagation::kForeground});
        });
    expect(
        "DELETE /api/v1/namespaces/n/pods?labelSelector=a%3Db application/json "
        R"({"kind":"DeleteOptions","apiVersion":"v1"})",
        [&] { return c.DeleteCollection(Pods(), "n", {.label_selector = "a=b"}); });
    EXPECT_EQ(world.last_headers.Get("Authorization"), "Bearer tok");
    EXPECT_EQ(world.last_headers.Get("Impersonate-User"), "jane");
    EXPECT_TRUE(world.last_headers.Get("User-Agent").starts_with("knarr/"));
  });
}

TEST(HttpClient, NamesStayInTheirSegment) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime);
    EXPECT_EQ(world.client->Get(Pods(), {"n", "a/b"}).status().message(),
              "invalid resource name \"a/b\": [may not contain '/']");
    EXPECT_FALSE(world.client->Get(Pods(), {"n", ".."}).ok());
    EXPECT_FALSE(world.client->Get(Pods(), {"..", "a"}).ok());
    EXPECT_FALSE(world.client->Get(Pods(), {"n", "a%2f"}).ok());
    EXPECT_FALSE(world.client->Get(Pods(), {"n", ""}).ok());
    EXPECT_FALSE(world.client->List(Pods(), "a/b").ok());
    EXPECT_TRUE(world.requests.empty());
    world.answers.push_back({200, kPod});
    EXPECT_TRUE(world.client->Get(Pods(), {"n", "a?b c"}).ok());
    EXPECT_EQ(world.requests.back(), "GET /api/v1/namespaces/n/pods/a%3Fb%20c");
  });
}

TEST(HttpClient, ListsFillInWhatItemsLeaveOut) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime, "/below");
    world.answers.push_back({200,
                             R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"c"},)"
                             R"("items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"},"spec":{"x":1.5}}]})"});
    auto list = world.client->List(Pods(), "", {.label_selector = "a in (b)", .limit = 2, .continue_token = "t/+="});
    ASSERT_TRUE(list.ok()) << list.status().message();
    EXPECT_EQ(world.requests.back(), "GET /below/api/v1/pods?labelSelector=a+in+%28b%29&limit=2&continue=t%2F%2B%3D");
    EXPECT_EQ(list->resource_version, "7");
    EXPECT_EQ(list->continue_token, "c");
    ASSERT_EQ(list->items.size(), 2U);
    EXPECT_EQ(list->items[0]->kind(), "Pod");
    EXPECT_EQ(list->items[1]->api_version(), "v1");
    EXPECT_EQ(list->items[1]->json(), R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"b"},"spec":{"x":1.5}})");
  });
}

TEST(HttpClient, ErrorsAreStatusObjects) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime);
    world.answers.push_back(
        {404, R"({"kind":"Status","status":"Failure","message":"pods \"a\" not found","reason":"NotFound",)"
              R"("details":{"name":"a","kind":"pods"},"code":404})"});
    auto missing = world.client->Get(Pods(), {"n", "a"});
    ASSERT_TRUE(missing.Failed(Reason::kNotFound));
    EXPECT_EQ(missing.status().message(), "pods \"a\" not found");
    EXPECT_EQ(missing.status().details().kind, "pods");
    world.answers.push_back({200, "not json"});
    EXPECT_TRUE(world.client->Get(Pods(), {"n", "a"}).Failed(Reason::kInternalError));
    world.answers.push_back({429, "later", {{"Retry-After", "0"}}});
    world.answers.push_back({503, "later", {{"Retry-After", "0"}}});
    world.answers.push_back({200, kPod, {{"Warning", "299 - \"old \\\"thing\\\"\""}}});
    EXPECT_TRUE(world.client->Get(Pods(), {"n", "a"}).ok());
    EXPECT_EQ(world.warnings, (std::vector<std::string>{"old \"thing\""}));
    EXPECT_FALSE(HttpClient::Create(runtime, {.server = "nonsense"}).ok());
    EXPECT_FALSE(HttpClient::Create(runtime, {.server = "https://h", .ca_pem = "nonsense"}).ok());
    world.answers.push_back({200, "ok"});
    EXPECT_EQ(*world.client->GetRaw("/healthz?verbose=1"), "ok");
    EXPECT_EQ(world.requests.back(), "GET /healthz?verbose=1");
  });
}

TEST(HttpClient, WatchesReadEventsAsTheyCome) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime);
    std::string pod = kPod;
    world.answers.push_back(
        {200,
         "",
         {},
         {R"({"type":"ADDED","object":)" + pod + "}\n{\"type\":\"MODI", R"(FIED","object":)" + pod + "}\n",
          R"({"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"9"}}})"
          "\n"
          R"({"type":"DELETED","object":)" +
              pod + "}\n",
          R"({"type":"ERROR","object":{"kind":"Status","message":"too old","reason":"Expired","code":410}})"
          "\n"}});
    auto watch = world.client->Watch(
        Pods(), "n", {.field_selector = "spec.nodeName=x", .resource_version = "5", .bookmarks = true, .timeout = 90s});
    ASSERT_TRUE(watch.ok()) << watch.status().message();
    EXPECT_EQ(world.requests.back(),
              "GET /api/v1/namespaces/n/pods?watch=true&fieldSelector=spec.nodeName%3Dx&resourceVersion=5"
              "&allowWatchBookmarks=true&timeoutSeconds=90");
    std::vector<WatchEvent> events;
    Result<std::vector<WatchEvent>> next = (*watch)->Next();
    for (; next.ok(); next = (*watch)->Next()) events.insert(events.end(), next->begin(), next->end());
    ASSERT_EQ(events.size(), 4U);
    EXPECT_EQ(events[0].type, WatchEventType::kAdded);
    EXPECT_EQ(events[0].object->json(), pod);
    EXPECT_EQ(events[1].type, WatchEventType::kModified);
    EXPECT_EQ(events[2].type, WatchEventType::kBookmark);
    EXPECT_EQ(events[2].object->resource_version(), "9");
    EXPECT_EQ(events[3].type, WatchEventType::kDeleted);
    EXPECT_TRUE(next.Failed(Reason::kExpired)) << next.status().message();
    EXPECT_TRUE((*watch)->Next().Failed(Reason::kExpired));
    world.answers.push_back({200, "", {}, {"\n"}});
    watch = world.client->Watch(Pods(), "n", {});
    EXPECT_TRUE((*watch)->Next().Failed(Reason::kServiceUnavailable));
    world.answers.push_back({200, "", {}, {"{]\n"}});
    watch = world.client->Watch(Pods(), "n", {});
    EXPECT_TRUE((*watch)->Next().Failed(Reason::kServiceUnavailable));
    world.answers.push_back({410, R"({"kind":"Status","message":"gone","reason":"Gone","code":410})"});
    EXPECT_TRUE(world.client->Watch(Pods(), "n", {}).Failed(Reason::kExpired));
  });
}

TEST(HttpPods, Logs) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime);
    auto pods = MakeHttpPods(runtime, *world.client);
    world.answers.push_back({200, "", {}, {"one\n", "two\n"}});
    auto logs = pods->Logs("n", "p", {.container = "c", .follow = true, .since_seconds = 5, .tail_lines = 0});
    ASSERT_TRUE(logs.ok());
    EXPECT_EQ(world.requests.back(),
              "GET /api/v1/namespaces/n/pods/p/log?container=c&follow=true&sinceSeconds=5&tailLines=0");
    std::string all;
    for (auto text = (*logs)->Read(); text.ok() && !text->empty(); text = (*logs)->Read()) all += *text;
    EXPECT_EQ(all, "one\ntwo\n");
    EXPECT_FALSE(pods->Logs("n", "../x", {}).ok());
  });
}

TEST(HttpPods, Exec) {
  RunReal([](rt::RealRuntime& runtime) {
    for (const char* code : {"0", "7"}) {
      World world(runtime);
      world.upgrade = [&](net::Request& request, net::Response& response) {
        auto socket = net::AcceptWebSocket(runtime, request, response, {{"v5.channel.k8s.io"}, 1 << 20});
        ASSERT_TRUE(socket.ok()) << socket.status().message();
        std::string in;
        while (true) {
          auto message = (*socket)->Read();
          ASSERT_TRUE(message.ok());
          if (message->data == std::string("\xff\0", 2)) break;
          in += message->data.substr(1);
        }
        EXPECT_EQ(in, "{\"Width\":80,\"Height\":25}hello");
        EXPECT_TRUE((*socket)->Write("\x01out").ok());
        EXPECT_TRUE((*socket)
                        ->Write("\x02"
                                "err")
                        .ok());
        std::string status = std::string(code) == "0"
                                 ? R"({"kind":"Status","status":"Success"})"
                                 : R"({"kind":"Status","status":"Failure","reason":"NonZeroExitCode","message":"m",)"
                                   R"("details":{"causes":[{"reason":"ExitCode","message":")" +
                                       std::string(code) + "\"}]}}";
        EXPECT_TRUE((*socket)->Write("\x03" + status).ok());
        (*socket)->Close();
      };
      auto pods = MakeHttpPods(runtime, *world.client);
      auto exec = pods->Exec("n", "p", {.command = {"sh", "-c", "a b"}, .stdin_open = true});
      ASSERT_TRUE(exec.ok()) << exec.status().message();
      EXPECT_EQ(
          world.requests.back(),
          "GET /api/v1/namespaces/n/pods/p/exec?command=sh&command=-c&command=a+b&stdin=true&stdout=true&stderr=true");
      EXPECT_TRUE((*exec)->Resize(80, 25).ok());
      EXPECT_TRUE((*exec)->WriteStdin("hello").ok());
      (*exec)->CloseStdin();
      auto out = (*exec)->Read();
      ASSERT_TRUE(out.ok()) << out.status().message();
      EXPECT_EQ(out->data, "out");
      EXPECT_EQ(out->fd, 1);
      auto err = (*exec)->Read();
      EXPECT_EQ(err->fd, 2);
      EXPECT_EQ(err->data, "err");
      EXPECT_EQ((*exec)->Read()->data, "");
      EXPECT_EQ(std::to_string(*(*exec)->Wait()), code);
    }
  });
}

TEST(HttpPods, AttachAsksForTheStreams) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime);
    world.upgrade = [&](net::Request& request, net::Response& response) {
      auto socket = MUST(net::AcceptWebSocket(runtime, request, response, {{"v5.channel.k8s.io"}, 1 << 20}));
      EXPECT_TRUE(socket->Write("\x01screen").ok());
      EXPECT_TRUE(socket->Write("\x03{\"kind\":\"Status\",\"status\":\"Success\"}").ok());
      socket->Close();
    };
    auto pods = MakeHttpPods(runtime, *world.client);
    auto stream = MUST(pods->Attach("n", "p", {.container = "c", .stdin_open = true, .tty = true}));
    EXPECT_EQ(world.requests.back(),
              "GET /api/v1/namespaces/n/pods/p/attach?container=c&stdin=true&stdout=true&tty=true");
    EXPECT_EQ(MUST(stream->Read()).data, "screen");
    EXPECT_EQ(MUST(stream->Read()).data, "");
    EXPECT_EQ(MUST(stream->Wait()), 0);
  });
}

// Port 80 repeats what it is told; on the others nobody listens.
TEST(HttpPods, ConnectionsToPortsShareOneToTheServer) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime);
    world.upgrade = [&](net::Request& request, net::Response& response) {
      auto socket =
          MUST(net::AcceptWebSocket(runtime, request, response, {{"SPDY/3.1+portforward.k8s.io"}, 1 << 20}));
      auto session =
          net::SpdySession::Create(runtime, net::MakeWebSocketStream(std::move(socket)), net::SpdySide::kServer);
      std::shared_ptr<net::SpdyStream> error;
      for (auto stream = session->Accept(); stream.ok(); stream = session->Accept()) {
        if ((*stream)->headers().Get("streamType") == "error") {
          error = *stream;
          continue;
        }
        EXPECT_EQ((*stream)->headers().Get("requestID"), error->headers().Get("requestID"));
        char part[100];
        if ((*stream)->headers().Get("port") == "80") {
          const size_t count = MUST((*stream)->Read(part, sizeof part));
          EXPECT_TRUE((*stream)->Write({part, count}).ok());
        } else {
          EXPECT_TRUE(error->Write("error forwarding port 81").ok());
        }
        EXPECT_TRUE(error->CloseWrite().ok());
        EXPECT_TRUE((*stream)->CloseWrite().ok());
      }
    };
    auto pods = MakeHttpPods(runtime, *world.client);
    char part[100];
    for (const std::string_view word : {"one", "two"}) {
      auto stream = MUST(pods->Dial("n", "p", 80));
      MUST(stream->Write(word));
      EXPECT_EQ(std::string_view(part, MUST(stream->Read(part, sizeof part))), word);
      EXPECT_EQ(MUST(stream->Read(part, sizeof part)), 0U);
    }
    auto refused = MUST(pods->Dial("n", "p", 81));
    const auto read = refused->Read(part, sizeof part);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.status().message(), "error forwarding port 81");
    EXPECT_EQ(world.requests, (std::vector<std::string>{"GET /api/v1/namespaces/n/pods/p/portforward"}));
    EXPECT_FALSE(pods->Dial("n", "..", 80).ok());
  });
}

}  // namespace
}  // namespace knarr::client
