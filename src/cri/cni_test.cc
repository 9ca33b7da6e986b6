#include "cri/cni.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "doc/json.h"
#include "rt/file_system.h"
#include "rt/real.h"
#include "rt/sim.h"

namespace knarr::cri {
namespace {

class TestingNetwork : public network::PodNetwork {
 public:
  std::map<std::string, std::string> attached;
  std::vector<std::string> retained;
  bool full = false;
  Result<network::PodAddress> Attach(const std::string& sandbox_id, const std::string& netns_path) override {
    if (full) return Conflict("no address is free");
    attached[sandbox_id] = netns_path;
    return network::PodAddress{"10.42.0.5", "10.42.0.1"};
  }
  Ok MapPorts(const std::string&, const std::vector<network::PortMapping>&) override { return {}; }
  Ok Detach(const std::string& sandbox_id) override {
    attached.erase(sandbox_id);
    return {};
  }
  Ok Retain(const std::vector<std::string>& sandbox_ids) override {
    retained = sandbox_ids;
    return {};
  }
};

void RunReal(const std::function<void(rt::RealRuntime&)>& body) {
  auto runtime = rt::RealRuntime::Create({.name = "test"}, rt::BlockingPool::Create(2));
  runtime->Run([&] { body(*runtime); });
}

std::string TestFolder(const char* name) {
  const std::string folder = ::testing::TempDir() + "knarr-cni-" + name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

struct QuestionCase {
  const char* question;
  const char* answer;
};

TEST(Cni, QuestionsAndAnswers) {
  TestingNetwork network;
  const QuestionCase cases[] = {
      {R"({"command":"ADD","containerID":"s1","netns":"/run/netns/\"x","ifName":"eth0"})",
       R"({"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/run/netns/\"x"}],)"
       R"("ips":[{"address":"10.42.0.5/32","gateway":"10.42.0.1","interface":0}]})"
       "\n"},
      {R"({"command":"ADD","containerID":"s1","netns":"/x","ifName":"net1"})",
       R"({"cniVersion":"1.0.0","code":4,"msg":"CNI_IFNAME: want eth0"})"
       "\n"},
      {R"({"command":"ADD","containerID":"s1","netns":"x","ifName":"eth0"})",
       R"({"cniVersion":"1.0.0","code":4,"msg":"CNI_NETNS is no path"})"
       "\n"},
      {R"({"command":"ADD","netns":"/x","ifName":"eth0"})",
       R"({"cniVersion":"1.0.0","code":4,"msg":"CNI_CONTAINERID is missing"})"
       "\n"},
      {R"({"command":"ADD","containerID":"../s1","netns":"/x","ifName":"eth0"})",
       R"({"cniVersion":"1.0.0","code":4,"msg":"CNI_CONTAINERID is malformed"})"
       "\n"},
      {R"({"command":"CHECK","containerID":"s1"})",
       R"({"cniVersion":"1.0.0","code":4,"msg":"unknown CNI_COMMAND: CHECK"})"
       "\n"},
      {R"({"command":"DEL","containerID":"s1"})", ""},
      {R"({"command":"DEL","containerID":"never"})", ""},
  };
  for (const QuestionCase& one : cases) EXPECT_EQ(AnswerCni(network, one.question), one.answer) << one.question;
  EXPECT_TRUE(network.attached.empty());
  network.full = true;
  EXPECT_EQ(AnswerCni(network, cases[0].question),
            "{\"cniVersion\":\"1.0.0\",\"code\":100,\"msg\":\"no address is free\"}\n");
  for (const char* bad : {"", "{", "[]", "null", "{\"command\":5}"}) {
    EXPECT_NE(AnswerCni(network, bad).find("\"code\""), std::string::npos) << bad;
  }
}

Variables Environment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](std::string_view name) {
    const auto at = variables.find(std::string(name));
    return at == variables.end() ? std::string() : at->second;
  };
}

TEST(Cni, ThePluginAsksTheServer) {
  RunReal([](rt::RealRuntime& runtime) {
    const std::string folder = TestFolder("plugin");
    const std::string config = "{\"socket\":\"" + folder + "/cni.sock\"}";
    const auto run = [&](const char* command, const std::string& with) {
      return RunCniPlugin(runtime,
                          Environment({{"CNI_COMMAND", command},
                                       {"CNI_CONTAINERID", "s1"},
                                       {"CNI_NETNS", "/run/netns/x"},
                                       {"CNI_IFNAME", "eth0"}}),
                          with);
    };
    EXPECT_EQ(run("VERSION", "").text, "{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"1.0.0\"]}\n");
    EXPECT_EQ(run("ADD", config).code, 1) << "no server";
    EXPECT_NE(run("ADD", config).text.find("knarr server does not answer"), std::string::npos);
    EXPECT_EQ(run("DEL", config).code, 0) << "what goes while no server runs is found later";
    EXPECT_EQ(run("ADD", "{}").code, 1);
    EXPECT_EQ(run("ADD", "").code, 1);
    TestingNetwork network;
    const auto all = []() -> Result<std::vector<std::string>> { return std::vector<std::string>{"s0", "others"}; };
    auto server = MUST(CniServer::Start(runtime, network, folder + "/cni.sock", all));
    const CniOutcome added = run("ADD", config);
    EXPECT_EQ(added.code, 0) << added.text;
    EXPECT_NE(added.text.find("10.42.0.5/32"), std::string::npos);
    EXPECT_EQ(network.attached.at("s1"), "/run/netns/x");
    // It is in no list of the runtime's yet.
    ASSERT_TRUE(server->network().Retain({"s0"}).ok());
    EXPECT_EQ(network.retained, (std::vector<std::string>{"s0", "others", "s1", "s0"}));
    EXPECT_EQ(run("DEL", config).code, 0);
    EXPECT_TRUE(network.attached.empty());
    ASSERT_TRUE(server->network().Retain({"s0"}).ok());
    EXPECT_EQ(network.retained, (std::vector<std::string>{"s0", "others", "s0"}));
    network.full = true;
    EXPECT_EQ(run("ADD", config).code, 1);
    EXPECT_NE(run("ADD", config).text.find("no address is free"), std::string::npos);
  });
}

