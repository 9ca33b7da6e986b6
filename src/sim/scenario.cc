#include "sim/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/strings.h"

namespace knarr::sim {
namespace {

constexpr size_t kTextMost = 1 << 20;
constexpr size_t kWordMost = 4096;
constexpr Duration kDurationMost = std::chrono::hours(24 * 30);

enum class Body : uint8_t { kNone, kMay, kMust };

/// How a verb is used.
struct Form {
  std::string_view verb;
  size_t least;
  size_t most;
  Body body;
  std::span<const std::string_view> options;
  std::string_view usage;
};

constexpr std::string_view kNodeOptions[] = {"cpu", "memory", "pods", "zone", "crash", "fail"};
constexpr std::string_view kInOption[] = {"in"};
constexpr std::string_view kDeleteOptions[] = {"grace", "propagation"};
constexpr std::string_view kPatchOptions[] = {"type", "sub"};
constexpr std::string_view kCountOptions[] = {"label", "field", "in"};
constexpr std::string_view kFaultOptions[] = {"refuse", "conflict", "lose", "slow", "break", "expire", "late",
                                              "twice",  "slow-most"};
constexpr std::string_view kFaultOptionsOfOne[] = {"after", "to"};

constexpr Form kForms[] = {
    {"seed", 1, 1, Body::kNone, {}, "seed NUMBER"},
    {"disk", 1, 1, Body::kNone, {}, "disk fast|slow"},
    {"nodes", 1, 1, Body::kNone, kNodeOptions,
     "nodes NUMBER [cpu=2] [memory=4Gi] [pods=20] [zone=a] [crash=0] [fail=0]"},
    {"pods-live", 0, 0, Body::kMust, {}, "pods-live, and a block as hollow nodes' pods entries"},
    {"namespace", 1, 1, Body::kNone, {}, "namespace NAME"},
    {"create", 0, 1, Body::kMay, kInOption, "create [FILE] [in=NAMESPACE] [JSON], or a block of YAML"},
    {"apply", 0, 1, Body::kMay, kInOption, "apply [FILE] [in=NAMESPACE] [JSON], or a block of YAML"},
    {"delete", 1, 1, Body::kNone, kDeleteOptions,
     "delete KIND/NAME [grace=SECONDS] [propagation=orphan|background|foreground]"},
    {"scale", 2, 2, Body::kNone, {}, "scale KIND/NAME REPLICAS"},
    {"patch", 1, 1, Body::kMust, kPatchOptions, "patch KIND/NAME [type=merge|strategic|json] [sub=status] JSON"},
    {"label", 2, 2, Body::kNone, {}, "label KIND/NAME KEY=VALUE, or KEY- to take it away"},
    {"cordon", 1, 1, Body::kNone, {}, "cordon node/NAME"},
    {"uncordon", 1, 1, Body::kNone, {}, "uncordon node/NAME"},
    {"taint", 2, 2, Body::kNone, {}, "taint node/NAME KEY[=VALUE]:EFFECT, or KEY- to take it away"},
    {"evict", 1, 1, Body::kNone, {}, "evict pod/NAME"},
    {"bind", 2, 2, Body::kNone, {}, "bind pod/NAME node/NAME"},
    {"own", 2, 2, Body::kNone, {}, "own KIND/NAME KIND/OWNER"},
    {"hold", 1, 1, Body::kNone, {}, "hold KIND/NAME, by a finalizer that calm takes away"},
    {"touch", 1, 1, Body::kNone, {}, "touch KIND/NAME: write it as a whole, without what only the server may say"},
    {"mistake", 1, 1, Body::kNone, {}, "mistake KIND/NAME: what is meant for another object of its name is refused"},
    {"delete-all", 1, 1, Body::kNone, {}, "delete-all KIND/NAMESPACE"},
    {"give", 2, 2, Body::kNone, {}, "give persistentvolume/NAME persistentvolumeclaim/NAME: it is meant for that one"},
    {"count", 1, 1, Body::kNone, {}, "count FIBERS: so many raise one number at once"},
    {"rush", 1, 1, Body::kNone, kInOption, "rush FIBERS [in=NAMESPACE]: so many make an object each at once"},
    {"expect", 1, 64, Body::kNone, kCountOptions,
     "expect KIND/NAME .PATH [OPERATOR] VALUE | present | absent, or KIND count [OPERATOR] NUMBER; [within|for TIME]"},
    {"error", 1, 64, Body::kNone, {}, "error REASON [TEXT], behind the statement that has to fail"},
    {"advance", 1, 1, Body::kNone, {}, "advance TIME"},
    {"fault", 1, 2, Body::kNone, kFaultOptionsOfOne,
     "fault node/NAME crash|cut|heal, lost heal|remove, disk full|heal, control-plane restart [after=TIME], "
     "server crash [after=TIME], controllers|scheduler deaf [to=KINDS] [after=TIME]"},
    {"faults", 0, 1, Body::kNone, kFaultOptions, "faults refuse=N conflict=N …, in thousandths, or faults none"},
    {"calm", 0, 0, Body::kNone, {}, "calm"},
    {"converge", 0, 0, Body::kNone, {}, "converge"},
};

const Form* FindForm(std::string_view verb) {
  const auto at = std::ranges::find(kForms, verb, &Form::verb);
  return at == std::end(kForms) ? nullptr : at;
}

bool IsBlank(std::string_view line) { return TrimSpace(line).empty() || TrimSpace(line).starts_with('#'); }
bool IsIndented(std::string_view line) { return line.starts_with("  ") || line.starts_with('\t'); }

Result<Duration> ReadDuration(std::string_view text) {
  const Duration out = TRY(ParseDuration(text));
  if (out < Duration::zero() || out > kDurationMost) return BadRequest(fmt::format("{}: want 0s to 720h", text));
  return out;
}

/// The words of a line; what begins with { or [ is the body, up to the line's end.
Ok Split(std::string_view line, std::vector<std::string>& words, std::string& body) {
  size_t at = 0;
  while (true) {
    while (at < line.size() && (line[at] == ' ' || line[at] == '\t')) ++at;
    if (at == line.size() || line[at] == '#') return {};
    const bool path = !words.empty() && words.front() == "expect";
    if (!path && !words.empty() && (line[at] == '{' || line[at] == '[')) {
      body = std::string(line.substr(at));
      return {};
    }
    std::string word;
    char quote = 0;
    for (; at < line.size(); ++at) {
      const char c = line[at];
      if (quote != 0) {
        if (c == quote) {
          quote = 0;
        } else {
          word += c;
        }
      } else if (c == ' ' || c == '\t') {
        break;
      } else if (word.empty() && (c == '"' || c == '\'')) {
        quote = c;
      } else {
        word += c;
      }
    }
    if (quote != 0) return BadRequest("a quote that is not closed");
    if (word.size() > kWordMost) return BadRequest("a word that is too long");
    words.push_back(std::move(word));
  }
}

class Parser {
 public:
  Parser(std::string_view text, Scenario& out) : text_(text), out_(out) {}

