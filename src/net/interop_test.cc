// The server against other people's clients, and the client against another server. Each test is skipped where its
// program is not installed.

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>

#include "net/http_client.h"
#include "net/test_support.h"
#include "rt/file_system.h"
#include "rt/process.h"
#include "rt/sync.h"

namespace knarr::net {
namespace {

struct World {
  rt::RealRuntime& runtime;
  std::string folder;
  std::unique_ptr<HttpServer> secure;
  std::unique_ptr<HttpServer> clear;
  TestCertificates certificates;

  explicit World(rt::RealRuntime& r) : runtime(r), certificates(TestCertificates::Make(r.Wall())) {
    static int number = 0;
    folder = "/tmp/knarr-net-interop-" + std::to_string(getpid()) + "-" + std::to_string(++number);
    EXPECT_TRUE(r.files().MakeDirectories(folder, 0700).ok());
    Put("ca.pem", certificates.authority.certificate_pem);
    Put("client.pem", certificates.client.certificate_pem + certificates.client.key_pem);
    Put("server.pem", certificates.server.certificate_pem);
    Put("server.key", certificates.server.key_pem);
    HttpServerOptions options;
    auto handler = [this](Request& request, Response& response) { Handle(request, response); };
    clear = *HttpServer::Start({&runtime}, *Endpoint::Parse("127.0.0.1:0"), options, handler);
    options.tls =
        *TlsServerContext::Create({certificates.server, certificates.authority.certificate_pem, {"h2", "http/1.1"}});
    secure = *HttpServer::Start({&runtime}, *Endpoint::Parse("127.0.0.1:0"), options, handler);
  }
  ~World() {
    clear->Stop(0s);
    secure->Stop(0s);
    EXPECT_TRUE(runtime.files().RemoveAll(folder).ok());
  }

  void Put(const std::string& name, const std::string& text) {
    EXPECT_TRUE(runtime.files().WriteFile(folder + "/" + name, text).ok());
  }

  void Handle(Request& request, Response& response) {
    if (request.url.path == "/big") {
      std::vector<std::string_view> pieces(1000, piece);
      EXPECT_TRUE(response.SendPieces(200, {}, pieces).ok());
    } else if (request.url.path == "/stream") {
      EXPECT_TRUE(response.Start(200, {}).ok());
      for (int i = 0; i < 3; ++i) EXPECT_TRUE(response.Write("part " + std::to_string(i) + "\n").ok());
      EXPECT_TRUE(response.Finish().ok());
    } else {
      auto body = request.read_body(64 << 20);
      std::string who = request.certificate != nullptr ? request.certificate->common_name : "nobody";
      std::string text = request.method + " " + request.target + (request.http2 ? " h2 " : " h1 ") + who + " " +
                         (body.ok() ? std::to_string(body->size()) : body.status().message());
      EXPECT_TRUE(response.Send(200, {}, text).ok());
    }
  }

  bool Has(const std::string& program) {
    auto found = runtime.processes().Run({.argv = {"sh", "-c", "command -v " + program}});
    return found.ok() && found->status.ok();
  }
  std::string Run(std::vector<std::string> argv, std::string_view input = {}) {
    rt::CancelScope scope(runtime, 30s);
    auto out = runtime.processes().Run({.argv = std::move(argv), .directory = folder}, input, 256 << 20);
    if (!out.ok()) return "!" + out.status().message();
    if (!out->status.ok()) return "!" + out->status.ToString() + out->err;
    return out->out;
  }
  std::string Secure() const { return "https://" + secure->local().ToString(); }
  std::string Clear() const { return "http://" + clear->local().ToString(); }

  std::string piece = std::string(99'999, 'p') + "\n";
};

TEST(Interop, Curl) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime);
    if (!world.Has("curl")) GTEST_SKIP() << "no curl";
    auto curl = [&](std::vector<std::string> arguments, std::string_view input = {}) {
      std::vector<std::string> argv = {"curl", "-sS", "--noproxy", "*", "--cacert", "ca.pem"};
      argv.insert(argv.end(), arguments.begin(), arguments.end());
      return world.Run(argv, input);
    };
    std::string s = world.Secure();
    std::string c = world.Clear();
    EXPECT_EQ(curl({s + "/a?b=c"}), "GET /a?b=c h2 nobody 0");
    EXPECT_EQ(curl({"--http1.1", "--cert", "client.pem", s + "/a"}), "GET /a h1 admin 0");
    EXPECT_EQ(curl({"--cert", "client.pem", s + "/a"}), "GET /a h2 admin 0");
    EXPECT_EQ(curl({c + "/a"}), "GET /a h1 nobody 0");
    EXPECT_EQ(curl({"--http2-prior-knowledge", c + "/a"}), "GET /a h2 nobody 0");
    EXPECT_EQ(curl({"--http1.0", c + "/a"}), "GET /a h1 nobody 0");
    std::string upload(5 << 20, 'u');
    std::string size = std::to_string(upload.size());
    EXPECT_EQ(curl({"-T", "-", s + "/up"}, upload), "PUT /up h2 nobody " + size);
    EXPECT_EQ(curl({"-T", "-", c + "/up"}, upload), "PUT /up h1 nobody " + size);  // chunked
    EXPECT_EQ(curl({"--http1.1", "--data-binary", "@-", s + "/up"}, upload), "POST /up h1 nobody " + size);
    EXPECT_EQ(curl({s + "/stream"}), "part 0\npart 1\npart 2\n");
    EXPECT_EQ(curl({c + "/stream"}), "part 0\npart 1\npart 2\n");
    for (const std::string& base : {s, c}) EXPECT_EQ(curl({base + "/big"}).size(), 100'000'000U);
    EXPECT_EQ(curl({"--http1.1", s + "/big"}).size(), 100'000'000U);
    EXPECT_EQ(curl({"-I", c + "/big", "-o", "/dev/null", "-w", "%{http_code} %header{content-length}"}),
              "200 100000000");
    EXPECT_EQ(curl({c + "/1", c + "/2", "-w", " %{num_connects}\n"}), "GET /1 h1 nobody 0 1\nGET /2 h1 nobody 0 0\n");
    EXPECT_NE(curl({"--cacert", "client.pem", s + "/a"}).find("certificate"), std::string::npos);
    EXPECT_NE(curl({"http://" + world.secure->local().ToString() + "/", "--http0.9"})
                  .find("Client sent an HTTP request to an HTTPS server."),
              std::string::npos);
  });
}

