#include "sim/sim_disk.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

namespace knarr::sim {
namespace {

class SimLog : public store::Log {
 public:
  SimLog(rt::Runtime& runtime, SimDisk& disk, Journal& journal) : runtime_(runtime), disk_(disk), journal_(journal) {}

  Ok Append(const Batch& batch) override {
    if (disk_.off) return Off();
    TRY(Wait());
    if (disk_.off && runtime_.Random() % 2 == 0) return Off();
    for (const store::ItemRef& record : batch.records) {
      if (!disk_.rows.emplace(record->row, record).second) {
        journal_.Violation(fmt::format("row {} is written twice", record->row));
      }
      disk_.row_next = std::max(disk_.row_next, record->row + 1);
    }
    for (const int64_t row : batch.forget) {
      if (disk_.rows.erase(row) == 0) journal_.Violation(fmt::format("row {} is forgotten, and is not there", row));
    }
    disk_.compacted = std::max(disk_.compacted, batch.compacted);
    return disk_.off ? Off() : Ok();
  }
  Ok Recover(const std::function<Contents()>& /*contents*/, bool /*anew*/) override {
    return disk_.off ? Off() : Wait();
  }
  int64_t disk_bytes() const override { return 0; }
  Ok Check(store::Scan& scan, store::CheckReport& /*report*/) override {
    scan.done = true;
    return {};
  }
  void Close() override {}

 private:
  static Ok Off() { return Unavailable("the process is ending"); }
  // On the store's own fibers, which nobody cancels.
  Ok Wait() {
    if (disk_.commit_time > Duration::zero()) TRY(runtime_.Sleep(disk_.commit_time));
    if (!disk_.full) return {};
    disk_.refused = runtime_.Mono();
    return Status(Reason::kServerTimeout, "no space left on device").WithCode(store::kInsufficientStorage);
  }

  rt::Runtime& runtime_;
  SimDisk& disk_;
  Journal& journal_;
};

}  // namespace

store::Recovered ReadSimDisk(const SimDisk& disk, MonoTime now) {
  store::Recovered out;
  out.compacted = disk.compacted;
  out.revision = std::max<store::Revision>(1, disk.compacted);
  out.row_next = disk.row_next;
  for (const auto& [row, written] : disk.rows) {
    // Nothing that the process before had made of it is there.
    store::ItemRef item = store::ItemRef::Make(written->key());
    item->create_revision = written->create_revision;
    item->mod_revision = written->mod_revision;
    item->row = row;
    item->value = written->value;
    const bool is_delete = item->value == nullptr;
    out.revision = std::max(out.revision, item->mod_revision);
    out.value_bytes += is_delete ? 0 : item->value->size();
    store::ItemRef before = is_delete ? out.tree.Erase(item->key()) : out.tree.Put(item);
    if (before) out.value_bytes -= before->value->size();
    if (item->mod_revision <= disk.compacted) {
      if (before) out.forget.push_back(before->row);
      if (is_delete) out.forget.push_back(row);
      continue;
    }
    auto event = std::make_shared<const store::Event>(
        store::Event{is_delete ? store::Event::Type::kDelete : store::Event::Type::kPut, std::string(item->key()),
                     item->value, before ? before->value : nullptr, item->mod_revision});
    out.history.push_back({item->mod_revision, now, std::move(before), std::move(item), std::move(event)});
  }
  return out;
}

std::unique_ptr<store::Log> MakeSimLog(rt::Runtime& runtime, SimDisk& disk, Journal& journal) {
  return std::make_unique<SimLog>(runtime, disk, journal);
}

}  // namespace knarr::sim