  Ok Parse() {
    while (at_ < text_.size()) {
      const std::string_view line = NextLine();
      if (IsBlank(line)) continue;
      const Ok read = ReadStatement(line);
      if (!read.ok()) {
        return BadRequest(fmt::format("{}:{}: {}", out_.name, line_, read.status().message()));
      }
    }
    return {};
  }

 private:
  std::string_view NextLine() {
    const size_t end = std::min(text_.find('\n', at_), text_.size());
    const std::string_view line = text_.substr(at_, end - at_);
    at_ = std::min(end + 1, text_.size());
    line_++;
    return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
  }

  /// The indented lines below, without their indent.
  std::string ReadBlock(std::string& source) {
    std::string out;
    size_t indent = std::string_view::npos;
    while (at_ < text_.size()) {
      const size_t before = at_;
      const int line_before = line_;
      const std::string_view line = NextLine();
      if (!IsIndented(line) && !TrimSpace(line).empty()) {
        at_ = before;
        line_ = line_before;
        break;
      }
      source += "\n" + std::string(line);
      if (TrimSpace(line).empty()) {
        out += "\n";
        continue;
      }
      if (indent == std::string_view::npos) indent = line.find_first_not_of(" \t");
      const size_t own = std::min(indent, line.find_first_not_of(" \t"));
      out += std::string(line.substr(own)) + "\n";
    }
    while (source.ends_with('\n')) source.pop_back();
    return indent == std::string_view::npos ? "" : out;
  }

