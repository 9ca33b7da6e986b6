#include "apiserver/authentication/impersonation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kExtraPrefix = "impersonate-extra-";
constexpr std::string_view kAuthentication = "authentication.k8s.io";
// From this many on, a right to all is asked for first.
constexpr size_t kMany = 4;
constexpr size_t kKnownUsersMax = 10000;

using Extra = std::vector<std::pair<std::string, std::vector<std::string>>>;

// Go's %#v.
std::string Quoted(const std::vector<std::string>& list) {
  std::vector<std::string> out;
  for (const std::string& text : list) out.push_back(GoQuote(text));
  return "[]string{" + Join(out, ", ") + "}";
}

std::string GoSyntax(const UserInfo& user) {
  std::vector<std::string> extra;
  for (const auto& [key, values] : user.extra) extra.push_back(GoQuote(key) + ":" + Quoted(values));
  return fmt::format("&user.DefaultInfo{{Name:{}, UID:{}, Groups:{}, Extra:map[string][]string{}}}", GoQuote(user.name),
                     GoQuote(user.uid), user.groups.empty() ? "[]string(nil)" : Quoted(user.groups),
                     extra.empty() ? "(nil)" : "{" + Join(extra, ", ") + "}");
}

std::string ExtraKey(std::string_view header) {
  const std::string encoded = ToLower(header.substr(kExtraPrefix.size()));
  Result<std::string> key = UrlDecode(encoded, false);
  return key.ok() ? std::move(*key) : encoded;
}

struct AccountName {
  std::string_view ns;
  std::string_view name;
};
std::optional<AccountName> AccountOf(std::string_view user) {
  if (!ConsumePrefix(user, kServiceAccountPrefix)) return std::nullopt;
  const auto parts = Cut(user, ":");
  if (!parts.has_value() || !CheckDns1123Label(parts->first).empty() || !CheckDns1123Subdomain(parts->second).empty()) {
    return std::nullopt;
  }
  return AccountName{parts->first, parts->second};
}

std::optional<std::string_view> NodeNameOf(std::string_view user) {
  if (!ConsumePrefix(user, kNodePrefix) || !CheckDns1123Subdomain(user).empty()) return std::nullopt;
  return user;
}

bool NamesOnlyUser(const UserInfo& user) { return user.uid.empty() && user.groups.empty() && user.extra.empty(); }

// The node of a pod whose service account asks, "" when it says none.
std::string_view NodeOfAccount(const UserInfo& user) {
  if (!AccountOf(user.name).has_value()) return {};
  for (const auto& [key, values] : user.extra) {
    if (key == "authentication.kubernetes.io/node-name" && values.size() == 1) return values.front();
  }
  return {};
}

// What is wrong with a key of the form "example.com/path", each with the value as errors show it.
std::vector<std::string> KeyProblems(std::string_view key) {
  const auto parts = Cut(key, "/");
  if (!parts.has_value() || parts->first.empty() || parts->second.empty()) {
    return {GoQuote(key) + R"(: must be a domain-prefixed path (such as "acme.io/foo"))"};
  }
  const auto [host, path] = *parts;
  std::vector<std::string> out;
  for (const std::string& problem : CheckDns1123Subdomain(host)) out.push_back(GoQuote(host) + ": " + problem);
  constexpr std::string_view kPathCharacters = "/-._~%!$&'()*+,;=:";
  const bool fits = std::ranges::all_of(path, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kPathCharacters.contains(c);
  });
  if (!fits) {
    out.push_back(GoQuote(path) + R"(: Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+'))");
  }
  return out;
}

// "" when the extra may be taken on in the constrained ways.
std::string BadExtra(const Extra& extra) {
  for (const auto& [key, values] : extra) {
    if (key.empty()) return "impersonating the empty string key in extra is not allowed";
    std::vector<std::string> texts;
    for (const std::string& problem : KeyProblems(key)) texts.push_back("extra.key: Invalid value: " + problem);
    if (!texts.empty()) {
      return "impersonating an invalid key in extra is not allowed: " + AggregateText(texts);
    }
    if (key != ToLower(key)) return "impersonating a non-lowercase key in extra is not allowed: " + GoQuote(key);
    if (std::ranges::find(values, "") != values.end()) {
      return "impersonating the empty string value in extra is not allowed";
    }
  }
  return {};
}

bool IsLarge(const Extra& extra) {
  size_t count = 0;
  for (const auto& [key, values] : extra) count += values.size();
  return extra.size() >= kMany || count >= kMany;
}

