#include "cli/kubectl/errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace knarr::cli {
namespace {

// Kinds of causes that say how an error is told; they never leave the process.
constexpr std::string_view kUsage = "knarr/usage";
constexpr std::string_view kFlag = "knarr/flag";
constexpr std::string_view kPlain = "knarr/plain";
constexpr std::string_view kServer = "knarr/server";

const StatusCause* FindMark(const Status& status, std::string_view type) {
  for (const StatusCause& cause : status.details().causes) {
    if (cause.type == type) return &cause;
  }
  return nullptr;
}

Status Marked(const Status& status, std::string_view type, std::string_view text = {}) {
  return status.WithCause({.type = std::string(type), .message = std::string(text), .field = ""});
}

/// The server was not reached, or what answered was none.
bool IsTransportError(const Status& status) {
  constexpr std::string_view kBeginnings[] = {"dial ",
                                              "lookup ",
                                              "tls: ",
                                              "x509: ",
                                              "EOF",
                                              "unexpected EOF",
                                              "context deadline exceeded (Client.Timeout exceeded"};
  if (!status.details().kind.empty()) return false;
  return std::ranges::any_of(kBeginnings, [&](std::string_view b) { return status.message().starts_with(b); });
}

/// "https://10.0.0.1:6443/x" → "10.0.0.1:6443".
std::string_view HostOf(std::string_view server) {
  const size_t scheme = server.find("://");
  if (scheme != std::string_view::npos) server.remove_prefix(scheme + 3);
  return server.substr(0, server.find('/'));
}

/// One field's mistake on the same line, several below each other.
std::string InvalidText(const Status& status) {
  const StatusDetails& details = status.details();
  std::vector<std::string> lines;
  for (const StatusCause& cause : details.causes) {
    if (cause.type == kServer) continue;
    std::string line = fmt::format("{}: {}", cause.field, cause.message);
    if (std::ranges::find(lines, line) == lines.end()) lines.push_back(std::move(line));
  }
  std::string out = "The request is invalid";
  if (!details.kind.empty() || !details.name.empty()) {
    out = fmt::format("The {} \"{}\" is invalid", details.kind, details.name);
  } else if (lines.empty() && !status.message().empty()) {
    out += ": " + status.message();
  }
  if (lines.empty()) return out + "\n";
  if (lines.size() == 1) return fmt::format("{}: {}\n", out, lines[0]);
  out += ": \n";
  for (const std::string& line : lines) out += fmt::format("* {}\n", line);
  return out;
}

std::string ServerText(const Status& status) {
  if (status.Is(Reason::kInvalid)) return InvalidText(status);
  if (status.Is(Reason::kUnauthorized)) {
    return fmt::format("error: You must be logged in to the server ({})\n", status.message());
  }
  const std::string_view reason = ReasonText(status.reason());
  if (reason.empty()) return fmt::format("Error from server: {}\n", status.message());
  return fmt::format("Error from server ({}): {}\n", reason, status.message());
}

}  // namespace

Status UsageError(std::string message, std::string_view path) {
  return Marked(BadRequest(std::move(message)), kUsage, path);
}

Status FlagError(std::string message) { return Marked(BadRequest(std::move(message)), kFlag); }

Status PlainError(std::string message) { return Marked(BadRequest(std::move(message)), kPlain); }

Status MarkServerError(const Status& status, std::string_view server) {
  if (status.Is(Reason::kCancelled) || IsServerError(status)) return status;
  // The answer began in time and did not end in time: our own word, too.
  if (status.Is(Reason::kTimeout) && status.message().find("(Client.Timeout or ") != std::string::npos) return status;
  if (!IsTransportError(status)) return Marked(status, kServer);
  if (status.message().ends_with("onnection refused")) {
    return Marked(Unavailable(fmt::format("The connection to the server {} was refused - did you specify the right "
                                          "host or port?",
                                          HostOf(server))),
                  kPlain);
  }
  return Marked(Unavailable("Unable to connect to the server: " + status.message()), kPlain);
}

bool IsServerError(const Status& status) { return FindMark(status, kServer) != nullptr; }

std::string ErrorText(const Status& status, std::string_view verb) {
  if (FindMark(status, kPlain) != nullptr) return status.message() + "\n";
  if (FindMark(status, kFlag) != nullptr) {
    return fmt::format("Error: {}\nSee 'kubectl {} --help' for usage.\n", status.message(), verb);
  }
  if (const StatusCause* usage = FindMark(status, kUsage)) {
    return fmt::format("error: {}\nSee 'kubectl {} -h' for help and examples\n", status.message(),
                       usage->message.empty() ? verb : usage->message);
  }
  if (IsServerError(status)) return ServerText(status);
  return fmt::format("error: {}\n", status.message());
}

}  // namespace knarr::cli