TEST(Interop, Nghttp) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime);
    if (!world.Has("nghttp") || !world.Has("h2load")) GTEST_SKIP() << "no nghttp2-client";
    EXPECT_EQ(world.Run({"nghttp", world.Secure() + "/a"}), "GET /a h2 nobody 0");
    EXPECT_EQ(world.Run({"nghttp", world.Clear() + "/a"}), "GET /a h2 nobody 0");
    std::string load = world.Run({"h2load", "-n", "3000", "-c", "5", "-m", "50", world.Secure() + "/a"});
    EXPECT_NE(load.find("3000 succeeded, 0 failed, 0 errored, 0 timeout"), std::string::npos) << load;
    load = world.Run({"h2load", "--h1", "-n", "3000", "-c", "5", "-m", "5", world.Clear() + "/a"});
    EXPECT_NE(load.find("3000 succeeded, 0 failed, 0 errored, 0 timeout"), std::string::npos) << load;
  });
}

TEST(Interop, PythonAndOpenssl) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime);
    if (!world.Has("python3") || !world.Has("openssl")) GTEST_SKIP() << "no python3 or openssl";
    world.Put("client.py", R"(
import http.client, ssl, sys
port = int(sys.argv[1])
context = ssl.create_default_context(cafile="ca.pem")
context.load_cert_chain("client.pem")
connection = http.client.HTTPSConnection("localhost" if sys.argv[2] == "name" else "127.0.0.1", port, context=context)
for i in range(3):
    connection.request("POST", "/%d" % i, body=(b"x" * 1000 for _ in range(5)), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    print(connection.getresponse().read().decode())
connection.request("HEAD", "/head")
response = connection.getresponse()
print(response.status, response.read())
connection.request("GET", "/stream")
print(connection.getresponse().read().decode().replace("\n", ";"))
)");
    std::string port = std::to_string(world.secure->local().port);
    EXPECT_EQ(world.Run({"python3", "client.py", port, "name"}),
              "POST /0 h1 admin 5000\nPOST /1 h1 admin 5000\nPOST /2 h1 admin 5000\n200 b''\npart 0;part 1;part 2;\n");
    std::string out = world.Run({"openssl", "s_client", "-connect", world.secure->local().ToString(), "-CAfile",
                                 "ca.pem", "-alpn", "h2", "-tls1_2", "-verify_return_error"});
    EXPECT_NE(out.find("ALPN protocol: h2"), std::string::npos) << out;
    EXPECT_NE(out.find("Verify return code: 0 (ok)"), std::string::npos) << out;
    EXPECT_NE(out.find("CN = test-ca"), std::string::npos);
    EXPECT_TRUE(world.Run({"openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", "server.pem"}).ends_with("OK\n"));
    EXPECT_EQ(world.Run({"openssl", "s_client", "-connect", world.secure->local().ToString(), "-tls1_1"}).substr(0, 1),
              "!");
  });
}

TEST(Interop, OurClientAgainstPythonsServer) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime);
    if (!world.Has("python3")) GTEST_SKIP() << "no python3";
    world.Put("server.py", R"(
import http.server, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(0, len(body), 1000):
            part = body[i:i+1000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")
    def do_GET(self):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"until close")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem", "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
open("port.tmp", "w").write(str(server.server_port))
import os; os.rename("port.tmp", "port")
server.serve_forever()
)");
    auto process = runtime.processes().Start({.argv = {"python3", "server.py"}, .directory = world.folder});
    ASSERT_TRUE(process.ok()) << process.status().message();
    std::string port;
    for (int i = 0; i < 500 && port.empty(); ++i) {
      auto text = runtime.files().ReadFile(world.folder + "/port");
      if (text.ok()) port = *text;
      ASSERT_TRUE(runtime.Sleep(20ms).ok());
    }
    HttpClientOptions options;
    options.tls = *TlsClientContext::Create({world.certificates.authority.certificate_pem, {}, false, "", {}});
    auto client = HttpClient::Create(runtime, options);
    ClientRequest request;
    request.url = *Url::Parse("https://localhost:" + port + "/x");
    request.method = "POST";
    request.body = std::string(123'456, 'y');
    for (int i = 0; i < 3; ++i) {
      auto response = client->Send(request);
      ASSERT_TRUE(response.ok()) << response.status().message();
      EXPECT_EQ(*(*response)->ReadAll(1 << 20), request.body);
    }
    request.method = "GET";
    request.body.clear();
    auto response = client->Send(request);
    ASSERT_TRUE(response.ok()) << response.status().message();
    EXPECT_EQ(*(*response)->ReadAll(1 << 20), "until close");
    EXPECT_TRUE((*process)->Kill(9).ok());
    EXPECT_TRUE((*process)->Wait().ok());
  });
}

}  // namespace
}  // namespace knarr::net
