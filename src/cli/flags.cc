#include "cli/flags.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace knarr::cli {

void FlagSet::Add(std::string name, Flag flag) { flags_.insert_or_assign(std::move(name), std::move(flag)); }

void FlagSet::Bool(bool* out, std::string name, char letter, std::string usage) {
  Flag flag{.type = Type::kBool, .letter = letter, .usage = std::move(usage), .implied = "true"};
  flag.default_text = *out ? "true" : "false";
  flag.set = [out](const std::string& value) -> Ok {
    *out = TRY(ParseBool(value));
    return {};
  };
  Add(std::move(name), std::move(flag));
}

void FlagSet::String(std::string* out, std::string name, char letter, std::string usage) {
  Flag flag{.type = Type::kString, .letter = letter, .usage = std::move(usage)};
  flag.default_text = GoQuote(*out);
  flag.set = [out](const std::string& value) -> Ok {
    *out = value;
    return {};
  };
  Add(std::move(name), std::move(flag));
}

void FlagSet::OptionalString(std::string* out, std::string name, char letter, std::string implied, std::string usage) {
  String(out, name, letter, std::move(usage));
  Flag& flag = flags_.find(name)->second;
  flag.type = Type::kOptional;
  flag.implied = std::move(implied);
}

void FlagSet::Int(int64_t* out, std::string name, char letter, std::string usage) {
  Flag flag{.type = Type::kInt, .letter = letter, .usage = std::move(usage)};
  flag.default_text = std::to_string(*out);
  flag.set = [out](const std::string& value) -> Ok {
    *out = TRY(ParseInt64(value));
    return {};
  };
  Add(std::move(name), std::move(flag));
}

void FlagSet::DurationOf(Duration* out, std::string name, char letter, std::string usage) {
  Flag flag{.type = Type::kDuration, .letter = letter, .usage = std::move(usage)};
  flag.default_text = FormatDuration(*out);
  flag.set = [out](const std::string& value) -> Ok {
    *out = TRY(ParseDuration(value));
    return {};
  };
  Add(std::move(name), std::move(flag));
}

void FlagSet::StringArray(std::vector<std::string>* out, std::string name, char letter, std::string usage) {
  Flag flag{.type = Type::kArray, .letter = letter, .usage = std::move(usage), .default_text = "[]"};
  flag.set = [out](const std::string& value) -> Ok {
    out->push_back(value);
    return {};
  };
  Add(std::move(name), std::move(flag));
}

void FlagSet::StringSlice(std::vector<std::string>* out, std::string name, char letter, std::string usage) {
  Flag flag{.type = Type::kSlice, .letter = letter, .usage = std::move(usage), .default_text = "[]"};
  flag.set = [out](const std::string& value) -> Ok {
    for (std::string_view part : Split(value, ',')) {
      if (!part.empty()) out->emplace_back(part);
    }
    return {};
  };
  Add(std::move(name), std::move(flag));
}

Ok FlagSet::Set(const std::string& name, Flag& flag, const std::string& value) {
  Ok set = flag.set(value);
  if (!set.ok()) {
    const std::string both = flag.letter != 0 ? fmt::format("-{}, --{}", flag.letter, name) : "--" + name;
    return BadRequest(
        fmt::format("invalid argument {} for \"{}\" flag: {}", GoQuote(value), both, set.status().message()));
  }
  flag.changed = true;
  return {};
}

Ok FlagSet::ParseLong(const std::vector<std::string>& args, size_t& at) {
  const std::string text = args[at].substr(2);
  const size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  if (name.empty() || name.front() == '-') return BadRequest("bad flag syntax: " + args[at]);
  auto found = flags_.find(name);
  if (found == flags_.end()) return BadRequest("unknown flag: --" + name);
  Flag& flag = found->second;
  if (equals != std::string::npos) return Set(name, flag, text.substr(equals + 1));
  if (!flag.implied.empty()) return Set(name, flag, flag.implied);
  if (at + 1 >= args.size()) return BadRequest("flag needs an argument: --" + name);
  return Set(name, flag, args[++at]);
}

Ok FlagSet::ParseShort(const std::vector<std::string>& args, size_t& at) {
  const std::string letters = args[at].substr(1);
  for (size_t i = 0; i < letters.size(); ++i) {
    auto found = std::ranges::find_if(flags_, [&](const auto& entry) { return entry.second.letter == letters[i]; });
    if (found == flags_.end()) {
      return BadRequest(fmt::format("unknown shorthand flag: '{}' in -{}", letters[i], letters));
    }
    auto& [name, flag] = *found;
    if (i + 1 < letters.size() && letters[i + 1] == '=') return Set(name, flag, letters.substr(i + 2));
    if (!flag.implied.empty()) {
      TRY(Set(name, flag, flag.implied));
      continue;
    }
    if (i + 1 < letters.size()) return Set(name, flag, letters.substr(i + 1));
    if (at + 1 >= args.size()) {
      return BadRequest(fmt::format("flag needs an argument: '{}' in -{}", letters[i], letters));
    }
    return Set(name, flag, args[++at]);
  }
  return {};
}

Result<std::vector<std::string>> FlagSet::Parse(const std::vector<std::string>& args) {
  std::vector<std::string> rest;
  for (size_t at = 0; at < args.size(); ++at) {
    const std::string& arg = args[at];
    if (arg == "--") {
      dash_ = rest.size();
      rest.insert(rest.end(), args.begin() + static_cast<ptrdiff_t>(at) + 1, args.end());
      break;
    }
    if (arg.starts_with("--")) {
      TRY(ParseLong(args, at));
    } else if (arg.size() > 1 && arg.front() == '-') {
      TRY(ParseShort(args, at));
    } else {
      rest.push_back(arg);
    }
  }
  return rest;
}

bool FlagSet::Changed(std::string_view name) const {
  auto found = flags_.find(name);
  return found != flags_.end() && found->second.changed;
}

std::string FlagSet::Usage() const {
  std::string out;
  for (const auto& [name, flag] : flags_) {
    const std::string letter = flag.letter != 0 ? fmt::format("-{}, ", flag.letter) : "    ";
    out += fmt::format("    {}--{}={}:\n\t{}\n\n", letter, name, flag.default_text, flag.usage);
  }
  return out;
}

}  // namespace knarr::cli
