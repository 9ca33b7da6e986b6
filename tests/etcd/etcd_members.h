#pragma once

// Real etcd members for tests, each a process with a folder of its own below a temporary one; all gone with their
// owner.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "net/tls.h"
#include "rt/process.h"
#include "rt/real.h"

namespace knarr::etcd_test {

struct MemberOptions {
  int count = 1;
  bool secure = false;      ///< https, and clients show a certificate
  bool namespaces = false;  ///< each member in a network namespace of its own, which can be cut off
  std::vector<std::string> flags;
};

class Members {
 public:
  static std::unique_ptr<Members> Start(rt::RealRuntime& runtime, MemberOptions options);
  ~Members();

  /// "http://127.0.0.1:2379"
  std::vector<std::string> urls() const;
  const std::string& url(int member) const { return members_[static_cast<size_t>(member)].url; }
  const net::KeyPair& authority() const { return authority_; }
  const net::KeyPair& client() const { return client_; }

  void Run(int member);
  void Signal(int member, int signal);
  /// kill -9, and waits for the end.
  void Kill(int member);
  /// Until it, or any when -1, answers as a healthy member.
  void AwaitHealthy(int member = -1);
  /// The one that leads now.
  int Leader();
  /// REQUIRES: namespaces.
  void CutOff(int member, bool cut);
  /// etcdctl against the whole cluster; what it printed.
  std::string Ctl(std::vector<std::string> arguments, int member = -1, bool must_succeed = true);

 private:
  struct Member {
    std::string name;
    std::string url;
    std::string peer;
    std::string netns;
    std::string link;
    std::unique_ptr<rt::Process> process;
  };
  Members(rt::RealRuntime& runtime, MemberOptions options) : runtime_(runtime), options_(std::move(options)) {}
  void MakeNetwork();
  void MakeCertificates();
  void MustRun(std::vector<std::string> argv);
  std::string ClusterText() const;

  rt::RealRuntime& runtime_;
  const MemberOptions options_;
  std::filesystem::path folder_;
  std::vector<Member> members_;
  std::string bridge_;
  net::KeyPair authority_;
  net::KeyPair server_;
  net::KeyPair client_;
};

}  // namespace knarr::etcd_test
