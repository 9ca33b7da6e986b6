// auth: what one may do (can-i), and who one is (whoami).

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "api/authentication_v1.h"
#include "api/authorization_v1.h"
#include "base/strings.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/print.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"

namespace knarr::cli {
namespace {

using doc::Value;
using Texts = std::vector<std::string>;

constexpr std::array<std::string_view, 16> kResourceVerbs = {
    "get", "list", "watch",       "create", "update",  "patch", "delete",   "deletecollection",
    "use", "bind", "impersonate", "*",      "approve", "sign",  "escalate", "attest"};
constexpr std::array<std::string_view, 8> kPathVerbs = {"get",     "put",    "post",  "head",
                                                        "options", "delete", "patch", "*"};

// Go's %v of a list.
std::string Shown(const Texts& list) { return "[" + Join(list, " ") + "]"; }

Texts ReadTexts(const Value& list) {
  Texts out;
  for (const Value& item : list.items()) out.emplace_back(item.AsString());
  return out;
}

/// A rule as the list shows it: of one resource and group, or one path, with all of its verbs.
struct Line {
  Texts group;
  Texts resource;
  Texts names;
  Texts urls;
  Texts verbs;

  // The order of the lines is that of their Go text.
  std::string SortKey() const {
    return fmt::format("&PolicyRule{{Verbs:{},APIGroups:{},Resources:{},ResourceNames:{},NonResourceURLs:{},}}",
                       Shown(verbs), Shown(group), Shown(resource), Shown(names), Shown(urls));
  }
  std::string Resource() const {
    if (resource.empty()) return {};
    const auto parts = Cut(resource.front(), "/");
    std::string out(parts.has_value() ? parts->first : std::string_view(resource.front()));
    if (!group.empty() && !group.front().empty()) out += "." + group.front();
    if (parts.has_value()) out += "/" + std::string(parts->second);
    return out;
  }
};

// Lines that differ in their verbs alone become one.
void Add(std::vector<Line>& lines, Line line) {
  const auto same = std::ranges::find_if(lines, [&](const Line& other) {
    return line.urls.empty() && other.urls.empty() && other.group == line.group && other.resource == line.resource &&
           other.names == line.names;
  });
  if (same == lines.end()) {
    lines.push_back(std::move(line));
  } else {
    same->verbs.insert(same->verbs.end(), line.verbs.begin(), line.verbs.end());
  }
}

std::vector<Line> LinesOf(const Value& status) {
  std::vector<Line> lines;
  for (const Value& rule : status.At("resourceRules").items()) {
    Texts names = ReadTexts(rule.At("resourceNames"));
    std::vector<Texts> each;
    for (const std::string& name : names) each.push_back({name});
    if (each.empty()) each.emplace_back();
    for (const std::string& group : ReadTexts(rule.At("apiGroups"))) {
      for (const std::string& resource : ReadTexts(rule.At("resources"))) {
        for (const std::string& verb : ReadTexts(rule.At("verbs"))) {
          for (const Texts& name : each) Add(lines, {{group}, {resource}, name, {}, {verb}});
        }
      }
    }
  }
  for (const Value& rule : status.At("nonResourceRules").items()) {
    for (const std::string& url : ReadTexts(rule.At("nonResourceURLs"))) {
      for (const std::string& verb : ReadTexts(rule.At("verbs"))) Add(lines, {{}, {}, {}, {url}, {verb}});
    }
  }
  std::ranges::stable_sort(lines, {}, &Line::SortKey);
  return lines;
}

class Auth : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    flags.Bool(&all_namespaces_, "all-namespaces", 'A', "can-i: in all namespaces");
    flags.Bool(&quiet_, "quiet", 'q', "can-i: say nothing, the exit code tells");
    flags.String(&subresource_, "subresource", 0, "can-i: a subresource such as log or scale");
    flags.Bool(&list_, "list", 0, "can-i: list all allowed actions");
    flags.Bool(&no_headers_, "no-headers", 0, "can-i --list: leave the column names out");
    flags.String(&output_, "output", 'o', "whoami: output format: yaml, json, name, jsonpath=…");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    const std::string verb = args.empty() ? "" : args[0];
    const Texts rest(args.begin() + (args.empty() ? 0 : 1), args.end());
    if (verb == "can-i") return list_ ? ListAccess(session, rest) : CheckAccess(session, rest);
    if (verb == "whoami") return WhoAmI(session, rest);
    if (verb.empty()) return UsageError("a command is needed: can-i, whoami");
    return UsageError(fmt::format("unknown command \"{}\"", verb));
  }

 private:
  /// The resource that an argument names, as far as it is known.
  struct Named {
    std::string group;
    std::string resource;
  };
  Result<Named> Resolve(Session& session, const std::string& argument) const {
    if (argument == "*") return Named{"", argument};
    const Result<const api::KindInfo*> kind = FindKindByName(ToLower(argument));
    if (kind.ok()) {
      if (!(*kind)->namespaced && !all_namespaces_) {
        const std::string in = (*kind)->group.empty() ? "" : fmt::format(" in group '{}'", (*kind)->group);
        TRY(Warn(session, fmt::format("resource '{}' is not namespace scoped{}\n", (*kind)->plural, in)));
      }
      return Named{std::string((*kind)->group), std::string((*kind)->plural)};
    }
    if (argument != "users" && argument != "groups") {
      const auto parts = Cut(ToLower(argument), ".");
      const std::string what = parts.has_value() ? fmt::format("'{}' in group '{}'", parts->first, parts->second)
                                                 : fmt::format("'{}'", ToLower(argument));
      TRY(Warn(session, fmt::format("the server doesn't have a resource type {}\n", what)));
    }
    return Named{"", argument};
  }

