#include "apiserver/strategies/record.h"

#include <algorithm>
#include <span>

#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

bool Contains(std::span<const std::string_view> list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

constexpr std::string_view kCreateOnUpdate[] = {"endpoints", "leases", "limitranges", "podtemplates", "runtimeclasses"};
constexpr std::string_view kVersionNeeded[] = {
    "csidrivers",     "csinodes",        "csistoragecapacities", "leases",
    "runtimeclasses", "poddisruptionbudgets", "volumeattachments"};
constexpr std::string_view kReturnDeleted[] = {
    "csidrivers",      "csinodes",       "podtemplates",      "resourcequotas",
    "serviceaccounts", "storageclasses", "volumeattachments", "volumeattributesclasses"};

}  // namespace

bool RecordStrategy::allow_create_on_update() const { return Contains(kCreateOnUpdate, kind_.plural); }
bool RecordStrategy::allow_unconditional_update() const { return !Contains(kVersionNeeded, kind_.plural); }
bool RecordStrategy::returns_deleted_object() const { return Contains(kReturnDeleted, kind_.plural); }

std::unique_ptr<Strategy> MakeRecordStrategy(const api::KindInfo& kind) {
  return std::make_unique<RecordStrategy>(kind);
}

}  // namespace knarr::apiserver
