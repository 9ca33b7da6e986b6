#include <fmt/format.h>

#include <functional>

#include "api/core_v1.h"
#include "base/strings.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/pod_streams.h"
#include "cli/kubectl/verbs.h"
#include "net/splice.h"
#include "rt/sync.h"

namespace knarr::cli {
namespace {

using api::core_v1::Pod;
using api::core_v1::Service;

/// One port of this machine, and which of the pod's it leads to.
struct Forward {
  uint16_t local = 0;  ///< 0: any
  uint16_t remote = 0;
};

Result<uint16_t> PodPortByName(Pod pod, std::string_view name) {
  for (auto container : pod.spec().containers()) {
    for (auto port : container.ports()) {
      if (port.name() == name) return static_cast<uint16_t>(port.container_port());
    }
  }
  for (auto container : pod.spec().init_containers()) {
    for (auto port : container.ports()) {
      if (port.name() == name) return static_cast<uint16_t>(port.container_port());
    }
  }
  return BadRequest(
      fmt::format("Pod '{}' does not have a named port '{}'", pod.metadata().name(), name));
}

/// The port of the pod that a service's port leads to.
Result<uint16_t> PodPortOfService(Service service, Pod pod, std::string_view text) {
  const Result<uint16_t> number = ParseInt<uint16_t>(text);
  for (auto port : service.spec().ports()) {
    if (number.ok() ? port.port() != *number : port.name() != text) continue;
    if (port.protocol() == "UDP") return BadRequest(fmt::format("UDP protocol is not supported for {}", text));
    if (service.spec().cluster_ip() == "None") return static_cast<uint16_t>(port.port());
    const doc::Value& target = port.value().At("targetPort");
    if (target.is_string()) return PodPortByName(pod, target.AsString());
    return static_cast<uint16_t>(target.AsInt() != 0 ? target.AsInt() : port.port());
  }
  if (number.ok()) {
    return BadRequest(fmt::format("Service {} does not have a service port {}", service.metadata().name(), text));
  }
  return BadRequest(fmt::format("Service '{}' does not have a named port '{}'", service.metadata().name(), text));
}

/// The pod's end of a connection: what the server says of it is told before this end is seen to have ended.
class TellingStream : public net::Stream {
 public:
  TellingStream(std::unique_ptr<net::Stream> inner, std::function<void(const Status&)> tell)
      : inner_(std::move(inner)), tell_(std::move(tell)) {}
  Result<size_t> Read(char* out, size_t size) override {
    Result<size_t> count = inner_->Read(out, size);
    if (!count.ok() && count.status().message().starts_with("error forwarding port")) tell_(count.status());
    return count;
  }
  Ok WaitReadable() override { return inner_->WaitReadable(); }
  Ok Write(std::string_view bytes) override { return inner_->Write(bytes); }
  Ok CloseWrite() override { return inner_->CloseWrite(); }
  void Close() override { inner_->Close(); }
  std::string peer() const override { return inner_->peer(); }

 private:
  std::unique_ptr<net::Stream> inner_;
  std::function<void(const Status&)> tell_;
};

class PortForward : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    flags.StringSlice(&addresses_, "address", 0, "Addresses to listen on, or localhost");
    flags.DurationOf(&running_timeout_, "pod-running-timeout", 0, "How long to wait for a pod");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    if (args.size() < 2) return UsageError("TYPE/NAME and list of ports are required for port-forward");
    const NamedObject named = TRY(FindNamed(session, {args[0]}));
    pod_ = TRY(FindPodOf(session, named, running_timeout_));
    const Pod pod(pod_->tree());
    std::vector<Forward> forwards;
    for (size_t i = 1; i < args.size(); ++i) forwards.push_back(TRY(ReadForward(named, pod, args[i])));
    if (pod.status().phase() != "Running") {
      return BadRequest(fmt::format("unable to forward port because pod is not running. Current status={}",
                                    pod.status().phase()));
    }
    if (addresses_.empty()) addresses_ = {"localhost"};
    return Serve(session, forwards);
  }

 private:
  static Result<Forward> ReadForward(const NamedObject& named, Pod pod, std::string_view text) {
    const auto parts = Split(text, ':');
    if (parts.size() > 2) return BadRequest(fmt::format("invalid port format '{}'", text));
    const std::string_view remote = parts.back();
    if (remote.empty()) return BadRequest("remote port cannot be empty");
    Forward out;
    if (named.kind->kind == "Service") {
      out.remote = TRY(PodPortOfService(Service(named.object->tree()), pod, remote));
    } else if (const Result<uint16_t> number = ParseInt<uint16_t>(remote); number.ok()) {
      out.remote = *number;
    } else {
      out.remote = TRY(PodPortByName(pod, remote));
    }
    if (out.remote == 0) return BadRequest("remote port must be > 0");
    if (parts.size() == 1) {
      // The port as it was asked for; one that is only named, as what it stands for.
      const Result<uint16_t> same = ParseInt<uint16_t>(remote);
      out.local = same.ok() ? *same : out.remote;
    } else if (!parts.front().empty()) {
      const Result<uint16_t> local = ParseInt<uint16_t>(parts.front());
      if (!local.ok()) {
        return BadRequest(fmt::format("error parsing local port '{}': {}", parts.front(), local.status().message()));
      }
      out.local = *local;
    }
    return out;
  }

