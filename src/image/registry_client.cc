#include "image/registry_client.h"

#include <algorithm>

#include "base/strings.h"
#include "doc/json.h"
#include "rt/file_system.h"

namespace knarr::image {
namespace {

constexpr int kRedirectsMax = 5;
constexpr int kAttempts = 5;
constexpr size_t kTokenMax = 1 << 20;
constexpr size_t kErrorBodyMax = 64 << 10;
constexpr size_t kPiece = 256 << 10;
constexpr Duration kDocumentTimeout = 30s;
constexpr Duration kStallTimeout = 60s;
constexpr Duration kBackOff = 250ms;

constexpr std::string_view kManifestTypes =
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

// The registry's own words: {"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}.
std::string ServerMessage(net::ClientResponse& response) {
  const auto body = response.ReadAll(kErrorBodyMax);
  if (!body.ok()) return "";
  const auto document = doc::ParseJson(*body);
  if (!document.ok() || document->root.At("errors").empty()) return "";
  const doc::Value& first = document->root.At("errors").items()[0];
  const std::string code = ReplaceAll(ToLower(first.At("code").AsString()), "_", " ");
  const std::string message(first.At("message").AsString().substr(0, 500));
  if (message.empty() || message == code) return code;
  return code.empty() ? message : code + ": " + message;
}

Status HttpError(const net::Url& url, net::ClientResponse& response) {
  const int code = response.code();
  const std::string server = ServerMessage(response);
  if (code == 404) return NotFound("not found" + (server.empty() ? "" : ": " + server));
  if (code == 401 || code == 403) {
    return Forbidden("pull access denied, repository does not exist or may require authorization" +
                     (server.empty() ? "" : ": server message: " + server));
  }
  const std::string message = "unexpected status from GET request to " + url.ToString() + ": " + std::to_string(code) +
                              (server.empty() ? "" : ": " + server);
  if (code == 429) return {Reason::kTooManyRequests, message};
  return code >= 500 ? Unavailable(message) : BadRequest(message);
}

bool WorthRepeating(const Status& status) {
  return status.Is(Reason::kServiceUnavailable) || status.Is(Reason::kTimeout) || status.Is(Reason::kTooManyRequests);
}

bool SameHost(const net::Url& a, const net::Url& b) { return a.scheme == b.scheme && HostOf(a) == HostOf(b); }

bool IsRedirect(int code) { return code == 301 || code == 302 || code == 303 || code == 307 || code == 308; }

Result<net::Url> RedirectTarget(const net::Url& from, std::string_view location) {
  if (location.empty()) return BadRequest("redirect without a Location from " + HostOf(from));
  net::Url to = TRY(net::Url::Parse(location));
  if (to.host.empty()) {
    to.scheme = from.scheme;
    to.host = from.host;
    to.port = from.port;
  }
  if (to.scheme != "https" && (to.scheme != "http" || from.scheme == "https")) {
    return BadRequest("refused a redirect from " + HostOf(from) + " to an insecure address");
  }
  return to;
}

std::string BasicHeader(const RegistryAuth& auth) {
  return "Basic " + Base64Encode(auth.username + ":" + auth.password);
}

}  // namespace

Result<net::HttpClient*> RegistryClient::For(const net::Url& url) {
  const std::string host = HostOf(url);
  const std::string key = url.scheme + "://" + host;
  if (const auto found = clients_.find(key); found != clients_.end()) return found->second.get();
  net::HttpClientOptions options;
  const RegistryHostConfig* config = config_.HostConfig(host);
  if (url.scheme == "https" && config != nullptr &&
      (config->insecure_skip_verify || !config->ca_file.empty() || !config->cert_file.empty())) {
    net::TlsClientOptions tls;
    rt::FileSystem& files = runtime_.files();
    if (!config->ca_file.empty()) tls.ca_pem = TRY(files.ReadFile(config->ca_file));
    if (!config->cert_file.empty()) {
      tls.identity = net::KeyPair{TRY(files.ReadFile(config->cert_file)), TRY(files.ReadFile(config->key_file))};
    }
    tls.insecure = config->insecure_skip_verify;
    tls.server_name = url.host;
    tls.alpn = {"h2", "http/1.1"};
    options.tls = TRY(net::TlsClientContext::Create(tls).Context("TLS settings of registry " + host));
  }
  // Another fiber may have made it while the files were read.
  auto& client = clients_[key];
  if (client == nullptr) client = net::HttpClient::Create(runtime_, std::move(options));
  return client.get();
}

Result<std::unique_ptr<RegistrySession>> RegistrySession::Open(RegistryClient& client, const Reference& reference,
                                                               RegistryAuth auth) {
  std::unique_ptr<RegistrySession> session(new RegistrySession(client, reference, std::move(auth)));
  session->endpoints_ = TRY(client.config().Endpoints(reference.registry));
  return session;
}

// What came with the pull is for the registry that was named; mirrors have entries of their own in the file.
RegistryAuth RegistrySession::AuthFor(const net::Url& url) const {
  const std::string host = HostOf(url);
  const bool own =
      host == reference_.registry || (reference_.registry == "docker.io" && host == "registry-1.docker.io");
  if (!auth_.empty() && own) return auth_;
  const RegistryHostConfig* config = client_.config().HostConfig(host);
  if (config != nullptr && !config->auth.empty()) return config->auth;
  config = client_.config().HostConfig(reference_.registry);
  return own && config != nullptr ? config->auth : RegistryAuth();
}

Result<std::string> RegistrySession::FetchToken(const net::Url& url, const AuthChallenge& challenge,
                                                const RegistryAuth& auth) {
  const auto parameter = [&](const std::string& name) {
    const auto found = challenge.parameters.find(name);
    return found == challenge.parameters.end() ? std::string() : found->second;
  };
  net::ClientRequest request;
  request.url = TRY(net::Url::Parse(parameter("realm")).Context("token realm of " + HostOf(url)));
  if (request.url.scheme != "https" && !(request.url.scheme == "http" && url.scheme == "http")) {
    return BadRequest("registry " + HostOf(url) + " names an insecure token realm");
  }
  std::string scope = parameter("scope");
  if (scope.empty()) scope = "repository:" + reference_.repository + ":pull";
  if (!auth.identity_token.empty()) {
    request.method = "POST";
    request.headers.Set("Content-Type", "application/x-www-form-urlencoded");
    request.body = "grant_type=refresh_token&client_id=knarr&service=" + net::QueryEscape(parameter("service")) +
                   "&scope=" + net::QueryEscape(scope) + "&refresh_token=" + net::QueryEscape(auth.identity_token);
  } else {
    if (!parameter("service").empty()) request.url.query.emplace_back("service", parameter("service"));
    request.url.query.emplace_back("scope", scope);
    if (!auth.empty()) request.headers.Set("Authorization", BasicHeader(auth));
  }
  net::HttpClient* http = TRY(client_.For(request.url));
  const ResponsePtr response =
      TRY(http->Send(request).Context("failed to fetch an access token from " + HostOf(request.url)));
  if (response->code() != 200) {
    return HttpError(request.url, *response).WithContext("failed to authorize: failed to fetch anonymous token");
  }
  const std::string body = TRY(response->ReadAll(kTokenMax));
  const doc::Document document = TRY(doc::ParseJson(body).Context("access token"));
  for (const std::string_view name : {"token", "access_token"}) {
    const std::string_view token = document.root.At(name).AsString();
    if (!token.empty()) return "Bearer " + std::string(token);
  }
  return BadRequest("the answer of " + HostOf(request.url) + " holds no token");
}

Result<std::string> RegistrySession::Authorize(const net::Url& url, const AuthChallenge& challenge) {
  const RegistryAuth auth = AuthFor(url);
  if (challenge.scheme == "bearer") return FetchToken(url, challenge, auth);
  if (challenge.scheme == "basic" && !auth.username.empty()) return BasicHeader(auth);
  return Forbidden(
      "pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth "
      "credentials");
}

Result<RegistrySession::ResponsePtr> RegistrySession::Follow(net::Url url, net::Headers headers,
                                                             const std::string& authorization) {
  const net::Url first = url;
  for (int hop = 0; hop <= kRedirectsMax; ++hop) {
    net::ClientRequest request;
    request.url = url;
    request.headers = headers;
    // A token is for the registry, not for the storage it sends us to.
    if (!authorization.empty() && SameHost(first, url)) request.headers.Set("Authorization", authorization);
    net::HttpClient* http = TRY(client_.For(url));
    auto response = http->Send(request);
    if (!response.ok()) {
      return response.status().WithContext("failed to do request: Get " + GoQuote(url.ToString()));
    }
    if (!IsRedirect((*response)->code())) return std::move(response).value();
    url = TRY(RedirectTarget(url, (*response)->headers().Get("Location")));
  }
  return BadRequest("stopped after " + std::to_string(kRedirectsMax) + " redirects from " + HostOf(first));
}

Result<RegistrySession::ResponsePtr> RegistrySession::Get(RegistryEndpoint& endpoint, const std::string& path,
                                                          const net::Headers& headers) {
  net::Url url = endpoint.base;
  url.path += path;
  if (endpoint.mirror) url.query.emplace_back("ns", reference_.registry);
  const std::string host = HostOf(url);
  ResponsePtr response = TRY(Follow(url, headers, authorization_[host]));
  if (response->code() == 401) {
    const auto challenge = ParseAuthChallenge(response->headers().Get("WWW-Authenticate"));
    if (!challenge.ok()) return HttpError(url, *response);
    response.reset();
    const std::string authorization = TRY(Authorize(url, *challenge));
    authorization_[host] = authorization;
    response = TRY(Follow(url, headers, authorization));
  }
  if (response->code() == 200 || response->code() == 206) return response;
  return HttpError(url, *response);
}

Result<FetchedManifest> RegistrySession::ManifestFrom(RegistryEndpoint& endpoint, std::string_view tag_or_digest) {
  const rt::CancelScope limit(client_.runtime(), kDocumentTimeout);
  net::Headers headers;
  headers.Set("Accept", std::string(kManifestTypes));
  const std::string path = "/" + reference_.repository + "/manifests/" + std::string(tag_or_digest);
  const ResponsePtr response = TRY(Get(endpoint, path, headers));
  FetchedManifest out;
  out.bytes = TRY(response->ReadAll(kDocumentMax).Context("manifest"));
  out.digest = DigestOf(out.bytes);
  out.media_type = response->headers().Get("Content-Type");
  const std::string_view promised = response->headers().Get("Docker-Content-Digest");
  const std::string_view expected = IsDigest(tag_or_digest) ? tag_or_digest : IsDigest(promised) ? promised : "";
  if (!expected.empty() && expected != out.digest) {
    return BadRequest("manifest has digest " + out.digest + ", expected " + std::string(expected));
  }
  return out;
}

Result<FetchedManifest> RegistrySession::FetchManifest(std::string_view tag_or_digest) {
  std::string mirrors;  // what was wrong with them, beyond not having it
  std::optional<Status> last;
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    for (int attempt = 1;; ++attempt) {
      auto fetched = ManifestFrom(endpoints_[i], tag_or_digest);
      if (fetched.ok()) {
        preferred_ = i;
        return fetched;
      }
      TRY(client_.runtime().CheckCancelled());
      last = fetched.status();
      if (!WorthRepeating(*last) || attempt == 2) break;
      TRY(client_.runtime().Sleep(kBackOff));
    }
    const bool failed = endpoints_[i].mirror && !last->Is(Reason::kNotFound);
    if (failed) mirrors += "; mirror " + HostOf(endpoints_[i].base) + ": " + last->message();
  }
  // The registry itself is the last.
  return mirrors.empty() ? *last : Status(last->reason(), last->message() + mirrors);
}

