#include "cli/kubectl/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "api/codec.h"
#include "base/strings.h"
#include "doc/yaml.h"
#include "rt/file_system.h"

namespace knarr::cli {
namespace {

constexpr size_t kFileMax = 64 << 20;
constexpr int kFolderDepthMax = 64;

bool IsManifest(std::string_view path) {
  return path.ends_with(".json") || path.ends_with(".yaml") || path.ends_with(".yml");
}

struct Source {
  std::string name;
  std::string text;
};

Ok AddFolder(rt::Runtime& runtime, const std::string& path, bool recursive, int depth, std::vector<Source>& out) {
  if (depth > kFolderDepthMax) return BadRequest(path + ": folders are nested too deep");
  std::vector<rt::DirectoryEntry> entries = TRY(runtime.files().List(path));
  std::ranges::sort(entries, {}, &rt::DirectoryEntry::name);
  for (const rt::DirectoryEntry& entry : entries) {
    const std::string full = path + "/" + entry.name;
    if (entry.type == rt::FileType::kDirectory) {
      if (recursive) TRY(AddFolder(runtime, full, recursive, depth + 1, out));
    } else if (IsManifest(full)) {
      out.push_back({full, TRY(runtime.files().ReadFile(full, kFileMax))});
    }
  }
  return {};
}

/// The text of everything named.
Result<std::vector<Source>> ReadSources(const Invocation& invocation, const ManifestOptions& options) {
  rt::FileSystem& files = invocation.runtime.files();
  std::vector<Source> out;
  for (const std::string& path : options.files) {
    if (path == "-") {
      out.push_back({"STDIN", TRY(invocation.console.ReadAll(kFileMax))});
      continue;
    }
    if (path.starts_with("http://") || path.starts_with("https://")) {
      return BadRequest(fmt::format("{}: manifests are not read from the network; download it first", path));
    }
    const std::string absolute = path.starts_with('/') ? path : invocation.env("PWD").value_or("") + "/" + path;
    Result<rt::FileInfo> info = files.Stat(absolute);
    if (info.Failed(Reason::kNotFound)) return BadRequest(fmt::format("the path \"{}\" does not exist", path));
    if (!info.ok()) return info.status();
    if (info->type == rt::FileType::kDirectory) {
      const size_t before = out.size();
      TRY(AddFolder(invocation.runtime, absolute, options.recursive, 0, out));
      for (size_t i = before; i < out.size(); ++i) out[i].name = path + out[i].name.substr(absolute.size());
      if (out.size() == before) {
        return BadRequest(fmt::format("error reading [{}]: recognized file extensions are [.json .yaml .yml]", path));
      }
    } else {
      out.push_back({path, TRY(files.ReadFile(absolute, kFileMax))});
    }
  }
  return out;
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

void VisitFields(const api::Type& type, const std::function<void(std::string_view)>& visit) {
  for (const api::Field& field : type.fields) {
    if (field.Has(api::FieldFlag::kInline) && field.message != nullptr) {
      VisitFields(*field.message, visit);
    } else {
      visit(field.name);
    }
  }
}

/// The type of the struct that holds the last part of a field path ("spec.containers[0].foo" → Container); nullptr when
/// the path leaves the schema.
const api::Type* ParentType(const api::Type& root, std::string_view path) {
  const api::Type* type = &root;
  while (true) {
    const size_t end = path.find_first_of(".[");
    if (end == std::string_view::npos) return type;
    const api::Field* field = type->Find(path.substr(0, end));
    if (field == nullptr || field->message == nullptr) return nullptr;
    type = field->message;
    path.remove_prefix(end);
    while (!path.empty() && path.front() == '[') path.remove_prefix(std::min(path.size(), path.find(']') + 1));
    if (!path.empty() && path.front() == '.') path.remove_prefix(1);
    if (path.empty()) return nullptr;
  }
}

std::string_view LastPart(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

/// `unknown field "spec.contaners"` → with its place and what was meant.
std::string Explain(const std::string& source, const doc::YamlDocument& document, const api::Type& type,
                    std::string_view strict_error) {
  const size_t open = strict_error.find('"');
  const size_t close = strict_error.rfind('"');
  std::string out(strict_error);
  if (open == std::string_view::npos || close <= open) return fmt::format("{}: {}", source, out);
  const std::string_view path = strict_error.substr(open + 1, close - open - 1);
  const doc::Position at = document.positions.Find(path);
  if (strict_error.starts_with("unknown field")) {
    const api::Type* parent = ParentType(type, path);
    std::string nearest = parent == nullptr ? "" : NearestField(*parent, LastPart(path));
    if (!nearest.empty()) out += fmt::format(" (did you mean \"{}\"?)", nearest);
  }
  return fmt::format("{}:{}:{}: {}", source, at.line, at.column, out);
}

class Loader {
 public:
  Loader(const Invocation& invocation, const ManifestOptions& options) : invocation_(invocation), options_(options) {}

  Ok AddSource(const Source& source) {
    Result<std::vector<doc::YamlDocument>> documents = doc::ParseYamlStream(source.text);
    if (!documents.ok()) {
      return BadRequest(fmt::format("error parsing {}: {}", source.name, documents.status().message()));
    }
    for (doc::YamlDocument& document : *documents) TRY(AddDocument(source.name, document));
    return {};
  }

  std::vector<ManifestObject> objects;

 private:
  Ok AddDocument(const std::string& source, doc::YamlDocument& document) {
    const doc::Value& root = document.root();
    if (root.is_null()) return {};
    const std::string_view kind = root.At("kind").AsString();
    const std::string_view version = root.At("apiVersion").AsString();
    if (kind == "List" && version == "v1") {
      for (const doc::Value& item : root.At("items").items()) {
        TRY(AddObject(source, document, doc::Document::Copy(item), false));
      }
      return {};
    }
    return AddObject(source, document, doc::Document::Copy(root), true);
  }

  Ok AddObject(const std::string& source, const doc::YamlDocument& from, doc::Document document, bool positions) {
    const std::string_view kind_name = document.root.At("kind").AsString();
    const std::string_view version = document.root.At("apiVersion").AsString();
    if (!document.root.is_object() || kind_name.empty() || version.empty()) {
      const std::string_view missing = kind_name.empty() ? "kind" : "apiVersion";
      return BadRequest(
          fmt::format("error validating \"{}\": error validating data: {} not set; if you choose to "
                      "ignore these errors, turn validation off with --validate=false",
                      source, missing));
    }
    const api::KindInfo* kind = api::FindKind(version, kind_name);
    if (kind == nullptr) {
      return BadRequest(
          fmt::format("resource mapping not found for name: \"{}\" namespace: \"{}\" from \"{}\": no "
                      "matches for kind \"{}\" in version \"{}\"\nensure CRDs are installed first",
                      document.root.Get("metadata", "name").AsString(),
                      document.root.Get("metadata", "namespace").AsString(), source, kind_name, version));
    }
    TRY(Check(source, from, *kind, document, positions));
    ManifestObject object{.kind = kind, .source = source};
    object.ns = std::string(document.root.Get("metadata", "namespace").AsString());
    object.name = std::string(document.root.Get("metadata", "name").AsString());
    object.document = std::move(document);
    objects.push_back(std::move(object));
    return {};
  }

  /// Types and field names, on a copy: what is sent is what was written.
  Ok Check(const std::string& source, const doc::YamlDocument& from, const api::KindInfo& kind,
           const doc::Document& document, bool positions) {
    if (options_.validation == FieldValidation::kIgnore) return {};
    doc::Document copy = doc::Document::Copy(document.root);
    api::StrictErrors strict;
    std::string error_path;
    Ok canonical = api::Canonicalize(*kind.type, copy.root, copy.arena, &strict, &error_path);
    if (!canonical.ok()) {
      if (!positions) return BadRequest(fmt::format("{}: {}", source, canonical.status().message()));
      const doc::Position at = from.positions.Find(error_path);
      return BadRequest(
          fmt::format("{}:{}:{}: {}: {}", source, at.line, at.column, error_path, canonical.status().message()));
    }
    if (strict.empty()) return {};
    std::string text;
    for (const std::string& error : strict) {
      if (!text.empty()) text += "\n";
      text += positions ? Explain(source, from, *kind.type, error) : fmt::format("{}: {}", source, error);
    }
    if (options_.validation == FieldValidation::kStrict) return BadRequest(text);
    return invocation_.console.Err("Warning: " + text + "\n");
  }

  const Invocation& invocation_;
  const ManifestOptions& options_;
};

}  // namespace

Result<FieldValidation> ParseFieldValidation(std::string_view text) {
  if (text == "strict" || text == "true") return FieldValidation::kStrict;
  if (text == "warn") return FieldValidation::kWarn;
  if (text == "ignore" || text == "false") return FieldValidation::kIgnore;
  return BadRequest(fmt::format("invalid - validate option \"{}\"", text));
}

std::string NearestField(const api::Type& type, std::string_view name) {
  std::string best;
  // More than a third of the name wrong is another word, not a typo.
  size_t best_distance = name.size() / 3 + 1;
  const std::string lower = ToLower(name);
  VisitFields(type, [&](std::string_view field) {
    const size_t distance = EditDistance(lower, ToLower(field));
    if (distance >= best_distance + (best.empty() ? 1 : 0)) return;
    best = field;
    best_distance = distance;
  });
  return best;
}

Result<std::vector<ManifestObject>> LoadManifests(const Invocation& invocation, const ManifestOptions& options) {
  Loader loader(invocation, options);
  for (const Source& source : TRY(ReadSources(invocation, options))) TRY(loader.AddSource(source));
  return std::move(loader.objects);
}

}  // namespace knarr::cli
