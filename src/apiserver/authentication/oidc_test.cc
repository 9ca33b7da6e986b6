#include "apiserver/authentication/oidc.h"

#include <array>

#include <fmt/format.h>

#include "apiserver/authentication/authenticator.h"
#include "apiserver/test_server.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kIssuer = "https://id.example/realm";

// The nth key of a kind: making RSA keys takes long, so that all providers have the same.
const std::string& KeyPem(bool rsa, size_t n) {
  static std::array<std::vector<std::string>, 2> kinds;
  std::vector<std::string>& keys = kinds[rsa ? 1 : 0];
  while (keys.size() <= n) keys.push_back(MUST(net::GenerateKey(rsa)));
  return keys[n];
}

// An OpenID Connect provider with one key, which it can change.
class Provider : public Remote {
 public:
  explicit Provider(bool rsa = true) : rsa_(rsa) { Rotate(); }

  void Rotate() {
    key_ = std::make_unique<net::JwsKey>(MUST(net::JwsKey::Create(KeyPem(rsa_, rotations_))));
    id_ = fmt::format("key-{}", ++rotations_);
  }

  Result<RemoteAnswer> Send(const net::ClientRequest& request, Duration /*timeout*/) override {
    ++requests;
    if (runtime != nullptr) TRY(runtime->Sleep(10s));
    if (down) return Unavailable("connection refused");
    RemoteAnswer answer{200, {}, ""};
    if (request.url.path == "/realm/.well-known/openid-configuration") {
      answer.body = fmt::format(R"({{"issuer":"{}","jwks_uri":"https://id.example/keys"}})", kIssuer);
      return answer;
    }
    EXPECT_EQ(request.url.path, "/keys");
    ++fetches;
    const auto [a, b] = MUST(key_->Numbers());
    answer.body = fmt::format(
        R"({{"keys":[{{"kty":"oct","kid":"x","k":"AA"}},{{"kty":"{}","use":"sig","crv":"P-256","kid":"{}","{}":"{}",)"
        R"("{}":"{}"}}]}})",
        rsa_ ? "RSA" : "EC", id_, rsa_ ? "n" : "x", Base64UrlEncode(a), rsa_ ? "e" : "y", Base64UrlEncode(b));
    answer.headers.Set("Cache-Control", "public, max-age=60");
    return answer;
  }

  std::string Sign(std::string_view claims) const {
    return SignJwt(*key_, fmt::format(R"({{"alg":"{}","kid":"{}"}})", key_->algorithm(), id_), claims);
  }

  bool down = false;
  int fetches = 0;
  int requests = 0;
  rt::Runtime* runtime = nullptr;  ///< answers take ten seconds of it

 private:
  const bool rsa_;
  std::unique_ptr<net::JwsKey> key_;
  std::string id_;
  size_t rotations_ = 0;
};

class World {
 public:
  World(rt::Runtime& runtime, OidcOptions options, bool rsa = true)
      : runtime_(runtime), provider(rsa), authenticator(runtime, provider, Prepare(std::move(options)), {"api"}) {}
  ~World() { authenticator.Stop(); }

  /// The user of a token with these claims besides issuer, audience and expiry, or why there is none.
  std::string Who(std::string_view claims) { return WhoHas(provider.Sign(Claims(claims))); }
  std::string WhoHas(const std::string& token) {
    const std::vector<std::string> audiences = {"api"};
    const auto owner = authenticator.Authenticate({runtime_, token, audiences});
    if (!owner.ok()) return owner.status().message();
    if (!owner->has_value()) return "nobody";
    const UserInfo& user = (*owner)->user;
    return user.name + " [" + Join(user.groups, ",") + "]";
  }
  std::string Claims(std::string_view more) const {
    return fmt::format(R"({{"iss":"{}","aud":["client"],"exp":{}{}{}}})", kIssuer, ToSeconds(runtime_.Wall()) + 300,
                       more.empty() ? "" : ",", more);
  }

 private:
  static OidcOptions Prepare(OidcOptions options) {
    options.issuer_url = kIssuer;
    options.client_id = "client";
    return options;
  }
  rt::Runtime& runtime_;

