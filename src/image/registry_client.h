#pragma once

// Fetching from registries (the distribution API, version 2): manifests and blobs, with the registry's tokens, through
// mirrors, following redirects, again after broken connections.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "image/content.h"
#include "image/manifest.h"
#include "image/registries.h"
#include "net/http_client.h"
#include "rt/runtime.h"

namespace knarr::image {

struct FetchedManifest {
  std::string bytes;
  std::string digest;
  std::string media_type;
};

/// The connections to all registries. One for the store.
class RegistryClient {
 public:
  RegistryClient(rt::Runtime& runtime, RegistriesConfig config) : runtime_(runtime), config_(std::move(config)) {}
  rt::Runtime& runtime() const { return runtime_; }
  const RegistriesConfig& config() const { return config_; }
  /// The client with the host's TLS settings.
  Result<net::HttpClient*> For(const net::Url& url);

 private:
  rt::Runtime& runtime_;
  RegistriesConfig config_;
  std::map<std::string, std::unique_ptr<net::HttpClient>> clients_;
};

/// One pull: a repository, what was given to log in with, the tokens received, the endpoints that have failed.
class RegistrySession {
 public:
  static Result<std::unique_ptr<RegistrySession>> Open(RegistryClient& client, const Reference& reference,
                                                       RegistryAuth auth);
  /// By tag or digest. NotFound: "…: not found"; Forbidden: "pull access denied, …"; Unavailable: what went wrong on
  /// the way. A digest that does not fit is BadRequest.
  Result<FetchedManifest> FetchManifest(std::string_view tag_or_digest);
  /// Into `writer`, from where it broke off if it did. `progress` gets the bytes of each piece.
  Ok FetchBlob(const BlobReference& blob, BlobWriter& writer, const std::function<void(int64_t)>& progress);

 private:
  struct Place;
  RegistrySession(RegistryClient& client, const Reference& reference, RegistryAuth auth)
      : client_(client), reference_(reference), auth_(std::move(auth)) {}
  using ResponsePtr = std::unique_ptr<net::ClientResponse>;
  Result<ResponsePtr> Get(RegistryEndpoint& endpoint, const std::string& path, const net::Headers& headers);
  Result<ResponsePtr> Follow(net::Url url, net::Headers headers, const std::string& authorization);
  Result<std::string> Authorize(const net::Url& url, const AuthChallenge& challenge);
  Result<std::string> FetchToken(const net::Url& url, const AuthChallenge& challenge, const RegistryAuth& auth);
  RegistryAuth AuthFor(const net::Url& url) const;
  Result<FetchedManifest> ManifestFrom(RegistryEndpoint& endpoint, std::string_view tag_or_digest);
  Ok BlobFrom(RegistryEndpoint& endpoint, const BlobReference& blob, BlobWriter& writer,
              const std::function<void(int64_t)>& progress);

  RegistryClient& client_;
  Reference reference_;
  RegistryAuth auth_;
  std::vector<RegistryEndpoint> endpoints_;
  size_t preferred_ = 0;                              // the endpoint that had the manifest
  std::map<std::string, std::string> authorization_;  // host → header
};

}  // namespace knarr::image
