#include "store/etcd/engine.h"

namespace knarr::store::etcd {
namespace {

constexpr Duration kCatchUpMost = std::chrono::seconds(10);
/// How long a revision that the cluster has is waited for. It may be one of a key outside the prefix, which the feed
/// never brings.
constexpr Duration kFeedDelay = std::chrono::milliseconds(50);

}  // namespace

Ok Engine::CatchUp(rt::Runtime& here) {
  return rt::CallOn(here, world_, [this]() -> Ok {
    TRY(Admits());
    inside_++;
    Ok done = CatchUpHere(world_.Mono() + kCatchUpMost);
    Leave();
    // It is not the caller's time that ran out.
    if (done.Failed(Reason::kTimeout) && world_.CheckCancelled().ok()) {
      return Unavailable("etcd does not say what is newest: " +
                         (trouble_.empty() ? done.status().message() : trouble_));
    }
    return done;
  });
}

Ok Engine::CatchUpHere(MonoTime until) {
  const Revision newest = TRY(Share(asked_, until, &Engine::AskRevision));
  const Ok reached = Reach(newest, std::min(until, world_.Mono() + kFeedDelay));
  if (reached.ok()) return {};
  TRY(Usable());
  TRY(world_.CheckCancelled());
  return Reach(TRY(Share(fenced_, until, &Engine::WriteFence)), until);
}

Result<Revision> Engine::Share(Shared& shared, MonoTime until, Result<Revision> (Engine::*ask)(MonoTime until)) {
  // What is asked already may have been answered before we came.
  const uint64_t ours = shared.begun + 1;
  while (shared.ended < ours) {
    if (shared.running) {
      TRY(shared.queue.Wait(until));
      continue;
    }
    shared.running = true;
    const uint64_t turn = ++shared.begun;
    // In a fiber of its own: who asks for all must not go away with one of them.
    tasks_.Spawn("fence", [this, &shared, turn, ask] {
      shared.answer = (this->*ask)(world_.Mono() + kCatchUpMost);
      shared.ended = turn;
      shared.running = false;
      shared.queue.NotifyAll();
    });
  }
  return shared.answer;
}

Result<Revision> Engine::AskRevision(MonoTime until) {
  Pause pause(world_);
  while (true) {
    const Result<RangeResponse> answer = api_->Range({.key = OwnKey("fence"), .end = {}, .keys_only = true});
    trouble_ = answer.ok() ? "" : answer.status().message();
    if (answer.ok()) return answer->header.revision;
    TRY(Usable());
    if (world_.Mono() >= until) return answer.status();
    TRY(pause.Wait());
  }
}

Result<Revision> Engine::WriteFence(MonoTime until) {
  Pause pause(world_);
  while (true) {
    TxnRequest request;
    request.then.push_back({Operation::Kind::kPut, OwnKey("fence"), {}, 0});
    bool sent = false;
    const Result<TxnResponse> answer = api_->Txn(request, sent);
    trouble_ = answer.ok() ? "" : answer.status().message();
    if (answer.ok()) return answer->header.revision;
    TRY(Usable());
    if (world_.Mono() >= until) return answer.status();
    TRY(pause.Wait());
  }
}

}  // namespace knarr::store::etcd
