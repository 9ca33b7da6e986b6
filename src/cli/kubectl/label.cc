// label and annotate: the same verb on two maps.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/names.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"
#include "cli/kubectl/write.h"
#include "doc/json.h"

namespace knarr::cli {
namespace {

/// "key=value" and "key-" among the arguments.
struct Changes {
  std::map<std::string, std::string> set;
  std::vector<std::string> remove;
};

bool IsChange(std::string_view arg) {
  return arg.find('=') != std::string_view::npos || (arg.size() > 1 && arg.ends_with('-'));
}

class SetMap : public Command {
 public:
  SetMap(std::string_view verb, std::string_view noun, std::string_view member)
      : verb_(verb), noun_(noun), member_(member) {}

  void AddFlags(FlagSet& flags) override {
    select_.AddFlags(flags);
    flags.Bool(&overwrite_, "overwrite", 0, "Let present values be replaced");
    flags.Bool(&list_, "list", 0, "Print what is set");
    flags.String(&resource_version_, "resource-version", 0, "Only when the object is still at this version");
    write_.AddFlags(flags, fmt::format("kubectl-{}", verb_));
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    TRY(write_.Check());
    auto first = std::ranges::find_if(args, IsChange);
    std::vector<std::string> resources(args.begin(), first);
    Changes changes = TRY(ParseChanges({first, args.end()}));
    if (changes.set.empty() && changes.remove.empty() && !list_) {
      return BadRequest(fmt::format("at least one {} update is required", noun_));
    }
    std::vector<SelectFlags::Item> items = TRY(select_.Select(session, resources, true));
    Failures failures;
    for (const SelectFlags::Item& item : items) {
      Ok done = Change(session, item, changes);
      if (!done.ok()) TRY(failures.Add(session, done.status()));
    }
    return failures.ExitCode();
  }

 private:
  Result<Changes> ParseChanges(const std::vector<std::string>& args) const {
    Changes out;
    for (const std::string& arg : args) {
      const size_t equals = arg.find('=');
      if (equals != std::string::npos) {
        const std::string key = arg.substr(0, equals);
        TRY(CheckKey(key, arg.substr(equals + 1), arg));
        out.set[key] = arg.substr(equals + 1);
      } else if (arg.ends_with('-')) {
        out.remove.push_back(arg.substr(0, arg.size() - 1));
      } else {
        return BadRequest(fmt::format("unexpected argument \"{}\" behind a change", arg));
      }
    }
    for (const std::string& key : out.remove) {
      if (out.set.contains(key)) {
        return BadRequest(fmt::format("cannot both modify and remove {} in the same command",
                                      verb_ == "label" ? "a label" : "an annotation"));
      }
    }
    return out;
  }

  Ok CheckKey(const std::string& key, const std::string& value, const std::string& arg) const {
    if (key.empty()) return BadRequest(fmt::format("invalid {} spec: {}", verb_, arg));
    if (verb_ != "label") return {};
    Problems wrong = CheckQualifiedName(key);
    if (wrong.empty()) wrong = CheckLabelValue(value);
    if (wrong.empty()) return {};
    return BadRequest(fmt::format("invalid label value: \"{}\": {}", arg, fmt::join(wrong, ";")));
  }

  Ok Change(Session& session, const SelectFlags::Item& item, const Changes& changes) {
    const doc::Value& present = item.object->tree().Get("metadata", member_);
    if (list_ && changes.set.empty() && changes.remove.empty()) return List(session, present);
    for (const auto& [key, value] : changes.set) {
      const doc::Value* before = present.Find(key);
      if (before != nullptr && !overwrite_ && before->AsString() != value) {
        return BadRequest(
            fmt::format("'{}' already has a value ({}), and --overwrite is false", key, before->AsString()));
      }
    }
    doc::Document patch;
    patch.root = doc::Value::Object();
    doc::Value map = doc::Value::Object();
    bool changed = false;
    bool removed = false;
    for (const auto& [key, value] : changes.set) {
      const doc::Value* before = present.Find(key);
      changed |= before == nullptr || before->AsString() != value;
      map.Set(patch.arena, key, doc::Value::Borrow(value));
    }
    for (const std::string& key : changes.remove) {
      if (present.Find(key) == nullptr) {
        TRY(session.Print(fmt::format("{} \"{}\" not found.\n", verb_, key)));
        continue;
      }
      removed = true;
      map.Set(patch.arena, key, doc::Value::Null());
    }
    doc::Value metadata = doc::Value::Object();
    metadata.Set(patch.arena, member_, map);
    if (!resource_version_.empty()) {
      metadata.Set(patch.arena, "resourceVersion", doc::Value::Borrow(resource_version_));
    }
    patch.root.Set(patch.arena, "metadata", metadata);
    return Write(session, item, patch, changed, removed);
  }

  Ok Write(Session& session, const SelectFlags::Item& item, const doc::Document& patch, bool changed, bool removed) {
    std::string done = "not labeled";
    if (verb_ == "annotate") {
      done = "annotated";
    } else if (changed) {
      done = "labeled";
    } else if (removed) {
      done = "unlabeled";
    }
    api::ObjectPtr result = item.object;
    if ((changed || removed) && write_.dry_run() != DryRun::kClient) {
      result = TRY(session.client().Patch(*item.kind, item.name, client::PatchType::kMerge, doc::ToJson(patch.root), "",
                                          write_.Options()));
    }
    return write_.PrintResult(session, *item.kind, *result, done);
  }

  static Ok List(Session& session, const doc::Value& present) {
    std::map<std::string_view, std::string_view> sorted;
    for (const doc::Member& member : present.members()) sorted[member.key] = member.value.AsString();
    for (const auto& [key, value] : sorted) TRY(session.Print(fmt::format("{}={}\n", key, value)));
    return {};
  }

  const std::string_view verb_;
  const std::string_view noun_;
  const std::string_view member_;
  SelectFlags select_;
  WriteFlags write_;
  bool overwrite_ = false;
  bool list_ = false;
  std::string resource_version_;
};

}  // namespace

std::unique_ptr<Command> MakeLabel() { return std::make_unique<SetMap>("label", "label", "labels"); }
std::unique_ptr<Command> MakeAnnotate() { return std::make_unique<SetMap>("annotate", "annotation", "annotations"); }

}  // namespace knarr::cli
