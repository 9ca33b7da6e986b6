#pragma once

// Who manages the fields of what is written, as far as it depends on the resource and on the request.

#include <string>
#include <string_view>

#include "api/managed/field_manager.h"
#include "api/schema.h"
#include "apiserver/request.h"
#include "doc/value.h"

namespace knarr::apiserver {

/// What the strategies of a kind's subresource ("" is the object itself) take back.
api::managed::ResetFields ResetFieldsOf(const api::KindInfo& kind, std::string_view subresource);

/// The manager of a request that names none: what its User-Agent begins with.
std::string ManagerOfAgent(std::string_view user_agent);

/// Notes in an object's managedFields what a write has changed of `live` (null: nothing was there). An object that
/// can't be tracked is written without them.
void TrackFields(const RequestContext& context, const api::managed::FieldManager& fields, const doc::Value& live,
                 doc::Document& object, std::string_view manager);

/// Makes an object ask for its managers to be forgotten.
void ForgetManagers(doc::Document& object);

/// Takes back the times of managers if nothing but times differs: a write that changes nothing is none.
void KeepTimes(doc::Document& object, const doc::Value& old);

}  // namespace knarr::apiserver
