#pragma once

// /openapi/v2 and /openapi/v3, made from the schema's tables when asked for. Nothing is kept between requests: the
// documents are big and made in milliseconds, and clients keep them (ETags, addresses with a hash).

#include <string>
#include <string_view>

#include "apiserver/resource.h"
#include "base/status.h"

namespace knarr::apiserver {

struct Answer;
struct Call;

class OpenApi {
 public:
  explicit OpenApi(const ResourceTable& resources) : resources_(resources) {}
  Result<Answer> Serve(Call& call);

 private:
  Result<Answer> ServeIndex(Call& call);
  Result<Answer> ServeV3(Call& call, std::string_view group_version);
  Result<Answer> ServeV2(Call& call);

  std::string SchemaHash() const;

  const ResourceTable& resources_;
};

}  // namespace knarr::apiserver
