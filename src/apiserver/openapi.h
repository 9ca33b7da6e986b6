#pragma once

// /openapi/v2 and /openapi/v3, made from the schema's tables when asked for. Nothing is kept between requests: the
// documents are big and made in milliseconds, and clients keep them (ETags, addresses with a hash).

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/resource.h"
#include "base/status.h"

namespace knarr::apiserver {

struct Answer;
struct Call;

class OpenApi {
 public:
  explicit OpenApi(const ResourceTable& resources) : resources_(resources) {}
  static bool Serves(std::string_view path);
  /// REQUIRES: Serves(its path).
  Result<Answer> Serve(Call& call);
  /// Where documents of version 3 are: "api", "apis", "apis/batch", "apis/batch/v1".
  std::vector<std::string> Places() const;
  /// The document of a place, as JSON; "" when there is none.
  std::string DocumentV3(std::string_view place) const;

 private:
  Result<Answer> ServeIndex(Call& call);
  Result<Answer> ServeV3(Call& call, std::string_view place);
  Result<Answer> ServeV2(Call& call);

  std::string SchemaHash() const;

  const ResourceTable& resources_;
};

}  // namespace knarr::apiserver
