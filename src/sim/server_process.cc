#include "sim/server_process.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "store/core.h"

namespace knarr::sim {

using api::KindInfo;
using api::ObjectPtr;
using client::ObjectName;

namespace {

// Whoever is refused may ask again at once: time has to pass.
constexpr Duration kRefusedAfter = 20ms;

Status Refused() { return Unavailable("connection refused"); }
Status Reset() { return Unavailable("connection reset by peer"); }

}  // namespace

/// The store of whichever process there is.
class ServerProcess::Shown : public store::Store {
 public:
  explicit Shown(std::unique_ptr<store::Store>& now) : now_(now) {}
  std::shared_ptr<const store::Snapshot> Latest() const override { return now_->Latest(); }
  Result<std::shared_ptr<const store::Snapshot>> At(store::Revision revision) const override {
    return now_->At(revision);
  }
  Result<store::TxnResult> Txn(std::vector<store::Compare> compares, std::vector<store::Op> ops) override {
    return now_->Txn(std::move(compares), std::move(ops));
  }
  std::optional<store::KeyValue> Newest(std::string_view key) const override { return now_->Newest(key); }
  Ok CatchUp(rt::Runtime& here) override { return now_->CatchUp(here); }
  Result<std::unique_ptr<store::Watch>> StartWatch(rt::Runtime& runtime, store::WatchOptions options) override {
    return now_->StartWatch(runtime, std::move(options));
  }
  Result<store::Changes> ChangesAfter(store::Revision after, std::string_view prefix, size_t most) const override {
    return now_->ChangesAfter(after, prefix, most);
  }
  Ok Compact(store::Revision revision) override { return now_->Compact(revision); }
  store::StoreStats stats() const override { return now_->stats(); }
  Ok Health() const override { return now_->Health(); }
  void Close() override { now_->Close(); }

 private:
  std::unique_ptr<store::Store>& now_;
};

/// A stretch of a caller's fiber inside the process: a crash ends it.
class Crossing {
 public:
  explicit Crossing(ServerProcess& process) : process_(process), id_(process.next_id_++), scope_(process.runtime_) {
    process_.crossings_.emplace(id_, this);
  }
  ~Crossing() { process_.crossings_.erase(id_); }
  Crossing(const Crossing&) = delete;
  Crossing& operator=(const Crossing&) = delete;
  void Break() {
    broken_ = true;
    scope_.Stop();
  }
  bool broken() const { return broken_; }

 private:
  ServerProcess& process_;
  const uint64_t id_;
  rt::CancelScope scope_;
  bool broken_ = false;
};

class WayStream : public client::WatchStream {
 public:
  WayStream(ServerProcess& process, std::unique_ptr<client::WatchStream> inner)
      : process_(process), id_(process.next_id_++), inner_(std::move(inner)) {
    process_.streams_.emplace(id_, this);
  }
  ~WayStream() override { process_.streams_.erase(id_); }
  WayStream(const WayStream&) = delete;
  WayStream& operator=(const WayStream&) = delete;

  Result<std::vector<client::WatchEvent>> Next() override {
    if (inner_ == nullptr) return Reset();
    const Crossing crossing(process_);
    Result<std::vector<client::WatchEvent>> events = inner_->Next();
    if (crossing.broken()) return Reset();
    return events;
  }
  void Break() { inner_.reset(); }

 private:
  ServerProcess& process_;
  const uint64_t id_;
  std::unique_ptr<client::WatchStream> inner_;
};

class WayClient : public client::Client {
 public:
  WayClient(ServerProcess& process, apiserver::UserInfo user, std::string agent)
      : process_(process), id_(process.next_id_++), user_(std::move(user)), agent_(std::move(agent)) {
    process_.ways_.emplace(id_, this);
  }
  ~WayClient() override { process_.ways_.erase(id_); }
  WayClient(const WayClient&) = delete;
  WayClient& operator=(const WayClient&) = delete;
  void Break() { inner_.reset(); }

