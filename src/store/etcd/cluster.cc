#include "store/etcd/cluster.h"

#include <algorithm>
#include <map>

#include "base/log.h"
#include "net/grpc.h"
#include "net/http.h"
#include "rt/sync.h"

namespace knarr::store::etcd {
namespace {

constexpr uint16_t kPort = 2379;
constexpr Duration kPauseFirst = std::chrono::milliseconds(50);
constexpr Duration kPauseMost = std::chrono::seconds(3);

using Connection = std::shared_ptr<net::GrpcConnection>;

/// etcd's words for a member that can't serve for now, while another may.
bool IsUnfit(const Status& status) {
  constexpr std::string_view kWords[] = {"no leader", "server stopped", "request timed out", "unhealthy cluster",
                                         "not supported for learner"};
  return std::ranges::any_of(kWords,
                             [&](std::string_view word) { return status.message().find(word) != std::string::npos; });
}

bool IsBadToken(const Status& status) {
  return status.message().find("invalid auth token") != std::string::npos ||
         status.message().find("revision of auth store is old") != std::string::npos;
}

/// etcd's word, and that of the gRPC library in front of it.
bool IsTooLarge(const Status& status) {
  return status.message().find("request is too large") != std::string::npos ||
         status.message().find("received message larger than max") != std::string::npos;
}

/// An answer that is none of etcd's: what the call did is not known.
Status Garbled(const Status& why) { return Unavailable("etcd: an answer that can't be read: " + why.message()); }

class Cluster;

class GrpcWatch : public WatchStream {
 public:
  GrpcWatch(Cluster& cluster, Connection connection, std::unique_ptr<net::GrpcCall> call)
      : cluster_(cluster), connection_(std::move(connection)), call_(std::move(call)) {}
  Result<WatchResponse> Next() override;

 private:
  Cluster& cluster_;
  const Connection connection_;
  const std::unique_ptr<net::GrpcCall> call_;
};

class Cluster : public Api {
 public:
  Cluster(rt::Runtime& world, ClusterOptions options, std::vector<net::GrpcOptions> members)
      : world_(world),
        options_(std::move(options)),
        members_(std::move(members)),
        authentication_(world),
        changed_(world),
        fibers_(world, "etcd connection") {
    fibers_.Spawn("keep", [this] { Keep(); });
  }
  ~Cluster() override { Close(); }

  Result<RangeResponse> Range(const RangeRequest& request) override {
    bool sent = false;
    return Decoded(Call("/etcdserverpb.KV/Range", Encode(request), sent), DecodeRange);
  }
  Result<TxnResponse> Txn(const TxnRequest& request, bool& sent) override {
    return Decoded(Call("/etcdserverpb.KV/Txn", Encode(request), sent), DecodeTxn);
  }
  Ok Compact(int64_t revision) override {
    bool sent = false;
    TRY(Call("/etcdserverpb.KV/Compact", EncodeCompaction(revision), sent));
    return {};
  }
  Result<LeaseResponse> LeaseGrant(int64_t seconds) override {
    bool sent = false;
    return Decoded(Call("/etcdserverpb.Lease/LeaseGrant", EncodeLeaseGrant(seconds), sent), DecodeLease);
  }
  Ok LeaseRevoke(int64_t id) override {
    bool sent = false;
    TRY(Call("/etcdserverpb.Lease/LeaseRevoke", EncodeLeaseKeepAlive(id), sent));
    return {};
  }
  Result<LeaseResponse> LeaseKeepAlive(int64_t id) override;
  Result<std::unique_ptr<WatchStream>> Watch(const WatchRequest& request) override;

  void Close() override {
    if (std::exchange(closed_, true)) return;
    if (connection_ != nullptr) connection_->Close("closed");
    changed_.NotifyAll();
    fibers_.StopAndJoin();
    connection_.reset();
  }

  /// What a failed call says of its connection: one that is no good makes room for the next.
  void Judge(const Connection& connection, const Status& status, MonoTime begun);
  /// The response's cluster is the one that was met first.
  Ok CheckHeader(const Header& header) {
    if (header.cluster == 0 || header.cluster == cluster_) return {};
    if (cluster_ == 0) {
      cluster_ = header.cluster;
      return {};
    }
    const Status why = Unavailable("etcd: a member of another cluster");
    LOG_ERROR("etcd: a member of another cluster answers", {"expected", cluster_}, {"found", header.cluster});
    if (connection_ != nullptr) connection_->Close(why.message());
    return why;
  }
  void Answered() {
    last_answer_ = world_.Mono();
    if (connection_ == nullptr || std::exchange(serves_, true)) return;
    told_.clear();
    LOG_INFO("etcd: connected", {"member", connection_->peer()});
  }
  void ForgetToken() { token_.clear(); }

