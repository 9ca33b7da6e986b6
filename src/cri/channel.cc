#include "cri/channel.h"

#include <utility>
#include <vector>

#include "base/strings.h"
#include "net/grpc.h"
#include "rt/sync.h"

namespace knarr::cri {
namespace {

constexpr Duration kDialTimeout = std::chrono::seconds(5);
// A runtime under load may be slow to say that it is there.
constexpr Duration kSilenceMax = std::chrono::seconds(30);
constexpr Duration kPongMax = std::chrono::seconds(30);
constexpr std::string_view kScheme = "unix://";

/// What the runtime said, which ends up in events: without the name of the method.
Status TheirWords(const Status& status, const std::string& method) {
  std::string_view words = status.message();
  return ConsumePrefix(words, method + ": ") ? Status(status.reason(), std::string(words)) : status;
}

/// What CRI's images and containers belong to in containerd, for the calls that are its own.
std::vector<std::pair<std::string, std::string>> Metadata() { return {{"containerd-namespace", "k8s.io"}}; }

using ConnectionPtr = std::shared_ptr<net::GrpcConnection>;

class GrpcTelling : public Telling {
 public:
  GrpcTelling(ConnectionPtr connection, std::unique_ptr<net::GrpcCall> call)
      : connection_(std::move(connection)), call_(std::move(call)) {}
  Result<std::optional<std::string>> Next() override { return call_->Receive(); }

 private:
  ConnectionPtr connection_;
  std::unique_ptr<net::GrpcCall> call_;
};

class GrpcChannel : public Channel {
 public:
  GrpcChannel(rt::Runtime& runtime, const net::Endpoint& endpoint)
      : runtime_(runtime), endpoint_(endpoint), dialing_(runtime), fibers_(runtime, "cri channel") {}
  ~GrpcChannel() override {
    connection_.reset();
    fibers_.StopAndJoin();
  }

  Result<std::string> Call(const std::string& method, std::string_view message, Duration timeout) override {
    const net::GrpcRequest request{.method = method, .metadata = Metadata(), .timeout = timeout};
    for (bool again = false;; again = true) {
      const ConnectionPtr connection = TRY(Connected());
      bool sent = false;
      Result<std::string> answer = connection->Unary(request, message, sent);
      // A connection that ended while nobody used it says nothing about the runtime.
      if (answer.ok()) return answer;
      if (sent || again || !answer.Failed(Reason::kServiceUnavailable)) return TheirWords(answer.status(), method);
    }
  }

  Result<std::unique_ptr<Telling>> Listen(const std::string& method, std::string_view message) override {
    const ConnectionPtr connection = TRY(Connected());
    auto call = TRY(connection->Open({.method = method, .metadata = Metadata()}));
    TRY(call->Send(message));
    call->EndSend();
    return std::unique_ptr<Telling>(new GrpcTelling(connection, std::move(call)));
  }

 private:
  Result<ConnectionPtr> Connected() {
    const auto turn = TRY(dialing_.Lock());
    if (connection_ != nullptr && !connection_->closed()) return connection_;
    connection_.reset();
    net::GrpcOptions options{.endpoint = endpoint_, .dial_timeout = kDialTimeout};
    options.silence_max = kSilenceMax;
    options.pong_max = kPongMax;
    options.message_max = kAnswerMax;
    auto made = net::GrpcConnection::Connect(runtime_, fibers_, options);
    if (made.Failed(Reason::kCancelled)) return made.status();
    if (!made.ok()) return Unavailable("container runtime: " + made.status().message());
    connection_ = std::move(*made);
    return connection_;
  }

  rt::Runtime& runtime_;
  const net::Endpoint endpoint_;
  rt::Mutex dialing_;
  ConnectionPtr connection_;
  rt::TaskGroup fibers_;
};

}  // namespace

std::unique_ptr<Channel> MakeChannel(rt::Runtime& runtime, const net::Endpoint& endpoint) {
  return std::make_unique<GrpcChannel>(runtime, endpoint);
}

Ok AskInto(Channel& channel, const std::string& method, const Message& request_table, const void* request,
           const Message& response_table, void* response, Duration timeout) {
  const std::string answer = TRY(channel.Call(method, Encode(request_table, request), timeout));
  const Ok decoded = Decode(response_table, answer, response);
  return decoded.ok() ? decoded : Ok(Internal(method + ": " + decoded.status().message()));
}

Result<net::Endpoint> ParseEndpoint(std::string_view text) {
  std::string_view path = text;
  ConsumePrefix(path, kScheme);
  if (!path.starts_with('/') || path.size() < 2) {
    return BadRequest(GoQuote(text) + " is no unix:// endpoint with an absolute path");
  }
  net::Endpoint out;
  out.unix_path = path;
  return out;
}

}  // namespace knarr::cri