void EnsureGroup(UserInfo& user, std::string_view group) {
  if (!IsMember(user, group)) user.groups.emplace_back(group);
}

struct Mode {
  std::string_view name;  ///< "": the way of old
  bool (*applies)(const UserInfo& wanted, const UserInfo& requestor);
};

bool IsOwnNode(const UserInfo& wanted, const UserInfo& requestor) {
  const auto node = NodeNameOf(wanted.name);
  return NamesOnlyUser(wanted) && node.has_value() && NodeOfAccount(requestor) == *node;
}
bool IsNode(const UserInfo& wanted, const UserInfo& /*requestor*/) {
  return NamesOnlyUser(wanted) && NodeNameOf(wanted.name).has_value();
}
bool IsAccount(const UserInfo& wanted, const UserInfo& /*requestor*/) {
  return NamesOnlyUser(wanted) && AccountOf(wanted.name).has_value();
}
bool IsOtherUser(const UserInfo& wanted, const UserInfo& /*requestor*/) {
  return !NodeNameOf(wanted.name).has_value() && !AccountOf(wanted.name).has_value();
}
bool Always(const UserInfo& /*wanted*/, const UserInfo& /*requestor*/) { return true; }

constexpr std::array<Mode, 5> kModes = {{
    {"associated-node", IsOwnNode},
    {"arbitrary-node", IsNode},
    {"serviceaccount", IsAccount},
    {"user-info", IsOtherUser},
    {"", Always},
}};

}  // namespace

Result<std::optional<UserInfo>> WantedUser(const net::Headers& headers) {
  UserInfo wanted;
  bool more = false;
  for (const auto& [header, value] : headers.all()) {
    const std::string name = ToLower(header);
    if (!name.starts_with("impersonate-")) continue;
    if (name == "impersonate-user" && wanted.name.empty()) wanted.name = value;
    if (name == "impersonate-uid" && wanted.uid.empty()) wanted.uid = value;
    if (name == "impersonate-group") wanted.groups.push_back(value);
    if (name.starts_with(kExtraPrefix)) {
      const std::string key = ExtraKey(name);
      auto known = std::ranges::find(wanted.extra, key, [](const auto& one) { return one.first; });
      if (known == wanted.extra.end()) known = wanted.extra.insert(wanted.extra.end(), {key, {}});
      known->second.push_back(value);
    }
    more = true;
  }
  const std::optional<UserInfo> none;
  if (!more) return none;
  std::ranges::sort(wanted.extra);
  if (!wanted.name.empty()) return std::optional(std::move(wanted));
  if (NamesOnlyUser(wanted)) return none;
  return BadRequest(fmt::format("requested {} without impersonating a user name", GoSyntax(wanted)));
}

/// One way, tried for one request.
class Impersonator::Attempt {
 public:
  Attempt(Authorizer& authorizer, rt::Runtime& here, const Mode& mode, const UserInfo& wanted,
          const Attributes& attributes)
      : authorizer_(authorizer),
        here_(here),
        mode_(mode),
        constrained_(!mode.name.empty()),
        verb_(constrained_ ? fmt::format("impersonate:{}", mode.name) : "impersonate"),
        wanted_(wanted),
        attributes_(attributes),
        requestor_(attributes.user) {
    // All pods of an account have the same right to be their node: which one it is does not count.
    if (mode.name != "associated-node") return;
    std::vector<std::string> keys;
    for (const auto& [key, values] : requestor_.extra) keys.push_back(key);
    requestor_.extra = {{"authentication.kubernetes.io/associated-node-keys", std::move(keys)}};
  }

  Result<Impersonated> Run() {
    if (constrained_) {
      Attributes on = attributes_;
      on.user = requestor_;
      on.verb = fmt::format("impersonate-on:{}:{}", mode_.name, attributes_.verb);
      TRY(Check(on));
    }
    UserInfo user = wanted_;
    TRY(AuthorizeName(user));
    if (!wanted_.uid.empty()) TRY(Check(About(kAuthentication, "uids", wanted_.uid)));
    TRY(AuthorizeGroups());
    TRY(AuthorizeExtra());
    if (user.name == kAnonymous) {
      EnsureGroup(user, kAllUnauthenticated);
    } else if (!IsMember(user, kAllUnauthenticated)) {
      EnsureGroup(user, kAllAuthenticated);
    }
    return Impersonated{std::move(user), constrained_ ? verb_ : std::string()};
  }

