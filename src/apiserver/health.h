#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/http_face.h"

namespace knarr::apiserver {

/// /healthz, /livez, /readyz and single checks below them.
bool IsHealthPath(std::string_view path);
/// "ok", or each check with ?verbose; 500 with what is wrong. ?exclude=NAME leaves checks out.
Result<Answer> AnswerHealth(Call& call, Core& core);
/// The paths of all of them.
std::vector<std::string> HealthPaths(Call& call, Core& core);
/// /version
Answer AnswerVersion();

}  // namespace knarr::apiserver
