#include "sim/player.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/conversion/conversion.h"
#include "api/core_v1.h"
#include "base/strings.h"
#include "doc/json.h"
#include "doc/json_path.h"
#include "doc/yaml.h"

namespace knarr::sim {
namespace {

using api::KindInfo;
using api::ObjectPtr;
using client::ObjectName;
using Outcome = PlayResult::Outcome;

constexpr Duration kLookSimulated = 100ms;
constexpr Duration kLook = 250ms;
constexpr Duration kAccountMost = 60s;
constexpr std::string_view kManager = "scenario";

Ok Drop(const Result<ObjectPtr>& result) { return result.ok() ? Ok() : Ok(result.status()); }

std::string Quoted(std::string_view text) {
  std::string out;
  doc::WriteJsonString(text, out);
  return out;
}

bool Compares(std::string_view have, std::string_view op, std::string_view want) {
  if (op == "=" || op == "==") return have == want;
  if (op == "!=") return have != want;
  if (op == "contains") return have.find(want) != std::string_view::npos;
  const Result<int64_t> a = ParseInt64(have);
  const Result<int64_t> b = ParseInt64(want);
  if (!a.ok() || !b.ok()) return false;
  if (op == ">=") return *a >= *b;
  if (op == "<=") return *a <= *b;
  return op == ">" ? *a > *b : *a < *b;
}

bool IsOperator(std::string_view word) {
  static constexpr std::string_view kOperators[] = {"=", "==", "!=", "contains", ">=", "<=", ">", "<"};
  return std::ranges::find(kOperators, word) != std::end(kOperators);
}

/// What an expect statement looks for.
struct Condition {
  Target target;
  const KindInfo* kind = nullptr;
  std::string path;  ///< "": present, absent or count
  std::string what;
  std::string op = "=";
  std::string value;
};

class Player {
 public:
  Player(const Scenario& scenario, Stage& stage, const PlayOptions& options)
      : scenario_(scenario), stage_(stage), options_(options) {}

  PlayResult Play() {
    PlayResult result = Suits();
    for (const Statement& statement : scenario_.statements) {
      if (result.outcome != Outcome::kPassed || stage_.failed()) break;
      result = Run(statement);
    }
    CleanUp();
    return result;
  }

 private:
  PlayResult At(const Statement& statement, Outcome outcome, std::string_view what) const {
    const std::string first = statement.text.substr(0, statement.text.find('\n'));
    return {outcome, fmt::format("{}:{}: {}: {}", scenario_.name, statement.line, first, what)};
  }

  /// What can't be done here at all is said before anything is done.
  PlayResult Suits() const {
    if (stage_.simulated()) return {};
    static constexpr std::string_view kOnlySimulated[] = {"fault", "faults", "calm", "converge", "disk", "pods-live",
                                                          "hold", "count", "rush"};
    for (const Statement& statement : scenario_.statements) {
      if (std::ranges::find(kOnlySimulated, statement.verb) != std::end(kOnlySimulated)) {
        return At(statement, Outcome::kSkipped, "only a simulation can do that");
      }
      if (statement.verb == "advance" && MUST(ParseDuration(statement.words[0])) > options_.advance_most) {
        return At(statement, Outcome::kSkipped, "too long to wait for");
      }
      if (statement.lasting > options_.advance_most) return At(statement, Outcome::kSkipped, "too long to wait for");
    }
    return {};
  }

  PlayResult Run(const Statement& statement) {
    if (statement.verb == "expect") return Expect(statement);
    const Ok done = Do(statement);
    stage_.Note("step: " + statement.text + (done.ok() ? "" : ": " + done.status().ToString()));
    const bool fine = !done.ok() && (IsOrdinaryRefusal(done.status()) || stage_.Excuses(done.status()));
    if (statement.tries && fine) return {};
    if (statement.error.empty()) return done.ok() ? PlayResult() : Failed(statement, done.status());
    if (done.ok()) return At(statement, Outcome::kFailed, fmt::format("succeeded; want {}", statement.error));
    if (ReasonText(done.status().reason()) != statement.error ||
        done.status().message().find(statement.error_text) == std::string::npos) {
      return Failed(statement, done.status());
    }
    return {};
  }

