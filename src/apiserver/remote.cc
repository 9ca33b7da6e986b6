#include "apiserver/remote.h"

namespace knarr::apiserver {
namespace {

constexpr size_t kAnswerBytesMax = 1 << 20;

class HttpRemote : public Remote {
 public:
  HttpRemote(rt::Runtime& world, std::unique_ptr<net::HttpClient> client) : world_(world), client_(std::move(client)) {}

  Result<RemoteAnswer> Send(const net::ClientRequest& request, Duration timeout) override {
    const rt::CancelScope limit(world_, timeout);
    const std::unique_ptr<net::ClientResponse> response = TRY(client_->Send(request));
    RemoteAnswer answer{response->code(), response->headers(), ""};
    answer.body = TRY(response->ReadAll(kAnswerBytesMax));
    return answer;
  }

 private:
  rt::Runtime& world_;
  std::unique_ptr<net::HttpClient> client_;
};

}  // namespace

Result<std::unique_ptr<Remote>> MakeHttpRemote(rt::Runtime& world, net::TlsClientOptions tls) {
  tls.alpn = {"h2", "http/1.1"};
  net::HttpClientOptions options;
  options.tls = TRY(net::TlsClientContext::Create(tls));
  return std::unique_ptr<Remote>(
      std::make_unique<HttpRemote>(world, net::HttpClient::Create(world, std::move(options))));
}

}  // namespace knarr::apiserver
