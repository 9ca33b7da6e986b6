#pragma once

// Command line flags as kubectl's (spf13/pflag) users type them: --name value, --name=value, -n value, -nvalue,
// -n=value, clusters of one-letter booleans (-it), booleans with =false, lists given several times or with commas, and
// "--", behind which everything is an argument. Flags may stand anywhere among the arguments.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"

namespace knarr::cli {

class FlagSet {
 public:
  /// The variables must outlive Parse; what they hold is the default. `letter` 0: no short form.
  void Bool(bool* out, std::string name, char letter, std::string usage);
  void String(std::string* out, std::string name, char letter, std::string usage);
  /// A flag with an optional value: `--name` alone sets `implied` (--dry-run, --cascade).
  void OptionalString(std::string* out, std::string name, char letter, std::string implied, std::string usage);
  void Int(int64_t* out, std::string name, char letter, std::string usage);
  void DurationOf(Duration* out, std::string name, char letter, std::string usage);
  /// Every use adds one element.
  void StringArray(std::vector<std::string>* out, std::string name, char letter, std::string usage);
  /// Every use adds the elements between its commas.
  void StringSlice(std::vector<std::string>* out, std::string name, char letter, std::string usage);

  /// The arguments that are no flags, in order. BadRequest in pflag's words ("unknown flag: --foo", "flag needs an
  /// argument: --name", `invalid argument "x" for "--replicas" flag: …`).
  Result<std::vector<std::string>> Parse(const std::vector<std::string>& args);

  /// The flag was given.
  bool Changed(std::string_view name) const;
  /// How many of the parsed arguments stood before "--"; nullopt without one.
  std::optional<size_t> dash_position() const { return dash_; }
  /// The list of flags for --help, one or two lines each, ordered by name.
  std::string Usage() const;

 private:
  enum class Type : uint8_t { kBool, kString, kOptional, kInt, kDuration, kArray, kSlice };
  struct Flag {
    Type type;
    char letter;
    std::string usage;
    std::string implied;
    std::string default_text;
    bool changed = false;
    std::function<Ok(const std::string& value)> set;
  };
  void Add(std::string name, Flag flag);
  Ok Set(const std::string& name, Flag& flag, const std::string& value);
  Ok ParseLong(const std::vector<std::string>& args, size_t& at);
  Ok ParseShort(const std::vector<std::string>& args, size_t& at);

  std::map<std::string, Flag, std::less<>> flags_;
  std::optional<size_t> dash_;
};

}  // namespace knarr::cli
