#pragma once

// ComponentStatus: a kind that nobody stores. Each of the server's checks is one.

#include "apiserver/http_face.h"

namespace knarr::apiserver {

/// Whether the request is for componentstatuses.
bool IsComponentStatus(const Attributes& attributes);
/// get and list.
Result<Answer> AnswerComponentStatus(Call& call, Core& core);

}  // namespace knarr::apiserver
