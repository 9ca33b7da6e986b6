#pragma once

// Objects in files: YAML or JSON, several in one, folders of them, standard input. Mistakes are reported with file,
// line, column and, for a field that is not there, the nearest one that is.

#include <string>
#include <vector>

#include "api/schema.h"
#include "base/status.h"
#include "cli/invocation.h"
#include "doc/value.h"

namespace knarr::cli {

enum class FieldValidation : uint8_t { kStrict, kWarn, kIgnore };
/// --validate's values: strict, true, warn, ignore, false.
Result<FieldValidation> ParseFieldValidation(std::string_view text);

struct ManifestObject {
  doc::Document document;
  const api::KindInfo* kind = nullptr;
  std::string ns;  ///< as written, "" when it is not
  std::string name;
  std::string source;  ///< "pod.yml", "STDIN"
};

struct ManifestOptions {
  std::vector<std::string> files;  ///< paths, folders, "-"
  bool recursive = false;
  FieldValidation validation = FieldValidation::kStrict;
};

/// All objects, in the order of the files; Lists are taken apart. Warnings (kWarn) go to the console.
Result<std::vector<ManifestObject>> LoadManifests(const Invocation& invocation, const ManifestOptions& options);

/// The known field nearest to `name`, or "" when none is near: what a typo most likely meant.
std::string NearestField(const api::Type& type, std::string_view name);

}  // namespace knarr::cli
