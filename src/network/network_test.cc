// Pods' links and Services' rules in the real kernel, inside a network namespace of the test's own.

#include <filesystem>
#include <fstream>
#include <set>

#include "network/links.h"
#include "network/network_fixture.h"
#include "network/service_table.h"
#include "network/testing_services.h"
#include "rt/file_system.h"

namespace knarr::network {
namespace {

TEST_F(NetworkTest, PodsReachEachOtherAndTheHost) {
  Run([&](rt::Runtime& runtime) {
    const auto network = PodNetwork::Open(runtime, Options());
    ASSERT_TRUE(network.ok()) << network.status().message();
    const Place host("host", false);
    const Place one("one", true);
    const Place two("two", true);
    const auto a = (*network)->Attach("sandbox-1", one.netns());
    ASSERT_TRUE(a.ok()) << a.status().message();
    const auto b = (*network)->Attach("sandbox-2", two.netns());
    ASSERT_TRUE(b.ok()) << b.status().message();
    EXPECT_EQ(a->ip, "10.42.0.2");
    EXPECT_EQ(a->gateway, "10.42.0.1");
    EXPECT_EQ(b->ip, "10.42.0.3");
    EXPECT_EQ(Ask(one.netns(), b->ip, 8080), "two " + a->ip);
    EXPECT_EQ(Ask(two.netns(), a->ip, 8080), "one " + b->ip);
    EXPECT_EQ(Ask("", a->ip, 8080), "one 10.42.0.1");
    EXPECT_EQ(Ask(one.netns(), a->gateway, 8080), "host " + a->ip);
    EXPECT_EQ(Ask(one.netns(), "127.0.0.1", 8080), "one 127.0.0.1");

    // Again is the same; a new owner of the address is reached at once.
    EXPECT_EQ((*network)->Attach("sandbox-1", one.netns())->ip, a->ip);
    EXPECT_TRUE((*network)->Detach("sandbox-1").ok());
    EXPECT_TRUE((*network)->Detach("sandbox-1").ok());
    EXPECT_NE(Ask(two.netns(), a->ip, 8080), "one " + b->ip);

    // Another process takes over.
    const auto again = PodNetwork::Open(runtime, Options());
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(Ask("", b->ip, 8080), "two 10.42.0.1");
    EXPECT_EQ((*again)->Attach("sandbox-2", two.netns())->ip, b->ip);
    // One that has its address keeps it when it can't be looked at: nobody else may get it.
    EXPECT_FALSE((*again)->Attach("sandbox-2", "/proc/1/ns/nothing").ok());
    EXPECT_EQ((*again)->Attach("sandbox-2", two.netns())->ip, b->ip);
    const Place three("three", true);
    const auto c = (*again)->Attach("sandbox-3", three.netns());
    ASSERT_TRUE(c.ok()) << c.status().message();
    EXPECT_EQ(c->ip, "10.42.0.4");
    EXPECT_TRUE((*again)->Retain({"sandbox-3"}).ok());
    EXPECT_NE(Ask("", b->ip, 8080), "two 10.42.0.1");
    EXPECT_EQ(Ask("", c->ip, 8080), "three 10.42.0.1");

    // A namespace that is gone is an error, and costs no address.
    EXPECT_TRUE((*again)->Attach("sandbox-4", "/proc/1/ns/nothing").Failed(Reason::kNotFound));

    EXPECT_TRUE(RemoveNetwork(runtime, Options()).ok());
    EXPECT_TRUE(RemoveNetwork(runtime, Options()).ok());
    EXPECT_EQ(Output("nft list tables"), "");
    EXPECT_EQ(Output("ip -br link | grep -v '^lo' | grep -v '^ifb'"), "");
    EXPECT_EQ(Output("ip route"), "");
    EXPECT_FALSE(std::filesystem::exists(state_ + "/leases"));
    EXPECT_EQ(Output("cat /proc/sys/net/ipv4/conf/all/send_redirects"), "1\n");
  });
}

TEST_F(NetworkTest, ClustersOfOneNamespaceKeepApart) {
  Run([&](rt::Runtime& runtime) {
    PodNetworkOptions one = Options();
    one.state_directory = state_ + "/one";
    PodNetworkOptions two = Options();
    two.state_directory = state_ + "/two";
    two.instance = "-two";
    const auto first = PodNetwork::Open(runtime, one);
    ASSERT_TRUE(first.ok()) << first.status().message();
    const auto refused = [&](const std::string& words) {
      const auto second = PodNetwork::Open(runtime, two);
      EXPECT_TRUE(second.Failed(Reason::kConflict)) << words;
      EXPECT_NE(second.status().message().find(words), std::string::npos) << second.status().message();
      EXPECT_NE(second.status().message().find(one.state_directory), std::string::npos);
    };
    refused("the bridge image0 belongs to the cluster");
    two.bridge = "image1";
    refused("10.42.0.0/24 is in use");
    two.pod_cidr = "10.52.0.0/24";
    two.cluster_cidr = "10.52.0.0/16";
    refused("10.43.0.0/16 is in use");
    two.service_cidr = "10.53.0.0/16";
    {
      const auto second = PodNetwork::Open(runtime, two);
      ASSERT_TRUE(second.ok()) << second.status().message();
    }
    EXPECT_EQ(Output("nft list tables"),
              "table ip knarr-pods\ntable ip knarr-host-ports\n"
              "table ip knarr-pods-two\ntable ip knarr-host-ports-two\n");

    // Each takes away its own, and only the last what they share.
    EXPECT_TRUE(RemoveNetwork(runtime, one).ok());
    EXPECT_EQ(Output("nft list tables"), "table ip knarr-pods-two\ntable ip knarr-host-ports-two\n");
    const auto bridges = [] { return Output("ip -br link show type bridge | cut -d' ' -f1"); };
    EXPECT_EQ(bridges(), "image1\n");
    EXPECT_EQ(Output("cat /proc/sys/net/ipv4/conf/all/send_redirects"), "0\n");
    // A folder that is gone has no say: its bridge is taken over.
    std::filesystem::remove_all(two.state_directory);
    one.bridge = "image1";
    {
      const auto over = PodNetwork::Open(runtime, one);
      ASSERT_TRUE(over.ok()) << over.status().message();
    }
    EXPECT_TRUE(RemoveNetwork(runtime, two).ok());
    EXPECT_EQ(bridges(), "image1\n");
    EXPECT_TRUE(RemoveNetwork(runtime, one).ok());
    EXPECT_EQ(Output("nft list tables"), "");
    EXPECT_EQ(bridges(), "");
  });
}

TEST_F(NetworkTest, AttachIsQuick) {
  Run([&](rt::Runtime& runtime) {
    const auto took = [&](MonoTime start) {
      return std::chrono::duration<double, std::milli>(runtime.Mono() - start).count();
    };
    const MonoTime opening = runtime.Mono();
    const auto network = PodNetwork::Open(runtime, Options());
    ASSERT_TRUE(network.ok()) << network.status().message();
    std::printf("open: %.2f ms\n", took(opening));
    std::vector<std::unique_ptr<Place>> places;
    for (int i = 0; i < 20; ++i) places.push_back(std::make_unique<Place>("p", true));
    std::vector<double> times;
    for (size_t i = 0; i < places.size(); ++i) {
      const MonoTime start = runtime.Mono();
      ASSERT_TRUE((*network)->Attach("s" + std::to_string(i), places[i]->netns()).ok());
      times.push_back(took(start));
    }
    std::sort(times.begin(), times.end());
    const MonoTime closing = runtime.Mono();
    for (size_t i = 0; i < places.size(); ++i) ASSERT_TRUE((*network)->Detach("s" + std::to_string(i)).ok());
    std::printf("detach: mean %.2f ms\n", took(closing) / static_cast<double>(places.size()));
    std::printf("attach: median %.2f ms, most %.2f ms\n", times[times.size() / 2], times.back());
    EXPECT_LT(times[times.size() / 2], 20);
  });
}

// A cluster of this node, three pods and a client outside; Services as YAML.
class ServiceTest : public NetworkTest {
 protected:
  void Start(rt::Runtime& runtime, const std::string& yaml) {
    network_ = MUST(PodNetwork::Open(runtime, Options()));
    for (const char* name : {"a", "b", "c"}) {
      pods_.push_back(std::make_unique<Place>(name, true));
      (void)MUST(network_->Attach(name, pods_.back()->netns()));
    }
    // The world outside: 192.168.9.2, with the node at 192.168.9.1.
    outside_ = std::make_unique<Place>("outside", true);
    const std::string pid = std::to_string(outside_->pid());
    Shell("ip link add image-out type veth peer name eth0 netns " + pid);
    Shell("ip addr add 192.168.9.1/24 dev image-out && ip link set image-out up");
    Shell("nsenter -t " + pid +
          " -n sh -c 'ip addr add 192.168.9.2/24 dev eth0 && ip link set eth0 up && "
          "ip link set lo up && ip route add default via 192.168.9.1'");
    table_ = std::make_unique<ServiceTable>(ServiceContext{.table = "knarr-services",
                                                           .cluster = MUST(Cidr::Parse("10.42.0.0/16")),
                                                           .node_name = "here",
                                                           .service_network = "10.43.0.0/16"});
    const Ok loaded = LoadServices(yaml, *table_);
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    const Ok committed = Commit(runtime, table_->Rebuild());
    ASSERT_TRUE(committed.ok()) << committed.status().message();
  }
  std::string Pod(size_t index) const { return pods_[index]->netns(); }
  static std::string Ip(size_t index) { return "10.42.0." + std::to_string(2 + index); }
  // Who answers, over many connections.
  static std::set<std::string> Names(const std::string& netns, const std::string& ip, int port, bool udp = false) {
    std::set<std::string> out;
    for (int i = 0; i < 20; ++i) {
      const std::string answer = Ask(netns, ip, port, udp);
      out.insert(answer.substr(0, answer.find(' ')));
    }
    return out;
  }
  std::unique_ptr<PodNetwork> network_;
  std::vector<std::unique_ptr<Place>> pods_;
  std::unique_ptr<Place> outside_;
  std::unique_ptr<ServiceTable> table_;
};

std::string Slice(const std::string& service, const std::string& endpoints) {
  return "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + service +
         "-1, namespace: d, labels: {kubernetes.io/service-name: " + service +
         "}}\naddressType: IPv4\nports: [{name: t, port: 8080, protocol: TCP}, {name: u, port: 8080, protocol: UDP}]\n"
         "endpoints: [" +
         endpoints + "]\n";
}

std::string Service(const std::string& name, const std::string& ip, int node_port, const std::string& more = "") {
  const std::string port = node_port > 0 ? ", nodePort: " + std::to_string(node_port) : "";
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name +
         ", namespace: d}\nspec: {type: " + (node_port > 0 ? "NodePort" : "ClusterIP") + ", clusterIP: " + ip +
         ", ports: [{name: t, port: 80" + port + "}, {name: u, port: 80, protocol: UDP}]" + more + "}\n";
}

constexpr const char* kAB = "{addresses: [10.42.0.2], nodeName: here}, {addresses: [10.42.0.3], nodeName: here}";

using Set = std::set<std::string>;

TEST_F(ServiceTest, AnswersEverywhere) {
  Run([&](rt::Runtime& runtime) {
    Start(runtime, Service("web", "10.43.0.10", 30080) + Slice("web", kAB) + Service("none", "10.43.0.11", 30081) +
                       Service("self", "10.43.0.12", 0) + Slice("self", "{addresses: [10.42.0.4], nodeName: here}"));
    EXPECT_EQ(Names(Pod(2), "10.43.0.10", 80), (Set{"a", "b"}));
    EXPECT_EQ(Names(Pod(2), "10.43.0.10", 80, true), (Set{"a", "b"}));
    EXPECT_EQ(Names("", "10.43.0.10", 80), (Set{"a", "b"}));
    EXPECT_EQ(Names(Pod(0), "10.43.0.10", 80), (Set{"a", "b"}));  // one of them is itself
    EXPECT_EQ(Ask(Pod(2), "10.43.0.12", 80), "c 10.42.0.1");      // to itself: masqueraded
    EXPECT_EQ(Ask(Pod(0), "10.43.0.12", 80), "c 10.42.0.2");      // otherwise the client's address is kept
    for (const char* ip : {"192.168.9.1", "10.42.0.1"}) {
      EXPECT_EQ(Names("", ip, 30080), (Set{"a", "b"})) << ip;
      EXPECT_EQ(Names(Pod(2), ip, 30080), (Set{"a", "b"})) << ip;
    }
    EXPECT_EQ(Names("", "127.0.0.1", 30080), (Set{"a", "b"}));
    EXPECT_EQ(Names(outside_->netns(), "192.168.9.1", 30080), (Set{"a", "b"}));
    EXPECT_EQ(Ask(outside_->netns(), "192.168.9.1", 30080).substr(1), " 10.42.0.1");

    // Nobody there: refused at once, everywhere.
    for (const std::string& from : {std::string(), Pod(0)}) {
      EXPECT_EQ(Ask(from, "10.43.0.11", 80), "ECONNREFUSED") << from;
      EXPECT_EQ(Ask(from, "10.43.0.10", 81), "ECONNREFUSED") << from;
      EXPECT_EQ(Ask(from, "10.43.77.77", 80), "ECONNREFUSED");
      EXPECT_EQ(Ask(from, "192.168.9.1", 30081), "ECONNREFUSED");
    }
    EXPECT_EQ(Ask(outside_->netns(), "192.168.9.1", 30081), "ECONNREFUSED");
    // What listens on the node's 127.0.0.1 is not for pods.
    const Place host("host", false);
    Shell("nsenter -t " + std::to_string(pods_[0]->pid()) +
          " -n ip route add 127.0.0.0/8 via 10.42.0.1 dev eth0 onlink table 7 && nsenter -t " +
          std::to_string(pods_[0]->pid()) + " -n ip rule add to 127.0.0.2 lookup 7 pref 0");
    EXPECT_NE(Ask(Pod(0), "127.0.0.2", 8080).substr(0, 4), "host");

    // One endpoint goes, one comes: an update, not a rebuild.
    ASSERT_TRUE(LoadServices(Service("web", "10.43.0.10", 30080) +
                                 Slice("web", "{addresses: [10.42.0.3]}, {addresses: [10.42.0.4]}"),
                             *table_)
                    .ok());
    table_->Set("d/none", {});
    const Ok updated = Commit(runtime, table_->Update());
    ASSERT_TRUE(updated.ok()) << updated.status().message();
    EXPECT_EQ(Names(Pod(0), "10.43.0.10", 80), (Set{"b", "c"}));
    EXPECT_EQ(Names(outside_->netns(), "192.168.9.1", 30080), (Set{"b", "c"}));
    // The kernel has what an anew built table would have.
    const std::string before = Output("nft list table ip knarr-services | grep -v elements");
    ASSERT_TRUE(Commit(runtime, table_->Rebuild()).ok());
    EXPECT_EQ(std::count(before.begin(), before.end(), '\n'), [&] {
      const std::string after = Output("nft list table ip knarr-services | grep -v elements");
      return std::count(after.begin(), after.end(), '\n');
    }());
    table_->Set("d/web", {});
    table_->Set("d/self", {});
    ASSERT_TRUE(Commit(runtime, table_->Update()).ok());
    EXPECT_EQ(Ask(Pod(0), "10.43.0.10", 80), "ECONNREFUSED");
    EXPECT_EQ(Output("nft list table ip knarr-services | grep -c d/"), "0\n");
  });
}

// Docker and Kubernetes switch br_netfilter on, other machines have it off: packets take other ways through the kernel.
TEST_F(ServiceTest, AnswersWithAndWithoutBridgeFilter) {
  const std::string setting = "/proc/sys/net/bridge/bridge-nf-call-iptables";
  if (!std::filesystem::exists(setting)) GTEST_SKIP() << "needs br_netfilter";
  Run([&](rt::Runtime& runtime) {
    Start(runtime, Service("web", "10.43.0.10", 30080) + Slice("web", kAB) + Service("self", "10.43.0.12", 0) +
                       Slice("self", "{addresses: [10.42.0.4], nodeName: here}"));
    for (const char* value : {"0", "1"}) {
      std::ofstream(setting) << value;
      EXPECT_EQ(Names(Pod(2), "10.43.0.10", 80), (Set{"a", "b"})) << value;
      EXPECT_EQ(Names("", "127.0.0.1", 30080), (Set{"a", "b"})) << value;
      EXPECT_EQ(Ask(Pod(2), "10.43.0.12", 80), "c 10.42.0.1") << value;
      EXPECT_EQ(Ask(Pod(0), "10.43.0.12", 80), "c 10.42.0.2") << value;
      EXPECT_EQ(Ask(Pod(0), "10.43.0.10", 81), "ECONNREFUSED") << value;
    }
  });
}

TEST_F(ServiceTest, KeepsClientsWithTheirEndpoint) {
  Run([&](rt::Runtime& runtime) {
    const std::string sticky = ", sessionAffinity: ClientIP";
    Start(runtime, Service("web", "10.43.0.10", 30080, sticky) + Slice("web", kAB));
    const Set first = Names(Pod(2), "10.43.0.10", 80);
    EXPECT_TRUE(first == Set{"a"} || first == Set{"b"}) << *first.begin();
    const Set out = Names(outside_->netns(), "192.168.9.1", 30080);
    EXPECT_TRUE(out == Set{"a"} || out == Set{"b"}) << *out.begin();
    // Its endpoint goes: the client is moved, and stays again.
    const std::string other = first == Set{"a"} ? "10.42.0.3" : "10.42.0.2";
    ASSERT_TRUE(LoadServices(Service("web", "10.43.0.10", 30080, sticky) +
                                 Slice("web", "{addresses: [" + other + "]}, {addresses: [10.42.0.4]}"),
                             *table_)
                    .ok());
    ASSERT_TRUE(Commit(runtime, table_->Update()).ok());
    const Set moved = Names(Pod(2), "10.43.0.10", 80);
    EXPECT_NE(moved, first);
    EXPECT_TRUE(moved == Set{"a"} || moved == Set{"b"} || moved == Set{"c"}) << *moved.begin();
    table_->Set("d/web", {});
    const Ok removed = Commit(runtime, table_->Update());
    EXPECT_TRUE(removed.ok()) << removed.status().message();
  });
}

TEST_F(ServiceTest, FollowsTrafficPolicies) {
  Run([&](rt::Runtime& runtime) {
    const std::string local = ", externalTrafficPolicy: Local";
    const std::string mixed = "{addresses: [10.42.0.2], nodeName: here}, {addresses: [10.42.0.3], nodeName: there}";
    const std::string remote = "{addresses: [10.42.0.3], nodeName: there}";
    Start(runtime, Service("kept", "10.43.0.10", 30080, local) + Slice("kept", mixed) +
                       Service("away", "10.43.0.11", 30081, local) + Slice("away", remote) +
                       Service("inner", "10.43.0.12", 0, ", internalTrafficPolicy: Local") + Slice("inner", mixed) +
                       Service("lost", "10.43.0.13", 0, ", internalTrafficPolicy: Local") + Slice("lost", remote));
    EXPECT_EQ(Names(outside_->netns(), "192.168.9.1", 30080), (Set{"a"}));
    EXPECT_EQ(Ask(outside_->netns(), "192.168.9.1", 30080), "a 192.168.9.2");  // the client's own address
    EXPECT_EQ(Names(Pod(2), "192.168.9.1", 30080), (Set{"a", "b"}));
    EXPECT_EQ(Names("", "192.168.9.1", 30080), (Set{"a", "b"}));
    EXPECT_EQ(Ask(outside_->netns(), "192.168.9.1", 30081), "timeout");
    EXPECT_EQ(Ask("", "192.168.9.1", 30081).substr(0, 1), "b");
    EXPECT_EQ(Names(Pod(2), "10.43.0.10", 80), (Set{"a", "b"}));
    EXPECT_EQ(Names(Pod(2), "10.43.0.12", 80), (Set{"a"}));
    EXPECT_EQ(Ask(Pod(2), "10.43.0.13", 80), "timeout");
  });
}

// One socket, one sender: connection tracking would lead it to the endpoint that is gone for as long as it sends.
TEST_F(ServiceTest, MovesUdpSenders) {
  Run([&](rt::Runtime& runtime) {
    Start(runtime, Service("u", "10.43.0.10", 0) + Slice("u", "{addresses: [10.42.0.2], nodeName: here}"));
    EXPECT_EQ(table_->TakeChangedUdp().size(), 1u);
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    const sockaddr_in to = SocketAddress("10.43.0.10", 80);
    const timeval limit{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    const auto ask = [&] {
      std::array<char, 100> text{};
      (void)send(fd, "x", 1, 0);
      const ssize_t size = recv(fd, text.data(), text.size(), 0);
      return std::string(text.data(), size > 0 ? 1 : 0);
    };
    EXPECT_EQ(ask(), "a");
    ASSERT_TRUE(
        LoadServices(Service("u", "10.43.0.10", 0) + Slice("u", "{addresses: [10.42.0.3], nodeName: here}"), *table_)
            .ok());
    ASSERT_TRUE(Commit(runtime, table_->Update()).ok());
    EXPECT_EQ(ask(), "a");  // as it is without
    const auto targets = table_->TakeChangedUdp();
    ASSERT_EQ(targets.size(), 1u);
    const auto forgotten = ForgetStaleUdp(*socket_, targets);
    ASSERT_TRUE(forgotten.ok()) << forgotten.status().message();
    EXPECT_EQ(*forgotten, 1u);
    EXPECT_EQ(ask(), "b");
    EXPECT_EQ(*ForgetStaleUdp(*socket_, targets), 0u);
    close(fd);
  });
}

TEST_F(ServiceTest, ManyServicesCostLittle) {
  Run([&](rt::Runtime& runtime) {
    std::string yaml;
    for (int i = 0; i < 500; ++i) {
      const std::string name = "s" + std::to_string(i);
      yaml +=
          Service(name, "10.43." + std::to_string(1 + i / 250) + "." + std::to_string(i % 250), 0) + Slice(name, kAB);
    }
    Start(runtime, "");
    ASSERT_TRUE(LoadServices(yaml, *table_).ok());
    MonoTime start = runtime.Mono();
    const Ok built = Commit(runtime, table_->Update());
    ASSERT_TRUE(built.ok()) << built.status().message();
    std::printf("500 services with 1000 ports: %.2f ms\n",
                std::chrono::duration<double, std::milli>(runtime.Mono() - start).count());
    EXPECT_EQ(Names(Pod(2), "10.43.2.249", 80), (Set{"a", "b"}));
    std::vector<double> times;
    for (int i = 0; i < 20; ++i) {
      start = runtime.Mono();
      ASSERT_TRUE(
          LoadServices(Service("s7", "10.43.1.7", 0) + Slice("s7", i % 2 == 0 ? "{addresses: [10.42.0.4]}" : kAB),
                       *table_)
              .ok());
      ASSERT_TRUE(Commit(runtime, table_->Update()).ok());
      times.push_back(std::chrono::duration<double, std::milli>(runtime.Mono() - start).count());
    }
    std::sort(times.begin(), times.end());
    std::printf("one change among 500: median %.2f ms\n", times[times.size() / 2]);
  });
}

}  // namespace
}  // namespace knarr::network
