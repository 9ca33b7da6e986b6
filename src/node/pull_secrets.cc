#include "node/pull_secrets.h"

#include <algorithm>

#include "base/strings.h"
#include "doc/json.h"

namespace knarr::node {
namespace {

constexpr std::string_view kDefaultRegistry = "index.docker.io";

/// '*' stands for any number of letters, '?' for one.
bool GlobMatches(std::string_view glob, std::string_view text) {
  size_t at = 0;
  size_t star = std::string_view::npos;
  size_t retry = 0;
  size_t i = 0;
  while (i < text.size()) {
    if (at < glob.size() && (glob[at] == '?' || (glob[at] != '*' && glob[at] == text[i]))) {
      ++at;
      ++i;
    } else if (at < glob.size() && glob[at] == '*') {
      star = at++;
      retry = i;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      i = ++retry;
    } else {
      return false;
    }
  }
  while (at < glob.size() && glob[at] == '*') ++at;
  return at == glob.size();
}

struct Place {
  std::vector<std::string_view> labels;  ///< of the host name
  std::string_view port;
  std::string_view path;  ///< with its slash
};

Place SplitPlace(std::string_view text) {
  Place out;
  const size_t slash = text.find('/');
  std::string_view host = text.substr(0, slash);
  if (slash != std::string_view::npos) out.path = text.substr(slash);
  if (const size_t colon = host.rfind(':'); colon != std::string_view::npos) {
    out.port = host.substr(colon + 1);
    host = host.substr(0, colon);
  }
  for (const std::string_view label : Split(host, '.')) out.labels.push_back(label);
  return out;
}

/// Every label for itself: "*.example" is not "a.b.example".
bool Fits(std::string_view place, std::string_view repository) {
  const Place wanted = SplitPlace(place);
  const Place target = SplitPlace(repository);
  if (wanted.labels.size() != target.labels.size() || wanted.port != target.port) return false;
  for (size_t i = 0; i < wanted.labels.size(); ++i) {
    if (!GlobMatches(wanted.labels[i], target.labels[i])) return false;
  }
  return target.path.starts_with(wanted.path);
}

/// "https://index.docker.io/v1/" → "index.docker.io".
std::string NormalPlace(std::string_view text) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (text.starts_with(scheme)) text.remove_prefix(scheme.size());
  }
  const size_t slash = text.find('/');
  std::string_view path = slash == std::string_view::npos ? "" : text.substr(slash);
  if (path.starts_with("/v1/") || path.starts_with("/v2/")) path.remove_prefix(3);
  std::string out(text.substr(0, slash));
  if (path.size() > 1) out += path;
  return out;
}

Result<PullCredential> ReadCredential(const doc::Value& value) {
  PullCredential out{std::string(value.At("username").AsString()), std::string(value.At("password").AsString())};
  const std::string_view auth = value.At("auth").AsString();
  if (auth.empty()) return out;
  const std::string pair = TRY(Base64Decode(auth));
  const size_t colon = pair.find(':');
  if (colon == std::string::npos) return BadRequest("unable to parse auth field, must be formatted as base64(user:pw)");
  return PullCredential{pair.substr(0, colon), pair.substr(colon + 1)};
}

}  // namespace

Ok PullSecrets::Add(api::core_v1::Secret secret) {
  auto config = secret.data().Find(".dockerconfigjson");
  const bool nested = config.has_value();
  if (!config) config = secret.data().Find(".dockercfg");
  if (!config) return {};
  const std::string json = TRY(Base64Decode(*config));
  const doc::Document document = TRY(doc::ParseJson(json));
  for (const doc::Member& entry : (nested ? document.root.At("auths") : document.root).members()) {
    entries_.push_back({NormalPlace(entry.key), TRY(ReadCredential(entry.value))});
  }
  std::ranges::stable_sort(entries_, std::greater<>(), &Entry::place);
  return {};
}

std::vector<PullCredential> PullSecrets::For(std::string_view repository) const {
  std::vector<PullCredential> out;
  for (const Entry& entry : entries_) {
    if (Fits(entry.place, repository)) out.push_back(entry.credential);
  }
  if (!out.empty() || !repository.starts_with("docker.io/")) return out;
  for (const Entry& entry : entries_) {
    if (entry.place == kDefaultRegistry) out.push_back(entry.credential);
  }
  return out;
}

}  // namespace knarr::node