  Ok ReadStatement(std::string_view line) {
    if (IsIndented(line)) return BadRequest("an indented line that belongs to nothing");
    Statement statement;
    statement.line = line_;
    statement.text = std::string(line);
    TRY(Split(line, statement.words, statement.body));
    auto take = [&] { statement.words.erase(statement.words.begin()); };
    if (statement.words.front() == "try") {
      statement.tries = true;
      take();
      if (statement.words.empty()) return BadRequest("try what?");
    }
    statement.verb = statement.words.front();
    take();
    const Form* form = FindForm(statement.verb);
    if (form == nullptr) return BadRequest(fmt::format("no statement is called {}", GoQuote(statement.verb)));
    if (form->body != Body::kNone && statement.body.empty()) statement.body = ReadBlock(statement.text);
    TRY(ReadOptions(*form, statement));
    if (statement.verb == "expect") TRY(ReadTimes(statement));
    const size_t words = statement.words.size();
    const bool body = !statement.body.empty();
    if (words < form->least || words > form->most || (form->body == Body::kMust && !body) ||
        (form->body == Body::kNone && body)) {
      return BadRequest(fmt::format("usage: {}", form->usage));
    }
    TRY(Check(statement));
    if (statement.verb == "error") return Attach(statement);
    out_.statements.push_back(std::move(statement));
    return {};
  }

  static Ok ReadOptions(const Form& form, Statement& statement) {
    for (auto word = statement.words.begin(); word != statement.words.end();) {
      const size_t equals = word->find('=');
      const std::string_view name = std::string_view(*word).substr(0, std::min(equals, word->size()));
      if (equals == std::string::npos || std::ranges::find(form.options, name) == form.options.end()) {
        ++word;
        continue;
      }
      if (!statement.options.emplace(name, word->substr(equals + 1)).second) {
        return BadRequest(fmt::format("{} twice", name));
      }
      word = statement.words.erase(word);
    }
    return {};
  }

  /// "… within 30s", "… for 10s".
  static Ok ReadTimes(Statement& statement) {
    std::vector<std::string>& words = statement.words;
    while (words.size() >= 2 && (words[words.size() - 2] == "within" || words[words.size() - 2] == "for")) {
      const Duration time = TRY(ReadDuration(words.back()));
      (words[words.size() - 2] == "within" ? statement.within : statement.lasting) = time;
      words.resize(words.size() - 2);
    }
    return {};
  }

  static Ok Check(const Statement& statement) {
    static constexpr std::string_view kAbout[] = {"delete", "scale", "patch", "label", "cordon",
                                                  "uncordon", "taint", "evict", "bind", "own", "hold", "touch",
                                                  "mistake", "give"};
    const bool about = std::ranges::find(kAbout, statement.verb) != std::end(kAbout);
    if (about) {
      const Target target = TRY(Target::Parse(statement.words[0]));
      if (target.name.empty() && !target.pick) return BadRequest("want KIND/NAME");
    }
    if (statement.verb == "advance") TRY(ReadDuration(statement.words[0]));
    static constexpr std::string_view kNumbers[] = {"scale", "nodes", "seed", "count", "rush"};
    if (std::ranges::find(kNumbers, statement.verb) != std::end(kNumbers)) {
      TRY(ParseUint64(statement.words.back()));
    }
    if (statement.verb == "expect") {
      const Target target = TRY(Target::Parse(statement.words[0]));
      const bool one = !target.name.empty() || target.pick;
      if (statement.words.size() < 2 || (!one && statement.words[1] != "count")) {
        return BadRequest(fmt::format("usage: {}", FindForm("expect")->usage));
      }
    }
    if (const std::string after = statement.Option("after"); !after.empty()) TRY(ReadDuration(after));
    return CheckValues(statement);
  }

