#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/log.h"
#include "cri/cni.h"
#include "doc/json.h"
#include "net/stream.h"
#include "rt/file_system.h"
#include "rt/sync.h"

namespace knarr::cri {
namespace {

constexpr size_t kQuestionMax = 256 << 10;
constexpr Duration kQuestionTimeout = 30s;
// For longer than this no sandbox is being made.
constexpr Duration kMakingMost = 10min;
constexpr const char* kInterface = "eth0";  // what PodNetwork makes
constexpr const char* kConfigName = "10-knarr.conflist";
constexpr uint32_t kReadable = 0644;
constexpr std::string_view kIdBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

std::string ResultText(const network::PodAddress& address, std::string_view netns) {
  std::string sandbox;
  doc::WriteJsonString(netns, sandbox);
  return std::string("{\"cniVersion\":\"") + kCniVersion + "\",\"interfaces\":[{\"name\":\"" + kInterface +
         "\",\"sandbox\":" + sandbox + "}],\"ips\":[{\"address\":\"" + address.ip + "/32\",\"gateway\":\"" +
         address.gateway + "\",\"interface\":0}]}\n";
}

/// The node's network, and what it must not forget: sandboxes that are being made are in no list yet, and those of
/// others in none of the node's.
class Remembering : public network::PodNetwork {
 public:
  Remembering(rt::Runtime& runtime, network::PodNetwork& to, SandboxIds all)
      : runtime_(runtime), to_(to), all_(std::move(all)) {}
  Result<network::PodAddress> Attach(const std::string& sandbox_id, const std::string& netns_path) override {
    attached_[sandbox_id] = runtime_.Mono();
    auto out = to_.Attach(sandbox_id, netns_path);
    if (!out.ok()) attached_.erase(sandbox_id);
    return out;
  }
  Ok MapPorts(const std::string& sandbox_id, const std::vector<network::PortMapping>& ports) override {
    return to_.MapPorts(sandbox_id, ports);
  }
  Ok Detach(const std::string& sandbox_id) override {
    attached_.erase(sandbox_id);
    return to_.Detach(sandbox_id);
  }
  Ok Retain(const std::vector<std::string>& sandbox_ids) override {
    std::vector<std::string> keep = TRY(all_());
    // Once it is listed, lists say whether it is there. One that is not, when it must be, went with its runtime.
    for (const std::string& id : keep) attached_.erase(id);
    const MonoTime now = runtime_.Mono();
    std::erase_if(attached_, [now](const auto& entry) { return now - entry.second > kMakingMost; });
    for (const auto& [id, since] : attached_) keep.push_back(id);
    keep.insert(keep.end(), sandbox_ids.begin(), sandbox_ids.end());
    return to_.Retain(keep);
  }

 private:
  rt::Runtime& runtime_;
  network::PodNetwork& to_;
  const SandboxIds all_;
  std::map<std::string, MonoTime> attached_;  // since when
};

class CniServerImpl : public CniServer {
 public:
  CniServerImpl(rt::Runtime& runtime, network::PodNetwork& network, std::unique_ptr<net::Listener> listener,
                SandboxIds all)
      : runtime_(runtime),
        network_(RememberSandboxes(runtime, network, std::move(all))),
        listener_(std::move(listener)),
        fibers_(runtime, "cni") {
    fibers_.Spawn("cni accept", [this] { Accept(); });
  }
  ~CniServerImpl() override { fibers_.StopAndJoin(); }
  network::PodNetwork& network() override { return *network_; }

 private:
  void Accept() {
    while (true) {
      auto stream = listener_->Accept();
      if (!runtime_.CheckCancelled().ok()) return;
      if (!stream.ok()) {
        LOG_WARN("the CNI plugin was not heard", {"error", stream.status()});
        if (!runtime_.Sleep(1s).ok()) return;
        continue;
      }
      fibers_.Spawn("cni answer", [this, peer = std::shared_ptr<net::Stream>(std::move(*stream))] {
        const Ok answered = Answer(*peer);
        if (!answered.ok()) LOG_WARN("the CNI plugin was not answered", {"error", answered.status()});
      });
    }
  }

  Ok Answer(net::Stream& stream) {
    std::string question;
    {
      const rt::CancelScope scope(runtime_, kQuestionTimeout);
      std::array<char, 4096> part;
      while (const size_t count = TRY(stream.Read(part.data(), part.size()))) {
        question.append(part.data(), count);
        if (question.size() > kQuestionMax) return BadRequest("the question is too long");
      }
    }
    TRY(stream.Write(AnswerCni(*network_, question)));
    return stream.CloseWrite();
  }

