#pragma once

// A whole API server and raw HTTP/1.1 requests to it, for tests.

#include <string>
#include <string_view>

#include "apiserver/test_server.h"
#include "base/strings.h"
#include "net/http.h"
#include "net/tls.h"

namespace knarr::apiserver {

/// What a raw HTTP/1.1 request was answered.
struct Raw {
  int code = 0;
  std::string head;
  std::string body;
  doc::Document Json() const {
    auto parsed = doc::ParseJson(body);
    return parsed.ok() ? std::move(*parsed) : doc::Document();
  }
};

inline std::string Unchunk(std::string_view text) {
  std::string out;
  while (true) {
    const auto line = Cut(text, "\r\n");
    if (!line.has_value()) return out;
    const size_t size = std::stoul(std::string(line->first), nullptr, 16);
    if (size == 0) return out;
    out += line->second.substr(0, size);
    text = line->second.substr(size + 2);
  }
}

inline Raw ParseAnswer(std::string_view text) {
  Raw out;
  const auto parts = Cut(text, "\r\n\r\n");
  if (!parts.has_value()) return out;
  out.head = parts->first;
  out.code = std::stoi(out.head.substr(9, 3));
  out.body = ToLower(out.head).find("transfer-encoding: chunked") != std::string::npos ? Unchunk(parts->second)
                                                                                       : std::string(parts->second);
  return out;
}

/// The token "secret" is an administrator's; "weak" is jane's, of the group dev.
class HttpWorld {
 public:
  explicit HttpWorld(rt::Runtime& runtime, ApiServerOptions options = {},
                     std::unique_ptr<store::Store> store = nullptr)
      : runtime_(runtime), server(runtime, Prepare(std::move(options)), std::move(store)) {}

  Raw Send(std::string_view method, std::string_view target, std::string_view body = "", std::string_view headers = "",
           std::string_view token = "secret") {
    auto [ours, theirs] = net::MemoryPipe(runtime_);
    rt::TaskGroup group(runtime_, "connection");
    group.Spawn("serve", [this, stream = std::make_shared<std::unique_ptr<net::Stream>>(std::move(theirs))] {
      net::ServeConnection(runtime_, std::move(*stream), {}, server.server().handler());
    });
    std::string text =
        std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    if (!token.empty()) text += "Authorization: Bearer " + std::string(token) + "\r\n";
    text += headers;
    text += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    text += body;
    (void)ours->Write(text);  // a server that refuses the body closes early
    std::string answer;
    char buffer[4096];
    for (;;) {
      const auto got = ours->Read(buffer, sizeof buffer);
      if (!got.ok() || *got == 0) break;
      answer.append(buffer, *got);
    }
    ours->Close();
    group.Join();
    return ParseAnswer(answer);
  }

 private:
  static ApiServerOptions Prepare(ApiServerOptions options) {
    options.listen = {"127.0.0.1", 6443, ""};
    options.security.tokens.push_back({"secret", {"root", "", {"system:masters"}}});
    options.security.tokens.push_back({"weak", {"jane", "", {"dev"}}});
    options.security.service_account_key_pem = MUST(net::GenerateKey(false));
    return options;
  }
  rt::Runtime& runtime_;

 public:
  TestServer server;
};

}  // namespace knarr::apiserver
