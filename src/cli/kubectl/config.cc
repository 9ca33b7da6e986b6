// config: the kubeconfig files themselves. It reads and writes files and needs no server.

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/print.h"
#include "cli/kubectl/verbs.h"
#include "client/kubeconfig.h"
#include "doc/yaml.h"
#include "rt/file_system.h"

namespace knarr::cli {
namespace {

constexpr size_t kFileMax = 16 << 20;

struct ConfigFile {
  std::string path;
  doc::Document document;
};

/// The element called `name` of "contexts", "clusters" or "users"; nullptr without one.
const doc::Value* FindNamed(const doc::Value& config, std::string_view list, std::string_view name) {
  for (const doc::Value& entry : config.At(list).items()) {
    if (entry.At("name").AsString() == name) return &entry;
  }
  return nullptr;
}

class Config : public Command {
 public:
  bool needs_connection() const override { return false; }

  void AddFlags(FlagSet& flags) override {
    flags.String(&output_, "output", 'o', "Output format: yaml, json, name, jsonpath=…");
    flags.Bool(&minify_, "minify", 0, "view: what the current context needs only");
    flags.Bool(&raw_, "raw", 0, "view: secrets and certificates, too");
    flags.Bool(&current_, "current", 0, "set-context: the current context");
    flags.Bool(&no_headers_, "no-headers", 0, "Leave the column names out");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    const std::string verb = args.empty() ? "" : args[0];
    const std::vector<std::string> rest(args.begin() + (args.empty() ? 0 : 1), args.end());
    using Function = Ok (Config::*)(Session&, const std::vector<std::string>&);
    constexpr std::pair<std::string_view, Function> kVerbs[] = {{"view", &Config::View},
                                                                {"current-context", &Config::CurrentContext},
                                                                {"get-contexts", &Config::GetContexts},
                                                                {"get-clusters", &Config::GetClusters},
                                                                {"get-users", &Config::GetUsers},
                                                                {"use-context", &Config::UseContext},
                                                                {"use", &Config::UseContext},
                                                                {"set-context", &Config::SetContext},
                                                                {"delete-context", &Config::DeleteContext}};
    for (const auto& [name, function] : kVerbs) {
      if (name != verb) continue;
      TRY(ReadFiles(session));
      TRY((this->*function)(session, rest));
      return 0;
    }
    if (verb.empty()) return UsageError("a command is needed: view, current-context, get-contexts, use-context, …");
    return UsageError(fmt::format("unknown command \"{}\"", verb));
  }

 private:
  Ok ReadFiles(Session& session) {
    const Environment& env = session.invocation().env;
    std::vector<std::string> paths;
    const bool named = !session.globals().kubeconfig.empty();
    if (named) {
      paths.push_back(session.globals().kubeconfig);
    } else {
      const std::string listed = env("KUBECONFIG").value_or("");
      for (std::string_view path : Split(listed, ':')) {
        if (!path.empty()) paths.emplace_back(path);
      }
    }
    if (paths.empty()) paths.push_back(env("HOME").value_or("") + "/.kube/config");
    for (std::string& path : paths) {
      if (!path.starts_with('/')) path = env("PWD").value_or("") + "/" + path;
      Result<std::string> text = session.runtime().files().ReadFile(path, kFileMax);
      ConfigFile& file = files_.emplace_back();
      file.path = path;
      if (text.Failed(Reason::kNotFound)) continue;
      if (!text.ok()) return text.status();
      Result<doc::YamlDocument> parsed = doc::ParseYaml(*text);
      if (!parsed.ok()) {
        return BadRequest(fmt::format("error loading config file \"{}\": {}", path, parsed.status().message()));
      }
      file.document = doc::Document::Copy(parsed->root());
    }
    Merge();
    return {};
  }

  /// All files as one: of what two of them say, the first counts.
  void Merge() {
    doc::Arena& arena = merged_.arena;
    merged_.root = doc::Value::Object();
    merged_.root.Set(arena, "apiVersion", doc::Value::Borrow("v1"));
    merged_.root.Set(arena, "kind", doc::Value::Borrow("Config"));
    merged_.root.Set(arena, "preferences", doc::Value::Object());
    merged_.root.Set(arena, "current-context", doc::Value::Borrow(""));
    for (std::string_view list : {"clusters", "contexts", "users"}) {
      doc::Value all = doc::Value::Null();
      for (const ConfigFile& file : files_) {
        for (const doc::Value& entry : file.document.root.At(list).items()) {
          const bool known = std::ranges::any_of(all.items(), [&](const doc::Value& other) {
            return other.At("name").AsString() == entry.At("name").AsString();
          });
          if (known) continue;
          if (all.is_null()) all = doc::Value::Array();
          all.Append(arena, entry.Clone(arena));
        }
      }
      merged_.root.Set(arena, list, all);
    }
    for (const ConfigFile& file : files_) {
      const std::string_view context = file.document.root.At("current-context").AsString();
      if (context.empty()) continue;
      merged_.root.Set(arena, "current-context", doc::Value::String(arena, context));
      break;
    }
  }