  PlayResult Failed(const Statement& statement, const Status& status) const {
    // A stage that has too few nodes is none of the scenario's faults.
    const bool skips = statement.verb == "nodes" && status.Is(Reason::kServiceUnavailable);
    return At(statement, skips ? Outcome::kSkipped : Outcome::kFailed, status.ToString());
  }

  Ok Do(const Statement& statement) {
    const std::string& verb = statement.verb;
    if (verb == "seed") return {};
    if (verb == "nodes") return stage_.MakeNodes(statement);
    if (verb == "namespace") return UseNamespace(statement.words[0]);
    if (verb == "create" || verb == "apply") return Make(statement);
    if (verb == "delete-all") return DeleteAll(statement);
    if (verb == "advance") return stage_.runtime().Sleep(MUST(ParseDuration(statement.words[0])));
    static constexpr std::string_view kDirected[] = {"fault", "faults", "calm", "converge", "disk", "pods-live",
                                                     "count", "rush"};
    if (std::ranges::find(kDirected, verb) != std::end(kDirected)) return stage_.Direct(statement);
    return Act(statement);
  }

  Ok UseNamespace(const std::string& name) {
    const doc::Document object =
        MUST(doc::ParseJson(fmt::format(R"({{"metadata":{{"name":{}}}}})", Quoted(name))));  // made here
    const Result<ObjectPtr> made = stage_.client().Create(api::core_v1::NamespaceInfo(), "", object.root);
    if (!made.ok() && !made.Failed(Reason::kAlreadyExists)) return made.status();
    if (made.ok()) made_.insert(name);
    ns_ = name;
    // Pods are refused until the namespace has its account.
    const MonoTime until = stage_.runtime().Mono() + kAccountMost;
    while (!stage_.client().Get(api::core_v1::ServiceAccountInfo(), {name, "default"}).ok()) {
      if (stage_.runtime().Mono() > until) return Timeout("namespace " + name + " gets no default service account");
      TRY(stage_.runtime().Sleep(Look()));
    }
    return {};
  }

  Duration Look() const { return stage_.simulated() ? kLookSimulated : kLook; }

  Result<std::string> Namespace() {
    if (ns_.empty()) TRY(UseNamespace(options_.ns));
    return ns_;
  }

  Ok Make(const Statement& statement) {
    std::string text = statement.body;
    if (!statement.words.empty()) text = TRY(stage_.ReadFile(statement.words[0]));
    const std::vector<doc::YamlDocument> documents = TRY(doc::ParseYamlStream(text));
    if (documents.empty()) return BadRequest("nothing to make");
    for (const doc::YamlDocument& document : documents) {
      const doc::Value& object = document.root();
      const KindInfo* kind = api::FindKind(object.At("apiVersion").AsString(), object.At("kind").AsString());
      if (kind == nullptr) return BadRequest("no such kind: " + doc::ToJson(object.At("kind")));
      std::string ns;
      if (kind->namespaced) {
        ns = statement.Option("in", object.Get("metadata", "namespace").AsString());
        if (ns.empty()) ns = TRY(Namespace());
      }
      const std::string_view name = object.Get("metadata", "name").AsString();
      TRY(Drop(statement.verb == "create" || name.empty()
                   ? stage_.client().Create(*kind, ns, object)
                   : stage_.client().Patch(*kind, {ns, std::string(name)}, client::PatchType::kApply,
                                           doc::ToJson(object), "",
                                           {.field_manager = std::string(kManager), .force = true})));
    }
    return {};
  }

