// The global flags that say how requests are made, against a server that is slow or not.

#include <gtest/gtest.h>

#include <regex>

#include "cli/invocation.h"
#include "net/http_client.h"
#include "rt/real.h"

namespace knarr::cli {
namespace {

enum class Slow : uint8_t { kNot, kHead, kBody };

struct Ran {
  int code = -1;
  std::string out;
  std::string err;
  std::string target;  // of the last request
  std::string port;
  Duration took{};
};

/// `knarr kubectl WORDS… --server …` against a server that answers "hello".
Ran RunAgainst(Slow slow, std::vector<std::string> words) {
  Ran ran;
  auto runtime = rt::RealRuntime::Create({.name = "test"}, rt::BlockingPool::Create(2));
  runtime->Run([&] {
    auto handler = [&](net::Request& request, net::Response& response) {
      ran.target = request.target;
      net::Headers headers;
      headers.Add("X-Who", "me");
      // The client goes away before that; the writes that follow need not succeed.
      if (slow == Slow::kHead && !runtime->Sleep(5s).ok()) return;
      if (slow != Slow::kBody) return (void)response.Send(200, headers, "hello");
      if (!response.Start(200, headers).ok() || !response.Write("he").ok()) return;
      (void)runtime->Sleep(5s);
    };
    auto server = *net::HttpServer::Start({runtime.get()}, {"127.0.0.1", 0, ""}, {}, handler);
    MemoryConsole console;
    ran.port = std::to_string(server->local().port);
    words.insert(words.end(), {"--server", "http://127.0.0.1:" + ran.port, "--token", "secret"});
    const MonoTime begin = runtime->Mono();
    ran.code = RunKubectl({*runtime, console, words, [](std::string_view) { return std::nullopt; }});
    ran.took = runtime->Mono() - begin;
    ran.out = console.out;
    ran.err = console.err;
    server->Stop(0s);
  });
  return ran;
}

TEST(RequestTimeout, EndsARequestThatIsNotAnswered) {
  const Ran ran = RunAgainst(Slow::kHead, {"get", "--raw", "/version", "--request-timeout=200ms"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err,
            "Unable to connect to the server: context deadline exceeded (Client.Timeout exceeded while awaiting "
            "headers)\n");
  EXPECT_EQ(ran.target, "/version?timeout=200ms");
  EXPECT_LT(ran.took, 4s);
}

TEST(RequestTimeout, EndsAnAnswerThatDoesNotEnd) {
  const Ran ran = RunAgainst(Slow::kBody, {"get", "--raw", "/version", "--request-timeout", "1"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err,
            "error: unexpected error when reading response body. Please retry. Original error: context deadline "
            "exceeded (Client.Timeout or context cancellation while reading body)\n");
  EXPECT_EQ(ran.target, "/version?timeout=1s");
  EXPECT_LT(ran.took, 4s);
}

TEST(RequestTimeout, ReadsWhatKubectlReads) {
  for (const char* good : {"0", "30", "1m", "1.5s"}) {
    const Ran ran = RunAgainst(Slow::kNot, {"get", "--raw", "/x", std::string("--request-timeout=") + good});
    EXPECT_EQ(ran.code, 0) << good << ran.err;
    EXPECT_EQ(ran.out, "hello");
  }
  for (const char* bad : {"bogus", "-5", "1 s"}) {
    const Ran ran = RunAgainst(Slow::kNot, {"get", "--raw", "/x", std::string("--request-timeout=") + bad});
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(ran.err,
              "error: Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a "
              "corresponding time unit (e.g. 1s | 2m | 3h)\n");
  }
}

TEST(Verbosity, TellsOfRequestsAsClientGoDoes) {
  const std::string head = R"(I\d{4} \d{2}:\d{2}:\d{2}\.\d{6} +\d+ http_trace\.cc:\d+\] )";
  const auto matches = [&](const Ran& ran, const std::string& text) {
    EXPECT_TRUE(std::regex_match(ran.err, std::regex(text))) << ran.err;
  };
  const Ran plain = RunAgainst(Slow::kNot, {"get", "--raw", "/x", "-v=5"});
  EXPECT_EQ(plain.err, "");
  const Ran six = RunAgainst(Slow::kNot, {"get", "--raw", "/x", "-v6"});
  EXPECT_EQ(six.out, "hello");
  matches(six, head + R"("Response" verb="GET" url="http://127\.0\.0\.1:)" + six.port +
                   R"(/x" status="200 OK" milliseconds=\d+\n)");
  const Ran seven = RunAgainst(Slow::kNot, {"get", "--raw", "/x", "--v=7"});
  matches(seven, head + R"("Request" verb="GET" url="[^"]*/x" headers=<\n\tAccept: application/json\n)" +
                     R"(\tAuthorization: Bearer <masked>\n\tUser-Agent: [^\n]*\n >\n)" + head +
                     R"("Response" status="200 OK" milliseconds=\d+\n)");
  const Ran eight = RunAgainst(Slow::kNot, {"get", "--raw", "/x", "-v", "8"});
  EXPECT_NE(eight.err.find("X-Who: me"), std::string::npos) << eight.err;
  EXPECT_NE(eight.err.find("\"Response Body\" body=\"hello\"\n"), std::string::npos) << eight.err;
  const Ran nine = RunAgainst(Slow::kNot, {"get", "--raw", "/x", "-v=9"});
  EXPECT_NE(nine.err.find("curl -v -XGET "), std::string::npos) << nine.err;
  EXPECT_EQ(nine.err.find("secret"), std::string::npos);
  const Ran bad = RunAgainst(Slow::kNot, {"get", "--raw", "/x", "-v=loud"});
  EXPECT_EQ(bad.code, 1);
  EXPECT_NE(bad.err.find("invalid argument \"loud\" for \"-v, --v\" flag"), std::string::npos) << bad.err;
}

}  // namespace
}  // namespace knarr::cli