  Result<ObjectPtr> Get(const KindInfo& kind, const ObjectName& name, std::string_view subresource) override {
    return Call([&](client::Client& to) { return to.Get(kind, name, subresource); });
  }
  Result<client::ObjectList> List(const KindInfo& kind, std::string_view ns,
                                  const client::ListOptions& options) override {
    return Call([&](client::Client& to) { return to.List(kind, ns, options); });
  }
  Result<std::unique_ptr<client::WatchStream>> Watch(const KindInfo& kind, std::string_view ns,
                                                     const client::WatchOptions& options) override {
    return Call([&](client::Client& to) -> Result<std::unique_ptr<client::WatchStream>> {
      std::unique_ptr<client::WatchStream> inner = TRY(to.Watch(kind, ns, options));
      return std::unique_ptr<client::WatchStream>(std::make_unique<WayStream>(process_, std::move(inner)));
    });
  }
  Result<ObjectPtr> Create(const KindInfo& kind, std::string_view ns, const doc::Value& object,
                           const client::WriteOptions& options) override {
    return Call([&](client::Client& to) { return to.Create(kind, ns, object, options); });
  }
  Result<ObjectPtr> CreateSub(const KindInfo& kind, const ObjectName& name, std::string_view subresource,
                              const doc::Value& object, const client::WriteOptions& options) override {
    return Call([&](client::Client& to) { return to.CreateSub(kind, name, subresource, object, options); });
  }
  Result<ObjectPtr> Update(const KindInfo& kind, const ObjectName& name, const doc::Value& object,
                           std::string_view subresource, const client::WriteOptions& options) override {
    return Call([&](client::Client& to) { return to.Update(kind, name, object, subresource, options); });
  }
  Result<ObjectPtr> Patch(const KindInfo& kind, const ObjectName& name, client::PatchType type, std::string_view body,
                          std::string_view subresource, const client::WriteOptions& options) override {
    return Call([&](client::Client& to) { return to.Patch(kind, name, type, body, subresource, options); });
  }
  Result<ObjectPtr> Delete(const KindInfo& kind, const ObjectName& name,
                           const client::DeleteOptions& options) override {
    return Call([&](client::Client& to) { return to.Delete(kind, name, options); });
  }
  Ok DeleteCollection(const KindInfo& kind, std::string_view ns, const client::ListOptions& list,
                      const client::DeleteOptions& options) override {
    return Call([&](client::Client& to) { return to.DeleteCollection(kind, ns, list, options); });
  }

 private:
  template <typename Function>
  auto Call(Function function) -> decltype(function(std::declval<client::Client&>())) {
    if (!process_.up_) {
      TRY(process_.runtime_.Sleep(kRefusedAfter));
      return Refused();
    }
    if (inner_ == nullptr) inner_ = process_.api_->LocalClient(user_, agent_);
    // What comes back may hold something of the process's: it goes before the crossing ends.
    const Crossing crossing(process_);
    auto result = function(*inner_);
    if (crossing.broken()) return Reset();
    return result;
  }

  ServerProcess& process_;
  const uint64_t id_;
  const apiserver::UserInfo user_;
  const std::string agent_;
  std::unique_ptr<client::Client> inner_;
};

ServerProcess::ServerProcess(rt::Runtime& runtime, SimDisk& disk, Journal& journal,
                             apiserver::SecurityOptions security)
    : runtime_(runtime),
      disk_(disk),
      journal_(journal),
      security_(std::move(security)),
      shown_(std::make_unique<Shown>(store_)) {}

ServerProcess::~ServerProcess() { CHECK(api_ == nullptr); }

store::Store& ServerProcess::store() { return *shown_; }

void ServerProcess::Start() {
  CHECK(!up_);
  disk_.off = false;
  store_ = std::make_unique<store::Core>(runtime_, store::CoreOptions{}, MakeSimLog(runtime_, disk_, journal_),
                                         ReadSimDisk(disk_, runtime_.Mono()));
  apiserver::ApiServerOptions options;
  options.security = security_;
  // The options are constants that are right, and the disk is well when a process starts.
  api_ = MUST(apiserver::ApiServer::Create(runtime_, {&runtime_}, *store_, std::move(options)));
  MUST(api_->Bootstrap());
  up_ = true;
}

void ServerProcess::Crash() {
  if (!up_) return;
  up_ = false;
  disk_.off = true;
  journal_.Note(fmt::format("the server crashes; {} fibers are inside", crossings_.size()));
  for (const auto& [id, crossing] : crossings_) crossing->Break();
  // Nobody is inside any more when its memory goes; time that passes meanwhile counts as that of the crash.
  while (!crossings_.empty()) (void)runtime_.Sleep(1ms);
  Stop();
}

void ServerProcess::Stop() {
  up_ = false;
  for (const auto& [id, stream] : streams_) stream->Break();
  for (const auto& [id, way] : ways_) way->Break();
  if (api_ != nullptr) api_->Stop(Duration(0));
  api_.reset();
  // Its last state can still be looked at.
  store_->Close();
}

std::unique_ptr<client::Client> ServerProcess::Way(apiserver::UserInfo user, std::string agent) {
  return std::make_unique<WayClient>(*this, std::move(user), std::move(agent));
}

}  // namespace knarr::sim
