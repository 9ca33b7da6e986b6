#include "sim/fault_client.h"

namespace knarr::sim {
namespace {

using api::KindInfo;
using api::ObjectPtr;
using client::ObjectName;

constexpr Duration kHearkens = 1s;
constexpr Duration kGapMost = 300ms;

/// Draws from the runtime's seed.
class Dice {
 public:
  Dice(rt::Runtime& runtime, const Faults& faults) : runtime_(runtime), faults_(faults) {}

  rt::Runtime& runtime() const { return runtime_; }
  const Faults& faults() const { return faults_; }
  const FaultPlan& plan() const { return faults_.plan; }
  bool Strikes(int thousandths) const {
    return faults_.on && thousandths > 0 && runtime_.Random() % 1000 < static_cast<uint64_t>(thousandths);
  }
  Ok Pause() const {
    if (!Strikes(plan().slow)) return {};
    return runtime_.Sleep(UpTo(plan().slow_most));
  }
  Duration UpTo(Duration most) const {
    return Duration(runtime_.Random() % static_cast<uint64_t>(most.count() + 1));
  }

 private:
  rt::Runtime& runtime_;
  const Faults& faults_;
};

class FaultWatch : public client::WatchStream {
 public:
  FaultWatch(Dice dice, const KindInfo& kind, std::unique_ptr<client::WatchStream> inner)
      : dice_(dice), kind_(kind), inner_(std::move(inner)) {}

  Result<std::vector<client::WatchEvent>> Next() override {
    if (broken_) return Unavailable("the watch was broken");
    // What came while it was deaf does not come at once afterwards.
    if (was_deaf_) TRY(dice_.runtime().Sleep(dice_.UpTo(kGapMost)));
    was_deaf_ = false;
    std::vector<client::WatchEvent> events = TRY(inner_->Next());
    while (IsDeaf()) {
      was_deaf_ = true;
      TRY(dice_.runtime().Sleep(dice_.UpTo(kHearkens)));
    }
    if (dice_.faults().cut || dice_.Strikes(dice_.plan().break_)) return Break(Unavailable("connection reset by peer"));
    if (dice_.Strikes(dice_.plan().expire)) return Break(Expired("too old resource version"));
    if (dice_.Strikes(dice_.plan().late)) {
      TRY(dice_.runtime().Sleep(dice_.UpTo(10s)));
    }
    return events;
  }

 private:
  bool IsDeaf() const {
    const Faults& faults = dice_.faults();
    return dice_.runtime().Mono() < faults.deaf_until && (faults.deaf_to.empty() || faults.deaf_to == kind_.plural);
  }
  Status Break(Status status) {
    broken_ = true;
    inner_.reset();
    return status;
  }
  Dice dice_;
  const KindInfo& kind_;
  std::unique_ptr<client::WatchStream> inner_;
  bool broken_ = false;
  bool was_deaf_ = false;
};

class FaultClient : public client::Client {
 public:
  FaultClient(rt::Runtime& runtime, client::Client& inner, const Faults& faults, std::string who)
      : dice_(runtime, faults), inner_(inner), who_(std::move(who)) {}

