#include "apiserver/write_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/errors.h"
#include "apiserver/field_managers.h"
#include "apiserver/request_info.h"
#include "base/strings.h"
#include "base/unicode.h"

namespace knarr::apiserver {
namespace {

constexpr size_t kManagerBytesMax = 128;

using Causes = std::vector<StatusCause>;

void CheckManager(std::string_view manager, Causes& causes) {
  constexpr std::string_view kField = "fieldManager";
  if (manager.size() > kManagerBytesMax) {
    causes.push_back({"FieldValueTooLong", fmt::format("Too long: may not be more than {} bytes", kManagerBytesMax),
                      std::string(kField)});
  }
  for (size_t at = 0; at < manager.size();) {
    const DecodedRune rune = DecodeRune(manager.substr(at));
    if (!IsPrintable(rune.rune)) {
      causes.push_back({"FieldValueInvalid",
                        fmt::format("Invalid value: {}: invalid character U+{:04X} (at position {})", GoQuote(manager),
                                    static_cast<uint32_t>(rune.rune), at),
                        std::string(kField)});
    }
    at += rune.length;
  }
}

bool ReadDryRunOption(const net::Url& url, Causes& causes) {
  std::vector<std::string> values;
  for (const auto& [name, value] : url.query) {
    if (name == "dryRun") values.push_back(value);
  }
  if (std::ranges::all_of(values, [](const std::string& value) { return value == "All"; })) return !values.empty();
  std::vector<std::string> quoted;
  for (const std::string& value : values) quoted.push_back(GoQuote(value));
  causes.push_back({"FieldValueNotSupported",
                    fmt::format("Unsupported value: [{}]: supported values: \"All\"", Join(quoted, ",")), "dryRun"});
  return false;
}

FieldValidation ReadValidation(std::string_view text, Causes& causes) {
  if (text.empty() || text == "Warn") return FieldValidation::kWarn;
  if (text == "Ignore") return FieldValidation::kIgnore;
  if (text != "Strict") {
    causes.push_back(
        {"FieldValueNotSupported",
         fmt::format(R"(Unsupported value: {}: supported values: "", "Ignore", "Strict", "Warn")", GoQuote(text)),
         "fieldValidation"});
  }
  return FieldValidation::kStrict;
}

}  // namespace

Result<WriteRequest> ReadWriteOptions(const net::Request& request, std::string_view options_kind,
                                      std::optional<client::PatchType> patch) {
  const net::Url& url = request.url;
  WriteRequest out;
  Causes causes;
  out.field_manager = url.Query("fieldManager");
  if (patch == client::PatchType::kApply) {
    if (out.field_manager.empty()) {
      causes.push_back({"FieldValueRequired", "Required value: is required for apply patch", "fieldManager"});
    }
    out.force = QueryBool(url, "force");
  } else if (patch.has_value() && url.HasQuery("force")) {
    causes.push_back({"FieldValueForbidden", "Forbidden: may not be specified for non-apply patch", "force"});
  }
  CheckManager(out.field_manager, causes);
  out.dry_run = ReadDryRunOption(url, causes);
  out.validation = ReadValidation(url.Query("fieldValidation"), causes);
  if (!causes.empty()) {
    api::KindInfo options;
    options.group = "meta.k8s.io";
    options.kind = options_kind;
    return InvalidError(options, "", std::move(causes));
  }
  if (out.field_manager.empty()) out.field_manager = ManagerOfAgent(request.headers.Get("User-Agent"));
  return out;
}

}  // namespace knarr::apiserver
