#include "base/ip.h"

#include <gtest/gtest.h>

namespace knarr {
namespace {

IpAddress A(std::string_view text) { return MUST(IpAddress::Parse(text)); }  // the tests' own texts
Cidr C(std::string_view text) { return MUST(Cidr::Parse(text)); }

TEST(IpTest, ParsesAndPrints) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"0:0:1:0:0:0:0:0", "0:0:1::"},
      {"::ffff:1.2.3.4", "::ffff:1.2.3.4"},
      {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
  };
  for (const auto& [text, canonical] : cases) {
    EXPECT_EQ(A(text).ToString(), canonical);
    EXPECT_EQ(A(canonical), A(text));
  }
}

TEST(IpTest, Refuses) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", R"(ParseAddr(""): unable to parse IP)"},
      {"01.2.3.4", R"(ParseAddr("01.2.3.4"): IPv4 field has octet with leading zero)"},
      {"1.2.3", R"(ParseAddr("1.2.3"): IPv4 address too short)"},
      {"1.2.3.4.5", R"(ParseAddr("1.2.3.4.5"): IPv4 address too long)"},
      {"1.2.3.256", R"(ParseAddr("1.2.3.256"): IPv4 field has value >255)"},
      {"1.2.3.x", R"(ParseAddr("1.2.3.x"): unexpected character (at "x"))"},
      {"1::2::3", R"(ParseAddr("1::2::3"): multiple :: in address (at ":3"))"},
      {"1:2:3:4:5:6:7:8:9", R"(ParseAddr("1:2:3:4:5:6:7:8:9"): trailing garbage after address (at "9"))"},
      {"12345::", R"(ParseAddr("12345::"): each group must have 4 or less digits (at "12345::"))"},
      {"1:2", R"(ParseAddr("1:2"): address string too short)"},
      {"fe80::1%eth0", R"(ParseAddr("fe80::1%eth0"): zones are not allowed)"},
      {"1:2:3:4:5:6:7::8", R"(ParseAddr("1:2:3:4:5:6:7::8"): the :: must expand to at least one field of zeros)"},
  };
  for (const auto& [text, message] : cases) {
    const Result<IpAddress> address = IpAddress::Parse(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.status().message(), message);
  }
}

TEST(IpTest, Kinds) {
  EXPECT_TRUE(A("127.0.0.1").IsLoopback());
  EXPECT_TRUE(A("::1").IsLoopback());
  EXPECT_FALSE(A("::2").IsLoopback());
  EXPECT_TRUE(A("224.0.0.1").IsLinkLocalMulticast());
  EXPECT_TRUE(A("ff02::1").IsLinkLocalMulticast());
  EXPECT_TRUE(A("239.1.1.1").IsMulticast());
  EXPECT_TRUE(A("169.254.1.1").IsLinkLocalUnicast());
  EXPECT_TRUE(A("fe80::1").IsLinkLocalUnicast());
  EXPECT_TRUE(A("0.0.0.0").IsUnspecified());
  EXPECT_EQ(A("::ffff:1.2.3.4").Unmap(), A("1.2.3.4"));
}

TEST(IpTest, Counts) {
  EXPECT_EQ((A("10.0.0.255") + 1).ToString(), "10.0.1.0");
  EXPECT_EQ((A("255.255.255.255") + 1).ToString(), "0.0.0.0");
  EXPECT_EQ((A("::ffff:ffff:ffff:ffff") + 1).ToString(), "0:0:0:1::");
  EXPECT_EQ((A("::1") + UINT64_MAX).ToString(), "0:0:0:1::");
  EXPECT_EQ(A("10.0.1.0").DistanceFrom(A("10.0.0.255")), 1U);
  EXPECT_EQ(A("::1:0:0:0:0").DistanceFrom(A("::1")), UINT64_MAX);
  EXPECT_EQ(A("::2").DistanceFrom(A("::1")), 1U);
  EXPECT_EQ(A("::1").DistanceFrom(A("::2")), UINT64_MAX);
  EXPECT_EQ(A("fd00::1:5").DistanceFrom(A("fd00::2")), 65539U);
  EXPECT_LT(A("9.0.0.0"), A("10.0.0.0"));
}

TEST(IpTest, Networks) {
  const Cidr net = C("10.42.3.7/24");
  EXPECT_EQ(net.ToString(), "10.42.3.7/24");
  EXPECT_EQ(net.Masked().ToString(), "10.42.3.0/24");
  EXPECT_EQ(net.Last().ToString(), "10.42.3.255");
  EXPECT_EQ(net.Size(), 256U);
  EXPECT_EQ(net.At(5).ToString(), "10.42.3.5");
  EXPECT_TRUE(net.Contains(A("10.42.3.255")));
  EXPECT_FALSE(net.Contains(A("10.42.4.0")));
  EXPECT_FALSE(net.Contains(A("::1")));
  EXPECT_TRUE(C("10.0.0.0/8").Contains(net));
  EXPECT_FALSE(net.Contains(C("10.0.0.0/8")));
  EXPECT_TRUE(net.Overlaps(C("10.0.0.0/8")));
  EXPECT_FALSE(net.Overlaps(C("10.43.0.0/16")));
  EXPECT_EQ(C("10.42.0.0/16").Subnet(24, 255)->ToString(), "10.42.255.0/24");
  EXPECT_FALSE(C("10.42.0.0/16").Subnet(24, 256).ok());
  EXPECT_EQ(C("fd00::/48").Subnet(64, 0x1234)->ToString(), "fd00:0:0:1234::/64");
  EXPECT_EQ(C("::/0").Size(), UINT64_MAX);
  EXPECT_TRUE(C("0.0.0.0/0").Contains(A("1.2.3.4")));
  for (const std::string_view bad :
       {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "x/8", "::/129", "1.1.1.1/-1"}) {
    EXPECT_EQ(Cidr::Parse(bad).status().message(), "invalid CIDR address: " + std::string(bad));
  }
}

TEST(IpTest, HostPorts) {
  EXPECT_EQ(SplitHostPort("[::1]:80")->host, "::1");
  EXPECT_EQ(SplitHostPort("host:http")->port, "http");
  EXPECT_EQ(SplitHostPort(":80")->host, "");
  EXPECT_EQ(SplitHostPort("::1").status().message(), "address ::1: too many colons in address");
  EXPECT_EQ(SplitHostPort("host").status().message(), "address host: missing port in address");
  EXPECT_EQ(JoinHostPort("::1", 80), "[::1]:80");
  EXPECT_EQ(A("1.2.3.4").ToHostPort(80), "1.2.3.4:80");
}

}  // namespace
}  // namespace knarr
