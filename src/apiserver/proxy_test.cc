#include <map>

#include "apiserver/proxy_links.h"
#include "apiserver/proxy_target.h"
#include "apiserver/stream_world.h"
#include "base/strings.h"
#include "net/gzip.h"

namespace knarr::apiserver {
namespace {

/// What stands behind 10.0.0.5:8080: it tells what it was asked, or answers as the path says.
void Backend(net::Request& request, net::Response& response) {
  const std::string& path = request.url.path;
  net::Headers headers;
  if (path == "/moved") {
    headers.Set("Location", "/there/");
    return (void)response.Send(302, headers, "");
  }
  if (path == "/page") {
    headers.Set("Content-Type", "text/html; charset=utf-8");
    headers.Set("Content-Encoding", "gzip");
    std::string packed;
    net::Gzip gzip;
    gzip.Add(R"(<a href="/x?a=1&b=2">)", packed);
    gzip.Finish(packed);
    return (void)response.Send(200, headers, packed);
  }
  if (path == "/upgrade") {
    headers.Add("Connection", "Upgrade");
    headers.Add("Upgrade", "echo");
    auto stream = MUST(response.Hijack(headers));
    MUST(stream->Write(request.target + " " + std::string(request.headers.Get("X-Forwarded-For")) + "\n"));
    char part[100];
    for (;;) {
      const auto count = stream->Read(part, sizeof part);
      if (!count.ok() || *count == 0) break;
      MUST(stream->Write({part, *count}));
    }
    return (void)stream->CloseWrite();
  }
  headers.Set("Access-Control-Allow-Origin", "*");
  headers.Set("Cache-Control", "max-age=5");
  std::string text = request.method + " " + request.target + "\n";
  std::map<std::string, std::string> sorted;
  for (const auto& [name, value] : request.headers.all()) sorted[ToLower(name)] = value;
  for (const auto& [name, value] : sorted) text += name + ": " + value + "\n";
  text += "\n" + MUST(request.read_body(1 << 20));
  (void)response.Send(path == "/teapot" ? 418 : 200, headers, text);
}

struct ProxyWorld : StreamWorld {
  explicit ProxyWorld(rt::Runtime& rt) : StreamWorld(rt, Options(rt, *this)) {
    const auto patch = [&](std::string_view body) {
      MUST(server.client().Patch(TestServer::Kind("Pod"), {"default", "p"}, client::PatchType::kMerge, body, "status",
                                 {}));
    };
    patch(R"({"status":{"podIP":"10.0.0.5","podIPs":[{"ip":"10.0.0.5"}]}})");
    MUST(server.Create("Service", R"({"metadata":{"name":"s"},"spec":{"ports":[{"name":"web","port":80}]}})"));
    MUST(server.Create("Endpoints",
                       R"({"metadata":{"name":"s"},"subsets":[{"addresses":[{"ip":"10.0.0.5","targetRef":)"
                       R"({"kind":"Pod","name":"p","namespace":"default"}}],"ports":[{"name":"web","port":8080}]}]})"));
    MUST(server.Create("Node", R"({"metadata":{"name":"echo"}})", ""));
  }
  ~ProxyWorld() {
    stream.reset();
    group.StopAndJoin();
    backends.StopAndJoin();
  }

  static ApiServerOptions Options(rt::Runtime& rt, ProxyWorld& world) {
    ApiServerOptions options;
    options.dial = [&rt, &world](rt::Runtime&, const net::Endpoint& to) -> Result<std::unique_ptr<net::Stream>> {
      if (to.ToString() != "10.0.0.5:8080") return Unavailable("dial tcp " + to.ToString() + ": connect: refused");
      auto ends = net::MemoryPipe(rt);
      auto end = std::make_shared<std::unique_ptr<net::Stream>>(std::move(ends.first));
      world.backends.Spawn("backend", [&rt, end] { net::ServeConnection(rt, std::move(*end), {}, Backend); });
      return std::move(ends.second);
    };
    return options;
  }

