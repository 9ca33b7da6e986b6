#include <fmt/format.h>

#include <map>
#include <utility>

#include "api/printing.h"
#include "base/strings.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/manifest.h"
#include "cli/kubectl/print.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/session.h"
#include "cli/kubectl/sort.h"
#include "cli/kubectl/verbs.h"
#include "doc/json.h"
#include "rt/file_system.h"

namespace knarr::cli {
namespace {

using api::ObjectPtr;

constexpr int64_t kChunk = 500;

/// What was found of one kind.
struct Found {
  const api::KindInfo* kind;
  std::vector<ObjectPtr> objects;
  std::string resource_version;
  bool named = false;  ///< asked for by name, not as a list
};

class Get : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    flags.String(&output_, "output", 'o', "Output format: wide, yaml, json, name, jsonpath=…, custom-columns=…");
    flags.String(&selector_, "selector", 'l', "Only objects whose labels fit");
    flags.String(&field_selector_, "field-selector", 0, "Only objects whose fields fit");
    flags.Bool(&all_namespaces_, "all-namespaces", 'A', "In every namespace");
    flags.Bool(&watch_, "watch", 'w', "Go on and print changes");
    flags.Bool(&watch_only_, "watch-only", 0, "Print changes only");
    flags.Bool(&show_labels_, "show-labels", 0, "Show all labels as the last column");
    flags.StringSlice(&label_columns_, "label-columns", 'L', "Labels to show as columns");
    flags.String(&sort_by_, "sort-by", 0, "A JSONPath by which lists are sorted");
    flags.Bool(&no_headers_, "no-headers", 0, "Leave the column names out");
    flags.Bool(&ignore_not_found_, "ignore-not-found", 0, "Exit with 0 when there is no such object");
    flags.Bool(&show_kind_, "show-kind", 0, "Put the kind before the names");
    flags.StringSlice(&files_, "filename", 'f', "Files that name the objects");
    flags.Bool(&recursive_, "recursive", 'R', "Folders of files with their subfolders");
    flags.Int(&chunk_, "chunk-size", 0, "Objects to fetch at a time; 0: all at once");
    flags.String(&raw_, "raw", 0, "Print the server's answer for this path");
    flags.String(&subresource_, "subresource", 0, "status, scale or another part of the named object");
    flags.Bool(&show_managed_fields_, "show-managed-fields", 0, "Show metadata.managedFields in yaml and json");
    flags.Bool(&server_print_, "server-print", 0, "The kind's own columns; false: name and age, as of any object");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    if (!raw_.empty()) return PrintRaw(session, args);
    format_ = TRY(OutputFormat::Parse(output_));
    TRY(ReadFormatFile(session));
    std::vector<Found> found;
    std::vector<Status> missing;
    TRY(Collect(session, args, found, missing));
    if (watch_ || watch_only_) return Watch(session, found, missing);
    if (format_.is_table()) {
      TRY(PrintTables(session, found, missing.empty()));
    } else {
      TRY(PrintWhole(session, found));
    }
    if (missing.empty()) return 0;
    if (missing.size() == 1) return missing.front();
    TRY(session.console().Flush());
    for (const Status& status : missing) {
      TRY(session.Warn(fmt::format("Error from server ({}): {}\n", ReasonText(status.reason()), status.message())));
    }
    return 1;
  }

 private:
  Result<int> PrintRaw(Session& session, const std::vector<std::string>& args) {
    if (!args.empty()) return UsageError("arguments may not be passed when --raw is specified");
    const std::string text = TRY(RawText(session));
    TRY(session.Print(text));
    return 0;
  }

  Result<std::string> RawText(Session& session) const {
    if (!raw_.starts_with('/')) return BadRequest(fmt::format("--raw must begin with a slash: \"{}\"", raw_));
    return session.connection().GetRaw(raw_);
  }

