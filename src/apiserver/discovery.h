#pragma once

// What groups, versions and resources there are, in the old form (a document a level) and in the aggregated one (all in
// one document, by Accept), as JSON, YAML or protobuf. Made from the schema once, at the start.

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/resource.h"
#include "base/status.h"
#include "doc/value.h"

namespace knarr::apiserver {

struct Answer;
struct Call;

class Discovery {
 public:
  /// `address` is where clients find the server.
  Discovery(const ResourceTable& resources, std::string_view address);
  /// Any path that is no resource's and nobody else's: /api, /apis, /api/v1, /apis/apps, /apis/apps/v1.
  Result<Answer> Serve(Call& call) const;
  /// The paths there are, with `more` of them: what / answers.
  Answer ServePaths(std::vector<std::string> more) const;
  /// What upstream answers for a path that is not there: a Status where the path begins as one of the API, plain text
  /// everywhere else.
  Result<Answer> NoSuchPath(std::string_view path) const;

 private:
  Result<Answer> ServeAggregated(Call& call, bool core, bool protobuf) const;

  std::map<std::string, doc::Document, std::less<>> plain_;  ///< by path
  doc::Document aggregated_core_;
  doc::Document aggregated_groups_;
};

/// "404 page not found".
Answer PlainNotFound();

}  // namespace knarr::apiserver
