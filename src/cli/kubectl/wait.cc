// wait: until objects are made, gone, or in a condition.

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"
#include "cli/kubectl/write.h"
#include "doc/json.h"
#include "doc/json_path.h"

namespace knarr::cli {
namespace {

constexpr Duration kForever = 7 * 24h;
/// How long an object that is waited to be made is left before it is looked for again.
constexpr Duration kLookAgain = 200ms;

/// --for.
class Goal {
 public:
  enum class Kind : uint8_t { kCreate, kDelete, kCondition, kJsonPath };

  static Result<Goal> Parse(const std::string& text) {
    Goal goal;
    if (text == "create" || text == "delete") {
      goal.kind_ = text == "create" ? Kind::kCreate : Kind::kDelete;
      return goal;
    }
    std::string_view rest = text;
    if (ConsumePrefix(rest, "condition=")) {
      goal.kind_ = Kind::kCondition;
      const size_t equals = rest.find('=');
      goal.name_ = std::string(rest.substr(0, equals));
      goal.value_ = equals == std::string_view::npos ? "true" : std::string(rest.substr(equals + 1));
      return goal;
    }
    if (ConsumePrefix(rest, "jsonpath=")) {
      goal.kind_ = Kind::kJsonPath;
      TRY(goal.ParsePath(rest));
      return goal;
    }
    return BadRequest(fmt::format("unrecognized condition: \"{}\"", text));
  }

  Kind kind() const { return kind_; }

  Result<bool> MetBy(const api::Object& object) const {
    if (kind_ == Kind::kCreate) return true;
    if (kind_ == Kind::kDelete) return false;
    if (kind_ == Kind::kJsonPath) return PathMetBy(object.tree());
    const doc::Value& conditions = object.tree().Get("status", "conditions");
    for (const doc::Value& condition : conditions.items()) {
      if (!EqualIgnoreCase(condition.At("type").AsString(), name_)) continue;
      // A condition that was seen before the object changed says nothing about the change.
      const doc::Value& generation = object.tree().Get("metadata", "generation");
      const doc::Value& observed = condition.At("observedGeneration").is_int()
                                       ? condition.At("observedGeneration")
                                       : object.tree().Get("status", "observedGeneration");
      if (observed.is_int() && generation.is_int() && observed.AsInt() < generation.AsInt()) return false;
      return EqualIgnoreCase(condition.At("status").AsString(), value_);
    }
    return false;
  }

 private:
  Ok ParsePath(std::string_view text) {
    // The value stands behind the last '=' outside the braces.
    const size_t brace = text.rfind('}');
    const size_t equals = text.find('=', brace == std::string_view::npos ? 0 : brace);
    std::string_view expression = text.substr(0, equals);
    if (equals != std::string_view::npos) {
      value_ = std::string(text.substr(equals + 1));
      if (value_.size() >= 2 && value_.front() == '\'' && value_.back() == '\'')
        value_ = value_.substr(1, value_.size() - 2);
      if (value_.empty())
        return BadRequest(
            "jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3");
      has_value_ = true;
    }
    if (expression.size() >= 2 && expression.front() == '\'' && expression.back() == '\'') {
      expression = expression.substr(1, expression.size() - 2);
    }
    if (expression.empty() || expression == "{}") return BadRequest("jsonpath expression cannot be empty");
    const std::string relaxed = TRY(doc::RelaxJsonPath(expression));
    doc::JsonPath path = TRY(doc::JsonPath::Parse(relaxed));
    path_ = std::make_shared<doc::JsonPath>(std::move(path));
    return {};
  }

  Result<bool> PathMetBy(const doc::Value& object) const {
    const auto found = TRY(path_->Find(object, doc::JsonPath::MissingKeys::kIgnore));
    if (found.empty() || found[0].empty()) return false;
    if (found.size() > 1) return BadRequest("given jsonpath expression matches more than one list");
    if (found[0].size() > 1) return BadRequest("given jsonpath expression matches more than one value");
    if (!has_value_) return true;
    const doc::Value& value = found[0][0];
    if (value.is_object() || value.is_array()) {
      return BadRequest("jsonpath leads to a nested object or list which is not supported");
    }
    return (value.is_string() ? std::string(value.AsString()) : doc::ToJson(value)) == value_;
  }

