#include "runtime/oci_error.h"

#include "base/strings.h"
#include "doc/json.h"

namespace knarr::runtime {

namespace {

constexpr std::string_view kCreateFailed = " create failed: ";
constexpr std::string_view kCannotStart = "unable to start container process: ";

// The message of the last line that has one.
std::string LastMessage(std::string_view log) {
  std::string out;
  for (const std::string_view line : Lines(log)) {
    const std::string_view text = TrimSpace(line);
    if (text.empty()) continue;
    const auto parsed = doc::ParseJson(text);
    const std::string_view message = parsed.ok() ? parsed->root.At("msg").AsString() : text;
    if (!message.empty()) out = message;
  }
  return out;
}

// What stands between the first pair of back quotes, as crun quotes.
std::string_view BackQuoted(std::string_view text) {
  const auto begin = Cut(text, "`");
  const auto inner = begin ? Cut(begin->second, "`") : std::nullopt;
  return inner ? inner->first : std::string_view();
}

std::string Exec(std::string_view program, std::string_view what) {
  return "exec: " + GoQuote(program) + ": " + std::string(what);
}

}  // namespace

std::string TranslateOciError(std::string_view log, std::string_view program) {
  const std::string message = LastMessage(log);
  std::string_view text = message;
  if (text.starts_with("executable file `")) {
    const std::string_view name = BackQuoted(text);
    if (name.find('/') == std::string_view::npos) return Exec(name, "executable file not found in $PATH");
    return Exec(name, "stat " + std::string(name) + ": no such file or directory");
  }
  if (text.starts_with("open executable: ")) return Exec(program, "permission denied");
  if (text.starts_with("chdir `")) {
    const auto reason = CutLast(text, ": ");
    return "chdir to cwd (" + GoQuote(BackQuoted(text)) +
           ") set in config.json failed: " + ToLower(reason ? reason->second : "");
  }
  // crun's, of a volume in a pod with a user namespace.
  if (text.starts_with("mount_setattr `/")) {
    const auto reason = CutLast(text, ": ");
    std::string out = "failed to set MOUNT_ATTR_IDMAP on " + std::string(BackQuoted(text));
    out += ": " + ToLower(reason ? reason->second : "");
    if (out.ends_with("invalid argument")) {
      out += " (maybe the filesystem used doesn't support idmap mounts on this kernel?)";
    }
    return out;
  }
  // runc's own frame is put round it again by our callers.
  ConsumePrefix(text, "runc create failed: ");
  ConsumePrefix(text, "exec failed: ");
  ConsumePrefix(text, kCannotStart);
  ConsumePrefix(text, "error during container init: ");
  return std::string(text);
}

std::string StartErrorMessage(std::string_view runtime, std::string_view reason) {
  std::string out = "failed to create containerd task: failed to create shim task: OCI runtime create failed: ";
  out += runtime;
  out += kCreateFailed;
  out += kCannotStart;
  out += "error during container init: ";
  out += reason;
  return out + ": unknown";
}

std::string ExecErrorMessage(std::string_view exec_id, std::string_view reason) {
  std::string out = "failed to exec in container: failed to start exec " + GoQuote(exec_id);
  out += ": OCI runtime exec failed: exec failed: ";
  out += kCannotStart;
  out += reason;
  return out + ": unknown";
}

}  // namespace knarr::runtime
