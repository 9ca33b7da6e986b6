#include "node/dns.h"

#include <gtest/gtest.h>

#include "doc/json.h"
#include "node/admission.h"
#include "node/pull_secrets.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

TEST(Dns, FollowsThePolicy) {
  struct Case {
    const char* spec;
    std::vector<std::string> cluster;
    const char* text;
    bool fell_back = false;
  };
  const Case cases[] = {
      {R"("dnsPolicy":"Default")",
       {"10.43.0.10"},
       "search a.example\nnameserver 192.0.2.53\noptions ndots:1 rotate\n"},
      {R"("dnsPolicy":"ClusterFirst")",
       {},
       "search a.example\nnameserver 192.0.2.53\noptions ndots:1 rotate\n",
       true},
      {R"("dnsPolicy":"ClusterFirst")",
       {"10.43.0.10"},
       "search ns.svc.cluster.local svc.cluster.local cluster.local a.example\nnameserver 10.43.0.10\n"
       "options ndots:5\n"},
      {R"("dnsPolicy":"ClusterFirst","hostNetwork":true)",
       {"10.43.0.10"},
       "search a.example\nnameserver 192.0.2.53\noptions ndots:1 rotate\n"},
      {R"("dnsPolicy":"ClusterFirstWithHostNet","hostNetwork":true)",
       {"10.43.0.10"},
       "search ns.svc.cluster.local svc.cluster.local cluster.local a.example\nnameserver 10.43.0.10\n"
       "options ndots:5\n"},
      {R"("dnsPolicy":"None","dnsConfig":{"nameservers":["192.0.2.1"],"options":[{"name":"edns0"}]})",
       {},
       "nameserver 192.0.2.1\noptions edns0\n"},
      {R"("dnsPolicy":"Default","dnsConfig":{"nameservers":["192.0.2.53","192.0.2.1"],"searches":["b.example"],
          "options":[{"name":"ndots","value":"3"}]})",
       {},
       "search a.example b.example\nnameserver 192.0.2.53\nnameserver 192.0.2.1\noptions ndots:3 rotate\n"},
  };
  for (const Case& c : cases) {
    const doc::Document pod =
        MUST(doc::ParseJson(std::string(R"({"metadata":{"namespace":"ns"},"spec":{)") + c.spec + "}}"));
    const ResolverConfig node = ParseResolverConfig(
        "# made by hand\nnameserver 192.0.2.53\nsearch old\nsearch a.example. .\noptions ndots:1 rotate\nnameserver\n");
    const PodDns dns = DnsOf(Pod(pod.root), node, c.cluster);
    EXPECT_EQ(ToText(dns.config), c.text) << c.spec;
    EXPECT_EQ(dns.fell_back, c.fell_back) << c.spec;
    EXPECT_TRUE(dns.warnings.empty());
  }
}

TEST(Dns, GivesResolversNoMoreThanTheyTake) {
  const doc::Document pod = MUST(doc::ParseJson(
      R"({"spec":{"dnsPolicy":"None","dnsConfig":{"nameservers":["1.1.1.1","1.1.1.2","1.1.1.3","1.1.1.4"]}}})"));
  ResolverConfig node;
  const PodDns dns = DnsOf(Pod(pod.root), node, {});
  EXPECT_EQ(dns.config.servers.size(), 3U);
  ASSERT_EQ(dns.warnings.size(), 1U);
  EXPECT_EQ(dns.warnings[0],
            "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: "
            "1.1.1.1 1.1.1.2 1.1.1.3");
  const doc::Document plain = MUST(doc::ParseJson(R"({"spec":{"dnsPolicy":"Default"}})"));
  for (int i = 0; i < 40; ++i) node.searches.push_back(std::string(100, 'a') + std::to_string(i));
  const PodDns many = DnsOf(Pod(plain.root), node, {});
  EXPECT_EQ(many.config.searches.size(), 19U);
  EXPECT_EQ(many.warnings.size(), 1U);
}

