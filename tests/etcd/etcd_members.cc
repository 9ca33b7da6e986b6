#include "etcd_members.h"

#include <signal.h>
#include <unistd.h>

#include <fstream>

#include "base/check.h"
#include "base/log.h"
#include "net/socket.h"

namespace knarr::etcd_test {
namespace {

/// A port that is free now.
int FreePort(rt::Runtime& runtime) {
  const auto listener = MUST(net::Listen(runtime, {"127.0.0.1", 0, {}}));
  return listener->local().port;
}

void WriteText(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text; }

}  // namespace

std::unique_ptr<Members> Members::Start(rt::RealRuntime& runtime, MemberOptions options) {
  std::unique_ptr<Members> out(new Members(runtime, std::move(options)));
  std::string name = (std::filesystem::temp_directory_path() / "knarr-etcd-XXXXXX").string();
  CHECK(mkdtemp(name.data()) != nullptr);
  out->folder_ = name;
  if (out->options_.secure) out->MakeCertificates();
  for (int i = 0; i < out->options_.count; ++i) {
    Member member;
    member.name = "m" + std::to_string(i);
    const std::string scheme = out->options_.secure ? "https://" : "http://";
    if (out->options_.namespaces) {
      const std::string host = "10.99.87." + std::to_string(10 + i);
      member.url = scheme + host + ":2379";
      member.peer = "http://" + host + ":2380";
    } else {
      member.url = scheme + "127.0.0.1:" + std::to_string(FreePort(runtime));
      member.peer = "http://127.0.0.1:" + std::to_string(FreePort(runtime));
    }
    out->members_.push_back(std::move(member));
  }
  if (out->options_.namespaces) out->MakeNetwork();
  for (int i = 0; i < out->options_.count; ++i) out->Run(i);
  out->AwaitHealthy();
  return out;
}

Members::~Members() {
  for (Member& member : members_) {
    if (member.process == nullptr) continue;
    (void)member.process->Kill(SIGKILL);
    (void)member.process->Wait();
  }
  for (const Member& member : members_) {
    if (!member.netns.empty()) MustRun({"ip", "netns", "delete", member.netns});
  }
  if (!bridge_.empty()) MustRun({"ip", "link", "delete", bridge_});
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void Members::MustRun(std::vector<std::string> argv) {
  const std::string command = argv.size() > 2 ? argv[0] + " " + argv[1] + " " + argv[2] : argv[0];
  const auto done = MUST(runtime_.processes().Run({.argv = std::move(argv)}));
  if (!done.status.ok()) LOG_ERROR("test: a command failed", {"command", command}, {"error", done.err});
  CHECK(done.status.ok());
}

void Members::MakeNetwork() {
  const std::string mark = std::to_string(getpid() % 100000);
  bridge_ = "ke" + mark;
  MustRun({"ip", "link", "add", bridge_, "type", "bridge"});
  MustRun({"ip", "addr", "add", "10.99.87.1/24", "dev", bridge_});
  MustRun({"ip", "link", "set", bridge_, "up"});
  for (size_t i = 0; i < members_.size(); ++i) {
    Member& member = members_[i];
    member.netns = bridge_ + "-" + member.name;
    member.link = bridge_ + "v" + std::to_string(i);
    MustRun({"ip", "netns", "add", member.netns});
    MustRun({"ip", "link", "add", member.link, "type", "veth", "peer", "name", "eth0", "netns", member.netns});
    MustRun({"ip", "link", "set", member.link, "master", bridge_, "up"});
    MustRun({"ip", "-n", member.netns, "addr", "add", "10.99.87." + std::to_string(10 + i) + "/24", "dev", "eth0"});
    MustRun({"ip", "-n", member.netns, "link", "set", "eth0", "up"});
    MustRun({"ip", "-n", member.netns, "link", "set", "lo", "up"});
  }
}

void Members::CutOff(int member, bool cut) {
  MustRun({"ip", "link", "set", members_[static_cast<size_t>(member)].link, cut ? "down" : "up"});
}

void Members::MakeCertificates() {
  net::CertificateRequest request;
  request.common_name = "etcd-ca";
  request.authority = true;
  request.not_before = runtime_.Wall() - 1h;
  request.not_after = runtime_.Wall() + 24h;
  authority_ = MUST(net::IssueCertificate(request, nullptr));
  request.authority = false;
  request.common_name = "etcd";
  request.server_auth = true;
  request.client_auth = true;  // etcd's own gateway calls its server with it
  request.ip_addresses = {"127.0.0.1"};
  server_ = MUST(net::IssueCertificate(request, &authority_));
  request.common_name = "root";
  request.server_auth = false;
  request.ip_addresses.clear();
  client_ = MUST(net::IssueCertificate(request, &authority_));
  WriteText(folder_ / "ca.crt", authority_.certificate_pem);
  WriteText(folder_ / "server.crt", server_.certificate_pem);
  WriteText(folder_ / "server.key", server_.key_pem);
  WriteText(folder_ / "client.crt", client_.certificate_pem);
  WriteText(folder_ / "client.key", client_.key_pem);
}

std::string Members::ClusterText() const {
  std::string out;
  for (const Member& member : members_) out += (out.empty() ? "" : ",") + member.name + "=" + member.peer;
  return out;
}

std::vector<std::string> Members::urls() const {
  std::vector<std::string> out;
  for (const Member& member : members_) out.push_back(member.url);
  return out;
}

void Members::Run(int index) {
  Member& member = members_[static_cast<size_t>(index)];
  std::vector<std::string> argv;
  if (!member.netns.empty()) argv = {"ip", "netns", "exec", member.netns};
  for (const std::string& part :
       {std::string("etcd"), "--name=" + member.name, "--data-dir=" + (folder_ / member.name).string(),
        "--listen-client-urls=" + member.url, "--advertise-client-urls=" + member.url,
        "--listen-peer-urls=" + member.peer, "--initial-advertise-peer-urls=" + member.peer,
        "--initial-cluster=" + ClusterText(), std::string("--initial-cluster-state=new"),
        std::string("--log-level=error")}) {
    argv.push_back(part);
  }
  if (options_.secure) {
    for (const std::string& part :
         {"--cert-file=" + (folder_ / "server.crt").string(), "--key-file=" + (folder_ / "server.key").string(),
          "--trusted-ca-file=" + (folder_ / "ca.crt").string(), std::string("--client-cert-auth")}) {
      argv.push_back(part);
    }
  }
  argv.insert(argv.end(), options_.flags.begin(), options_.flags.end());
  member.process = MUST(runtime_.processes().Start({.argv = std::move(argv)}));
}

void Members::Signal(int member, int signal) { MUST(members_[static_cast<size_t>(member)].process->Kill(signal)); }

void Members::Kill(int member) {
  Signal(member, SIGKILL);
  (void)MUST(members_[static_cast<size_t>(member)].process->Wait());
  members_[static_cast<size_t>(member)].process.reset();
}

std::string Members::Ctl(std::vector<std::string> arguments, int member, bool must_succeed) {
  std::string endpoints;
  for (const Member& each : members_) endpoints += (endpoints.empty() ? "" : ",") + each.url;
  if (member >= 0) endpoints = url(member);
  std::vector<std::string> argv = {"etcdctl", "--endpoints=" + endpoints, "--command-timeout=3s", "--dial-timeout=2s"};
  if (options_.secure) {
    argv.push_back("--cacert=" + (folder_ / "ca.crt").string());
    argv.push_back("--cert=" + (folder_ / "client.crt").string());
    argv.push_back("--key=" + (folder_ / "client.key").string());
  }
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const auto done = MUST(runtime_.processes().Run({.argv = std::move(argv), .environment = {"ETCDCTL_API=3"}}));
  if (must_succeed && !done.status.ok()) LOG_ERROR("test: etcdctl failed", {"error", done.err});
  CHECK(!must_succeed || done.status.ok());
  return done.status.ok() ? done.out : "";
}

void Members::AwaitHealthy(int member) {
  for (int i = 0; i < 100; ++i) {
    if (Ctl({"get", "none", "--write-out=json"}, member, false).find("header") != std::string::npos) return;
    MUST(runtime_.Sleep(100ms));
  }
  CHECK(false);
}

int Members::Leader() {
  for (int i = 0; i < 100; ++i) {
    for (size_t at = 0; at < members_.size(); ++at) {
      // endpoint, id, version, size, is leader, …
      const std::string text = Ctl({"endpoint", "status"}, static_cast<int>(at), false);
      if (text.find(", true, ") == std::string::npos) continue;
      // "is leader" stands before "is learner"; a learner is none of these.
      if (text.find(", true, false") != std::string::npos) return static_cast<int>(at);
    }
    MUST(runtime_.Sleep(100ms));
  }
  CHECK(false);
  return -1;
}

}  // namespace knarr::etcd_test