  /// The kind and the one object that a statement is about.
  struct Subject {
    const KindInfo* kind = nullptr;
    ObjectName name;
  };
  Result<Subject> Find(const std::string& text) {
    const Target target = TRY(Target::Parse(text));
    Subject out{FindKindByName(target.kind), {}};
    if (out.kind == nullptr) return BadRequest("no kind is called " + GoQuote(target.kind));
    if (!target.pick) {
      out.name = {out.kind->namespaced ? target.ns : "", target.name};
      if (out.kind->namespaced && out.name.ns.empty()) out.name.ns = TRY(Namespace());
      return out;
    }
    client::ObjectList list = TRY(stage_.client().List(*out.kind, target.ns));
    // The server's own Service is not the users' to touch.
    std::erase_if(list.items, [](const ObjectPtr& object) { return object->name() == "kubernetes"; });
    if (list.items.empty()) return NotFound(fmt::format("there are no {}", out.kind->plural));
    const api::Object& object = *list.items[*target.pick % list.items.size()];
    out.name = {std::string(object.ns()), std::string(object.name())};
    return out;
  }

  Ok Act(const Statement& statement) {
    const Subject subject = TRY(Find(statement.words[0]));
    const std::string& verb = statement.verb;
    if (verb == "delete") return Delete(statement, subject);
    if (verb == "scale") return Merge(subject, R"({"spec":{"replicas":)" + statement.words[1] + "}}", "scale");
    if (verb == "patch") return Patch(statement, subject);
    if (verb == "label") return Label(statement.words[1], subject);
    if (verb == "cordon") return Merge(subject, R"({"spec":{"unschedulable":true}})");
    if (verb == "uncordon") return Merge(subject, R"({"spec":{"unschedulable":null}})");
    if (verb == "taint") return Taint(statement.words[1], subject);
    if (verb == "evict") return Evict(subject);
    if (verb == "own") return Own(statement, subject);
    if (verb == "give") return Give(statement, subject);
    if (verb == "touch") return Touch(subject);
    if (verb == "mistake") return Mistake(subject);
    if (verb == "hold") {
      const Ok held = Drop(stage_.client().Patch(*subject.kind, subject.name, client::PatchType::kStrategicMerge,
                                        fmt::format(R"({{"metadata":{{"finalizers":["{}"]}}}})", kHoldFinalizer)));
      // What is going takes no new finalizer.
      return held.Failed(Reason::kInvalid) ? Ok(Conflict(std::string(held.status().message()))) : held;
    }
    return Bind(statement, subject);
  }

  Ok Merge(const Subject& subject, const std::string& patch, std::string_view subresource = "") {
    return Drop(
        stage_.client().Patch(*subject.kind, subject.name, client::PatchType::kMerge, patch, subresource));
  }

  Ok Delete(const Statement& statement, const Subject& subject) {
    client::DeleteOptions options;
    if (const std::string grace = statement.Option("grace"); !grace.empty()) {
      options.grace_seconds = TRY(ParseInt64(grace));
    }
    const std::string propagation = statement.Option("propagation");
    if (propagation == "orphan") options.propagation = client::Propagation::kOrphan;
    if (propagation == "background") options.propagation = client::Propagation::kBackground;
    if (propagation == "foreground") options.propagation = client::Propagation::kForeground;
    return Drop(stage_.client().Delete(*subject.kind, subject.name, options));
  }

  Ok Patch(const Statement& statement, const Subject& subject) {
    const std::string type = statement.Option("type", "merge");
    client::PatchType how = client::PatchType::kMerge;
    if (type == "strategic") how = client::PatchType::kStrategicMerge;
    if (type == "json") how = client::PatchType::kJson;
    const doc::YamlDocument body = TRY(doc::ParseYaml(statement.body));
    return Drop(
        stage_.client().Patch(*subject.kind, subject.name, how, doc::ToJson(body.root()), statement.Option("sub")));
  }

