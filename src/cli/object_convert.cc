#include "cli/object_convert.h"

#include "api/convert.h"
#include "base/strings.h"

namespace knarr::cli {
namespace {

constexpr std::string_view kUsage =
    "Usage: knarr object convert -i json|yaml|protobuf -o json|yaml|protobuf\n"
    "\n"
    "Reads one object of any known kind from standard input and writes it to standard output in another form, exactly\n"
    "as Kubernetes' own serializers write it.\n";

VerbOutput Wrong(std::string_view what) {
  return {.exit_code = 2, .out = {}, .err = "error: " + std::string(what) + "\n\n" + std::string(kUsage)};
}

// The value of -i, -i=json, --input json or --input=json; empty when the argument is another.
Result<std::string> FlagValue(std::span<const std::string> arguments, size_t& at, std::string_view brief,
                              std::string_view full) {
  std::string_view argument = arguments[at];
  if (argument == brief || argument == full) {
    if (at + 1 == arguments.size()) return BadRequest("flag needs an argument: " + std::string(argument));
    return arguments[++at];
  }
  for (const std::string_view name : {full, brief}) {
    std::string_view rest = argument;
    if (!ConsumePrefix(rest, name)) continue;
    if (ConsumePrefix(rest, "=")) return std::string(rest);
    if (name == brief && !argument.starts_with("--")) return std::string(rest);
  }
  return std::string();
}

}  // namespace

VerbOutput RunObject(std::span<const std::string> arguments, const std::function<Result<std::string>()>& read_input) {
  if (arguments.empty() || arguments[0] == "-h" || arguments[0] == "--help") {
    return {.exit_code = arguments.empty() ? 2 : 0, .out = std::string(kUsage), .err = {}};
  }
  if (arguments[0] != "convert") return Wrong("unknown command \"" + arguments[0] + "\" for \"knarr object\"");
  std::string from;
  std::string to;
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i] == "-h" || arguments[i] == "--help") {
      return {.exit_code = 0, .out = std::string(kUsage), .err = {}};
    }
    const Result<std::string> in = FlagValue(arguments, i, "-i", "--input");
    if (!in.ok()) return Wrong(in.status().message());
    if (!in->empty()) {
      from = *in;
      continue;
    }
    const Result<std::string> out = FlagValue(arguments, i, "-o", "--output");
    if (!out.ok()) return Wrong(out.status().message());
    if (out->empty()) return Wrong("unknown argument \"" + arguments[i] + "\"");
    to = *out;
  }
  if (from.empty() || to.empty()) return Wrong("both -i and -o are needed");
  const Result<api::WireFormat> from_format = api::ParseWireFormat(from);
  if (!from_format.ok()) return Wrong(from_format.status().message());
  const Result<api::WireFormat> to_format = api::ParseWireFormat(to);
  if (!to_format.ok()) return Wrong(to_format.status().message());
  const Result<std::string> input = read_input();
  if (!input.ok()) return {.exit_code = 1, .out = {}, .err = "error: " + input.status().message() + "\n"};
  const Result<api::Converted> converted = api::ConvertObject(*input, *from_format, *to_format);
  if (!converted.ok()) {
    return {.exit_code = 1, .out = {}, .err = "error: " + converted.status().message() + "\n"};
  }
  VerbOutput output = {.exit_code = 0, .out = converted->bytes, .err = {}};
  for (const std::string& warning : converted->warnings) output.err += "warning: " + warning + "\n";
  return output;
}

}  // namespace knarr::cli
