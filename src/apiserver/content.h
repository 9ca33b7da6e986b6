#pragma once

// Content negotiation: in which form a client sends and wants objects.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"
#include "apiserver/operations.h"
#include "net/http.h"

namespace knarr::apiserver {

enum class Encoding : uint8_t { kJson, kYaml, kProtobuf };

/// One media type of an Accept header, with its parameters.
struct MediaType {
  std::string type;  ///< "application/json"
  std::vector<std::pair<std::string, std::string>> parameters;
  double quality = 1;
  std::string_view Parameter(std::string_view name) const;
};
/// Ordered by quality, equal ones as they stand. An absent header is "*/*".
std::vector<MediaType> ParseAccept(std::string_view header);

enum class View : uint8_t { kObject, kTable, kPartial };

/// What an object or list is answered as.
struct OutputForm {
  Encoding encoding = Encoding::kJson;
  View view = View::kObject;
  bool of_list = false;  ///< the partial form that was asked for is that of lists
  /// "v1" or "v1beta1" of meta.k8s.io, for tables and partial objects.
  std::string_view meta_version = "v1";
};
/// NotAcceptable when nothing the client takes can be made. `tables`: whether this answer can be a Table or partial.
Result<OutputForm> Negotiate(const net::Request& request, bool tables);
std::string_view ContentTypeOf(Encoding encoding);

/// How the body is encoded. UnsupportedMediaType, as upstream says it, for others.
Result<Encoding> BodyEncoding(const net::Request& request);

}  // namespace knarr::apiserver
