// api-resources, api-versions, version.

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/kubectl/errors.h"
#include "cli/kubectl/print.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"
#include "doc/json.h"
#include "doc/yaml.h"

namespace knarr::cli {
namespace {

struct ServedResource {
  std::string name;
  std::string short_names;
  std::string api_version;
  std::string kind;
  std::string verbs;
  std::string categories;
  bool namespaced = false;
};

std::string Joined(const doc::Value& list) {
  std::string out;
  for (const doc::Value& item : list.items()) {
    out += (out.empty() ? "" : ",") + std::string(item.AsString());
  }
  return out;
}

Result<doc::Document> GetJson(Connection& connection, std::string_view path) {
  std::string text = TRY(connection.GetRaw(path));
  return doc::ParseJson(text);
}

/// "/api/v1", "/apis/apps/v1", …: as the server says.
Result<std::vector<std::pair<std::string, std::string>>> GroupVersions(Connection& connection) {
  std::vector<std::pair<std::string, std::string>> out;
  doc::Document core = TRY(GetJson(connection, "/api"));
  for (const doc::Value& version : core.root.At("versions").items()) {
    out.emplace_back(version.AsString(), "/api/" + std::string(version.AsString()));
  }
  doc::Document groups = TRY(GetJson(connection, "/apis"));
  for (const doc::Value& group : groups.root.At("groups").items()) {
    for (const doc::Value& version : group.At("versions").items()) {
      const std::string name(version.At("groupVersion").AsString());
      out.emplace_back(name, "/apis/" + name);
    }
  }
  return out;
}

class ApiResources : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    flags.String(&output_, "output", 'o', "wide or name");
    flags.String(&group_, "api-group", 0, "Resources of this group only");
    flags.Bool(&namespaced_, "namespaced", 0, "Resources that are (true) or are not (false) in a namespace");
    flags.StringSlice(&verbs_, "verbs", 0, "Resources with all of these verbs");
    flags.Bool(&no_headers_, "no-headers", 0, "Leave the column names out");
    flags.String(&sort_by_, "sort-by", 0, "name or kind");
    flags.StringSlice(&categories_, "categories", 0, "Resources of these categories");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    if (!args.empty()) return UsageError(fmt::format("unexpected arguments: [{}]", fmt::join(args, " ")));
    if (output_ != "" && output_ != "wide" && output_ != "name") {
      return BadRequest(fmt::format("--output {} is not available", output_));
    }
    std::vector<ServedResource> resources;
    Connection& connection = session.connection();
    for (const auto& [version, path] : TRY(GroupVersions(connection))) {
      TRY(Collect(connection, version, path, resources));
    }
    const bool filter_namespaced = session.flags().Changed("namespaced");
    std::erase_if(resources, [&](const ServedResource& r) { return filter_namespaced && r.namespaced != namespaced_; });
    std::ranges::stable_sort(resources, [this](const ServedResource& a, const ServedResource& b) {
      if (sort_by_ == "kind") return a.kind < b.kind;
      if (sort_by_ == "name") return a.name < b.name;
      return Group(a) == Group(b) ? a.name < b.name : Group(a) < Group(b);
    });
    TRY(Print(session, resources));
    return 0;
  }

 private:
  static std::string Group(const ServedResource& resource) {
    const size_t slash = resource.api_version.find('/');
    return slash == std::string::npos ? "" : resource.api_version.substr(0, slash);
  }

  Ok Collect(Connection& connection, const std::string& version, const std::string& path,
             std::vector<ServedResource>& out) const {
    doc::Document list = TRY(GetJson(connection, path));
    for (const doc::Value& item : list.root.At("resources").items()) {
      ServedResource resource{.name = std::string(item.At("name").AsString()),
                              .short_names = Joined(item.At("shortNames")),
                              .api_version = version,
                              .kind = std::string(item.At("kind").AsString()),
                              .verbs = Joined(item.At("verbs")),
                              .categories = Joined(item.At("categories")),
                              .namespaced = item.At("namespaced").AsBool()};
      if (resource.name.find('/') != std::string::npos || resource.verbs.empty()) continue;
      if (!group_.empty() && Group(resource) != group_) continue;
      auto has = [](const doc::Value& in, const std::string& wanted) {
        return std::ranges::any_of(in.items(), [&](const doc::Value& v) { return v.AsString() == wanted; });
      };
      const bool verbs = std::ranges::all_of(verbs_, [&](const auto& verb) { return has(item.At("verbs"), verb); });
      const bool fits = std::ranges::all_of(categories_, [&](const auto& c) { return has(item.At("categories"), c); });
      if (verbs && fits) out.push_back(std::move(resource));
    }
    return {};
  }