 private:
  void Keep();
  Result<Connection> Connected();
  Result<net::GrpcRequest> Prepared(const Connection& connection, std::string method, Duration timeout);
  Ok Authenticate(const Connection& connection);
  Result<std::string> Call(const char* method, const std::string& bytes, bool& sent);

  template <typename Decode>
  auto Decoded(Result<std::string> bytes, Decode decode) -> decltype(decode(std::string_view())) {
    if (!bytes.ok()) return bytes.status();
    auto out = decode(*bytes);
    if (!out.ok()) return Garbled(out.status());
    TRY(CheckHeader(out->header));
    return out;
  }

  rt::Runtime& world_;
  const ClusterOptions options_;
  const std::vector<net::GrpcOptions> members_;
  Connection connection_;
  std::string token_;
  std::string last_failure_ = "not connected yet";
  std::map<size_t, std::string> told_;  ///< why each member failed, since one served the last time
  bool serves_ = false;                 ///< the connection has brought an answer
  uint64_t cluster_ = 0;
  MonoTime last_answer_{};
  bool closed_ = false;
  rt::Mutex authentication_;
  rt::WaitQueue changed_;
  rt::TaskGroup fibers_;
};

void Cluster::Keep() {
  size_t at = world_.Random() % members_.size();  // servers spread over the members
  size_t failures = 0;
  Duration pause = kPauseFirst;
  while (world_.CheckCancelled().ok()) {
    const net::GrpcOptions& member = members_[at];
    auto made = net::GrpcConnection::Connect(world_, fibers_, member);
    if (made.ok()) {
      const MonoTime begun = world_.Mono();
      connection_ = std::move(*made);
      serves_ = false;
      changed_.NotifyAll();
      const Connection held = connection_;
      const Ok ended = held->WaitEnd();
      if (connection_ == held) connection_.reset();
      if (!ended.ok()) return;
      last_failure_ = held->peer() + ": " + held->why();
      if (last_answer_ > begun) {
        failures = 0;
        pause = kPauseFirst;
      }
    } else {
      last_failure_ = member.endpoint.ToString() + ": " + made.status().message();
    }
    if (!closed_ && std::exchange(told_[at], last_failure_) != last_failure_) {
      LOG_WARN("etcd: a member failed; it is tried again", {"error", last_failure_});
    }
    at = (at + 1) % members_.size();
    if (++failures % members_.size() != 0) continue;
    const Duration jitter = Duration(static_cast<int64_t>(world_.Random() % static_cast<uint64_t>(pause.count())));
    if (!world_.Sleep(pause + jitter).ok()) return;
    pause = std::min(pause * 2, kPauseMost);
  }
}

Result<Connection> Cluster::Connected() {
  while (true) {
    if (closed_) return Unavailable("etcd: closed");
    if (connection_ != nullptr) {
      if (!connection_->closed()) return connection_;
      // It takes no more calls; the ones that run would hold it up.
      connection_->Close("the member goes away");
      connection_.reset();
    }
    const Ok waited = changed_.Wait();
    if (waited.Failed(Reason::kTimeout)) return Unavailable("no member of etcd can be reached: " + last_failure_);
    TRY(waited);
  }
}

void Cluster::Judge(const Connection& connection, const Status& status, MonoTime begun) {
  const bool silent = status.Is(Reason::kTimeout) && last_answer_ <= begun;
  const bool unfit = members_.size() > 1 && IsUnfit(status);
  if (silent || unfit || connection->closed()) connection->Close(status.message());
}

Ok Cluster::Authenticate(const Connection& connection) {
  if (options_.user.empty() || !token_.empty()) return {};
  // Checking a password is made to be slow: one call asks for all.
  const auto guard = TRY(authentication_.Lock());
  if (!token_.empty()) return {};
  net::GrpcRequest request{"/etcdserverpb.Auth/Authenticate", {}, options_.call_timeout};
  bool sent = false;
  const Result<std::string> answer =
      connection->Unary(request, EncodeAuthenticate(options_.user, options_.password), sent);
  if (!answer.ok()) return answer.status();
  const Result<std::string> token = DecodeAuthenticate(*answer);
  if (!token.ok()) return Garbled(token.status());
  Answered();
  token_ = *token;
  return {};
}

Result<net::GrpcRequest> Cluster::Prepared(const Connection& connection, std::string method, Duration timeout) {
  TRY(Authenticate(connection));
  net::GrpcRequest request{std::move(method), {{"hasleader", "true"}}, timeout};
  if (!token_.empty()) request.metadata.emplace_back("token", token_);
  return request;
}

Result<std::string> Cluster::Call(const char* method, const std::string& bytes, bool& sent) {
  sent = false;
  rt::CancelScope scope(world_, options_.call_timeout);
  const Connection connection = TRY(Connected());
  for (int attempt = 0;; ++attempt) {
    const MonoTime begun = world_.Mono();
    const std::string used = token_;
    const Result<net::GrpcRequest> request = Prepared(connection, method, options_.call_timeout);
    Result<std::string> answer = request.ok() ? connection->Unary(*request, bytes, sent) : request.status();
    if (answer.ok()) {
      Answered();
      return answer;
    }
    const Status& status = answer.status();
    if (attempt == 0 && !options_.user.empty() && IsBadToken(status)) {
      if (token_ == used) ForgetToken();
      continue;
    }
    Judge(connection, status, begun);
    if (IsTooLarge(status)) {
      return Status(Reason::kRequestEntityTooLarge, status.message());
    }
    return status;
  }
}

Result<LeaseResponse> Cluster::LeaseKeepAlive(int64_t id) {
  rt::CancelScope scope(world_, options_.call_timeout);
  const Connection connection = TRY(Connected());
  const MonoTime begun = world_.Mono();
  const auto ask = [&]() -> Result<LeaseResponse> {
    const net::GrpcRequest request =
        TRY(Prepared(connection, "/etcdserverpb.Lease/LeaseKeepAlive", options_.call_timeout));
    const auto call = TRY(connection->Open(request));
    TRY(call->Send(EncodeLeaseKeepAlive(id)));
    const std::optional<std::string> answer = TRY(call->Receive());
    if (!answer.has_value()) return Unavailable("etcd: no answer about a lease");
    Answered();
    return Decoded(*answer, DecodeLease);
  };
  Result<LeaseResponse> out = ask();
  if (!out.ok()) {
    if (IsBadToken(out.status())) ForgetToken();
    Judge(connection, out.status(), begun);
  }
  return out;
}

Result<std::unique_ptr<WatchStream>> Cluster::Watch(const WatchRequest& request) {
  rt::CancelScope scope(world_, options_.call_timeout);
  const Connection connection = TRY(Connected());
  const MonoTime begun = world_.Mono();
  const auto open = [&]() -> Result<std::unique_ptr<net::GrpcCall>> {
    const net::GrpcRequest prepared = TRY(Prepared(connection, "/etcdserverpb.Watch/Watch", Duration{}));
    auto call = TRY(connection->Open(prepared));
    TRY(call->Send(Encode(request)));
    return call;
  };
  Result<std::unique_ptr<net::GrpcCall>> call = open();
  if (!call.ok()) {
    if (IsBadToken(call.status())) ForgetToken();
    Judge(connection, call.status(), begun);
    return call.status();
  }
  return std::unique_ptr<WatchStream>(std::make_unique<GrpcWatch>(*this, connection, std::move(*call)));
}

Result<WatchResponse> GrpcWatch::Next() {
  const Result<std::optional<std::string>> message = call_->Receive();
  if (!message.ok()) {
    if (message.Failed(Reason::kCancelled)) return message.status();
    if (IsBadToken(message.status())) cluster_.ForgetToken();
    cluster_.Judge(connection_, message.status(), MonoTime::max());
    return message.status();
  }
  if (!message->has_value()) return Unavailable("etcd ended the watch");
  cluster_.Answered();
  Result<WatchResponse> response = DecodeWatch(**message);
  if (!response.ok()) return Garbled(response.status());
  TRY(cluster_.CheckHeader(response->header));
  if (response->canceled && response->cancel_reason.find("auth") != std::string::npos) cluster_.ForgetToken();
  return response;
}

Result<net::GrpcOptions> ParseMember(const std::string& text) {
  const bool bare = text.find("://") == std::string::npos;
  const net::Url url = TRY(net::Url::Parse(bare ? "http://" + text : text).Context("etcd server " + text));
  if (url.scheme != "http" && url.scheme != "https") {
    return BadRequest("etcd server " + text + ": want http://HOST:PORT or https://HOST:PORT");
  }
  if (url.host.empty() || !url.query.empty() || (!url.path.empty() && url.path != "/")) {
    return BadRequest("etcd server " + text + ": want a host and a port, and nothing else");
  }
  net::GrpcOptions out;
  out.endpoint = {url.host, url.port != 0 ? url.port : kPort, {}};
  return out;
}

}  // namespace

Result<std::unique_ptr<Api>> OpenCluster(rt::Runtime& world, ClusterOptions options) {
  if (options.servers.empty()) return BadRequest("etcd: no server is named");
  std::shared_ptr<net::TlsClientContext> tls;
  std::vector<net::GrpcOptions> members;
  for (const std::string& server : options.servers) {
    net::GrpcOptions member = TRY(ParseMember(server));
    if (server.starts_with("https://")) {
      if (tls == nullptr) {
        net::TlsClientOptions secure;
        secure.ca_pem = options.ca_pem;
        secure.identity = options.identity;
        tls = TRY(net::TlsClientContext::Create(secure).Context("etcd"));
      }
      member.tls = tls;
    }
    members.push_back(std::move(member));
  }
  return std::unique_ptr<Api>(std::make_unique<Cluster>(world, std::move(options), std::move(members)));
}

}  // namespace knarr::store::etcd
