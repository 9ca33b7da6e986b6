#include "network/host_ports.h"

#include <gtest/gtest.h>

#include "network/network_fixture.h"

namespace knarr::network {
namespace {

TEST(HostPorts, AreKeptAsLinesAndClashByAddress) {
  const std::vector<PortMapping> ports = {{"TCP", "", 8080, 80}, {"UDP", "192.0.2.1", 53, 5353}};
  EXPECT_EQ(ToText(ports), "TCP 0.0.0.0 8080 80\nUDP 192.0.2.1 53 5353\n");
  EXPECT_EQ(ToText(MUST(ParsePortMappings(ToText(ports)))), ToText(ports));
  for (const char* bad : {"TCP 1.2.3.4 80\n", "TCP 1.2.3.4 80 99999\n", "TCP 1.2.3.4 x 80\n"}) {
    EXPECT_FALSE(ParsePortMappings(bad).ok()) << bad;
  }
  HostPorts host("table");
  const IpAddress pod = MUST(IpAddress::Parse("10.42.0.2"));
  EXPECT_TRUE(host.Set("one", pod, ports).ok());
  EXPECT_TRUE(host.Set("one", pod, ports).ok());
  EXPECT_TRUE(host.Set("two", pod, {{"TCP", "192.0.2.1", 8080, 80}}).Failed(Reason::kConflict));
  EXPECT_TRUE(host.Set("two", pod, {{"UDP", "192.0.2.2", 53, 53}, {"UDP", "", 8080, 80}}).ok());
  EXPECT_TRUE(host.Set("three", pod, {{"UDP", "", 53, 53}}).Failed(Reason::kConflict));
  EXPECT_TRUE(host.Set("three", pod, {{"ICMP", "", 53, 53}}).Failed(Reason::kBadRequest));
  EXPECT_TRUE(host.Set("three", pod, {{"TCP", "::1", 53, 53}}).Failed(Reason::kBadRequest));
}

class HostPortsTest : public NetworkTest {};

TEST_F(HostPortsTest, LeadToPodsFromEverywhere) {
  Run([&](rt::Runtime& runtime) {
    Shell("ip link add eth0 type veth peer name outside && ip addr add 192.0.2.1/24 dev eth0 && ip link set eth0 up");
    const Place client("client", true);
    Shell("ip link set outside netns " + std::to_string(client.pid()) + " && nsenter -t " +
          std::to_string(client.pid()) + " -n sh -c 'ip addr add 192.0.2.9/24 dev outside && ip link set outside up'");
    auto network = MUST(PodNetwork::Open(runtime, Options()));
    const Place one("one", true);
    const Place two("two", true);
    const std::string a = MUST(network->Attach("sandbox-1", one.netns())).ip;
    const std::string b = MUST(network->Attach("sandbox-2", two.netns())).ip;
    const std::vector<PortMapping> ports = {{"TCP", "", 18080, 8080}, {"UDP", "", 18080, 8080}};
    ASSERT_TRUE(network->MapPorts("sandbox-1", ports).ok());
    ASSERT_TRUE(network->MapPorts("sandbox-1", ports).ok());
    ASSERT_TRUE(network->MapPorts("sandbox-2", {{"TCP", "127.0.0.1", 18081, 8080}}).ok());
    EXPECT_TRUE(network->MapPorts("sandbox-2", {{"TCP", "127.0.0.1", 18080, 8080}}).Failed(Reason::kConflict));
    ASSERT_TRUE(network->MapPorts("sandbox-2", {{"TCP", "127.0.0.1", 18081, 8080}}).ok());

    const auto expect_led = [&] {
      EXPECT_EQ(Ask(client.netns(), "192.0.2.1", 18080), "one 192.0.2.9");
      EXPECT_EQ(Ask(client.netns(), "192.0.2.1", 18080, true), "one 192.0.2.9");
      EXPECT_EQ(Ask("", "192.0.2.1", 18080), "one 10.42.0.1");
      EXPECT_EQ(Ask("", "127.0.0.1", 18080), "one 10.42.0.1");
      EXPECT_EQ(Ask(two.netns(), "192.0.2.1", 18080), "one " + b);
      EXPECT_EQ(Ask(one.netns(), "192.0.2.1", 18080), "one 10.42.0.1");
      EXPECT_EQ(Ask("", "127.0.0.1", 18081), "two 10.42.0.1");
      EXPECT_EQ(Ask("", "192.0.2.1", 18081), "ECONNREFUSED");
    };
    expect_led();
    // Another process takes over: nobody notices.
    network = MUST(PodNetwork::Open(runtime, Options()));
    expect_led();
    // Others may take our rules away: the next change brings back what is missing.
    Shell("nft flush ruleset");
    ASSERT_TRUE(network->MapPorts("sandbox-2", {{"TCP", "127.0.0.1", 18081, 8080}, {"TCP", "", 18082, 8080}}).ok());
    EXPECT_EQ(Ask("", "192.0.2.1", 18080), "one 10.42.0.1");
    EXPECT_EQ(Ask("", "192.0.2.1", 18082), "two 10.42.0.1");
    Shell("nft flush ruleset");
    ASSERT_TRUE(network->Detach("sandbox-1").ok());
    EXPECT_EQ(Output("ls " + Options().state_directory + "/host-ports"), "sandbox-2\n");
    EXPECT_EQ(Ask("", "192.0.2.1", 18080), "ECONNREFUSED");
    EXPECT_EQ(Ask("", "127.0.0.1", 18081), "two 10.42.0.1");
    ASSERT_TRUE(network->Retain({}).ok());
    EXPECT_EQ(Output("nft list table knarr-host-ports | grep -c port/"), "0\n");
    ASSERT_TRUE(RemoveNetwork(runtime, Options()).ok());
    EXPECT_EQ(Output("nft list tables"), "");
  });
}

}  // namespace
}  // namespace knarr::network
