#include "runtime/records.h"

#include <signal.h>

#include "base/strings.h"
#include "doc/json.h"
#include "doc/value.h"

namespace knarr::runtime {

namespace {

using doc::Value;

Value ToValue(doc::Arena& arena, const std::map<std::string, std::string>& map) {
  Value out = Value::Object();
  for (const auto& [key, value] : map) out.AddMember(arena, key, Value::Borrow(value));
  return out;
}

std::map<std::string, std::string> ToMap(const Value& value) {
  std::map<std::string, std::string> out;
  for (const doc::Member& member : value.members()) out.emplace(member.key, member.value.AsString());
  return out;
}

int64_t Nanoseconds(WallTime time) { return time.time_since_epoch().count(); }
WallTime FromNanoseconds(int64_t ns) { return WallTime(Duration(ns)); }

NamespaceMode ToMode(const Value& value) {
  return value.AsString() == "pod" ? NamespaceMode::kPod : NamespaceMode::kNode;
}
Value FromMode(NamespaceMode mode) { return Value::Borrow(mode == NamespaceMode::kPod ? "pod" : "node"); }

// The numbers of a record of one line.
Result<std::vector<int64_t>> Numbers(std::string_view text, size_t count, std::string_view what) {
  std::vector<int64_t> out;
  for (const std::string_view word : Fields(text)) {
    out.push_back(TRY(ParseInt64(word).Context(what)));
  }
  if (out.size() != count) return BadRequest(std::string(what) + ": not " + std::to_string(count) + " numbers");
  return out;
}

}  // namespace

std::string ToJson(const SandboxRecord& record) {
  doc::Arena arena;
  const SandboxSpec& spec = record.spec;
  Value out = Value::Object();
  out.Set(arena, "id", Value::Borrow(record.id));
  out.Set(arena, "bootId", Value::Borrow(record.boot_id));
  out.Set(arena, "created", Value::Int(Nanoseconds(record.created)));
  out.Set(arena, "podName", Value::Borrow(spec.pod_name));
  out.Set(arena, "podNamespace", Value::Borrow(spec.pod_namespace));
  out.Set(arena, "podUid", Value::Borrow(spec.pod_uid));
  out.Set(arena, "attempt", Value::Int(spec.attempt));
  out.Set(arena, "hostname", Value::Borrow(spec.hostname));
  out.Set(arena, "logDirectory", Value::Borrow(spec.log_directory));
  out.Set(arena, "cgroupParent", Value::Borrow(spec.cgroup_parent));
  out.Set(arena, "network", FromMode(spec.network));
  out.Set(arena, "pid", FromMode(spec.pid));
  out.Set(arena, "pidPerContainer", Value::Bool(spec.pid_per_container));
  out.Set(arena, "ipc", FromMode(spec.ipc));
  if (spec.user_namespace) {
    Value& ids = out.Set(arena, "userNamespace", Value::Object());
    ids.Set(arena, "first", Value::Int(spec.user_namespace->first));
    ids.Set(arena, "length", Value::Int(spec.user_namespace->length));
  }
  out.Set(arena, "labels", ToValue(arena, spec.labels));
  out.Set(arena, "annotations", ToValue(arena, spec.annotations));
  return doc::ToJson(out);
}

Result<SandboxRecord> ParseSandboxRecord(std::string_view text) {
  const doc::Document document = TRY(doc::ParseJson(text).Context("sandbox.json"));
  const Value& in = document.root;
  SandboxRecord out;
  out.id = in.At("id").AsString();
  out.boot_id = in.At("bootId").AsString();
  out.created = FromNanoseconds(in.At("created").AsInt());
  out.spec.pod_name = in.At("podName").AsString();
  out.spec.pod_namespace = in.At("podNamespace").AsString();
  out.spec.pod_uid = in.At("podUid").AsString();
  out.spec.attempt = static_cast<uint32_t>(in.At("attempt").AsInt());
  out.spec.hostname = in.At("hostname").AsString();
  out.spec.log_directory = in.At("logDirectory").AsString();
  out.spec.cgroup_parent = in.At("cgroupParent").AsString();
  out.spec.network = ToMode(in.At("network"));
  out.spec.pid = ToMode(in.At("pid"));
  out.spec.pid_per_container = in.At("pidPerContainer").AsBool();
  out.spec.ipc = ToMode(in.At("ipc"));
  if (const Value& ids = in.At("userNamespace"); ids.is_object()) {
    out.spec.user_namespace = IdRange{static_cast<uint32_t>(ids.At("first").AsInt()),
                                      static_cast<uint32_t>(ids.At("length").AsInt())};
  }
  out.spec.labels = ToMap(in.At("labels"));
  out.spec.annotations = ToMap(in.At("annotations"));
  if (out.id.empty()) return BadRequest("sandbox.json: no id");
  return out;
}

std::string ToJson(const ContainerRecord& record) {
  doc::Arena arena;
  Value out = Value::Object();
  out.Set(arena, "id", Value::Borrow(record.id));
  out.Set(arena, "sandboxId", Value::Borrow(record.sandbox_id));
  out.Set(arena, "created", Value::Int(Nanoseconds(record.created)));
  out.Set(arena, "name", Value::Borrow(record.name));
  out.Set(arena, "attempt", Value::Int(record.attempt));
  out.Set(arena, "image", Value::Borrow(record.image));
  out.Set(arena, "logPath", Value::Borrow(record.log_path));
  out.Set(arena, "cgroupPath", Value::Borrow(record.cgroup_path));
  out.Set(arena, "stopSignal", Value::Borrow(record.stop_signal));
  out.Set(arena, "program", Value::Borrow(record.program));
  out.Set(arena, "tty", Value::Bool(record.tty));
  out.Set(arena, "stdinOpen", Value::Bool(record.stdin_open));
  if (record.user) {
    Value& user = out.Set(arena, "user", Value::Object());
    user.Set(arena, "uid", Value::Int(record.user->uid));
    user.Set(arena, "gid", Value::Int(record.user->gid));
    Value& groups = user.Set(arena, "groups", Value::Array());
    for (const int64_t group : record.user->groups) groups.Append(arena, Value::Int(group));
  }
  out.Set(arena, "labels", ToValue(arena, record.labels));
  out.Set(arena, "annotations", ToValue(arena, record.annotations));
  return doc::ToJson(out);
}

Result<ContainerRecord> ParseContainerRecord(std::string_view text) {
  const doc::Document document = TRY(doc::ParseJson(text).Context("container.json"));
  const Value& in = document.root;
  ContainerRecord out;
  out.id = in.At("id").AsString();
  out.sandbox_id = in.At("sandboxId").AsString();
  out.created = FromNanoseconds(in.At("created").AsInt());
  out.name = in.At("name").AsString();
  out.attempt = static_cast<uint32_t>(in.At("attempt").AsInt());
  out.image = in.At("image").AsString();
  out.log_path = in.At("logPath").AsString();
  out.cgroup_path = in.At("cgroupPath").AsString();
  out.stop_signal = in.At("stopSignal").AsString();
  out.program = in.At("program").AsString();
  out.tty = in.At("tty").AsBool();
  out.stdin_open = in.At("stdinOpen").AsBool();
  if (const Value& user = in.At("user"); user.is_object()) {
    out.user = ContainerUser{user.At("uid").AsInt(), user.At("gid").AsInt(), {}};
    for (const Value& group : user.At("groups").items()) out.user->groups.push_back(group.AsInt());
  }
  out.labels = ToMap(in.At("labels"));
  out.annotations = ToMap(in.At("annotations"));
  // An empty path would name the whole control group tree to those who clean up.
  if (out.id.empty() || out.cgroup_path.size() < 2) return BadRequest("container.json: no id or control group");
  return out;
}

Result<ShimPids> ParseShimPids(std::string_view text) {
  const auto n = TRY(Numbers(text, 4, "shim.pid"));
  return ShimPids{static_cast<int>(n[0]), static_cast<uint64_t>(n[1]), static_cast<int>(n[2]),
                  static_cast<uint64_t>(n[3])};
}

Result<StartRecord> ParseStartRecord(std::string_view text) {
  const auto n = TRY(Numbers(text, 3, "started"));
  return StartRecord{static_cast<int>(n[0]), static_cast<uint64_t>(n[1]), FromNanoseconds(n[2])};
}

Result<ExitRecord> ParseExitRecord(std::string_view text) {
  const auto n = TRY(Numbers(text, 3, "exit"));
  return ExitRecord{static_cast<int>(n[0]), FromNanoseconds(n[1]), n[2] != 0};
}

Result<int> SignalNumber(std::string_view name) {
  struct Named {
    std::string_view name;
    int number;
  };
  static constexpr Named kSignals[] = {
      {"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT},   {"ILL", SIGILL},   {"TRAP", SIGTRAP},
      {"ABRT", SIGABRT},     {"BUS", SIGBUS},   {"FPE", SIGFPE},     {"KILL", SIGKILL}, {"USR1", SIGUSR1},
      {"SEGV", SIGSEGV},     {"USR2", SIGUSR2}, {"PIPE", SIGPIPE},   {"ALRM", SIGALRM}, {"TERM", SIGTERM},
      {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD}, {"CONT", SIGCONT},   {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},
      {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU}, {"URG", SIGURG},     {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
      {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"PWR", SIGPWR},
      {"SYS", SIGSYS},       {"RTMIN", 34},     {"RTMAX", 64}};
  const std::string upper = ToUpper(name);
  std::string_view text = upper;
  ConsumePrefix(text, "SIG");
  if (const auto number = ParseInt<int>(text); number.ok() && *number >= 1 && *number <= 64) return *number;
  for (const Named& signal : kSignals) {
    if (text == signal.name) return signal.number;
  }
  int offset = 0;
  std::string_view rest = text;
  if (ConsumePrefix(rest, "RTMIN+")) offset = 34 + ParseInt<int>(rest).value_or(-100);
  rest = text;
  if (ConsumePrefix(rest, "RTMAX-")) offset = 64 - ParseInt<int>(rest).value_or(100);
  if (offset >= 34 && offset <= 64) return offset;
  return BadRequest("unknown signal " + GoQuote(name));
}

}  // namespace knarr::runtime