  Ok Label(const std::string& label, const Subject& subject) {
    const size_t equals = label.find('=');
    std::string key = label.substr(0, equals);
    std::string value = "null";
    if (equals != std::string::npos) {
      value = Quoted(label.substr(equals + 1));
    } else if (key.ends_with('-')) {
      key.pop_back();
    }
    return Merge(subject, fmt::format(R"({{"metadata":{{"labels":{{{}:{}}}}}}})", Quoted(key), value));
  }

  /// "key=value:Effect", "key:Effect", "key-".
  Ok Taint(const std::string& text, const Subject& subject) {
    const size_t colon = text.rfind(':');
    const std::string_view pair = std::string_view(text).substr(0, std::min(colon, text.size()));
    const size_t equals = pair.find('=');
    std::string key(pair.substr(0, equals));
    const bool add = colon != std::string::npos;
    if (!add && key.ends_with('-')) key.pop_back();
    return Drop(client::UpdateWithRetry(
        stage_.runtime(), stage_.client(), *subject.kind, subject.name, "", [&](doc::Document& document) {
          auto taints = api::core_v1::NodeEdit(document).spec().taints();
          for (size_t i = taints.size(); i > 0; --i) {
            if (taints[i - 1].key() == key) taints.Erase(i - 1);
          }
          if (!add) return true;
          auto taint = taints.Add();
          taint.set_key(key).set_effect(text.substr(colon + 1));
          if (equals != std::string_view::npos) taint.set_value(pair.substr(equals + 1));
          return true;
        }));
  }

  Ok Evict(const Subject& subject) {
    const doc::Document eviction = MUST(doc::ParseJson(
        fmt::format(R"({{"apiVersion":"policy/v1","kind":"Eviction","metadata":{{"name":{},"namespace":{}}}}})",
                    Quoted(subject.name.name), Quoted(subject.name.ns))));  // made here
    return Drop(stage_.client().CreateSub(*subject.kind, subject.name, "eviction", eviction.root));
  }

  Ok DeleteAll(const Statement& statement) {
    const Target target = TRY(Target::Parse(statement.words[0]));
    const KindInfo* kind = FindKindByName(target.kind);
    if (kind == nullptr || target.name.empty()) return BadRequest("want KIND/NAMESPACE");
    const client::ObjectList before = TRY(stage_.client().List(*kind, target.name));
    TRY(stage_.client().DeleteCollection(*kind, target.name, {}, {}));
    for (const ObjectPtr& object : before.items) {
      const ObjectName name{std::string(object->ns()), std::string(object->name())};
      const Result<ObjectPtr> now = stage_.client().Get(*kind, name);
      if (now.ok() && (*now)->uid() == object->uid() && !(*now)->deleting()) {
        return Internal(fmt::format("all {} of {} were deleted, and {} is there", kind->plural, target.name,
                                    object->name()));
      }
    }
    return {};
  }

  /// Whoever names an object's predecessor by its uid, or gives a pod a second node, is refused.
  Ok Mistake(const Subject& subject) {
    const std::string uid = "00000000-0000-4000-8000-000000000000";
    const Result<ObjectPtr> deleted = stage_.client().Delete(*subject.kind, subject.name, {.uid = uid});
    if (deleted.ok()) return Internal("a deletion of another object was carried out");
    if (!deleted.Failed(Reason::kConflict)) return deleted.status();
    if (subject.kind != &api::core_v1::PodInfo()) return {};
    const ObjectPtr pod = TRY(stage_.client().Get(*subject.kind, subject.name));
    const std::string_view node = api::core_v1::Pod(pod->tree()).spec().node_name();
    doc::Document document;
    api::core_v1::BindingEdit binding(document);
    binding.metadata().set_name(subject.name.name).set_ns(subject.name.ns);
    if (node.empty()) binding.metadata().set_uid(uid);
    binding.target().set_api_version("v1").set_kind("Node").set_name(node == "node-0" ? "node-1" : "node-0");
    const Result<ObjectPtr> bound = stage_.client().CreateSub(*subject.kind, subject.name, "binding", document.root);
    if (bound.ok()) return Internal("a pod was given a node that was meant for another, or a second one");
    return bound.Failed(Reason::kConflict) ? Ok() : Ok(bound.status());
  }

