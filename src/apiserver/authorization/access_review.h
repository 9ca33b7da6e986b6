#pragma once

#include <string_view>

#include "api/schema.h"
#include "apiserver/authorization/authorizer.h"
#include "apiserver/request.h"
#include "doc/value.h"

namespace knarr::apiserver {

/// The answer to a SubjectAccessReview, SelfSubjectAccessReview, LocalSubjectAccessReview (in its namespace) or
/// SelfSubjectRulesReview.
Result<doc::Document> AnswerAccessReview(const RequestContext& context, Authorizer& authorizer,
                                         const api::KindInfo& kind, doc::Document review);

}  // namespace knarr::apiserver