Ok RegistrySession::BlobFrom(RegistryEndpoint& endpoint, const BlobReference& blob, BlobWriter& writer,
                             const std::function<void(int64_t)>& progress) {
  net::Headers headers;
  if (writer.size() > 0) headers.Set("Range", "bytes=" + std::to_string(writer.size()) + "-");
  ResponsePtr response;
  {
    const rt::CancelScope limit(client_.runtime(), kDocumentTimeout);
    response = TRY(Get(endpoint, "/" + reference_.repository + "/blobs/" + blob.digest, headers));
  }
  if (response->code() == 200 && writer.size() > 0) {
    // No ranges here: from the beginning again.
    progress(-writer.size());
    TRY(writer.Restart());
  }
  std::vector<char> piece(kPiece);
  while (writer.size() < blob.size) {
    size_t have = 0;
    while (have < piece.size()) {
      const rt::CancelScope limit(client_.runtime(), kStallTimeout);
      const size_t got = TRY(response->Read(piece.data() + have, piece.size() - have));
      if (got == 0) break;
      have += got;
    }
    if (have == 0) return Unavailable("unexpected end of blob " + blob.digest);
    if (static_cast<int64_t>(have) > blob.size - writer.size()) {
      return BadRequest("blob " + blob.digest + " is larger than its manifest says");
    }
    TRY(writer.Append({piece.data(), have}));
    progress(static_cast<int64_t>(have));
  }
  return {};
}

Ok RegistrySession::FetchBlob(const BlobReference& blob, BlobWriter& writer,
                              const std::function<void(int64_t)>& progress) {
  std::optional<Status> last;
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    RegistryEndpoint& endpoint = endpoints_[(preferred_ + i) % endpoints_.size()];
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      Ok fetched = BlobFrom(endpoint, blob, writer, progress);
      if (fetched.ok()) return {};
      TRY(client_.runtime().CheckCancelled());
      last = fetched.status();
      if (!WorthRepeating(*last)) break;
      TRY(client_.runtime().Sleep(kBackOff * (1 << attempt)));
    }
    if (writer.size() > 0) {
      progress(-writer.size());
      TRY(writer.Restart());
    }
  }
  return last->WithContext("blob " + blob.digest);
}

}  // namespace knarr::image
