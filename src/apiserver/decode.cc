#include "apiserver/decode.h"

#include <fmt/format.h>

#include "api/conversion/conversion.h"
#include "apiserver/errors.h"
#include "apiserver/field_managers.h"
#include "base/strings.h"
#include "doc/text.h"

namespace knarr::apiserver {
namespace {

// Where upstream's registries of kinds are made, by which its messages call them.
constexpr std::string_view kScheme = "pkg/api/legacyscheme/scheme.go:30";
constexpr std::string_view kMetaScheme = "pkg/apis/meta/internalversion/scheme/register.go:27";

api::WireFormat FormatOf(Encoding encoding) {
  switch (encoding) {
    case Encoding::kJson:
      return api::WireFormat::kJson;
    case Encoding::kYaml:
      return api::WireFormat::kYaml;
    case Encoding::kProtobuf:
      return api::WireFormat::kProtobuf;
  }
  return api::WireFormat::kJson;
}

// Evictions of clients from before Kubernetes 1.22 are taken still.
constexpr std::string_view kOldEvictions = "policy/v1beta1";

// The beginning of a body that nothing is known of.
std::string Summary(std::string_view body) {
  constexpr size_t kBytesMax = 30;
  if (body.empty()) return "<empty>";
  const std::string_view begin = body.substr(0, kBytesMax);
  std::string out = begin.front() == '{' ? std::string(begin) : HexEncode(begin);
  if (body.size() > kBytesMax) out += " ...";
  return out;
}

// What Go's parsers say of a body that is not even JSON or YAML.
std::string Malformed(Encoding encoding, const Status& failure) {
  if (encoding == Encoding::kYaml) return doc::GoYamlError(failure.message());
  if (encoding == Encoding::kProtobuf) return failure.message();
  return fmt::format("couldn't get version/kind; json parse error: {}", doc::GoJsonError(failure.message()));
}

// That of a body of which not even the kind could be read.
std::string Unrecognized(Encoding encoding, const api::Decoded& found, const Status& failure) {
  return found.document.root.is_null() ? Malformed(encoding, failure) : failure.message();
}

Status CannotBeHandled(const api::KindInfo& kind, const api::Decoded& found, std::string_view why) {
  const size_t slash = found.api_version.find('/');
  return BadRequest(fmt::format("{} in version \"{}\" cannot be handled as a {}: {}", found.kind,
                                found.api_version.substr(slash == std::string::npos ? 0 : slash + 1), kind.kind, why));
}

// The same thing in another version is not converted, though it could be.
Ok CheckVersion(const api::KindInfo& kind, const api::Decoded& found) {
  const api::KindInfo* other = api::FindKind(found.api_version, found.kind);
  if (other == nullptr || &api::StorageKind(*other) != &api::StorageKind(kind)) return {};
  return BadRequest(fmt::format("the API version in the data ({}) does not match the expected API version ({})",
                                found.api_version, kind.api_version));
}

}  // namespace

std::string WhyNoObject(const api::KindInfo& kind, const api::Decoded& found, std::string_view failure) {
  if (found.type == nullptr) return fmt::format("{} in scheme \"{}\"", failure, kScheme);
  if (!failure.empty()) return std::string(failure);
  const std::string_view package = found.type->package;
  return fmt::format("converting ({}.{}) to ({}): unknown conversion", package.substr(package.rfind('/') + 1),
                     found.type->name, InternalName(kind));
}

Result<doc::Document> DecodeBody(RequestContext& context, std::string_view body, Encoding encoding,
                                 const api::KindInfo& kind, FieldValidation validation) {
  api::Decoded decoded;
  const Ok done = api::DecodeInto(FormatOf(encoding), body, {kind.api_version, kind.kind}, decoded);
  if (!done.ok()) {
    if (!done.Failed(Reason::kBadRequest)) return done.status();
    if (!decoded.kind.empty())
      return CannotBeHandled(kind, decoded, WhyNoObject(kind, decoded, done.status().message()));
    return BadRequest(fmt::format("the object provided is unrecognized (must be of type {}): {} ({})", kind.kind,
                                  Unrecognized(encoding, decoded, done.status()), Summary(body)));
  }
  if (decoded.type != kind.type) {
    TRY(CheckVersion(kind, decoded));
    return CannotBeHandled(kind, decoded, WhyNoObject(kind, decoded, {}));
  }
  const Ok accepted = ReportStrict(context, decoded.strict, validation);
  if (!accepted.ok()) return DecodeError(kind, accepted.status());
  if (decoded.api_version == kOldEvictions) {
    decoded.document.root.Set(decoded.document.arena, "apiVersion", doc::Value::Borrow(kind.api_version));
  }
  if (decoded.empty_managed_fields) ForgetManagers(decoded.document);
  return std::move(decoded.document);
}

Result<doc::Document> DecodeDeleteOptions(std::string_view body, Encoding encoding) {
  api::Decoded decoded;
  const Ok done = api::DecodeInto(FormatOf(encoding), body, {"v1", "DeleteOptions"}, decoded);
  const bool known = decoded.kind == "DeleteOptions" && decoded.type != nullptr;
  if (!decoded.kind.empty() && !known) {
    const Status unknown = api::UnknownKind(decoded.api_version, decoded.kind);
    return BadRequest(fmt::format("{} in scheme \"{}\"", unknown.message(), kMetaScheme));
  }
  if (done.ok()) return std::move(decoded.document);
  if (!done.Failed(Reason::kBadRequest) || known) return done.status();
  return BadRequest(Unrecognized(encoding, decoded, done.status()));
}

}  // namespace knarr::apiserver