  Ok ReadFormatFile(Session& session) {
    if (format_.name != "jsonpath-file" && format_.name != "custom-columns-file") return {};
    const std::string path = format_.argument.starts_with('/')
                                 ? format_.argument
                                 : session.invocation().env("PWD").value_or("") + "/" + format_.argument;
    std::string text = TRY(session.runtime().files().ReadFile(path, 1 << 20));
    format_.name = format_.name.substr(0, format_.name.size() - 5);
    if (format_.name == "custom-columns") {
      // A line of headers and a line of paths below them.
      std::vector<std::string_view> lines = Split(TrimSpace(text), '\n');
      std::vector<std::string_view> headers = Fields(lines[0]);
      std::vector<std::string_view> paths = lines.size() > 1 ? Fields(lines[1]) : std::vector<std::string_view>();
      if (headers.size() != paths.size() || headers.empty()) {
        return BadRequest(fmt::format("number of headers ({}) and field specifications ({}) don't match",
                                      headers.size(), paths.size()));
      }
      text.clear();
      std::string joined;
      for (size_t i = 0; i < headers.size(); ++i) {
        joined += fmt::format("{}{}:{}", i == 0 ? "" : ",", headers[i], paths[i]);
      }
      text = std::move(joined);
    }
    format_.argument = std::move(text);
    return {};
  }

  Ok Collect(Session& session, const std::vector<std::string>& args, std::vector<Found>& found,
             std::vector<Status>& missing) {
    if (!files_.empty()) {
      ManifestOptions options{.files = files_, .recursive = recursive_, .validation = FieldValidation::kIgnore};
      for (const ManifestObject& object : TRY(LoadManifests(session.invocation(), options))) {
        const std::string ns = TRY(session.NamespaceFor(*object.kind, object.ns));
        TRY(GetOne(session, *object.kind, {ns, object.name}, found, missing));
      }
      several_kinds_ = found.size() > 1;
      return {};
    }
    if (args.empty()) {
      return PlainError(
          "You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of "
          "supported resources.\n\nerror: Required resource not specified.\nUse \"kubectl explain <resource>\" for a "
          "detailed description of that resource (e.g. kubectl explain pods).\nSee 'kubectl get -h' for help and "
          "examples");
    }
    ResourceArgs resources = TRY(ParseResourceArgs(args));
    several_kinds_ = resources.several_kinds;
    for (const ResourceArgs::Item& item : resources.items) {
      const std::string ns = all_namespaces_ ? "" : TRY(session.NamespaceFor(*item.kind));
      if (item.name.empty()) {
        if (!subresource_.empty()) return BadRequest("subresource cannot be used when bulk resources are specified");
        found.push_back(TRY(ListAll(session, *item.kind, ns)));
      } else if (all_namespaces_ && item.kind->namespaced) {
        return BadRequest("a resource cannot be retrieved by name across all namespaces");
      } else if (!selector_.empty()) {
        return BadRequest("name cannot be provided when a selector is specified");
      } else {
        TRY(GetOne(session, *item.kind, {ns, item.name}, found, missing));
      }
    }
    return {};
  }

  Ok GetOne(Session& session, const api::KindInfo& kind, const client::ObjectName& name, std::vector<Found>& found,
            std::vector<Status>& missing) {
    Result<ObjectPtr> object = session.client().Get(kind, name, subresource_);
    if (object.Failed(Reason::kNotFound)) {
      if (!ignore_not_found_) missing.push_back(object.status());
      return {};
    }
    if (!object.ok()) return object.status();
    const api::KindInfo* kind_of_answer = &kind;
    if (subresource_ == "scale") kind_of_answer = api::FindKind("autoscaling/v1", "Scale");
    if (found.empty() || found.back().kind != kind_of_answer || !found.back().named) {
      found.push_back({.kind = kind_of_answer, .named = true});
    }
    found.back().resource_version = std::string((*object)->resource_version());
    found.back().objects.push_back(std::move(object).value());
    return {};
  }

  Result<Found> ListAll(Session& session, const api::KindInfo& kind, const std::string& ns) {
    Found out{.kind = &kind};
    client::ListOptions options{.label_selector = selector_, .field_selector = field_selector_, .limit = chunk_};
    client::Client& client = session.client();
    while (true) {
      Result<client::ObjectList> listed = client.List(kind, ns, options);
      if (!listed.ok()) return ListError(kind, listed.status());
      const client::ObjectList& list = *listed;
      out.objects.insert(out.objects.end(), list.items.begin(), list.items.end());
      out.resource_version = list.resource_version;
      if (list.continue_token.empty()) break;
      options.continue_token = list.continue_token;
    }
    if (!sort_by_.empty()) TRY(SortObjects(sort_by_, out.objects));
    return out;
  }