  Result<int> Serve(Session& session, std::vector<Forward>& forwards) {
    rt::TaskGroup group(session.runtime(), "port forward");
    rt::OneShot<Ok> lost(session.runtime());
    size_t listening = 0;
    for (Forward& forward : forwards) {
      const Ok listens = Listen(session, forward, group, lost);
      if (listens.ok()) {
        ++listening;
      } else {
        TRY(session.Warn(fmt::format("Unable to listen on port {}: {}\n", forward.local, listens.status().message())));
      }
    }
    Ok ended;
    if (listening == 0) {
      ended = BadRequest("unable to listen on any of the requested ports");
    } else {
      const auto why = lost.Wait();
      ended = why.ok() ? **why : Ok(why.status());
    }
    group.StopAndJoin();
    TRY(std::move(ended));
    return 0;
  }

  /// "localhost" is both loopback addresses, of which one is enough.
  Ok Listen(Session& session, Forward& forward, rt::TaskGroup& group, rt::OneShot<Ok>& lost) {
    std::vector<std::string> failures;
    size_t made = 0;
    for (const std::string& address : addresses_) {
      std::vector<std::string> hosts = {address};
      if (address == "localhost") hosts = {"127.0.0.1", "::1"};
      size_t here = 0;
      for (const std::string& host : hosts) {
        auto listener = net::Listen(session.runtime(), {host, forward.local, {}});
        if (!listener.ok()) {
          failures.push_back("unable to create listener: Error " + listener.status().message());
          continue;
        }
        ++here;
        // A port that may be any is the same for all addresses.
        forward.local = (*listener)->local().port;
        TRY(session.PrintLine(
            fmt::format("Forwarding from {} -> {}", (*listener)->local().ToString(), forward.remote)));
        TRY(session.console().Flush());
        group.Spawn("accept", [this, &session, forward, &group, &lost,
                               shared = std::shared_ptr<net::Listener>(std::move(*listener))] {
          Accept(session, *shared, forward, group, lost);
        });
      }
      if (here == 0) {
        return BadRequest(fmt::format("Listeners failed to create with the following errors: [{}]",
                                      fmt::join(failures, " ")));
      }
      made += here;
    }
    return made > 0 ? Ok() : Ok(BadRequest("no address to listen on"));
  }

  void Accept(Session& session, net::Listener& listener, const Forward& forward, rt::TaskGroup& group,
              rt::OneShot<Ok>& lost) {
    for (;;) {
      auto stream = listener.Accept();
      if (!stream.ok()) return;
      group.Spawn("connection", [this, &session, forward, &lost, shared = std::shared_ptr(std::move(*stream))] {
        const Ok served = ServeConnection(session, *shared, forward);
        if (!served.ok()) lost.Set(served);
      });
    }
  }

  /// An error ends the whole, as it does upstream.
  Ok ServeConnection(Session& session, net::Stream& local, const Forward& forward) {
    TRY(session.PrintLine(fmt::format("Handling connection for {}", forward.local)));
    TRY(session.console().Flush());
    bool told = false;
    const auto tell = [&](const Status& status) {
      told = true;
      return session.Warn(fmt::format("an error occurred forwarding {} -> {}: {}\n", forward.local, forward.remote,
                                      status.message()));
    };
    auto remote = session.connection().pods().Dial(pod_->ns(), pod_->name(), forward.remote);
    if (!remote.ok()) {
      if (!remote.Failed(Reason::kCancelled)) TRY(tell(remote.status()));
      return BadRequest("lost connection to pod");
    }
    TellingStream stream(std::move(*remote), [&](const Status& status) { (void)tell(status); });
    // That either end breaks its connection off is nothing to tell; that the other end has words for it is.
    (void)net::Splice(session.runtime(), local, stream);
    return told ? Ok(BadRequest("lost connection to pod")) : Ok();
  }

  std::vector<std::string> addresses_;
  Duration running_timeout_ = 1min;
  api::ObjectPtr pod_;
};

}  // namespace

std::unique_ptr<Command> MakePortForward() { return std::make_unique<PortForward>(); }

}  // namespace knarr::cli
