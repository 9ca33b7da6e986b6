#pragma once

// /knarr/store: looking after the files of the store while the server runs, for `knarr store` and for whoever may
// (paths that are no resources', so cluster-admin alone unless a role names them).
//
//   GET  /knarr/store          figures
//   GET  /knarr/store/check    reads every record and compares it with its checksum
//   POST /knarr/store/repair   what is damaged on the disk is written anew from memory
//   POST /knarr/store/compact  forgets history and waits until the space is given back
//   GET  /knarr/store/backup   the state of this moment, as a backup file

#include <string>
#include <string_view>

#include "apiserver/http_face.h"
#include "store/maintenance.h"

namespace knarr::apiserver {

bool IsStorePath(std::string_view path);
Result<Answer> AnswerStore(Call& call, Core& core);

/// The object that a key of the store holds, for people: "pods/default/a", "deployments.apps/default/web"; a key of
/// another form quoted.
std::string NameOfStoreKey(std::string_view key);

// What these answer, for the store of a server that is stopped, too.
std::string StatsJson(const store::StoreStats& stats, const Ok& health);
std::string ReportJson(const store::CheckReport& report);
std::string ReclaimedJson(const store::Reclaimed& done);

}  // namespace knarr::apiserver