  /// kubectl's own line, and the line break that its messages end with.
  static Ok Warn(Session& session, const std::string& text) { return session.Warn("Warning: " + text + "\n"); }

  Ok WarnOfVerb(Session& session, const std::string& verb, std::span<const std::string_view> known) const {
    if (std::ranges::find(known, verb) != known.end()) return {};
    return Warn(session, fmt::format("verb '{}' is not a known verb\n", verb));
  }

  Result<int> CheckAccess(Session& session, const Texts& args) {
    if (args.size() != 2) {
      return BadRequest(
          "you must specify two arguments: verb resource or verb resource/resourceName.\n"
          "See 'kubectl auth can-i -h' for help and examples.");
    }
    if (no_headers_) return BadRequest("--no-headers cannot be set without --list specified");
    doc::Document review;
    doc::Arena& arena = review.arena;
    Value attributes = Value::Object();
    const auto add = [&](std::string_view name, std::string_view text) {
      if (!text.empty()) attributes.AddMember(arena, name, Value::String(arena, text));
    };
    const bool path = args[1].starts_with('/');
    if (path) {
      if (!subresource_.empty()) return BadRequest("--subresource can not be used with NonResourceURL");
      TRY(WarnOfVerb(session, args[0], kPathVerbs));
      add("path", args[1]);
      add("verb", args[0]);
    } else {
      const auto parts = Cut(args[1], "/");
      const Named named = TRY(Resolve(session, std::string(parts.has_value() ? parts->first : args[1])));
      if (!all_namespaces_) TRY(WarnOfVerb(session, args[0], kResourceVerbs));
      if (!all_namespaces_) add("namespace", session.ns());
      add("verb", args[0]);
      add("group", named.group);
      add("resource", named.resource);
      add("subresource", subresource_);
      if (parts.has_value()) add("name", parts->second);
    }
    review.root.Ensure(arena, "spec").Set(arena, path ? "nonResourceAttributes" : "resourceAttributes", attributes);
    const api::ObjectPtr answer =
        TRY(session.client().Create(api::authorization_v1::SelfSubjectAccessReviewInfo(), "", review.root));
    const Value& status = answer->tree().At("status");
    const bool allowed = status.At("allowed").AsBool();
    std::string text = allowed ? "yes" : "no";
    for (const std::string_view member : {"reason", "evaluationError"}) {
      const std::string_view more = status.At(member).AsString();
      if (!allowed && !more.empty()) text.append(" - ").append(more);
    }
    if (!quiet_) TRY(session.PrintLine(text));
    return allowed ? 0 : 1;
  }

  Result<int> ListAccess(Session& session, const Texts& args) {
    if (!args.empty()) return BadRequest("list option must be specified with no arguments");
    if (quiet_ || all_namespaces_ || !subresource_.empty()) {
      return BadRequest("list option can't be specified with neither quiet, all-namespaces nor subresource options");
    }
    doc::Document review;
    review.root.Ensure(review.arena, "spec").Set(review.arena, "namespace", Value::String(review.arena, session.ns()));
    const api::ObjectPtr answer =
        TRY(session.client().Create(api::authorization_v1::SelfSubjectRulesReviewInfo(), "", review.root));
    const Value& status = answer->tree().At("status");
    if (status.At("incomplete").AsBool()) {
      TRY(Warn(session, fmt::format("the list may be incomplete: {}", status.At("evaluationError").AsString())));
    }
    std::vector<Texts> rows;
    if (!no_headers_) rows.push_back({"Resources", "Non-Resource URLs", "Resource Names", "Verbs"});
    for (const Line& line : LinesOf(status)) {
      rows.push_back({line.Resource(), Shown(line.urls), Shown(line.names), Shown(line.verbs)});
    }
    TRY(session.Print(AlignColumns(rows)));
    return 0;
  }

  Result<int> WhoAmI(Session& session, const Texts& args) {
    if (!args.empty()) return UsageError(fmt::format("unknown command \"{}\"", args[0]));
    const OutputFormat format = TRY(OutputFormat::Parse(output_));
    const api::KindInfo& kind = api::authentication_v1::SelfSubjectReviewInfo();
    const api::ObjectPtr answer = TRY(session.client().Create(kind, "", Value::Object()));
    if (!format.is_table()) {
      std::vector<doc::Document> objects;
      objects.push_back(Printable(answer->tree()));
      const std::string text = TRY(PrintObjects(format, objects, {&kind}, false));
      TRY(session.Print(text));
      return 0;
    }
    const Value& user = answer->tree().Get("status", "userInfo");
    std::vector<Texts> rows = {{"ATTRIBUTE", "VALUE"}};
    const auto add = [&](std::string name, std::string_view text) {
      if (!text.empty()) rows.push_back({std::move(name), std::string(text)});
    };
    add("Username", user.At("username").AsString());
    add("UID", user.At("uid").AsString());
    if (!user.At("groups").empty()) add("Groups", Shown(ReadTexts(user.At("groups"))));
    std::map<std::string, std::string> extra;
    for (const doc::Member& member : user.At("extra").members()) {
      extra[std::string(member.key)] = Shown(ReadTexts(member.value));
    }
    for (const auto& [key, values] : extra) add("Extra: " + key, values);
    TRY(session.Print(AlignColumns(rows)));
    return 0;
  }

  bool all_namespaces_ = false;
  bool quiet_ = false;
  bool list_ = false;
  bool no_headers_ = false;
  std::string subresource_;
  std::string output_;
};

}  // namespace

std::unique_ptr<Command> MakeAuth() { return std::make_unique<Auth>(); }

}  // namespace knarr::cli
