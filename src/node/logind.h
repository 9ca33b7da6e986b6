#pragma once

// systemd's logind, asked over D-Bus: it tells that the machine is about to go down, and waits with that while somebody
// holds a lock, so long as its configuration lets it.

#include <memory>
#include <string>

#include "net/dbus.h"
#include "node/shutdown.h"
#include "rt/owned_fd.h"
#include "rt/runtime.h"

namespace knarr::node {

struct LogindOptions {
  std::string address = net::kSystemBus;
  std::string configuration_directory = "/etc/systemd/logind.conf.d";
};

class Logind : public ShutdownSource {
 public:
  Logind(rt::Runtime& runtime, LogindOptions options) : runtime_(runtime), options_(std::move(options)) {}

  /// Where logind waits less than `delay`, a file in its configuration makes it wait so long.
  Ok Begin(Duration delay) override;
  Result<bool> Next() override;
  Ok Hold() override;
  void Release() override { lock_.Reset(); }

 private:
  Result<Duration> DelayNow();
  Ok EnsureDelay(Duration delay);
  Ok Subscribe();

  rt::Runtime& runtime_;
  const LogindOptions options_;
  std::unique_ptr<net::DbusConnection> bus_;
  std::string owner_;  // the connection that is logind
  rt::OwnedFd lock_;
};

/// Removes what Logind wrote into the configuration.
Ok RemoveLogindConfiguration(rt::Runtime& runtime, const LogindOptions& options = {});

}  // namespace knarr::node