  Ok Own(const Statement& statement, const Subject& subject) {
    const Subject by = TRY(Find(statement.words[1]));
    const ObjectPtr owner = TRY(stage_.client().Get(*by.kind, by.name));
    const std::string patch = fmt::format(
        R"({{"metadata":{{"ownerReferences":[{{"apiVersion":"{}","kind":"{}","name":"{}","uid":"{}",)"
        R"("blockOwnerDeletion":true}}]}}}})",
        by.kind->api_version, by.kind->kind, owner->name(), owner->uid());
    return Drop(
        stage_.client().Patch(*subject.kind, subject.name, client::PatchType::kStrategicMerge, patch));
  }

  /// As those do who make a volume for a claim: it names the very claim, and no other has it.
  Ok Give(const Statement& statement, const Subject& subject) {
    const Subject to = TRY(Find(statement.words[1]));
    const ObjectPtr claim = TRY(stage_.client().Get(*to.kind, to.name));
    const ObjectPtr volume = TRY(stage_.client().Get(*subject.kind, subject.name));
    if (!volume->tree().Get("spec", "claimRef").is_null()) return Conflict("it is meant for one already");
    const std::string patch = fmt::format(
        R"({{"metadata":{{"resourceVersion":"{}"}},"spec":{{"claimRef":{{"apiVersion":"v1","kind":"{}",)"
        R"("namespace":"{}","name":"{}","uid":"{}"}}}}}})",
        volume->resource_version(), to.kind->kind, claim->ns(), claim->name(), claim->uid());
    return Merge(subject, patch);
  }

  Ok Touch(const Subject& subject) {
    const ObjectPtr object = TRY(stage_.client().Get(*subject.kind, subject.name));
    doc::Document copy = doc::Document::Copy(object->tree());
    doc::Value& metadata = copy.root.Ensure(copy.arena, "metadata");
    for (const char* member : {"uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
                               "generation", "managedFields"}) {
      metadata.Remove(member);
    }
    metadata.Ensure(copy.arena, "annotations")
        .Set(copy.arena, "example.com/touched", doc::Value::String(copy.arena, object->resource_version()));
    return Drop(stage_.client().Update(*subject.kind, subject.name, copy.root));
  }

  Ok Bind(const Statement& statement, const Subject& subject) {
    const Subject node = TRY(Find(statement.words[1]));
    doc::Document document;
    api::core_v1::BindingEdit binding(document);
    binding.metadata().set_name(subject.name.name).set_ns(subject.name.ns);
    binding.target().set_api_version("v1").set_kind("Node").set_name(node.name.name);
    return Drop(stage_.client().CreateSub(*subject.kind, subject.name, "binding", document.root));
  }

  static Result<Condition> Read(const Statement& statement) {
    Condition out;
    out.target = TRY(Target::Parse(statement.words[0]));
    out.kind = FindKindByName(out.target.kind);
    if (out.kind == nullptr) return BadRequest("no kind is called " + GoQuote(out.target.kind));
    std::vector<std::string> rest(statement.words.begin() + 1, statement.words.end());
    const std::string first = rest.front();
    rest.erase(rest.begin());
    if (first == "present" || first == "absent" || first == "count") {
      out.what = first;
    } else {
      out.path = TRY(doc::RelaxJsonPath(first));
      TRY(doc::JsonPath::Parse(out.path));
    }
    if (!rest.empty() && IsOperator(rest.front())) {
      out.op = rest.front();
      rest.erase(rest.begin());
    }
    out.value = fmt::format("{}", fmt::join(rest, " "));
    return out;
  }

