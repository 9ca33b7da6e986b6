#include "cli/kubectl/print.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/kubectl/resources.h"
#include "doc/json.h"
#include "doc/json_path.h"
#include "doc/yaml.h"

namespace knarr::cli {
namespace {

constexpr size_t kColumnLeast = 6;
constexpr size_t kColumnGap = 3;

/// Code points, not bytes: what a terminal shows.
size_t Width(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

doc::Value Sorted(const doc::Value& value, doc::Arena& arena) {
  if (value.is_array()) {
    doc::Value out = doc::Value::Array();
    for (const doc::Value& item : value.items()) out.Append(arena, Sorted(item, arena));
    return out;
  }
  if (!value.is_object()) return value.Clone(arena);
  std::vector<const doc::Member*> members;
  for (const doc::Member& member : value.members()) members.push_back(&member);
  std::ranges::sort(members, {}, &doc::Member::key);
  doc::Value out = doc::Value::Object();
  for (const doc::Member* member : members) {
    out.AddMember(arena, arena.Copy(member->key), Sorted(member->value, arena));
  }
  return out;
}

/// NAME:.metadata.name,IMAGE:.spec.containers[*].image
Result<std::string> CustomColumns(std::string_view spec, const std::vector<doc::Document>& objects) {
  if (spec.empty()) return BadRequest("custom-columns format specified but no custom columns given");
  std::vector<std::vector<std::string>> rows(1);
  std::vector<doc::JsonPath> paths;
  while (!spec.empty()) {
    const size_t comma = std::min(spec.find(','), spec.size());
    const std::string_view column = spec.substr(0, comma);
    spec.remove_prefix(std::min(spec.size(), comma + 1));
    const size_t colon = column.find(':');
    if (colon == std::string_view::npos) {
      return BadRequest(fmt::format("unexpected custom-columns spec: {}, expected <header>:<json-path-expr>", column));
    }
    rows[0].emplace_back(column.substr(0, colon));
    const std::string relaxed = TRY(doc::RelaxJsonPath(column.substr(colon + 1)));
    paths.push_back(TRY(doc::JsonPath::Parse(relaxed)));
  }
  for (const doc::Document& object : objects) {
    std::vector<std::string>& row = rows.emplace_back();
    for (const doc::JsonPath& path : paths) {
      std::string cell;
      for (const auto& results : TRY(path.Find(object.root, doc::JsonPath::MissingKeys::kIgnore))) {
        for (const doc::Value& value : results) {
          if (!cell.empty()) cell += ",";
          cell += value.is_string() ? std::string(value.AsString()) : doc::ToJson(value);
        }
      }
      row.push_back(cell.empty() ? "<none>" : cell);
    }
  }
  return AlignColumns(rows);
}

/// What the expressions found, as one JSON list.
Result<std::string> AllAsJson(const doc::JsonPath& path, const doc::Value& root) {
  doc::Document all;
  all.root = doc::Value::Array();
  const auto found = TRY(path.Find(root, doc::JsonPath::MissingKeys::kIgnore));
  for (const auto& results : found) {
    for (const doc::Value& value : results) all.root.Append(all.arena, value.Clone(all.arena));
  }
  return doc::ToPrettyJson(all.root) + "\n";
}

doc::Document ListOf(const std::vector<doc::Document>& objects) {
  doc::Document list;
  list.root = doc::Value::Object();
  list.root.Set(list.arena, "apiVersion", doc::Value::Borrow("v1"));
  doc::Value items = doc::Value::Array();
  for (const doc::Document& object : objects) items.Append(list.arena, object.root.Clone(list.arena));
  list.root.Set(list.arena, "items", items);
  list.root.Set(list.arena, "kind", doc::Value::Borrow("List"));
  doc::Value metadata = doc::Value::Object();
  metadata.Set(list.arena, "resourceVersion", doc::Value::Borrow(""));
  list.root.Set(list.arena, "metadata", metadata);
  return list;
}

}  // namespace

std::string AlignColumns(const std::vector<std::vector<std::string>>& rows) { return GrowingColumns().Align(rows); }

std::string GrowingColumns::Align(const std::vector<std::vector<std::string>>& rows) {
  for (const auto& row : rows) {
    widths_.resize(std::max(widths_.size(), row.size()), 0);
    for (size_t i = 0; i + 1 < row.size(); ++i) widths_[i] = std::max(widths_[i], Width(row[i]) + kColumnGap);
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(std::max(widths_[i], kColumnLeast) - Width(row[i]), ' ');
    }
    out += '\n';
  }
  return out;
}

Result<OutputFormat> OutputFormat::Parse(std::string_view text) {
  OutputFormat out;
  const size_t equals = text.find('=');
  out.name = std::string(text.substr(0, equals));
  if (equals != std::string_view::npos) out.argument = std::string(text.substr(equals + 1));
  // -o jsonpath '{…}' is a frequent slip that kubectl answers in these words.
  constexpr std::string_view kNames[] = {"",
                                         "wide",
                                         "yaml",
                                         "json",
                                         "name",
                                         "jsonpath",
                                         "jsonpath-as-json",
                                         "custom-columns",
                                         "jsonpath-file",
                                         "custom-columns-file"};
  if (std::ranges::find(kNames, out.name) != std::end(kNames)) return out;
  return BadRequest(fmt::format(
      "unable to match a printer suitable for the output format \"{}\", allowed formats are: custom-columns,"
      "custom-columns-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,wide,yaml",
      out.name));
}

ManagedFields ShowsManagedFields(const OutputFormat& format, bool asked_for) {
  const bool whole = format.name == "yaml" || format.name == "json";
  return whole && !asked_for ? ManagedFields::kHidden : ManagedFields::kShown;
}

doc::Document Printable(const doc::Value& object, ManagedFields managed_fields) {
  doc::Document out;
  out.root = Sorted(object, out.arena);
  doc::Value* metadata = out.root.Find("metadata");
  if (metadata != nullptr && managed_fields == ManagedFields::kHidden) metadata->Remove("managedFields");
  return out;
}

Result<std::string> PrintObjects(const OutputFormat& format, const std::vector<doc::Document>& objects,
                                 const std::vector<const api::KindInfo*>& kinds, bool as_list) {
  if (format.name == "name") {
    std::string out;
    for (size_t i = 0; i < objects.size(); ++i) {
      out += TypedName(*kinds[i], objects[i].root.Get("metadata", "name").AsString()) + "\n";
    }
    return out;
  }
  if (format.name == "custom-columns") return CustomColumns(format.argument, objects);
  const doc::Document list = as_list ? ListOf(objects) : doc::Document();
  if (!as_list && objects.size() != 1) return Internal("one object to print was expected");
  const doc::Value& root = as_list ? list.root : objects.front().root;
  if (format.name == "yaml") return doc::ToYaml(root);
  if (format.name == "json") return doc::ToPrettyJson(root) + "\n";
  if (format.name == "jsonpath" || format.name == "jsonpath-as-json") {
    if (format.argument.empty()) {
      return BadRequest("template format specified but no template given");
    }
    Result<doc::JsonPath> parsed = doc::JsonPath::Parse(format.argument);
    if (!parsed.ok()) {
      return BadRequest(fmt::format("error parsing jsonpath {}, {}", format.argument, parsed.status().message()));
    }
    const doc::JsonPath& path = *parsed;
    if (format.name == "jsonpath-as-json") return AllAsJson(path, root);
    return path.Print(root, doc::JsonPath::MissingKeys::kIgnore);
  }
  return BadRequest(fmt::format("the output format \"{}\" needs objects", format.name));
}

}  // namespace knarr::cli