  /// What can only be one of a few words is one of them.
  static Ok CheckValues(const Statement& statement) {
    const std::string& verb = statement.verb;
    const std::string first = statement.words.empty() ? "" : statement.words[0];
    bool known = true;
    if (verb == "disk") known = IsOneOf(first, {"fast", "slow"});
    if (verb == "faults") known = IsOneOf(first, {"", "none"}) && (first.empty() || statement.options.empty());
    if (verb == "delete") known = IsOneOf(statement.Option("propagation"), {"", "orphan", "background", "foreground"});
    if (verb == "patch") known = IsOneOf(statement.Option("type"), {"", "merge", "strategic", "json"});
    if (verb == "fault") {
      const std::string what = statement.words.size() > 1 ? statement.words[1] : "";
      known = first == "lost"            ? IsOneOf(what, {"heal", "remove"})
              : first == "disk"          ? IsOneOf(what, {"full", "heal"})
              : first == "control-plane" ? what == "restart" && statement.Option("to").empty()
              : first == "server"        ? what == "crash" && statement.Option("to").empty()
              : IsDeafable(first)        ? what == "deaf"
                                         : first.starts_with("node/") && IsOneOf(what, {"crash", "cut", "heal"});
      const bool lasts = IsOneOf(first, {"control-plane", "server"}) || IsDeafable(first);
      known = known && (lasts || statement.options.empty());
    }
    if (verb == "expect") known = statement.options.empty() || statement.words[1] == "count";
    return known ? Ok() : BadRequest(fmt::format("usage: {}", FindForm(verb)->usage));
  }
  static bool IsDeafable(std::string_view component) { return IsOneOf(component, {"controllers", "scheduler"}); }
  static bool IsOneOf(std::string_view word, std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, word) != words.end();
  }

  Ok Attach(const Statement& error) {
    if (out_.statements.empty()) return BadRequest("nothing before it that could fail");
    Statement& before = out_.statements.back();
    if (!before.error.empty()) return BadRequest("the statement before has its error already");
    if (before.verb == "expect" || before.verb == "advance") return BadRequest("expect and advance have no reasons");
    before.error = error.words[0];
    // As it stands: messages have quotes of their own.
    const size_t reason = error.text.find(before.error, error.text.find("error") + std::string_view("error").size());
    before.error_text = TrimSpace(std::string_view(error.text).substr(reason + before.error.size()));
    before.text += "\n" + error.text;
    return {};
  }

  std::string_view text_;
  Scenario& out_;
  size_t at_ = 0;
  int line_ = 0;
};

}  // namespace

std::string Statement::Option(std::string_view name, std::string_view other) const {
  const auto at = options.find(name);
  return at == options.end() ? std::string(other) : at->second;
}

Result<Scenario> Scenario::Parse(std::string_view text, std::string name) {
  if (text.size() > kTextMost) return BadRequest(fmt::format("{}: more than a megabyte", name));
  Scenario out;
  out.name = std::move(name);
  TRY(Parser(text, out).Parse());
  return out;
}

std::string Scenario::ToText() const {
  std::string out;
  for (const Statement& statement : statements) out += statement.text + "\n";
  return out;
}

Result<Target> Target::Parse(std::string_view text) {
  Target out;
  const std::vector<std::string_view> parts = knarr::Split(text, '/');
  if (parts.empty() || parts.size() > 3 || parts.front().empty()) {
    return BadRequest(fmt::format("{}: want KIND, KIND/NAME or KIND/NAMESPACE/NAME", GoQuote(text)));
  }
  out.kind = parts[0];
  if (parts.size() == 1) return out;
  if (parts.back().starts_with('~')) {
    out.pick = TRY(ParseUint64(parts.back().substr(1)));
  } else if (parts.back().empty()) {
    return BadRequest(fmt::format("{}: want a name", GoQuote(text)));
  } else {
    out.name = parts.back();
  }
  if (parts.size() == 3) out.ns = parts[1];
  return out;
}

}  // namespace knarr::sim
