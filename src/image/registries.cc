#include "image/registries.h"

#include "base/ip.h"
#include "base/strings.h"
#include "doc/yaml.h"

namespace knarr::image {
namespace {

using doc::Value;

constexpr std::string_view kDockerHub = "docker.io";
constexpr std::string_view kDockerHubHost = "registry-1.docker.io";
constexpr size_t kChallengeMax = 8192;

std::string Text(const Value& value) { return std::string(value.AsString()); }

Ok CheckFields(const Value& value, std::string_view where, std::initializer_list<std::string_view> known) {
  if (!value.is_object() && !value.is_null()) return BadRequest(std::string(where) + ": expected a map");
  for (const auto& member : value.members()) {
    bool found = false;
    for (const std::string_view name : known) found = found || name == member.key;
    if (!found) return BadRequest(std::string(where) + ": unknown field " + GoQuote(member.key));
  }
  return {};
}

Result<RegistryHostConfig> ParseHost(const Value& value, const std::string& where) {
  RegistryHostConfig out;
  TRY(CheckFields(value, where, {"auth", "tls"}));
  const Value& auth = value.At("auth");
  TRY(CheckFields(auth, where + ".auth", {"username", "password", "auth", "identity_token", "token"}));
  out.auth.username = Text(auth.At("username"));
  out.auth.password = Text(auth.At("password"));
  out.auth.identity_token = Text(auth.At(auth.Find("token") != nullptr ? "token" : "identity_token"));
  if (const Value* both = auth.Find("auth"); both != nullptr) {
    const std::string decoded = TRY(Base64Decode(both->AsString()).Context(where + ".auth.auth"));
    const auto cut = Cut(decoded, ":");
    if (!cut) return BadRequest(where + ".auth.auth: expected base64 of username:password");
    out.auth.username = cut->first;
    out.auth.password = TrimRight(cut->second, std::string_view("\0", 1));
  }
  const Value& tls = value.At("tls");
  TRY(CheckFields(tls, where + ".tls", {"ca_file", "cert_file", "key_file", "insecure_skip_verify"}));
  out.ca_file = Text(tls.At("ca_file"));
  out.cert_file = Text(tls.At("cert_file"));
  out.key_file = Text(tls.At("key_file"));
  out.insecure_skip_verify = tls.At("insecure_skip_verify").AsBool();
  return out;
}

Result<net::Url> BaseUrl(std::string text) {
  if (text.find("://") == std::string::npos) text = "https://" + text;
  net::Url url = TRY(net::Url::Parse(text));
  if (url.scheme != "http" && url.scheme != "https") {
    return BadRequest("registry endpoint " + GoQuote(text) + ": scheme must be http or https");
  }
  if (url.host.empty()) return BadRequest("registry endpoint " + GoQuote(text) + ": no host");
  url.path = TrimRight(url.path, "/");
  if (!url.path.ends_with("/v2")) url.path += "/v2";
  return url;
}

}  // namespace

std::string HostOf(const net::Url& url) {
  const bool standard = url.port == 0 || url.port == (url.scheme == "http" ? 80 : 443);
  if (!standard) return JoinHostPort(url.host, url.port);
  return url.host;
}

bool IsLoopbackHost(std::string_view host) {
  if (host.starts_with('[')) {
    host.remove_prefix(1);
    host = host.substr(0, host.find(']'));
  } else if (host.find(':') == host.rfind(':')) {
    host = host.substr(0, host.find(':'));
  }
  if (host == "localhost") return true;
  const auto address = IpAddress::Parse(host);
  return address.ok() && address->IsLoopback();
}

Result<RegistriesConfig> RegistriesConfig::Parse(std::string_view yaml) {
  RegistriesConfig out;
  const doc::YamlDocument document = TRY(doc::ParseYaml(yaml));
  const Value& root = document.root();
  TRY(CheckFields(root, "registries", {"mirrors", "configs"}));
  for (const auto& mirror : root.At("mirrors").members()) {
    const std::string where = "mirrors." + std::string(mirror.key);
    TRY(CheckFields(mirror.value, where, {"endpoint"}));
    std::vector<std::string>& endpoints = out.mirrors[std::string(mirror.key)];
    for (const Value& endpoint : mirror.value.At("endpoint").items()) {
      TRY(BaseUrl(Text(endpoint)).Context(where));
      endpoints.push_back(Text(endpoint));
    }
  }
  for (const auto& host : root.At("configs").members()) {
    const std::string where = "configs." + std::string(host.key);
    out.configs.emplace(host.key, TRY(ParseHost(host.value, where)));
  }
  return out;
}

Result<std::vector<RegistryEndpoint>> RegistriesConfig::Endpoints(std::string_view registry) const {
  std::vector<RegistryEndpoint> out;
  auto found = mirrors.find(std::string(registry));
  if (found == mirrors.end()) found = mirrors.find("*");
  if (found != mirrors.end()) {
    for (const std::string& endpoint : found->second) out.push_back({TRY(BaseUrl(endpoint)), true});
  }
  const std::string host(registry == kDockerHub ? kDockerHubHost : registry);
  const std::string_view scheme = IsLoopbackHost(host) ? "http://" : "https://";
  out.push_back({TRY(BaseUrl(std::string(scheme) + host)), false});
  return out;
}

const RegistryHostConfig* RegistriesConfig::HostConfig(std::string_view host) const {
  if (const auto found = configs.find(std::string(host)); found != configs.end()) return &found->second;
  if (host == kDockerHubHost || host == "index.docker.io") return HostConfig(kDockerHub);
  return nullptr;
}

Result<AuthChallenge> ParseAuthChallenge(std::string_view header) {
  const Status malformed = BadRequest("malformed WWW-Authenticate header");
  if (header.size() > kChallengeMax) return malformed;
  AuthChallenge out;
  std::string_view rest = TrimSpace(header);
  const size_t space = rest.find(' ');
  out.scheme = ToLower(rest.substr(0, space));
  if (out.scheme.empty()) return malformed;
  rest = space == std::string_view::npos ? std::string_view() : TrimSpace(rest.substr(space));
  while (!rest.empty()) {
    const auto cut = Cut(rest, "=");
    if (!cut) return malformed;
    const std::string key = ToLower(TrimSpace(cut->first));
    rest = TrimSpace(cut->second);
    std::string value;
    if (rest.starts_with('"')) {
      size_t at = 1;
      for (; at < rest.size() && rest[at] != '"'; ++at) {
        if (rest[at] == '\\' && at + 1 < rest.size()) ++at;
        value += rest[at];
      }
      if (at >= rest.size()) return malformed;
      rest = TrimSpace(rest.substr(at + 1));
    } else {
      const size_t comma = rest.find(',');
      value = TrimSpace(rest.substr(0, comma));
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma);
    }
    out.parameters[key] = value;
    if (!rest.empty() && rest[0] != ',') return malformed;
    if (!rest.empty()) rest = TrimSpace(rest.substr(1));
  }
  return out;
}

}  // namespace knarr::image