 private:
  Attributes About(std::string_view group, std::string_view resource, std::string_view name) const {
    Attributes out;
    out.user = requestor_;
    out.verb = verb_;
    out.resource_request = true;
    out.group = group;
    out.version = "v1";
    out.resource = resource;
    out.name = name;
    return out;
  }
  std::string_view OwnGroup() const { return constrained_ ? kAuthentication : std::string_view(); }

  Ok Check(const Attributes& asked) const {
    const Verdict verdict = authorizer_.Authorize(here_, asked);
    if (verdict.allowed()) return {};
    std::string why = verdict.error;
    if (!why.empty() && !verdict.reason.empty()) why += ": ";
    return ForbiddenTo(asked, why + verdict.reason);
  }

  Ok AuthorizeName(UserInfo& user) const {
    Attributes asked = About(OwnGroup(), "users", user.name);
    const auto node = NodeNameOf(user.name);
    if (constrained_ && node.has_value()) {
      asked.resource = "nodes";
      asked.name = mode_.name == "associated-node" ? "*" : std::string(*node);
      user.groups = {std::string(kNodes)};
    }
    if (const auto account = AccountOf(user.name)) {
      asked.resource = "serviceaccounts";
      asked.ns = account->ns;
      asked.name = account->name;
      if (wanted_.groups.empty()) {
        user.groups = ServiceAccountUser(account->ns, account->name).groups;
        user.groups.pop_back();
      }
    }
    return Check(asked);
  }

  Ok AuthorizeGroups() const {
    const std::vector<std::string>& groups = wanted_.groups;
    Attributes asked = About(OwnGroup(), "groups", "");
    if (constrained_) {
      if (std::ranges::find(groups, "") != groups.end()) {
        return ForbiddenTo(asked, "impersonating the empty string group is not allowed");
      }
      if (IsMember(wanted_, kMasters)) {
        asked.name = kMasters;
        return ForbiddenTo(asked, "impersonating the system:masters group is not allowed");
      }
      asked.name = "*";
      if (groups.size() >= kMany && Check(asked).ok()) return {};
    }
    for (const std::string& group : groups) {
      asked.name = group;
      TRY(Check(asked));
    }
    return {};
  }

  Ok AuthorizeExtra() const {
    Attributes asked = About(kAuthentication, "userextras", "");
    if (constrained_) {
      const std::string bad = BadExtra(wanted_.extra);
      if (!bad.empty()) return ForbiddenTo(asked, bad);
      asked.subresource = asked.name = "*";
      if (IsLarge(wanted_.extra) && Check(asked).ok()) return {};
    }
    for (const auto& [key, values] : wanted_.extra) {
      asked.subresource = key;
      for (const std::string& value : values) {
        asked.name = value;
        TRY(Check(asked));
      }
    }
    return {};
  }

  Authorizer& authorizer_;
  rt::Runtime& here_;
  const Mode& mode_;
  const bool constrained_;
  const std::string verb_;
  const UserInfo& wanted_;
  const Attributes& attributes_;
  UserInfo requestor_;
};

Impersonator::Impersonator(Authorizer& authorizer, const std::vector<rt::Runtime*>& runtimes)
    : authorizer_(authorizer) {
  for (rt::Runtime* runtime : runtimes) per_runtime_.push_back({runtime, {}});
}

Impersonator::~Impersonator() = default;

Result<Impersonated> Impersonator::Impersonate(rt::Runtime& here, const UserInfo& wanted,
                                               const Attributes& attributes) {
  const auto at = std::ranges::find(per_runtime_, &here, &PerRuntime::runtime);
  CHECK(at != per_runtime_.end());
  const std::string& requestor = attributes.user.name;
  std::vector<size_t> order;
  if (const auto known = at->last_mode.find(requestor); known != at->last_mode.end()) order.push_back(known->second);
  for (size_t i = 0; i < kModes.size(); ++i) {
    if (order.empty() || order.front() != i) order.push_back(i);
  }
  std::optional<Status> refused;
  for (const size_t i : order) {
    if (!kModes[i].applies(wanted, attributes.user)) continue;
    Result<Impersonated> user = Attempt(authorizer_, here, kModes[i], wanted, attributes).Run();
    if (user.ok()) {
      if (at->last_mode.size() >= kKnownUsersMax) at->last_mode.clear();
      at->last_mode[requestor] = i;
      return user;
    }
    if (!refused.has_value()) refused = user.status();
  }
  return *refused;  // the way of old always applies
}

}  // namespace knarr::apiserver
