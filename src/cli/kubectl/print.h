#pragma once

// Output shared by verbs: aligned columns, whole objects in the -o forms.

#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/schema.h"
#include "base/status.h"
#include "doc/value.h"

namespace knarr::cli {

/// Columns as kubectl aligns them: at least six wide, three spaces apart, nothing behind the last.
std::string AlignColumns(const std::vector<std::vector<std::string>>& rows);

/// The same for rows that come later: a column stays as wide as it ever was, as in kubectl's watches.
class GrowingColumns {
 public:
  std::string Align(const std::vector<std::vector<std::string>>& rows);

 private:
  std::vector<size_t> widths_;
};

/// -o: "yaml", "json", "name", "jsonpath=…", "custom-columns=…" and the -file forms of those.
struct OutputFormat {
  std::string name;      ///< before "=", "" for the table
  std::string argument;  ///< behind it
  /// BadRequest: `unable to match a printer suitable for the output format "x", …`.
  static Result<OutputFormat> Parse(std::string_view text);
  bool is_table() const { return name.empty() || name == "wide"; }
};

/// --show-managed-fields
enum class ManagedFields : uint8_t { kHidden, kShown };
/// They are left out of whole objects unless asked for; other formats see everything.
ManagedFields ShowsManagedFields(const OutputFormat& format, bool asked_for);
/// The object with its members sorted by name, as kubectl prints JSON.
doc::Document Printable(const doc::Value& object, ManagedFields managed_fields = ManagedFields::kHidden);
/// One object, or several as a v1 List (`as_list`), in any format but the table ones. `kinds` go with the objects.
Result<std::string> PrintObjects(const OutputFormat& format, const std::vector<doc::Document>& objects,
                                 const std::vector<const api::KindInfo*>& kinds, bool as_list);

}  // namespace knarr::cli