 public:
  Provider provider;
  OidcAuthenticator authenticator;
};

TEST(Oidc, ClaimsBecomeUsers) {
  struct Case {
    OidcOptions options;
    std::string_view claims;
    std::string_view who;
  };
  OidcOptions email;
  email.username_claim = "email";
  OidcOptions bare;
  bare.username_prefix = "-";
  bare.groups_claim = "groups";
  bare.groups_prefix = "g:";
  OidcOptions prefixed;
  prefixed.username_prefix = "u:";
  OidcOptions required;
  required.username_prefix = "-";
  required.required_claims = {{"hd", "example.com"}};
  const Case cases[] = {
      {{}, R"("sub":"ann")", "https://id.example/realm#ann []"},
      {{}, "", "oidc: parse username claims \"sub\": claim not present"},
      {{},
       R"("sub":7)",
       "oidc: parse username claims \"sub\": json: cannot unmarshal number into Go value of type string"},
      {email, R"("email":"a@b.c")", "a@b.c []"},
      {email, R"("email":"a@b.c","email_verified":true)", "a@b.c []"},
      {email, R"("email":"a@b.c","email_verified":false)", "oidc: email not verified"},
      {email, R"("email":"a@b.c","email_verified":"yes")",
       "oidc: parse 'email_verified' claim: json: cannot unmarshal string into Go value of type bool"},
      {bare, R"("sub":"ann","groups":["x","y"])", "ann [g:x,g:y]"},
      {bare, R"("sub":"ann","groups":"x")", "ann [g:x]"},
      {bare, R"("sub":"ann")", "ann []"},
      {bare, R"("sub":"ann","groups":{"x":1})",
       "oidc: parse groups claim \"groups\": json: cannot unmarshal object into Go value of type string"},
      {prefixed, R"("sub":"ann")", "u:ann []"},
      {required, R"("sub":"ann","hd":"example.com")", "ann []"},
      {required, R"("sub":"ann")", "oidc: required claim hd not present in ID token"},
      {required, R"("sub":"ann","hd":"other")",
       "oidc: required claim hd value does not match. Got = other, want = example.com"},
  };
  InSim([&](rt::Runtime& runtime) {
    for (const Case& test : cases) {
      World world(runtime, test.options);
      world.authenticator.Start();
      MUST(runtime.Sleep(1s));
      EXPECT_EQ(world.Who(test.claims), test.who) << test.claims;
    }
  });
}

TEST(Oidc, OnlyTheProvidersTokensForUsNow) {
  InSim([](rt::Runtime& runtime) {
    World world(runtime, {});
    world.authenticator.Start();
    MUST(runtime.Sleep(1s));
    const int64_t now = ToSeconds(runtime.Wall());
    const auto sign = [&](std::string_view issuer, std::string_view audience, int64_t expires, std::string_view more) {
      return world.provider.Sign(
          fmt::format(R"({{"iss":"{}","aud":"{}","exp":{},"sub":"a"{}}})", issuer, audience, expires, more));
    };
    EXPECT_EQ(world.WhoHas(sign(kIssuer, "client", now + 1, "")), "https://id.example/realm#a []");
    EXPECT_EQ(world.WhoHas(sign("https://other", "client", now + 1, "")), "nobody");
    EXPECT_EQ(world.WhoHas("a.b.c"), "nobody");
    EXPECT_EQ(world.WhoHas(sign(kIssuer, "other", now + 1, "")),
              "oidc: verify token: oidc: expected audience in [\"client\"] got [\"other\"]");
    EXPECT_NE(world.WhoHas(sign(kIssuer, "client", now - 1, "")).find("token is expired"), std::string::npos);
    EXPECT_EQ(world.WhoHas(sign(kIssuer, "client", now + 9, fmt::format(",\"nbf\":{}", now + 50))),
              "https://id.example/realm#a []");
    EXPECT_NE(world.WhoHas(sign(kIssuer, "client", now + 99, fmt::format(",\"nbf\":{}", now + 70))).find("nbf"),
              std::string::npos);
    std::string forged = sign(kIssuer, "client", now + 1, "");
    forged[forged.size() - 10] = forged[forged.size() - 10] == 'A' ? 'B' : 'A';
    EXPECT_EQ(world.WhoHas(forged),
              "oidc: verify token: failed to verify signature: failed to verify id token signature");
    // The audience of a review must be ours, too.
    const std::vector<std::string> others = {"x"};
    const std::string good = sign(kIssuer, "client", now + 1, "");
    EXPECT_FALSE(MUST(world.authenticator.Authenticate({runtime, good, others})).has_value());
  });
}

TEST(Oidc, KeysAreFetchedWhenTheyAreNewAndKeptWhenTheProviderIsAway) {
  InSim([](rt::Runtime& runtime) {
    World world(runtime, {.username_prefix = "-"});
    world.provider.down = true;
    world.authenticator.Start();
    MUST(runtime.Sleep(1s));
    EXPECT_EQ(world.Who(R"("sub":"a")"), "oidc: authenticator not initialized");
    world.provider.down = false;
    MUST(runtime.Sleep(11s));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(world.Who(R"("sub":"a")"), "a []");
    EXPECT_EQ(world.provider.fetches, 1);
    // A new key counts once the old keys may be out of date, and no unknown key makes us ask more often.
    world.provider.Rotate();
    EXPECT_NE(world.Who(R"("sub":"a")"), "a []");
    EXPECT_EQ(world.provider.fetches, 1);
    MUST(runtime.Sleep(61s));
    EXPECT_EQ(world.Who(R"("sub":"a")"), "a []");
    EXPECT_EQ(world.provider.fetches, 2);
    world.provider.down = true;
    MUST(runtime.Sleep(1h));
    EXPECT_EQ(world.Who(R"("sub":"a")"), "a []");
    world.provider.Rotate();
    EXPECT_EQ(
        world.Who(R"("sub":"a")"),
        "oidc: verify token: failed to verify signature: fetching keys oidc: get keys failed: connection refused");
  });
}

TEST(Oidc, WhoWaitsForAFetchThatFailsDoesNotMakeAnother) {
  InSim([](rt::Runtime& runtime) {
    World world(runtime, {.username_prefix = "-"});
    world.authenticator.Start();
    MUST(runtime.Sleep(1s));
    ASSERT_EQ(world.Who(R"("sub":"a")"), "a []");
    MUST(runtime.Sleep(61s));
    world.provider.Rotate();
    world.provider.down = true;
    world.provider.runtime = &runtime;
    world.provider.requests = 0;
    const std::string token = world.provider.Sign(world.Claims(R"("sub":"a")"));
    const MonoTime began = runtime.Mono();
    rt::TaskGroup group(runtime, "askers");
    for (int i = 0; i < 20; ++i) {
      group.Spawn("ask", [&] { EXPECT_NE(world.WhoHas(token).find("connection refused"), std::string::npos); });
    }
    group.Join();
    EXPECT_EQ(world.provider.requests, 1);
    EXPECT_EQ(runtime.Mono() - began, 10s);
    EXPECT_NE(world.WhoHas(token), "a []");
    EXPECT_EQ(world.provider.requests, 2);
    world.provider.down = false;
    EXPECT_EQ(world.WhoHas(token), "a []");
  });
}

TEST(Oidc, OtherSignaturesMustBeAllowed) {
  InSim([](rt::Runtime& runtime) {
    World refused(runtime, {.username_prefix = "-"}, false);
    refused.authenticator.Start();
    MUST(runtime.Sleep(1s));
    EXPECT_EQ(
        refused.Who(R"("sub":"a")"),
        "oidc: verify token: oidc: id token signed with unsupported algorithm, expected [\"RS256\"] got \"ES256\"");
    World allowed(runtime, {.username_prefix = "-", .signing_algorithms = {"RS256", "ES256"}}, false);
    allowed.authenticator.Start();
    MUST(runtime.Sleep(1s));
    EXPECT_EQ(allowed.Who(R"("sub":"a")"), "a []");
  });
}

TEST(Oidc, Options) {
  struct Case {
    OidcOptions options;
    std::string_view problem;
  };
  const Case cases[] = {
      {{.issuer_url = "https://a/b", .client_id = "c"}, ""},
      {{.issuer_url = "https://a"}, "oidc-issuer-url and oidc-client-id must be specified together"},
      {{.issuer_url = "http://a", .client_id = "c"}, "oidc-issuer-url: \"http://a\": URL scheme must be https"},
      {{.issuer_url = "https://a?b=c", .client_id = "c"}, "oidc-issuer-url: URL must not contain a query"},
      {{.issuer_url = "https://a", .client_id = "c", .signing_algorithms = {"none"}},
       "oidc-signing-algs: unsupported signing alg: \"none\""},
  };
  for (const Case& test : cases) {
    const Ok checked = CheckOidcOptions(test.options);
    EXPECT_EQ(checked.ok() ? "" : checked.status().message(), test.problem);
  }
}

}  // namespace
}  // namespace knarr::apiserver
