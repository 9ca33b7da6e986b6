#include "sim/sim_disk.h"

#include <fmt/format.h>

namespace knarr::sim {
namespace {

class SimLog : public store::Log {
 public:
  SimLog(rt::Runtime& runtime, SimDisk& disk, Journal& journal) : runtime_(runtime), disk_(disk), journal_(journal) {}

  Ok Append(const Batch& batch) override {
    TRY(Wait());
    for (const store::ItemRef& record : batch.records) {
      if (!rows_.insert(record->row).second) journal_.Violation(fmt::format("row {} is written twice", record->row));
    }
    for (const int64_t row : batch.forget) {
      if (rows_.erase(row) == 0) journal_.Violation(fmt::format("row {} is forgotten, and is not there", row));
    }
    return {};
  }
  Ok Recover(const std::function<Contents()>& /*contents*/, bool /*anew*/) override { return Wait(); }
  int64_t disk_bytes() const override { return 0; }
  Ok Check(store::Scan& scan, store::CheckReport& /*report*/) override {
    scan.done = true;
    return {};
  }
  void Close() override {}

 private:
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
  std::set<int64_t> rows_;
};

}  // namespace

std::unique_ptr<store::Log> MakeSimLog(rt::Runtime& runtime, SimDisk& disk, Journal& journal) {
  return std::make_unique<SimLog>(runtime, disk, journal);
}

}  // namespace knarr::sim
