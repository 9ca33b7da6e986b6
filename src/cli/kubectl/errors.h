#pragma once

// What a failed command says, in kubectl's words. A Status that comes from the server is marked so by the connection it
// came over (server_connection.cc); everything else is our own word.

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "cli/kubectl/session.h"

namespace knarr::cli {

/// A mistake in how the command was called: `error: …` and a hint at `kubectl <path> -h`. Path "": the verb's name.
Status UsageError(std::string message, std::string_view path = {});
/// A flag that can't be read: `Error: …` and a hint at `kubectl <verb> --help`.
Status FlagError(std::string message);
/// Printed as it is.
Status PlainError(std::string message);

/// Came over the wire.
Status MarkServerError(const Status& status, std::string_view server);
bool IsServerError(const Status& status);

/// What is printed for an error, with a line break: "error: …" for our own word, "Error from server (Reason): …" for
/// the server's.
std::string ErrorText(const Status& status, std::string_view verb);

/// The same connection, whose errors are marked as the server's.
std::unique_ptr<Connection> MarkErrors(std::unique_ptr<Connection> connection);

}  // namespace knarr::cli