  Result<ObjectPtr> Get(const KindInfo& kind, const ObjectName& name, std::string_view subresource) override {
    return Call(false, [&] {
      Result<ObjectPtr> found = inner_.Get(kind, name, subresource);
      CallObserver* observer = dice_.faults().observer;
      const bool told = found.ok() || found.Failed(Reason::kNotFound);
      if (observer != nullptr && told) observer->Answers(who_, kind, name, found.ok());
      return found;
    });
  }
  Result<client::ObjectList> List(const KindInfo& kind, std::string_view ns,
                                  const client::ListOptions& options) override {
    return Call(false, [&] { return inner_.List(kind, ns, options); });
  }
  Result<std::unique_ptr<client::WatchStream>> Watch(const KindInfo& kind, std::string_view ns,
                                                     const client::WatchOptions& options) override {
    TRY(Before(false));
    std::unique_ptr<client::WatchStream> stream = TRY(inner_.Watch(kind, ns, options));
    return std::unique_ptr<client::WatchStream>(std::make_unique<FaultWatch>(dice_, kind, std::move(stream)));
  }
  Result<ObjectPtr> Create(const KindInfo& kind, std::string_view ns, const doc::Value& object,
                           const client::WriteOptions& options) override {
    // Names that the server makes up would be two different ones.
    const bool named = !object.Get("metadata", "name").AsString().empty();
    return Call(false, [&] { return inner_.Create(kind, ns, object, options); }, named);
  }
  Result<ObjectPtr> CreateSub(const KindInfo& kind, const ObjectName& name, std::string_view subresource,
                              const doc::Value& object, const client::WriteOptions& options) override {
    CallObserver* observer = dice_.faults().observer;
    if (observer != nullptr && subresource == "binding") observer->Binds(who_, name);
    return Call(true, [&] { return inner_.CreateSub(kind, name, subresource, object, options); }, true);
  }
  Result<ObjectPtr> Update(const KindInfo& kind, const ObjectName& name, const doc::Value& object,
                           std::string_view subresource, const client::WriteOptions& options) override {
    return Call(true, [&] { return inner_.Update(kind, name, object, subresource, options); }, true);
  }
  Result<ObjectPtr> Patch(const KindInfo& kind, const ObjectName& name, client::PatchType type, std::string_view body,
                          std::string_view subresource, const client::WriteOptions& options) override {
    return Call(true, [&] { return inner_.Patch(kind, name, type, body, subresource, options); }, true);
  }
  Result<ObjectPtr> Delete(const KindInfo& kind, const ObjectName& name,
                           const client::DeleteOptions& options) override {
    return Call(true, [&] {
      CallObserver* observer = dice_.faults().observer;
      if (observer != nullptr) observer->Deletes(who_, kind, name, options);
      Result<ObjectPtr> deleted = inner_.Delete(kind, name, options);
      if (observer != nullptr && deleted.ok()) observer->Deleted(who_, kind, options, **deleted);
      return deleted;
    });
  }
  Ok DeleteCollection(const KindInfo& kind, std::string_view ns, const client::ListOptions& list,
                      const client::DeleteOptions& options) override {
    return Call(false, [&] {
      CallObserver* observer = dice_.faults().observer;
      if (observer != nullptr) observer->DeletesAll(who_, kind, ns);
      return inner_.DeleteCollection(kind, ns, list, options);
    });
  }

 private:
  Ok Before(bool may_conflict) {
    if (dice_.faults().cut) {
      TRY(dice_.runtime().Sleep(100ms));
      return Unavailable("no route to host");
    }
    TRY(dice_.Pause());
    if (dice_.Strikes(dice_.plan().refuse)) return Refusal(dice_.runtime().Random());
    if (may_conflict && dice_.Strikes(dice_.plan().conflict)) {
      return Conflict("the object has been modified; please apply your changes to the latest version and try again");
    }
    return {};
  }

  static Status Refusal(uint64_t random) {
    switch (random % 3) {
      case 0:
        return Unavailable("the server is currently unable to handle the request");
      case 1:
        return Timeout("request did not complete within the allowed duration");
      default:
        return {Reason::kTooManyRequests, "the server has received too many requests"};
    }
  }

  template <typename Function>
  auto Call(bool may_conflict, Function function, bool twice = false) -> decltype(function()) {
    TRY(Before(may_conflict));
    auto result = function();
    if (!result.ok()) return result;
    // The network sent it once more; nobody waits for that answer.
    if (twice && dice_.Strikes(dice_.plan().twice)) (void)function();
    TRY(dice_.Pause());
    if (dice_.faults().cut || dice_.Strikes(dice_.plan().lose)) {
      return dice_.runtime().Random() % 2 == 0 ? Timeout("the answer was lost") : Unavailable("the answer was lost");
    }
    return result;
  }

  Dice dice_;
  client::Client& inner_;
  const std::string who_;
};

}  // namespace

std::unique_ptr<client::Client> MakeFaultClient(rt::Runtime& runtime, client::Client& inner, const Faults& faults,
                                                std::string who) {
  return std::make_unique<FaultClient>(runtime, inner, faults, std::move(who));
}

}  // namespace knarr::sim
