#include "node/logind.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using net::DbusMessage;
using net::DbusReader;
using net::DbusReply;
using net::DbusWriter;

constexpr const char* kLogind = "org.freedesktop.login1";
constexpr const char* kLogindPath = "/org/freedesktop/login1";
constexpr const char* kManager = "org.freedesktop.login1.Manager";
constexpr const char* kBus = "org.freedesktop.DBus";
// The kubelet's: how often it is asked whether logind has read its configuration.
constexpr int kDelayLooks = 5;
constexpr Duration kDelayPause = 100ms;
// The kubelet's file, so that there is one. Whose it is stands in its first line.
constexpr const char* kConfigurationFile = "/99-kubelet.conf";
constexpr const char* kOurs = "# Knarr's: the kubelet's override";

bool IsShutdown(const DbusMessage& signal) {
  return signal.path == kLogindPath && signal.interface == kManager && signal.member == "PrepareForShutdown";
}

bool IsOwnerChange(const DbusMessage& signal) {
  return signal.sender == kBus && signal.interface == kBus && signal.member == "NameOwnerChanged";
}

DbusMessage AddMatch(const std::string& rule) {
  DbusMessage out = net::DbusBusCall("AddMatch");
  DbusWriter(out).String(rule);
  return out;
}

}  // namespace

Ok Logind::Begin(Duration delay) {
  bus_.reset();
  bus_ = TRY(net::DbusConnection::Open(runtime_, options_.address));
  // The first call also starts a logind that is started when it is called.
  TRY(EnsureDelay(delay));
  TRY(Subscribe());
  return Hold();
}

Result<Duration> Logind::DelayNow() {
  DbusMessage get = net::DbusCall(kLogind, kLogindPath, "org.freedesktop.DBus.Properties", "Get");
  DbusWriter(get).String(kManager).String("InhibitDelayMaxUSec");
  const DbusReply reply = TRY(bus_->Call(std::move(get)));
  const uint64_t most = std::chrono::duration_cast<std::chrono::microseconds>(Duration::max()).count();
  return std::chrono::microseconds(std::min(most, TRY(DbusReader(reply.message).VariantUint64())));
}

Ok Logind::EnsureDelay(Duration delay) {
  if (TRY(DelayNow()) >= delay) return {};
  const std::string& folder = options_.configuration_directory;
  TRY(runtime_.files().MakeDirectories(folder, 0755));
  const std::string text = fmt::format("{}\n[Login]\nInhibitDelayMaxSec={}\n", kOurs, delay / 1s);
  TRY(runtime_.files().WriteFileAtomic(folder + kConfigurationFile, text, 0644));
  DbusMessage reload = net::DbusCall("org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                     "org.freedesktop.systemd1.Manager", "KillUnit");
  constexpr int32_t kHangUp = 1;
  DbusWriter(reload).String("systemd-logind.service").String("all").Int32(kHangUp);
  TRY(bus_->Call(std::move(reload)));
  // It reads its configuration in its own time.
  Duration pause = kDelayPause;
  Duration now{};
  for (int look = 1; look <= kDelayLooks; ++look, pause *= 2) {
    now = TRY(DelayNow());
    if (now >= delay) return {};
    if (look < kDelayLooks) TRY(runtime_.Sleep(pause));
  }
  return Unavailable(fmt::format(
      "node shutdown manager was timed out after {} attempts waiting for logind InhibitDelayMaxSec to update to {} "
      "(ShutdownGracePeriod), current value is {}",
      kDelayLooks, FormatDuration(delay), FormatDuration(now)));
}

/// Anybody may send such a signal, to everyone or to us alone: only logind's own counts, which the bus knows.
Ok Logind::Subscribe() {
  owner_.clear();
  bus_->Want([this](const DbusMessage& signal) {
    return IsOwnerChange(signal) || (IsShutdown(signal) && signal.sender == owner_ && !owner_.empty());
  });
  TRY(bus_->Call(AddMatch(fmt::format("type='signal',sender='{}',interface='{}',member='NameOwnerChanged',arg0='{}'",
                                      kBus, kBus, kLogind))));
  DbusMessage who = net::DbusBusCall("GetNameOwner");
  DbusWriter(who).String(kLogind);
  const DbusReply reply = TRY(bus_->Call(std::move(who)));
  owner_ = TRY(DbusReader(reply.message).String());
  const auto match = fmt::format("type='signal',sender='{}',interface='{}',member='PrepareForShutdown',path='{}'",
                                 kLogind, kManager, kLogindPath);
  TRY(bus_->Call(AddMatch(match)));
  return {};
}

Ok Logind::Hold() {
  DbusMessage inhibit = net::DbusCall(kLogind, kLogindPath, kManager, "Inhibit");
  DbusWriter(inhibit).String("shutdown").String("kubelet").String("Kubelet needs time to handle node shutdown");
  DbusWriter(inhibit).String("delay");
  DbusReply reply = TRY(bus_->Call(std::move(inhibit)));
  const uint32_t index = TRY(DbusReader(reply.message).Descriptor());
  if (index >= reply.descriptors.size()) return Unavailable("logind gave no lock");
  // The one before it, if any, is let go only now: there is no moment without.
  lock_ = std::move(reply.descriptors[index]);
  return {};
}

Result<bool> Logind::Next() {
  while (true) {
    const DbusMessage signal = TRY(bus_->NextSignal());
    DbusReader in(signal);
    if (IsShutdown(signal)) {
      const Result<bool> down = in.Bool();
      if (down.ok()) return *down;
      LOG_WARN("logind's signal of a shutdown was not understood", {"error", down.status()});
      continue;
    }
    const std::string name(TRY(in.String()));
    TRY(in.String());
    if (name == kLogind && TRY(in.String()) != owner_) return Unavailable("logind was started anew");
  }
}

Ok RemoveLogindConfiguration(rt::Runtime& runtime, const LogindOptions& options) {
  const std::string path = options.configuration_directory + kConfigurationFile;
  const auto text = runtime.files().ReadFile(path);
  if (!text.ok() || !text->starts_with(kOurs)) return {};
  return runtime.files().Remove(path);
}

}  // namespace knarr::node