  Raw Send(std::string_view method, std::string_view path, std::string_view headers = "") {
    const std::string head =
        Ask(method, "/api/v1/" + std::string(path), "Connection: close\r\n" + std::string(headers));
    return ParseAnswer(head + ReadToEnd(*stream));
  }

  rt::TaskGroup backends{runtime, "backends"};
};

constexpr std::string_view kPod = "namespaces/default/pods/";

TEST(Proxy, RequestsAsTheTargetSeesThem) {
  InSim([](rt::Runtime& runtime) {
    ProxyWorld world(runtime);
    struct Case {
      std::string method, path, headers, expected;
    };
    const std::string uri = "x-forwarded-uri: /api/v1/namespaces/default/";
    const Case cases[] = {
        {"GET", "pods/p:8080/proxy/a/../b//c%20d/?x=1&y=%26;z", "", "GET /b/c%20d/?x=1&y=%26;z\nhost: x\n"},
        {"GET", "pods/p:8080/proxy/", "", "GET /\nhost: x\n" + uri + "pods/p:8080/proxy/\n\n"},
        {"POST", "pods/http:p:8080/proxy", "", "POST /\nhost: x\n" + uri + "pods/http:p:8080/proxy/\n\n"},
        {"DELETE", "pods/p:8080/proxy/x", "", "DELETE /x\nhost: x\n" + uri + "pods/p:8080/proxy/x\n\n"},
        {"OPTIONS", "pods/p:8080/proxy/x", "", "OPTIONS /x\n"},
        {"GET", "services/s:web/proxy/q", "", "GET /q\nhost: x\n" + uri + "services/s:web/proxy/q\n\n"},
        {"GET", "services/s:80/proxy/q", "", "GET /q\nhost: x\n" + uri + "services/s:80/proxy/q\n\n"},
        {"GET", "pods/p:8080/proxy/x",
         "Te: trailers\r\nX-Remote-User: a\r\nKeep-Alive: 5\r\nX-Forwarded-For: 1.2.3.4\r\n",
         "GET /x\nhost: x\nte: trailers\nx-forwarded-for: 1.2.3.4\n" + uri + "pods/p:8080/proxy/x\n\n"},
    };
    for (const Case& test : cases) {
      const Raw answer = world.Send(test.method, "namespaces/default/" + test.path, test.headers);
      EXPECT_EQ(answer.code, 200) << test.path << answer.body;
      EXPECT_TRUE(answer.body.starts_with(test.expected)) << test.method << " " << test.path << "\n" << answer.body;
    }
    EXPECT_EQ(world.Send("HEAD", std::string(kPod) + "p:8080/proxy/x").code, 200);
    EXPECT_EQ(world.Send("TRACE", std::string(kPod) + "p:8080/proxy/x").code, 405);
  });
}

TEST(Proxy, BodiesStream) {
  InSim([](rt::Runtime& runtime) {
    ProxyWorld world(runtime);
    const std::string target = "/api/v1/" + std::string(kPod) + "p:8080/proxy/x";
    for (const bool chunked : {false, true}) {
      auto [ours, theirs] = net::MemoryPipe(runtime);
      world.group.Spawn("serve", [&, end = std::make_shared<std::unique_ptr<net::Stream>>(std::move(theirs))] {
        net::ServeConnection(runtime, std::move(*end), {}, world.server.server().handler());
      });
      const std::string sent(500'000, 'b');
      std::string text = "PATCH " + target + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n";
      text += "Connection: close\r\n";
      text += chunked ? "Transfer-Encoding: chunked\r\n\r\n7a120\r\n" + sent + "\r\n0\r\n\r\n"
                      : "Content-Length: 500000\r\n\r\n" + sent;
      MUST(ours->Write(text));
      const Raw answer = ParseAnswer(ReadToEnd(*ours));
      EXPECT_EQ(answer.code, 200);
      EXPECT_TRUE(answer.body.ends_with("\n\n" + sent));
      EXPECT_NE(answer.body.find(chunked ? "transfer-encoding: chunked" : "content-length: 500000"), std::string::npos);
    }
  });
}

TEST(Proxy, AnswersAsTheClientSeesThem) {
  InSim([](rt::Runtime& runtime) {
    ProxyWorld world(runtime);
    const std::string pod = std::string(kPod) + "p:8080/proxy";
    const Raw plain = world.Send("GET", pod + "/teapot");
    EXPECT_EQ(plain.code, 418);
    EXPECT_EQ(plain.head.find("Access-Control"), std::string::npos) << plain.head;
    EXPECT_NE(plain.head.find("Cache-Control: no-cache, private\r\n"), std::string::npos) << plain.head;
    EXPECT_NE(plain.head.find("Cache-Control: max-age=5\r\n"), std::string::npos) << plain.head;
    EXPECT_NE(plain.head.find("Audit-Id: "), std::string::npos) << plain.head;
    const Raw bare = world.Send("GET", pod + "?a=b");
    EXPECT_EQ(bare.code, 301);
    EXPECT_NE(bare.head.find("Location: /api/v1/" + pod + "/?a=b\r\n"), std::string::npos) << bare.head;
    const Raw moved = world.Send("GET", pod + "/moved");
    EXPECT_EQ(moved.code, 302);
    EXPECT_NE(moved.head.find("Location: /api/v1/" + pod + "/there/\r\n"), std::string::npos) << moved.head;
    EXPECT_EQ(world.Send("GET", pod + "/page").body, "<a href=\"/api/v1/" + pod + "/x?a=1&b=2\">");
  });
}

TEST(Proxy, Refusals) {
  InSim([](rt::Runtime& runtime) {
    ProxyWorld world(runtime);
    MUST(world.server.Create("Pod", PodJson("homeless")));
    MUST(world.server.Create("Service", R"({"metadata":{"name":"empty"},"spec":{"ports":[{"port":80}]}})"));
    MUST(world.server.Create("Endpoints", R"({"metadata":{"name":"empty"}})"));
    struct Case {
      std::string path;
      int code;
      std::string message;
    };
    const Case cases[] = {
        {"namespaces/default/pods/ftp:p:1/proxy/", 400, R"(invalid pod request "ftp:p:1")"},
        {"namespaces/default/pods/a:b:c:d/proxy/", 400, R"(invalid pod request "a:b:c:d")"},
        {"namespaces/default/pods/nope/proxy/", 404, R"(pods "nope" not found)"},
        {"namespaces/default/pods/homeless/proxy/", 400, "address not allowed"},
        {"namespaces/default/pods/p:1/proxy/", 503,
         "error trying to reach service: dial tcp 10.0.0.5:1: connect: refused"},
        {"namespaces/default/services/s:82/proxy/", 503, R"(no service port 82 found for service "s")"},
        {"namespaces/default/services/s:other/proxy/", 503, R"(no endpoints available for service "s:other")"},
        {"namespaces/default/services/empty:80/proxy/", 503, R"(no endpoints available for service "empty")"},
        {"namespaces/default/services/nope/proxy/", 404, R"(services "nope" not found)"},
        {"nodes/nope/proxy/healthz", 404, R"(nodes "nope" not found)"},
    };
    for (const Case& test : cases) {
      const Raw answer = world.Send("GET", test.path);
      EXPECT_EQ(answer.code, test.code) << test.path;
      EXPECT_EQ(answer.Json().root.At("message").AsString(), test.message) << test.path;
    }
    EXPECT_TRUE(world.Ask("GET", "/api/v1/" + std::string(kPod) + "p:8080/proxy/x", "", "viewer")
                    .starts_with("HTTP/1.1 403"));
  });
}

TEST(Proxy, TheNodesOwnServer) {
  InSim([](rt::Runtime& runtime) {
    ProxyWorld world(runtime);
    EXPECT_EQ(world.Send("GET", "nodes/echo/proxy/healthz?verbose").body, "GET /healthz?verbose\n");
    EXPECT_EQ(world.Send("GET", "nodes/echo:10250/proxy/pods").body, "GET /pods\n");
    EXPECT_EQ(world.Send("GET", "nodes/echo:80/proxy/pods").code, 400) << "no address";
  });
}

TEST(Proxy, Upgrades) {
  InSim([](rt::Runtime& runtime) {
    ProxyWorld world(runtime);
    const std::string pod = "/api/v1/" + std::string(kPod);
    const std::string upgrade = "Connection: Upgrade\r\nUpgrade: echo\r\nX-Forwarded-For: 1.2.3.4\r\n";
    const std::string head = world.Ask("GET", pod + "p:8080/proxy/upgrade?a=b", upgrade);
    EXPECT_TRUE(head.starts_with("HTTP/1.1 101")) << head;
    EXPECT_NE(head.find("Upgrade: echo"), std::string::npos) << head;
    MUST(world.stream->Write("both ways"));
    MUST(world.stream->CloseWrite());
    EXPECT_EQ(ReadToEnd(*world.stream), "/upgrade?a=b 1.2.3.4\nboth ways");
    EXPECT_TRUE(world.Ask("GET", pod + "p:8080/proxy/none", upgrade).starts_with("HTTP/1.1 500"));
    EXPECT_TRUE(world.Ask("GET", pod + "p:1/proxy/none", upgrade).starts_with("HTTP/1.1 500"));
    EXPECT_TRUE(world.Ask("GET", pod + "p:8080/proxy/teapot", upgrade).starts_with("HTTP/1.1 418"));
  });
}

TEST(ProxyLinks, Links) {
  const ProxyPlace place{"/proxy", "10.0.0.5:80", "front:6443"};
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"/a?b#c", "/proxy/a?b#c"},
      {"/a/../b/", "/proxy/b/"},
      {"/", "/proxy/"},
      {"/proxy/a", "/proxy/a"},
      {"a/b", "a/b"},
      {"#top", "#top"},
      {"?q", "?q"},
      {"mailto:x", "mailto:x"},
      {"http://elsewhere/a", "http://elsewhere/a"},
      {"//elsewhere/a", "//elsewhere/a"},
      {"http://10.0.0.5:80/a", "/proxy/a"},
      {"http://front:6443/a", "http://front:6443/proxy/a"},
      {"https://front:6443", "https://front:6443"},
  };
  for (const auto& [link, expected] : cases) EXPECT_EQ(RewriteLink(link, place), expected);
}

TEST(ProxyLinks, Pages) {
  const ProxyPlace place{"/p", "b", "f"};
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"(<a href="/x?a=1&amp;b">t</a>)", R"(<a href="/p/x?a=1&amp;b">t</a>)"},
      {R"(<A class=q HREF = '/x'>)", R"(<A class=q HREF = '/p/x'>)"},
      {R"(<img src=/x/ alt="/y"><br/>)", R"(<img src=/p/x/ alt="/y"><br/>)"},
      {R"(<input disabled src="/i" formaction=/f>)", R"(<input disabled src="/p/i" formaction=/p/f>)"},
      {R"(<!-- <a href="/x"> --><a href="rel">)", R"(<!-- <a href="/x"> --><a href="rel">)"},
      {R"(<script src="/s">if (a<b) x='<a href="/q">'</ScRipt><a href=/z>)",
       R"(<script src="/p/s">if (a<b) x='<a href="/q">'</ScRipt><a href=/p/z>)"},
      {R"(1 < 2 <a href="/x)", R"(1 < 2 <a href="/p/x)"},
      {"<a href=", "<a href="},
      {"<", "<"},
      {"<a", "<a"},
  };
  for (const auto& [page, expected] : cases) EXPECT_EQ(RewriteHtml(page, place), expected);
}

}  // namespace
}  // namespace knarr::apiserver
