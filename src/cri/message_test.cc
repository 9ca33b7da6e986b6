#include "cri/message.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/strings.h"
#include "cri/messages.h"
#include "doc/proto.h"

namespace knarr::cri {
namespace {

std::string Hex(const std::string& text) { return MUST(HexDecode(text)); }

// What protobuf's own library makes of the same values (Go, k8s.io/cri-api 0.36).
TEST(Message, BytesAreThoseOfProtobuf) {
  PodSandboxMetadata metadata{.name = "web", .uid = "u", .ns = "default", .attempt = 300};
  EXPECT_EQ(HexEncode(Encode(metadata)),
            "0a03776562120175"
            "1a0764656661756c74"
            "20ac02");
  LinuxContainerResources resources{.cpu_shares = 2, .oom_score_adj = -997};
  resources.unified = {{"a", "1"}, {"b", ""}};
  EXPECT_EQ(HexEncode(Encode(resources)),
            "1802"
            "289bf8ffffffffffffff01"
            "4a060a016112013"
            "1"
            "4a050a01621200");
  LinuxContainerSecurityContext security{.run_as_user = 0, .supplemental_groups = {1, 300}};
  security.seccomp.emplace();
  EXPECT_EQ(HexEncode(Encode(security)),
            "2a00"
            "420301ac02"
            "7a00");
}

TEST(Message, WhatIsNotSetIsNotWritten) {
  EXPECT_EQ(Encode(CreateContainerRequest()), "");
  EXPECT_EQ(Encode(Empty()), "");
  EXPECT_EQ(Encode(ContainerStatusResponse{.status = ContainerStatus()}), Hex("0a00"));
}

CreateContainerRequest Full() {
  CreateContainerRequest out;
  out.sandbox_id = "s";
  out.config.metadata = {"web", 3};
  out.config.image.image = "sha256:1";
  out.config.args = {"a", "", "c"};
  out.config.environment = {{"K", {std::string("\xff\0x", 3)}}, {"E", {}}};
  out.config.mounts = {{.container_path = "/c", .host_path = "/h", .propagation = kPropagationBidirectional}, {}};
  out.config.devices = {{"/dev/xvda", "/dev/loop0", "mrw"}};
  out.config.labels = {{"a", "b"}};
  out.config.tty = true;
  out.config.linux_config.resources.memory_limit = std::numeric_limits<int64_t>::max();
  out.config.linux_config.security.run_as_user = -1;
  out.config.linux_config.security.supplemental_groups = {0, -5};
  out.sandbox_config.linux_config.security.seccomp = SecurityProfile{kProfileLocalhost, "/p.json"};
  return out;
}

TEST(Message, EverythingComesBack) {
  const std::string bytes = Encode(Full());
  const auto back = Decode<CreateContainerRequest>(bytes);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(back->config.environment.at(0).value.data, std::string("\xff\0x", 3));
  EXPECT_EQ(back->config.mounts.size(), 2U);
  EXPECT_EQ(back->config.devices.at(0).permissions, "mrw");
  EXPECT_EQ(back->config.args, (std::vector<std::string>{"a", "", "c"}));
  EXPECT_EQ(back->config.linux_config.security.run_as_user, -1);
  EXPECT_FALSE(back->config.linux_config.security.run_as_group.has_value());
  EXPECT_EQ(back->config.linux_config.security.supplemental_groups, (std::vector<int64_t>{0, -5}));
  EXPECT_EQ(back->sandbox_config.linux_config.security.seccomp->localhost_ref, "/p.json");
  EXPECT_EQ(Encode(*back), bytes);
}

TEST(Message, NumbersMayBePackedOrNot) {
  for (const char* bytes : {"2850"
                            "28bb03",
                            "2a0350bb03"}) {
    const auto decoded = Decode<LinuxSandboxSecurityContext>(Hex(bytes));
    ASSERT_TRUE(decoded.ok()) << bytes;
    EXPECT_EQ(decoded->supplemental_groups, (std::vector<int64_t>{80, 443}));
  }
}

TEST(Message, FieldsOfLaterVersionsArePassedOver) {
  std::string bytes = Encode(SandboxId{"x"});
  doc::ProtoWriter writer(bytes);
  writer.Bytes(1000, "later");
  writer.Varint(1001, 5);
  writer.Fixed64(1002, 5);
  EXPECT_EQ(MUST(Decode<SandboxId>(bytes)).id, "x");
}

TEST(Message, TextThatIsNoneIsReplaced) {
  std::string bytes;
  doc::ProtoWriter(bytes).Bytes(1,
                                "a\xff"
                                "b\xed\xa0\x80");
  EXPECT_EQ(MUST(Decode<SandboxId>(bytes)).id,
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(Message, MalformedAnswersAreErrors) {
  const std::string whole = Encode(Full());
  size_t refused = 0;
  for (size_t size = 0; size < whole.size(); ++size) {
    if (!Decode<CreateContainerRequest>(whole.substr(0, size)).ok()) ++refused;
  }
  // Some of the beginnings are whole messages, too: those that end between two fields of the outermost.
  EXPECT_GT(refused, whole.size() - 4);
  for (const char* bad : {"08", "0805" /* a number where text is wanted */, "0a05ab", "00", "0f01", "1a0201"}) {
    EXPECT_FALSE(Decode<PodSandboxMetadata>(Hex(bad)).ok()) << bad;
  }
  EXPECT_FALSE(Decode<PodSandboxStatus>(Hex("0a0178"
                                            "1205"
                                            "0a0a78"))
                   .ok())
      << "a nested one is cut off";
}

TEST(Message, FewBytesMayNotBecomeMuchMemory) {
  std::string bytes;
  for (size_t i = 0; i <= kElementsMax; ++i) bytes.append("\x0a\0", 2);
  const auto decoded = Decode<ListContainersResponse>(bytes);
  ASSERT_FALSE(decoded.ok());
  EXPECT_NE(decoded.status().message().find("too many elements"), std::string::npos);
  bytes.resize(2 * kElementsMax);
  EXPECT_EQ(MUST(Decode<ListContainersResponse>(bytes)).containers.size(), kElementsMax);
}

TEST(Message, SignalsHaveCrisNumbers) {
  EXPECT_EQ(SignalNumber("SIGABRT"), 1);
  EXPECT_EQ(SignalNumber("SIGTERM"), 23);
  EXPECT_EQ(SignalNumber("SIGXFSZ"), 34);
  EXPECT_EQ(SignalNumber("SIGRTMIN"), 35);
  EXPECT_EQ(SignalNumber("SIGRTMIN+15"), 50);
  EXPECT_EQ(SignalNumber("SIGRTMAX-14"), 51);
  EXPECT_EQ(SignalNumber("SIGRTMAX-1"), 64);
  EXPECT_EQ(SignalNumber("SIGRTMAX"), 65);
  for (const char* none : {"", "TERM", "SIGRTMIN+0", "SIGRTMIN+16", "SIGRTMAX-15", "SIGRTMIN+x"}) {
    EXPECT_EQ(SignalNumber(none), 0) << none;
  }
}

}  // namespace
}  // namespace knarr::cri