TEST(Cni, AddressesAreKeptForWhatIsMadeAndForOthers) {
  const auto sim = rt::SimRuntime::Create({.seed = 1});
  rt::Runtime& runtime = *sim;
  sim->Run([&] {
    TestingNetwork to;
    Result<std::vector<std::string>> listed = std::vector<std::string>{"others"};
    const auto network = RememberSandboxes(runtime, to, [&] { return listed; });
    using Ids = std::vector<std::string>;
    MUST(network->Attach("s1", "/x"));
    MUST(network->Attach("s2", "/x"));
    MUST(network->Retain({}));
    EXPECT_EQ(to.retained, (Ids{"others", "s1", "s2"}));
    // From when it is listed on, the lists count.
    listed = Ids{"s1"};
    MUST(network->Retain({"s1"}));
    listed = Ids{};
    MUST(network->Retain({}));
    EXPECT_EQ(to.retained, (Ids{"s2"}));
    // Of a runtime that does not answer nothing is known, and nothing is given away.
    listed = Unavailable("it went");
    to.retained = {"untouched"};
    EXPECT_TRUE(network->Retain({}).Failed(Reason::kServiceUnavailable));
    EXPECT_EQ(to.retained, (Ids{"untouched"}));
    // What went with its runtime before it was listed.
    listed = Ids{};
    MUST(runtime.Sleep(11min));
    MUST(network->Retain({}));
    EXPECT_EQ(to.retained, Ids{});
  });
}

TEST(Cni, FilesAreOneClusters) {
  RunReal([](rt::RealRuntime& runtime) {
    const std::string folder = TestFolder("files");
    const CniFiles files{.configs = folder + "/net.d", .plugins = folder + "/bin", .socket = folder + "/cni.sock"};
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(WriteCniFiles(runtime, files).ok());
    const std::string path = files.configs + "/10-knarr.conflist";
    const std::string text = MUST(runtime.files().ReadFile(path));
    const auto config = MUST(doc::ParseJson(text));
    EXPECT_EQ(config.root.At("plugins").items()[0].At("type").AsString(), "knarr-cni");
    EXPECT_EQ(config.root.At("plugins").items()[0].At("socket").AsString(), files.socket);
    EXPECT_EQ(std::filesystem::read_symlink(files.plugins + "/knarr-cni"),
              std::filesystem::read_symlink("/proc/self/exe"));
    EXPECT_TRUE(std::filesystem::is_symlink(files.plugins + "/loopback"));
    CniFiles other = files;
    other.socket = folder + "/other.sock";
    EXPECT_TRUE(WriteCniFiles(runtime, other).Failed(Reason::kConflict));
    ASSERT_TRUE(RemoveCniFiles(runtime, other).ok());
    EXPECT_TRUE(runtime.files().Exists(path)) << "it is not the other's";
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(RemoveCniFiles(runtime, files).ok());
    EXPECT_FALSE(runtime.files().Exists(path));
    EXPECT_TRUE(std::filesystem::is_empty(files.plugins));
    // Somebody else's loopback stays.
    ASSERT_TRUE(runtime.files().WriteFile(files.plugins + "/loopback", "theirs").ok());
    EXPECT_TRUE(WriteCniFiles(runtime, other).ok());
    ASSERT_TRUE(RemoveCniFiles(runtime, other).ok());
    EXPECT_EQ(MUST(runtime.files().ReadFile(files.plugins + "/loopback")), "theirs");
  });
}

TEST(Cni, LoopbackNeedsANamespace) {
  RunReal([](rt::RealRuntime& runtime) {
    const auto run = [&](const char* command, const char* netns, const char* config) {
      return RunLoopbackPlugin(runtime, Environment({{"CNI_COMMAND", command}, {"CNI_NETNS", netns}}), config);
    };
    EXPECT_EQ(run("ADD", "/nowhere", "{\"cniVersion\":\"0.3.1\"}").code, 1);
    EXPECT_EQ(run("ADD", "/nowhere", "{").code, 1);
    EXPECT_EQ(run("DEL", "/nowhere", "{}").code, 0);
    EXPECT_EQ(run("VERSION", "", "").code, 0);
    // Its own: lo is up there, or may be set up by who runs as root.
    const CniOutcome own = run("ADD", "/proc/self/ns/net", "{\"cniVersion\":\"0.3.1\"}");
    if (own.code == 0) {
      EXPECT_NE(own.text.find("\"cniVersion\":\"0.3.1\""), std::string::npos) << own.text;
    }
  });
}

}  // namespace
}  // namespace knarr::cri