  /// What could not be listed, in front of why.
  Status ListError(const api::KindInfo& kind, const Status& status) const {
    if (!status.Is(Reason::kBadRequest) && !status.Is(Reason::kNotFound)) return status;
    const std::string resource = fmt::format("{}/{}, Resource={}", kind.group, kind.version, kind.plural);
    if (selector_.empty() && field_selector_.empty()) {
      return status.WithContext(fmt::format("Unable to list \"{}\"", resource));
    }
    return status.WithContext(
        fmt::format("Unable to find \"{}\" that match label selector \"{}\", field selector \"{}\"", resource,
                    selector_, field_selector_));
  }

  Ok PrintWhole(Session& session, const std::vector<Found>& found) {
    std::vector<doc::Document> objects;
    std::vector<const api::KindInfo*> kinds;
    bool as_list = found.size() != 1;
    for (const Found& part : found) {
      as_list |= !part.named || part.objects.size() != 1;
      for (const ObjectPtr& object : part.objects) {
        objects.push_back(Printable(object->tree(), managed_fields()));
        kinds.push_back(part.kind);
      }
    }
    if (objects.empty() && found.empty()) return {};
    return session.Print(TRY(PrintObjects(format_, objects, kinds, as_list)));
  }

  ManagedFields managed_fields() const { return ShowsManagedFields(format_, show_managed_fields_); }
  bool Shown(const api::Column& column) const { return column.priority == 0 || format_.name == "wide"; }

  std::vector<std::string> Header(const api::KindInfo& kind, bool with_namespace) const {
    std::vector<std::string> row;
    if (with_namespace) row.emplace_back("NAMESPACE");
    if (server_print_) {
      for (const api::Column& column : api::ColumnsOf(kind)) {
        if (Shown(column)) row.push_back(ToUpper(column.name));
      }
    } else {
      row.insert(row.end(), {"NAME", "AGE"});
    }
    for (const std::string& label : label_columns_) {
      row.push_back(ToUpper(label.substr(label.rfind('/') + 1)));
    }
    if (show_labels_) row.emplace_back("LABELS");
    return row;
  }

  std::vector<std::string> Row(Session& session, const api::KindInfo& kind, const api::Object& object,
                               bool with_namespace, bool with_kind) const {
    std::vector<std::string> row;
    if (with_namespace) row.emplace_back(object.ns());
    if (server_print_) {
      AddCells(session, kind, object, with_kind, row);
    } else {
      row.push_back(with_kind ? TypedName(kind, object.name()) : std::string(object.name()));
      row.push_back(api::AgeText(object.tree().Get("metadata", "creationTimestamp"), session.runtime().Wall()));
    }
    const doc::Value& labels = object.tree().Get("metadata", "labels");
    for (const std::string& label : label_columns_) row.emplace_back(labels.At(label).AsString());
    if (show_labels_) row.push_back(LabelsText(labels));
    return row;
  }

  /// The kind's own columns.
  void AddCells(Session& session, const api::KindInfo& kind, const api::Object& object, bool with_kind,
                std::vector<std::string>& row) const {
    doc::Arena arena;
    doc::Value cells = api::RowOf(kind, object.tree(), session.runtime().Wall(), arena);
    auto columns = api::ColumnsOf(kind);
    for (size_t i = 0; i < columns.size() && i < cells.size(); ++i) {
      if (!Shown(columns[i])) continue;
      // Numbers and booleans print as in JSON; what is not there prints as nothing.
      std::string cell =
          cells[i].is_string() || cells[i].is_null() ? std::string(cells[i].AsString()) : doc::ToJson(cells[i]);
      if (with_kind && columns[i].format == "name") cell = TypedName(kind, cell);
      row.push_back(std::move(cell));
    }
  }

  static std::string LabelsText(const doc::Value& labels) {
    std::map<std::string_view, std::string_view> sorted;
    for (const doc::Member& label : labels.members()) sorted[label.key] = label.value.AsString();
    if (sorted.empty()) return "<none>";
    std::string out;
    for (const auto& [key, value] : sorted) out += fmt::format("{}{}={}", out.empty() ? "" : ",", key, value);
    return out;
  }

  std::vector<std::vector<std::string>> TableRows(Session& session, const Found& part, bool with_namespace,
                                                  bool with_kind) const {
    std::vector<std::vector<std::string>> rows;
    if (!no_headers_) rows.push_back(Header(*part.kind, with_namespace));
    for (const ObjectPtr& object : part.objects) {
      rows.push_back(Row(session, *part.kind, *object, with_namespace, with_kind));
    }
    return rows;
  }

