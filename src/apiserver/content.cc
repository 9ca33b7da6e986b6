#include "apiserver/content.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kYaml = "application/yaml";
constexpr std::string_view kProtobuf = "application/vnd.kubernetes.protobuf";
constexpr std::string_view kAll = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
constexpr size_t kAcceptMax = 64;

MediaType ParseMediaType(std::string_view text) {
  MediaType out;
  bool first = true;
  for (const std::string_view part : Split(text, ';')) {
    const std::string_view trimmed = TrimSpace(part);
    if (first) {
      out.type = ToLower(trimmed);
      first = false;
      continue;
    }
    const auto pair = Cut(trimmed, "=");
    if (!pair.has_value()) continue;
    std::string_view value = TrimSpace(pair->second);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    std::string name = ToLower(TrimSpace(pair->first));
    if (name == "q") {
      out.quality = ParseDouble(value).value_or(1);
    } else {
      out.parameters.emplace_back(std::move(name), value);
    }
  }
  return out;
}

std::optional<Encoding> EncodingOf(std::string_view type) {
  if (type == kJson || type == "*/*" || type == "application/*") return Encoding::kJson;
  if (type == kYaml) return Encoding::kYaml;
  if (type == kProtobuf) return Encoding::kProtobuf;
  return std::nullopt;
}

// Whether an alternative can be made, and as what.
std::optional<OutputForm> FormOf(const MediaType& accepted, bool tables) {
  const auto encoding = EncodingOf(accepted.type);
  if (!encoding.has_value()) return std::nullopt;
  OutputForm form;
  form.encoding = *encoding;
  const std::string_view as = accepted.Parameter("as");
  if (as.empty()) return form;
  if (!tables || accepted.Parameter("g") != "meta.k8s.io") return std::nullopt;
  const std::string_view version = accepted.Parameter("v");
  if (version != "v1" && version != "v1beta1") return std::nullopt;
  form.meta_version = version == "v1" ? "v1" : "v1beta1";
  if (as == "Table") {
    // Tables have no protobuf form.
    if (form.encoding == Encoding::kProtobuf) return std::nullopt;
    form.view = View::kTable;
  } else if (as == "PartialObjectMetadata" || as == "PartialObjectMetadataList") {
    form.view = View::kPartial;
    form.of_list = as == "PartialObjectMetadataList";
  } else {
    return std::nullopt;
  }
  return form;
}

}  // namespace

std::string_view MediaType::Parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  return {};
}

std::vector<MediaType> ParseAccept(std::string_view header) {
  std::vector<MediaType> out;
  if (TrimSpace(header).empty()) header = "*/*";
  for (const std::string_view part : Split(header, ',')) {
    if (out.size() == kAcceptMax) break;
    if (TrimSpace(part).empty()) continue;
    MediaType type = ParseMediaType(part);
    const auto behind = std::ranges::upper_bound(out, type.quality, std::greater<>(), &MediaType::quality);
    out.insert(behind, std::move(type));
  }
  return out;
}

Result<OutputForm> Negotiate(const net::Request& request, bool tables) {
  const std::vector<std::string_view> accepts = request.headers.GetAll("Accept");
  if (accepts.size() == 1 && accepts.front() == kJson) return OutputForm{};  // what most programs ask for
  for (const MediaType& accepted : ParseAccept(Join(accepts, ","))) {
    if (const auto form = FormOf(accepted, tables)) return *form;
  }
  return Status(Reason::kNotAcceptable, fmt::format("only the following media types are accepted: {}", kAll));
}

std::string_view ContentTypeOf(Encoding encoding) {
  switch (encoding) {
    case Encoding::kJson:
      return kJson;
    case Encoding::kYaml:
      return kYaml;
    case Encoding::kProtobuf:
      return kProtobuf;
  }
  return kJson;
}

Result<Encoding> BodyEncoding(const net::Request& request) {
  const std::string_view header = request.headers.Get("Content-Type");
  if (header == kJson) return Encoding::kJson;
  const MediaType type = ParseMediaType(header);
  if (type.type.empty() || type.type == kJson) return Encoding::kJson;
  if (type.type == kYaml) return Encoding::kYaml;
  if (type.type == kProtobuf) return Encoding::kProtobuf;
  return Status(
      Reason::kUnsupportedMediaType,
      fmt::format("the body of the request was in an unknown format - accepted media types include: {}", kAll));
}

}  // namespace knarr::apiserver