  Kind kind_ = Kind::kCondition;
  std::string name_;
  std::string value_;
  bool has_value_ = false;
  std::shared_ptr<const doc::JsonPath> path_;
};

class Wait : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    select_.AddFlags(flags);
    flags.String(&for_, "for", 0, "create, delete, condition=NAME[=VALUE] or jsonpath='{PATH}'[=VALUE]");
    flags.DurationOf(&timeout_, "timeout", 0, "How long to wait; 0: look once; negative: a week");
    flags.String(&output_, "output", 'o', "name: print names only");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    goal_ = TRY(Goal::Parse(for_));
    if (timeout_ < Duration::zero()) timeout_ = kForever;
    const MonoTime end = session.runtime().Mono() + timeout_;
    std::vector<SelectFlags::Item> items = TRY(Find(session, args, end));
    if (items.empty()) {
      if (goal_.kind() == Goal::Kind::kDelete) return 0;
      return BadRequest("no matching resources found");
    }
    Failures failures;
    for (const SelectFlags::Item& item : items) {
      Result<bool> met = WaitFor(session, item, end);
      if (!met.ok()) {
        TRY(failures.Add(session, met.status()));
      } else if (*met) {
        const std::string name = TypedName(*item.kind, item.name.name);
        TRY(session.PrintLine(output_ == "name" ? name : name + " condition met"));
        TRY(session.console().Flush());
      }
    }
    return failures.ExitCode();
  }

 private:
  /// The objects; for those to be made, as soon as there are any.
  Result<std::vector<SelectFlags::Item>> Find(Session& session, const std::vector<std::string>& args, MonoTime end) {
    while (true) {
      Result<std::vector<SelectFlags::Item>> items = select_.Select(session, args, false);
      if (!items.ok() || !items->empty() || goal_.kind() != Goal::Kind::kCreate) return items;
      if (session.runtime().Mono() >= end) return BadRequest("timed out waiting for the condition");
      TRY(session.runtime().Sleep(kLookAgain));
    }
  }

  /// True when the goal was met, false when there was nothing to wait for.
  Result<bool> WaitFor(Session& session, const SelectFlags::Item& item, MonoTime end) {
    client::Client& client = session.client();
    std::string uid;
    bool first = true;
    while (true) {
      Result<api::ObjectPtr> object = client.Get(*item.kind, item.name);
      const bool gone = object.Failed(Reason::kNotFound);
      if (!object.ok() && !gone) return object.status();
      if (gone && goal_.kind() == Goal::Kind::kDelete) return !first;
      if (gone && goal_.kind() != Goal::Kind::kCreate) return object.status();
      if (!gone) {
        if (uid.empty()) uid = std::string((*object)->uid());
        if (goal_.kind() == Goal::Kind::kDelete && (*object)->uid() != uid) return true;
        if (TRY(goal_.MetBy(**object))) return true;
      }
      first = false;
      if (session.runtime().Mono() >= end) return TimedOut(item);
      Ok changed = gone ? session.runtime().Sleep(kLookAgain) : WatchOnce(session, item, **object, end);
      if (!changed.ok()) return changed.status();
    }
  }

  Status TimedOut(const SelectFlags::Item& item) const {
    const std::string_view what =
        timeout_ == Duration::zero() ? "condition not met for" : "timed out waiting for the condition on";
    return BadRequest(fmt::format("{} {}/{}", what, item.kind->plural, item.name.name));
  }

  /// Until the object changes, or the time is over.
  Ok WatchOnce(Session& session, const SelectFlags::Item& item, const api::Object& object, MonoTime end) {
    rt::CancelScope limit(session.runtime(), end - session.runtime().Mono());
    client::WatchOptions options{.field_selector = "metadata.name=" + item.name.name,
                                 .resource_version = std::string(object.resource_version())};
    auto stream = session.client().Watch(*item.kind, item.name.ns, options);
    if (stream.ok()) {
      Result<std::vector<client::WatchEvent>> events = (*stream)->Next();
      if (events.ok()) return {};
      if (!events.Failed(Reason::kTimeout) && !events.Failed(Reason::kServiceUnavailable) &&
          !events.Failed(Reason::kExpired) && !events.Failed(Reason::kCancelled)) {
        return events.status();
      }
      // Over, or ended by the server: the caller looks again either way.
      if (!events.Failed(Reason::kCancelled) || session.runtime().Mono() >= end) return {};
      return events.status();
    }
    return stream.Failed(Reason::kTimeout) ? Ok() : Ok(stream.status());
  }

  SelectFlags select_;
  std::string for_;
  std::string output_;
  Duration timeout_ = 30s;
  Goal goal_;
};

}  // namespace

std::unique_ptr<Command> MakeWait() { return std::make_unique<Wait>(); }

}  // namespace knarr::cli
