#pragma once

// Volumes that are folders of a node's disk: the provisioner knarr.dev/local. Each node runs its own beside its agent,
// and looks after what the scheduler chose it for: it makes the folder, then the volume; it enlarges; it removes the
// folder of a volume that is released, then the volume. Nobody else touches the node's disk, so a volume of a node that
// is away waits for it.
//
// It may be killed at any point. Before a folder is made a note tells for which claim, and stays until the volume is
// there; whoever starts next finishes it or takes the folder away. A volume goes only when its folder is gone, which is
// what its finalizer is for. Folders without a volume and without a note are somebody's data (of a volume that was
// retained and deleted), and stay.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "api/core_v1.h"
#include "api/storage_v1.h"
#include "client/client.h"
#include "client/events.h"
#include "client/informer.h"
#include "controller/framework/controller.h"
#include "rt/file_system.h"
#include "rt/runtime.h"

namespace knarr::controller {

struct LocalVolumesOptions {
  /// This machine's; several where they are simulated. A node's name is its label kubernetes.io/hostname, too.
  std::set<std::string, std::less<>> nodes;
  std::string directory;  ///< where the folders are
};

/// "pvc-<uid>_<namespace>_<claim>", as k3s names them, or without the claim when that would be too long. BadRequest
/// for what is no name of a folder.
Result<std::string> LocalFolderName(std::string_view volume, std::string_view ns, std::string_view claim);

/// Why there can be no local volume for the claim; "" when there can.
std::string WhyNotLocal(api::core_v1::PersistentVolumeClaim claim, api::storage_v1::StorageClass storage_class);

/// The class of such volumes, "local-path" as in k3s; the cluster's default if it has none. One that is there stays.
Ok EnsureLocalStorageClass(client::Client& client);

class LocalVolumes {
 public:
  /// `client` is persistent-volume-binder's. REQUIRES: files and informers outlive it.
  LocalVolumes(rt::Runtime& runtime, rt::FileSystem& files, client::Client& client, client::InformerFactory& informers,
               client::EventRecorder& events, LocalVolumesOptions options);
  ~LocalVolumes();
  void Start();
  void Stop();

 private:
  Result<Requeue> SyncClaim(const client::ObjectName& key);
  Result<Requeue> SyncVolume(const client::ObjectName& key);
  void ReadNotes();
  // making
  bool IsToMake(const api::Object& claim) const;
  Ok Make(const api::Object& claim);
  Ok MakeFolder(const std::string& volume, const api::Object& claim, const std::string& folder);
  Ok CreateVolume(const std::string& volume, const api::Object& claim, const api::Object& storage_class,
                  const std::string& folder);
  Ok Refuse(const api::Object& claim, std::string_view storage_class, const std::string& why);
  /// What the note of a volume says was begun: finished, or undone.
  Ok Settle(const std::string& volume);
  // enlarging
  bool IsToGrow(const api::Object& claim, const api::ObjectPtr& volume) const;
  Ok Grow(const api::ObjectPtr& claim, const api::ObjectPtr& volume);
  // removing
  bool IsOurs(const api::Object& volume) const;
  Ok Remove(const api::ObjectPtr& volume);
  Result<api::ObjectPtr> SetFinalizer(const api::Object& volume, bool wanted);

  std::string NoteOf(const std::string& volume) const { return notes_ + "/" + volume; }
  void Tell(const api::KindInfo& kind, const api::Object& object, client::EventKind type, std::string_view reason,
            std::string message);

  rt::Runtime& runtime_;
  rt::FileSystem& files_;
  client::Client& client_;
  client::EventRecorder& events_;
  const LocalVolumesOptions options_;
  const std::string notes_;  // the folder of notes
  client::Informer& claims_;
  client::Informer& volumes_;
  client::Informer& classes_;
  std::map<std::string, std::string, std::less<>> noted_;  // claim's key → volume that a note tells of
  std::shared_ptr<int> alive_ = std::make_shared<int>();   // handlers stay with the informers
  Worker claim_worker_;
  Worker volume_worker_;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::controller
