#pragma once

// The scenario language: what is done to a cluster and what is expected of it, a statement a line. The same file is
// played in a simulation, against the program, and against any cluster. docs/recipes/scenarios.md describes it.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"

namespace knarr::sim {

/// One statement, checked: its verb is known, has as many words as it needs, and only options it takes.
struct Statement {
  int line = 0;
  std::string text;  ///< as it stands in the file, its block included
  std::string verb;
  std::vector<std::string> words;                          ///< behind the verb; quotes are taken away
  std::map<std::string, std::string, std::less<>> options;  ///< name=value
  std::string body;        ///< JSON behind the words, or the indented block below, its indent taken away
  bool tries = false;      ///< "try": being refused is fine
  Duration within{};       ///< "within 30s", of expect
  Duration lasting{};      ///< "for 10s", of expect: true all that time
  std::string error;       ///< the reason it has to fail with (the error statement behind it); "": it succeeds
  std::string error_text;  ///< what the message has to contain

  std::string Option(std::string_view name, std::string_view other = "") const;
};

struct Scenario {
  std::string name;
  std::vector<Statement> statements;
  /// BadRequest "NAME:LINE: …".
  static Result<Scenario> Parse(std::string_view text, std::string name);
  /// The statements' text: Parse reads it back.
  std::string ToText() const;
};

/// What a statement is about: "pod/web", "pod/namespace/web", "pod/~3" (the fourth there is, by its name's order,
/// counted round), "pods".
struct Target {
  std::string kind;
  std::string ns;
  std::string name;
  std::optional<uint64_t> pick;
  static Result<Target> Parse(std::string_view text);
};

}  // namespace knarr::sim