  std::string_view current() const { return std::as_const(merged_.root).At("current-context").AsString(); }

  /// Names of one of the lists, sorted.
  std::vector<std::string> Names(std::string_view list) const {
    std::vector<std::string> names;
    for (const doc::Value& entry : merged_.root.At(list).items()) names.emplace_back(entry.At("name").AsString());
    std::ranges::sort(names);
    return names;
  }

  Ok View(Session& session, const std::vector<std::string>& args) {
    if (!args.empty())
      return UsageError(fmt::format("unexpected arguments: [{}]", fmt::join(args, " ")), "config view");
    const OutputFormat format = TRY(OutputFormat::Parse(output_.empty() ? "yaml" : output_));
    if (minify_) TRY(Minify(session));
    if (!raw_) Redact();
    std::vector<doc::Document> one;
    one.push_back(Printable(merged_.root));
    return session.Print(TRY(PrintObjects(format, one, {nullptr}, false)));
  }

  Ok Minify(Session& session) {
    const std::string name(session.globals().context.empty() ? current() : session.globals().context);
    const doc::Value* context = FindNamed(merged_.root, "contexts", name);
    if (name.empty()) return BadRequest("current-context must exist in order to minify");
    if (context == nullptr) return BadRequest(fmt::format("cannot locate context {}", name));
    const std::string cluster(context->Get("context", "cluster").AsString());
    const std::string user(context->Get("context", "user").AsString());
    for (const auto& [list, keep] :
         {std::pair<std::string_view, std::string>{"contexts", name}, {"clusters", cluster}, {"users", user}}) {
      const doc::Value* entry = FindNamed(merged_.root, list, keep);
      if (entry == nullptr && !keep.empty()) {
        return BadRequest(fmt::format("cannot locate {} {}", list.substr(0, list.size() - 1), keep));
      }
      doc::Value kept = entry == nullptr ? doc::Value::Null() : doc::Value::Array();
      if (entry != nullptr) kept.Append(merged_.arena, *entry);
      merged_.root.Set(merged_.arena, list, kept);
    }
    merged_.root.Set(merged_.arena, "current-context", doc::Value::String(merged_.arena, name));
    return {};
  }

  void Redact() {
    constexpr std::pair<std::string_view, std::string_view> kHidden[] = {{"certificate-authority-data", "DATA+OMITTED"},
                                                                         {"client-certificate-data", "DATA+OMITTED"},
                                                                         {"client-key-data", "DATA+OMITTED"},
                                                                         {"token", "REDACTED"},
                                                                         {"password", "REDACTED"}};
    for (const auto& [list, inner] : {std::pair{"clusters", "cluster"}, {"users", "user"}}) {
      for (doc::Value& entry : merged_.root.Find(list)->items()) {
        doc::Value* settings = entry.Find(inner);
        for (const auto& [key, text] : kHidden) {
          if (settings != nullptr && settings->Find(key) != nullptr) {
            settings->Set(merged_.arena, key, doc::Value::Borrow(text));
          }
        }
      }
    }
  }

  Ok CurrentContext(Session& session, const std::vector<std::string>& /*args*/) {
    if (current().empty()) return BadRequest("current-context is not set");
    return session.PrintLine(current());
  }

  Ok GetContexts(Session& session, const std::vector<std::string>& args) {
    if (!output_.empty() && output_ != "name") return BadRequest("output must be one of '' or 'name'");
    const std::vector<std::string> names = args.empty() ? Names("contexts") : args;
    std::vector<std::vector<std::string>> rows;
    if (!no_headers_) rows.push_back({"CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"});
    std::string missing;
    for (const std::string& name : names) {
      const doc::Value* entry = FindNamed(merged_.root, "contexts", name);
      if (entry == nullptr) {
        missing = name;
        continue;
      }
      if (output_ == "name") TRY(session.PrintLine(name));
      auto text = [&](std::string_view member) { return std::string(entry->Get("context", member).AsString()); };
      rows.push_back({name == current() ? "*" : "", name, text("cluster"), text("user"), text("namespace")});
    }
    if (output_.empty()) TRY(session.Print(AlignColumns(rows)));
    if (!missing.empty()) return BadRequest(fmt::format("context {} not found", missing));
    return {};
  }

