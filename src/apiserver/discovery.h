#pragma once

// What groups, versions and resources there are, in the old form (a document a level) and in the aggregated one (all in
// one document, by Accept), as JSON or protobuf. Made from the schema once, at the start.

#include <map>
#include <string>
#include <string_view>

#include "apiserver/resource.h"
#include "base/status.h"
#include "doc/value.h"

namespace knarr::apiserver {

struct Answer;
struct Call;

class Discovery {
 public:
  explicit Discovery(const ResourceTable& resources);
  /// Any path that is no resource's: /api, /apis, /api/v1, /apis/apps, /apis/apps/v1, /.
  Result<Answer> Serve(Call& call) const;

 private:
  Result<Answer> ServeAggregated(Call& call, bool core, std::string_view version) const;

  std::map<std::string, doc::Document, std::less<>> plain_;  ///< by path
  doc::Document aggregated_core_;
  doc::Document aggregated_groups_;
};

}  // namespace knarr::apiserver