  /// What is there now, as the condition's text.
  Result<std::string> See(const Statement& statement, const Condition& condition) {
    if (condition.what == "count") {
      std::string ns = statement.Option("in", condition.target.ns);
      if (ns.empty() && condition.kind->namespaced) ns = TRY(Namespace());
      const client::ObjectList list =
          TRY(stage_.client().List(*condition.kind, ns == "all" ? "" : ns,
                                   {.label_selector = statement.Option("label"),
                                    .field_selector = statement.Option("field")}));
      return std::to_string(list.items.size());
    }
    const Subject subject = TRY(Find(statement.words[0]));
    const ObjectPtr object = TRY(stage_.client().Get(*subject.kind, subject.name));
    if (!condition.what.empty()) return std::string("present");
    const doc::JsonPath path = TRY(doc::JsonPath::Parse(condition.path));
    return path.Print(object->tree(), doc::JsonPath::MissingKeys::kIgnore);
  }

  PlayResult Expect(const Statement& statement) {
    const Result<Condition> condition = Read(statement);
    if (!condition.ok()) return Failed(statement, condition.status());
    rt::Runtime& runtime = stage_.runtime();
    const MonoTime until = runtime.Mono() + statement.within;
    std::optional<MonoTime> since;
    while (true) {
      Result<std::string> seen = See(statement, *condition);
      if (seen.Failed(Reason::kNotFound)) seen = std::string("absent");
      if (!seen.ok()) return Failed(statement, seen.status());
      const bool there = condition->what == "present" || condition->what == "absent";
      const bool good = there ? *seen == condition->what : Compares(*seen, condition->op, condition->value);
      const MonoTime now = runtime.Mono();
      if (good) {
        if (!since) since = now;
        if (now - *since >= statement.lasting) break;
      } else if (since || now >= until) {
        stage_.Note(fmt::format("expected: {}: it is {}", statement.text, *seen));
        return At(statement, Outcome::kFailed, fmt::format("it is {}", *seen));
      }
      const Ok slept = runtime.Sleep(Look());
      if (!slept.ok()) return Failed(statement, slept.status());
    }
    stage_.Note("as expected: " + statement.text);
    return {};
  }

  /// A cluster that goes on afterwards is left as it was found.
  void CleanUp() {
    if (stage_.simulated()) return;
    for (const std::string& ns : made_) {
      const Ok gone = Drop(stage_.client().Delete(api::core_v1::NamespaceInfo(), {"", ns}));
      if (!gone.ok()) stage_.Note("namespace " + ns + " is left: " + gone.status().ToString());
    }
  }

  const Scenario& scenario_;
  Stage& stage_;
  const PlayOptions& options_;
  std::string ns_;
  std::set<std::string> made_;
};

}  // namespace

PlayResult Play(const Scenario& scenario, Stage& stage, const PlayOptions& options) {
  return Player(scenario, stage, options).Play();
}

bool IsOrdinaryRefusal(const Status& status) {
  switch (status.reason()) {
    case Reason::kNotFound:
    case Reason::kAlreadyExists:
    case Reason::kConflict:
    case Reason::kForbidden:
    case Reason::kTooManyRequests:
    case Reason::kCancelled:
      return true;
    case Reason::kInvalid:
      // A claim grows only when it is bound, and never shrinks: who asks can't know how it is by then.
      return status.message().contains("Forbidden: spec is immutable after creation except") ||
             status.message().contains("Forbidden: field can not be less than");
    default:
      return false;
  }
}

const api::KindInfo* FindKindByName(std::string_view name) {
  const size_t dot = name.find('.');
  const std::string_view group = dot == std::string_view::npos ? "" : name.substr(dot + 1);
  const std::string_view own = name.substr(0, dot);
  for (const api::KindInfo& kind : api::AllKinds()) {
    if (!group.empty() && kind.group != group) continue;
    if (&api::StorageKind(kind) != &kind) continue;
    const bool named = own == kind.plural || own == kind.singular || own == kind.kind ||
                       std::ranges::find(kind.short_names, own) != kind.short_names.end();
    if (named) return &kind;
  }
  return nullptr;
}

}  // namespace knarr::sim