TEST(Admission, RefusesWhatThisNodeDoesNotHave) {
  struct Case {
    const char* spec;
    const char* message;
  };
  const Case cases[] = {
      {R"({})", ""},
      {R"({"securityContext":{"sysctls":[{"name":"net/ipv4/tcp_syncookies"}]}})", ""},
      {R"({"securityContext":{"sysctls":[{"name":"kernel.sem"}]}})",
       "forbidden sysctl: \"kernel.sem\" not allowlisted"},
      {R"({"hostNetwork":true,"securityContext":{"sysctls":[{"name":"net.ipv4.tcp_rmem"}]}})",
       "forbidden sysctl: \"net.ipv4.tcp_rmem\" not allowed with host Net enabled"},
      {R"({"hostIPC":true,"securityContext":{"sysctls":[{"name":"kernel.shm_rmid_forced"}]}})",
       "forbidden sysctl: \"kernel.shm_rmid_forced\" not allowed with host IPC enabled"},
      {R"({"containers":[{"securityContext":{"appArmorProfile":{"type":"RuntimeDefault"}}}]})",
       "Cannot enforce AppArmor: AppArmor is not enabled on the host"},
      {R"({"securityContext":{"appArmorProfile":{"type":"Unconfined"}}})", ""},
  };
  for (const Case& c : cases) {
    const doc::Document pod = MUST(doc::ParseJson(std::string(R"({"spec":)") + c.spec + "}"));
    const auto refused = Refuse(Pod(pod.root), false);
    EXPECT_EQ(refused ? refused->message : "", c.message);
  }
  EXPECT_EQ(NormalSysctlName("net/ipv4/conf/eno2.100/rp_filter"), "net.ipv4.conf.eno2/100.rp_filter");
  EXPECT_EQ(NormalSysctlName("net.ipv4.conf.eno2/100.rp_filter"), "net.ipv4.conf.eno2/100.rp_filter");
}

TEST(PullSecrets, MostParticularFirst) {
  // {"auths":{"https://index.docker.io/v1/":{"auth":"aHViOm9uZQ=="},"r.example":{"username":"u","password":"two"},
  //  "r.example/team":{"username":"u","password":"three"},"*.x.example:5000":{"username":"u","password":"four"}}}
  const char* json = R"({"data":{".dockerconfigjson":")"
                     "eyJhdXRocyI6eyJodHRwczovL2luZGV4LmRvY2tlci5pby92MS8iOnsiYXV0aCI6ImFIVmlPbTl1WlE9PSJ9LCJyLmV4YW1w"
                     "bGUiOnsidXNlcm5hbWUiOiJ1IiwicGFzc3dvcmQiOiJ0d28ifSwici5leGFtcGxlL3RlYW0iOnsidXNlcm5hbWUiOiJ1Iiwi"
                     "cGFzc3dvcmQiOiJ0aHJlZSJ9LCIqLnguZXhhbXBsZTo1MDAwIjp7InVzZXJuYW1lIjoidSIsInBhc3N3b3JkIjoiZm91ciJ9"
                     "fX0="
                     R"("}})";
  const doc::Document secret = MUST(doc::ParseJson(json));
  PullSecrets secrets;
  ASSERT_TRUE(secrets.Add(api::core_v1::Secret(secret.root)).ok());
  const auto passwords = [&](const char* repository) {
    std::string out;
    for (const PullCredential& credential : secrets.For(repository)) out += credential.password + " ";
    return out;
  };
  EXPECT_EQ(passwords("docker.io/library/nginx"), "one ");
  EXPECT_EQ(passwords("r.example/other/app"), "two ");
  EXPECT_EQ(passwords("r.example/team/app"), "three two ");
  EXPECT_EQ(passwords("a.x.example:5000/app"), "four ");
  EXPECT_EQ(passwords("a.b.x.example:5000/app"), "");
  EXPECT_EQ(passwords("a.x.example/app"), "");
}

}  // namespace
}  // namespace knarr::node