  Ok Print(Session& session, const std::vector<ServedResource>& resources) const {
    if (output_ == "name") {
      for (const ServedResource& r : resources) {
        TRY(session.PrintLine(Group(r).empty() ? r.name : r.name + "." + Group(r)));
      }
      return {};
    }
    std::vector<std::vector<std::string>> rows;
    if (!no_headers_) {
      rows.push_back({"NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"});
      if (output_ == "wide") rows.back().insert(rows.back().end(), {"VERBS", "CATEGORIES"});
    }
    for (const ServedResource& r : resources) {
      rows.push_back({r.name, r.short_names, r.api_version, r.namespaced ? "true" : "false", r.kind});
      if (output_ == "wide") rows.back().insert(rows.back().end(), {r.verbs, r.categories});
    }
    return session.Print(AlignColumns(rows));
  }

  std::string output_;
  std::string group_;
  std::string sort_by_;
  std::vector<std::string> verbs_;
  std::vector<std::string> categories_;
  bool namespaced_ = true;
  bool no_headers_ = false;
};

class ApiVersions : public Command {
 public:
  void AddFlags(FlagSet&) override {}
  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    if (!args.empty()) return UsageError(fmt::format("unexpected arguments: [{}]", fmt::join(args, " ")));
    std::set<std::string> versions;
    for (const auto& [version, path] : TRY(GroupVersions(session.connection()))) versions.insert(version);
    for (const std::string& version : versions) TRY(session.PrintLine(version));
    return 0;
  }
};

class Version : public Command {
 public:
  bool needs_connection() const override { return !client_only_; }
  void AddFlags(FlagSet& flags) override {
    flags.Bool(&client_only_, "client", 0, "The client's version only");
    flags.String(&output_, "output", 'o', "yaml or json");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    if (!args.empty()) return BadRequest(fmt::format("extra arguments: [{}]", fmt::join(args, " ")));
    if (output_ != "" && output_ != "yaml" && output_ != "json") {
      return BadRequest("--output must be 'yaml' or 'json'");
    }
    doc::Document all;
    doc::Value client = doc::Value::Object();
    client.Set(all.arena, "gitVersion", doc::Value::Borrow("v1.36.0+knarr" KNARR_VERSION));
    client.Set(all.arena, "major", doc::Value::Borrow("1"));
    client.Set(all.arena, "minor", doc::Value::Borrow("36"));
    client.Set(all.arena, "platform", doc::Value::Borrow("linux/amd64"));
    all.root.Set(all.arena, "clientVersion", client);
    doc::Document server;
    if (!client_only_) {
      server = TRY(GetJson(session.connection(), "/version"));
      all.root.Set(all.arena, "serverVersion", server.root);
    }
    if (output_ == "yaml") {
      TRY(session.Print(doc::ToYaml(all.root)));
    } else if (output_ == "json") {
      TRY(session.PrintLine(doc::ToPrettyJson(all.root, 2)));
    } else {
      TRY(session.Print(fmt::format("Client Version: {}\n", client.At("gitVersion").AsString())));
      if (!client_only_) {
        TRY(session.Print(fmt::format("Server Version: {}\n", server.root.At("gitVersion").AsString())));
      }
    }
    return 0;
  }

 private:
  bool client_only_ = false;
  std::string output_;
};

}  // namespace

std::unique_ptr<Command> MakeApiResources() { return std::make_unique<ApiResources>(); }
std::unique_ptr<Command> MakeApiVersions() { return std::make_unique<ApiVersions>(); }
std::unique_ptr<Command> MakeVersion() { return std::make_unique<Version>(); }

}  // namespace knarr::cli