  Ok GetClusters(Session& session, const std::vector<std::string>& /*args*/) { return List(session, "clusters"); }
  Ok GetUsers(Session& session, const std::vector<std::string>& /*args*/) { return List(session, "users"); }
  Ok List(Session& session, std::string_view list) const {
    TRY(session.PrintLine("NAME"));
    for (const std::string& name : Names(list)) TRY(session.PrintLine(name));
    return {};
  }

  /// The file that holds the context, or the first one.
  const std::string& FileOf(std::string_view context) const {
    for (const ConfigFile& file : files_) {
      if (FindNamed(file.document.root, "contexts", context) != nullptr) return file.path;
    }
    return files_.front().path;
  }

  Ok UseContext(Session& session, const std::vector<std::string>& args) {
    if (args.size() != 1)
      return UsageError(fmt::format("Unexpected args: {}", fmt::join(args, " ")), "config use-context");
    if (FindNamed(merged_.root, "contexts", args[0]) == nullptr) {
      return BadRequest(fmt::format("no context exists with the name: \"{}\"", args[0]));
    }
    // It is written where the present one is said, as the first file to say one counts.
    std::string path = files_.front().path;
    for (const ConfigFile& file : files_) {
      if (file.document.root.At("current-context").AsString().empty()) continue;
      path = file.path;
      break;
    }
    TRY(client::EditKubeconfig(session.runtime(), path, [&](doc::Document& config) {
      config.root.Set(config.arena, "current-context", doc::Value::String(config.arena, args[0]));
    }));
    return session.PrintLine(fmt::format("Switched to context \"{}\".", args[0]));
  }

  Ok SetContext(Session& session, const std::vector<std::string>& args) {
    if (args.size() > 1 || (args.empty() && !current_)) {
      return UsageError(fmt::format("Unexpected args: {}", fmt::join(args, " ")), "config set-context");
    }
    if (current_ && !args.empty()) return BadRequest("you must specify a non-empty context name or --current");
    const std::string name(current_ ? current() : args[0]);
    if (name.empty()) return BadRequest("no current context is set");
    const bool known = FindNamed(merged_.root, "contexts", name) != nullptr;
    const GlobalFlags& flags = session.globals();
    TRY(client::EditKubeconfig(session.runtime(), FileOf(name), [&](doc::Document& config) {
      doc::Arena& arena = config.arena;
      doc::Value& contexts = config.root.Ensure(arena, "contexts");
      if (!contexts.is_array()) contexts = doc::Value::Array();
      doc::Value* entry = nullptr;
      for (doc::Value& candidate : contexts.items()) {
        if (candidate.At("name").AsString() == name) entry = &candidate;
      }
      if (entry == nullptr) {
        entry = &contexts.Append(arena, doc::Value::Object());
        entry->Set(arena, "name", doc::Value::String(arena, name));
      }
      doc::Value& context = entry->Ensure(arena, "context");
      if (!context.is_object()) context = doc::Value::Object();
      if (context.Find("cluster") == nullptr) context.Set(arena, "cluster", doc::Value::Borrow(""));
      if (context.Find("user") == nullptr) context.Set(arena, "user", doc::Value::Borrow(""));
      for (const auto& [member, text] :
           {std::pair{"cluster", &flags.cluster}, {"user", &flags.user}, {"namespace", &flags.ns}}) {
        if (!text->empty()) context.Set(arena, member, doc::Value::String(arena, *text));
      }
    }));
    return session.PrintLine(fmt::format("Context \"{}\" {}.", name, known ? "modified" : "created"));
  }

  Ok DeleteContext(Session& session, const std::vector<std::string>& args) {
    if (args.size() != 1) {
      return UsageError(fmt::format("Unexpected args: {}", fmt::join(args, " ")), "config delete-context");
    }
    const std::string path = FileOf(args[0]);
    if (FindNamed(merged_.root, "contexts", args[0]) == nullptr) {
      return BadRequest(fmt::format("cannot delete context {}, not in {}", args[0], path));
    }
    if (args[0] == current()) {
      TRY(
          session.Warn("warning: this removed your active context, use \"kubectl config use-context\" to select a "
                       "different one\n"));
    }
    TRY(client::EditKubeconfig(session.runtime(), path, [&](doc::Document& config) {
      doc::Value* contexts = config.root.Find("contexts");
      for (size_t i = contexts == nullptr ? 0 : contexts->size(); i-- > 0;) {
        if ((*contexts)[i].At("name").AsString() == args[0]) contexts->Erase(i);
      }
    }));
    return session.PrintLine(fmt::format("deleted context {} from {}", args[0], path));
  }

  std::string output_;
  bool minify_ = false;
  bool raw_ = false;
  bool current_ = false;
  bool no_headers_ = false;
  std::vector<ConfigFile> files_;
  doc::Document merged_;
};

}  // namespace

std::unique_ptr<Command> MakeConfig() { return std::make_unique<Config>(); }

}  // namespace knarr::cli
