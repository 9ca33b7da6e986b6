#include "apiserver/store_admin.h"

#include <fmt/format.h>

#include "apiserver/errors.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kRoot = "/knarr/store";

/// A backup as it is sent.
class BackupBody : public BodyStream {
 public:
  explicit BackupBody(std::unique_ptr<store::BackupSource> source) : source_(std::move(source)) {}
  Result<bool> Next(std::string& out) override { return source_->Next(out); }

 private:
  const std::unique_ptr<store::BackupSource> source_;
};

Result<Answer> AnswerBackup(Call& call, Core& core, store::Maintenance& maintenance) {
  Answer answer;
  answer.content_type = "application/octet-stream";
  std::unique_ptr<store::BackupSource> source =
      rt::CallOn(call.context.runtime, core.world(), [&] { return maintenance.StartBackup(); });
  answer.body.rest = std::make_shared<BackupBody>(std::move(source));
  return answer;
}

}  // namespace

bool IsStorePath(std::string_view path) {
  return path == kRoot || (path.starts_with(kRoot) && path[kRoot.size()] == '/');
}

Result<Answer> AnswerStore(Call& call, Core& core) {
  const std::string_view what = std::string_view(call.request.url.path).substr(kRoot.size());
  const bool changes = what == "/repair" || what == "/compact";
  if (!changes && what != "" && what != "/check" && what != "/backup") return PlainNotFound();
  if (call.request.method != (changes ? "POST" : "GET")) return RouteMethodError();
  store::Store& store = core.store();
  store::Maintenance* maintenance = store.maintenance();
  if (maintenance == nullptr) return BadRequest("the store of this server is not its own: use its own tools");
  rt::Runtime& here = call.context.runtime;
  Answer answer;
  if (what == "/backup") return AnswerBackup(call, core, *maintenance);
  if (what == "/check") {
    answer.body.text = ReportJson(TRY(rt::CallOn(here, core.world(), [&] { return maintenance->Check(); })));
  } else if (what == "/repair") {
    answer.body.text = ReportJson(TRY(rt::CallOn(here, core.world(), [&] { return maintenance->Repair(); })));
  } else if (what == "/compact") {
    answer.body.text = ReclaimedJson(TRY(rt::CallOn(here, core.world(), [&] { return maintenance->Reclaim(); })));
  } else {
    answer.body.text = StatsJson(store.stats(), store.Health());
  }
  return answer;
}

std::string NameOfStoreKey(std::string_view key) {
  constexpr std::string_view kRegistry = "/registry/";
  if (!key.starts_with(kRegistry)) return GoQuote(key);
  const std::string_view rest = key.substr(kRegistry.size());
  const size_t group_end = rest.find('/');
  const size_t kind_end = group_end == std::string_view::npos ? group_end : rest.find('/', group_end + 1);
  if (kind_end == std::string_view::npos) return GoQuote(key);
  const std::string_view group = rest.substr(0, group_end);
  const std::string_view kind = rest.substr(group_end + 1, kind_end - group_end - 1);
  return fmt::format("{}{}{}{}", kind, group == "core" ? "" : ".", group == "core" ? "" : group, rest.substr(kind_end));
}

std::string StatsJson(const store::StoreStats& stats, const Ok& health) {
  doc::Document out;
  out.root = Value::Object();
  const auto set = [&](std::string_view name, Value value) { out.root.AddMember(out.arena, name, value); };
  set("revision", Value::Int(stats.revision));
  set("compacted", Value::Int(stats.compacted));
  set("keys", Value::Int(static_cast<int64_t>(stats.keys)));
  set("valueBytes", Value::Int(static_cast<int64_t>(stats.value_bytes)));
  set("historyEvents", Value::Int(static_cast<int64_t>(stats.history_events)));
  set("diskBytes", Value::Int(stats.disk_bytes));
  set("commits", Value::Int(static_cast<int64_t>(stats.commits)));
  set("writes", Value::Int(static_cast<int64_t>(stats.writes)));
  set("readOnly", health.ok() ? Value::Null() : Value::String(out.arena, health.status().message()));
  return doc::ToJson(out.root);
}

std::string ReportJson(const store::CheckReport& report) {
  doc::Document out;
  out.root = Value::Object();
  doc::Arena& arena = out.arena;
  const auto set = [&](std::string_view name, Value value) { out.root.AddMember(arena, name, value); };
  set("records", Value::Int(static_cast<int64_t>(report.records)));
  set("revision", Value::Int(report.revision));
  set("compacted", Value::Int(report.compacted));
  set("diskBytes", Value::Int(report.disk_bytes));
  set("damaged", Value::Int(static_cast<int64_t>(report.damaged)));
  Value damages = Value::Array();
  for (const store::Damage& damage : report.damages) {
    Value one = Value::Object();
    if (damage.row != 0) one.AddMember(arena, "row", Value::Int(damage.row));
    if (damage.row_end > damage.row && damage.row_end < store::kRowMax) {
      one.AddMember(arena, "rowEnd", Value::Int(damage.row_end));
    }
    if (damage.row_end >= store::kRowMax) one.AddMember(arena, "toTheEnd", Value::Bool(true));
    if (damage.revision != 0) one.AddMember(arena, "revision", Value::Int(damage.revision));
    if (!damage.key.empty()) one.AddMember(arena, "object", Value::String(arena, NameOfStoreKey(damage.key)));
    one.AddMember(arena, "why", Value::String(arena, damage.why));
    if (!damage.outcome.empty()) one.AddMember(arena, "outcome", Value::String(arena, damage.outcome));
    damages.Append(arena, one);
  }
  set("damages", damages);
  if (!report.quarantine.empty()) set("quarantine", Value::String(arena, report.quarantine));
  return doc::ToJson(out.root);
}

std::string ReclaimedJson(const store::Reclaimed& done) {
  return fmt::format(R"({{"compacted":{},"diskBytesBefore":{},"diskBytes":{}}})", done.compacted,
                     done.disk_bytes_before, done.disk_bytes);
}

}  // namespace knarr::apiserver