  Ok PrintTables(Session& session, const std::vector<Found>& found, bool complain_if_empty) {
    size_t printed = 0;
    for (const Found& part : found) {
      if (part.objects.empty()) continue;
      const bool with_namespace = all_namespaces_ && part.kind->namespaced;
      const bool with_kind = show_kind_ || several_kinds_;
      if (printed++ > 0 && !no_headers_) TRY(session.Print("\n"));
      TRY(session.Print(AlignColumns(TableRows(session, part, with_namespace, with_kind))));
    }
    if (printed > 0 || !complain_if_empty || ignore_not_found_) return {};
    const bool in_namespace = !all_namespaces_ && !found.empty() && found.front().kind->namespaced;
    if (!in_namespace) return session.Warn("No resources found\n");
    return session.Warn(fmt::format("No resources found in {} namespace.\n", session.ns()));
  }

  Result<int> Watch(Session& session, const std::vector<Found>& found, const std::vector<Status>& missing) {
    if (!missing.empty()) return missing.front();
    if (found.size() != 1) {
      return BadRequest("you may only specify a single resource type");
    }
    const Found& part = found.front();
    const bool with_namespace = all_namespaces_ && part.kind->namespaced;
    client::WatchOptions options{.label_selector = selector_, .field_selector = field_selector_};
    options.resource_version = part.resource_version;
    if (part.named && !part.objects.empty()) {
      options.field_selector = fmt::format("metadata.name={}", part.objects.front()->name());
    }
    if (!watch_only_ && format_.is_table() && !part.objects.empty()) TRY(PrintTables(session, found, false));
    if (!watch_only_ && !format_.is_table()) TRY(PrintWhole(session, found));
    TRY(session.console().Flush());
    bool header = !no_headers_ && (watch_only_ || part.objects.empty());
    GrowingColumns columns;
    if (!header) columns.Align(TableRows(session, part, with_namespace, show_kind_));
    const std::string ns = all_namespaces_ ? "" : TRY(session.NamespaceFor(*part.kind));
    client::Client& client = session.client();
    while (true) {
      auto stream = TRY(client.Watch(*part.kind, ns, options));
      while (true) {
        Result<std::vector<client::WatchEvent>> events = stream->Next();
        if (events.Failed(Reason::kServiceUnavailable)) break;  // the server's time limit: go on from here
        if (events.Failed(Reason::kTimeout)) return 0;          // --request-timeout's end
        for (const client::WatchEvent& event : TRY(std::move(events))) {
          options.resource_version = std::string(event.object->resource_version());
          if (event.type == client::WatchEventType::kBookmark) continue;
          TRY(PrintEvent(session, *part.kind, event, with_namespace, header, columns));
        }
        TRY(session.console().Flush());
      }
    }
  }

  Ok PrintEvent(Session& session, const api::KindInfo& kind, const client::WatchEvent& event, bool with_namespace,
                bool& header, GrowingColumns& columns) {
    if (!format_.is_table()) {
      std::vector<doc::Document> one;
      one.push_back(Printable(event.object->tree(), managed_fields()));
      std::string text = TRY(PrintObjects(format_, one, {&kind}, false));
      if (format_.name == "yaml") text = "---\n" + text;
      return session.Print(text);
    }
    std::vector<std::vector<std::string>> rows;
    if (std::exchange(header, false)) rows.push_back(Header(kind, with_namespace));
    rows.push_back(Row(session, kind, *event.object, with_namespace, show_kind_));
    return session.Print(columns.Align(rows));
  }

  std::string output_;
  std::string selector_;
  std::string field_selector_;
  std::string sort_by_;
  std::string raw_;
  std::string subresource_;
  std::vector<std::string> label_columns_;
  std::vector<std::string> files_;
  int64_t chunk_ = kChunk;
  bool all_namespaces_ = false;
  bool watch_ = false;
  bool watch_only_ = false;
  bool show_labels_ = false;
  bool no_headers_ = false;
  bool ignore_not_found_ = false;
  bool show_kind_ = false;
  bool show_managed_fields_ = false;
  bool recursive_ = false;
  bool server_print_ = true;
  bool several_kinds_ = false;
  OutputFormat format_;
};

}  // namespace

std::unique_ptr<Command> MakeGet() { return std::make_unique<Get>(); }

}  // namespace knarr::cli
