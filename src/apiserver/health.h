#pragma once

#include <string_view>

#include "apiserver/http_face.h"

namespace knarr::apiserver {

/// /healthz, /livez, /readyz and single checks below them.
bool IsHealthPath(std::string_view path);
/// "ok", or each check with ?verbose; 500 with what is wrong. ?exclude=NAME leaves checks out.
Result<Answer> AnswerHealth(Call& call, Core& core);
/// /version
Answer AnswerVersion();

}  // namespace knarr::apiserver