  rt::Runtime& runtime_;
  const std::unique_ptr<network::PodNetwork> network_;
  std::unique_ptr<net::Listener> listener_;
  rt::TaskGroup fibers_;
};

std::string ConfigText(const CniFiles& files) {
  std::string socket;
  doc::WriteJsonString(files.socket, socket);
  return std::string("{\n  \"cniVersion\": \"") + kCniVersion +
         "\",\n  \"name\": \"knarr\",\n  \"disableCheck\": true,\n  \"plugins\": [{\"type\": \"" + kCniPlugin +
         "\", \"socket\": " + socket + "}]\n}\n";
}

/// As CNI has it: letters and digits, and behind the first also "_", "." and "-".
bool IsContainerId(std::string_view id) {
  return id.find_first_not_of(kIdBytes) == id.npos && !std::string_view("_.-").contains(id.front());
}

/// Of a configuration of ours; "" for what is none.
std::string SocketOf(rt::Runtime& runtime, const std::string& path) {
  const auto text = runtime.files().ReadFile(path, kQuestionMax);
  if (!text.ok()) return "";
  const auto document = doc::ParseJson(*text);
  if (!document.ok() || document->root.At("plugins").items().empty()) return "";
  return std::string(document->root.At("plugins").items().front().At("socket").AsString());
}

bool IsConfig(std::string_view name) {
  return name.ends_with(".conf") || name.ends_with(".conflist") || name.ends_with(".json");
}

Ok WritePlugins(rt::FileSystem& files, const std::string& folder) {
  const std::string self = TRY(files.ReadLink("/proc/self/exe"));
  TRY(files.MakeDirectories(folder));
  for (const char* name : {kCniPlugin, kLoopbackPlugin}) {
    const std::string plugin = folder + "/" + name;
    // The usual loopback, where it is installed, does as well.
    if (name == kLoopbackPlugin && files.LinkStat(plugin).ok()) continue;
    if (files.ReadLink(plugin).value_or("") == self) continue;
    TRY(files.RemoveAll(plugin + ".new"));
    TRY(files.Symlink(self, plugin + ".new"));
    TRY(files.Rename(plugin + ".new", plugin));
  }
  return {};
}

}  // namespace

std::string CniError(int code, std::string_view message) {
  std::string out =
      std::string("{\"cniVersion\":\"") + kCniVersion + "\",\"code\":" + std::to_string(code) + ",\"msg\":";
  doc::WriteJsonString(message, out);
  return out + "}\n";
}

std::string AnswerCni(network::PodNetwork& network, std::string_view question) {
  const Result<doc::Document> parsed = doc::ParseJson(question);
  if (!parsed.ok()) return CniError(kCniMalformed, parsed.status().message());
  const std::string_view command = parsed->root.At("command").AsString();
  const std::string id(parsed->root.At("containerID").AsString());
  const std::string netns(parsed->root.At("netns").AsString());
  if (id.empty()) return CniError(kCniInvalidVariables, "CNI_CONTAINERID is missing");
  if (!IsContainerId(id)) return CniError(kCniInvalidVariables, "CNI_CONTAINERID is malformed");
  if (command == "DEL") {
    const Ok detached = network.Detach(id);
    return detached.ok() ? "" : CniError(kCniTryAgain, detached.status().message());
  }
  if (command != "ADD") return CniError(kCniInvalidVariables, "unknown CNI_COMMAND: " + std::string(command));
  if (!netns.starts_with('/')) return CniError(kCniInvalidVariables, "CNI_NETNS is no path");
  if (parsed->root.At("ifName").AsString() != kInterface) {
    return CniError(kCniInvalidVariables, std::string("CNI_IFNAME: want ") + kInterface);
  }
  const auto attached = network.Attach(id, netns);
  return attached.ok() ? ResultText(*attached, netns) : CniError(kCniFailed, attached.status().message());
}

std::unique_ptr<network::PodNetwork> RememberSandboxes(rt::Runtime& runtime, network::PodNetwork& network,
                                                       SandboxIds all) {
  return std::make_unique<Remembering>(runtime, network, std::move(all));
}

Result<std::unique_ptr<CniServer>> CniServer::Start(rt::Runtime& runtime, network::PodNetwork& network,
                                                    const std::string& socket_path, SandboxIds all) {
  net::Endpoint endpoint;
  endpoint.unix_path = socket_path;
  auto listener = TRY(net::Listen(runtime, endpoint).Context("the CNI plugin's socket"));
  TRY(runtime.files().Chmod(socket_path, 0600));
  return std::unique_ptr<CniServer>(new CniServerImpl(runtime, network, std::move(listener), std::move(all)));
}

Ok WriteCniFiles(rt::Runtime& runtime, const CniFiles& wanted) {
  rt::FileSystem& files = runtime.files();
  const std::string config = wanted.configs + "/" + kConfigName;
  const std::string there = SocketOf(runtime, config);
  if (!there.empty() && there != wanted.socket) {
    return Conflict(config + " is another cluster's, with the socket " + there);
  }
  TRY(WritePlugins(files, wanted.plugins));
  TRY(files.MakeDirectories(wanted.configs));
  if (files.ReadFile(config, kQuestionMax).value_or("") != ConfigText(wanted)) {
    TRY(files.WriteFileAtomic(config, ConfigText(wanted), kReadable));
  }
  for (const rt::DirectoryEntry& entry : TRY(files.List(wanted.configs))) {
    if (!IsConfig(entry.name)) continue;
    if (entry.name != kConfigName) {
      LOG_WARN("another CNI configuration comes first: pods will get its network", {"file", entry.name},
               {"folder", wanted.configs});
    }
    break;  // they are sorted, and the first counts
  }
  return {};
}

Ok RemoveCniFiles(rt::Runtime& runtime, const CniFiles& wanted) {
  rt::FileSystem& files = runtime.files();
  const std::string config = wanted.configs + "/" + kConfigName;
  if (SocketOf(runtime, config) != wanted.socket) return {};
  const std::string plugin = wanted.plugins + "/" + kCniPlugin;
  const std::string loopback = wanted.plugins + "/" + kLoopbackPlugin;
  const auto ours = files.ReadLink(plugin);
  if (ours.ok() && files.ReadLink(loopback).value_or("") == *ours) TRY(files.Remove(loopback));
  TRY(files.RemoveAll(plugin));
  return files.Remove(config);
}

}  // namespace knarr::cri
