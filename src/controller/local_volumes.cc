#include "controller/local_volumes.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "api/persistent_volumes.h"
#include "base/log.h"
#include "base/strings.h"
#include "controller/persistent_volumes.h"
#include "rt/file_system.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using api::core_v1::PersistentVolume;
using api::core_v1::PersistentVolumeClaim;
using api::core_v1::PersistentVolumeClaimEdit;
using api::core_v1::PersistentVolumeEdit;
using api::storage_v1::StorageClass;
using client::EventKind;
using client::ObjectName;

constexpr std::string_view kPrefix = "pvc-";
constexpr std::string_view kStorage = "storage";
constexpr std::string_view kClassName = "local-path";
// Volumes have no dots at the beginning of their names.
constexpr std::string_view kNotes = ".begun";
constexpr size_t kFileNameMax = 255;
// Whoever a pod's containers run as, they may write to it; who reaches it at all is decided above.
constexpr uint32_t kFolderMode = 0777;
constexpr uint32_t kAboveMode = 0701;
constexpr size_t kNoteMax = 4096;
constexpr Duration kListRetry = 5s;

const api::KindInfo& Claims() { return api::core_v1::PersistentVolumeClaimInfo(); }
const api::KindInfo& Volumes() { return api::core_v1::PersistentVolumeInfo(); }

std::string_view Annotation(const api::Object& object, std::string_view name) {
  return object.tree().Get("metadata", "annotations").At(name).AsString();
}

bool HasFinalizer(const api::Object& object, std::string_view finalizer) {
  const auto items = object.tree().Get("metadata", "finalizers").items();
  return std::ranges::any_of(items, [&](const doc::Value& item) { return item.AsString() == finalizer; });
}

/// The one host that the volume's affinity names; "" for another affinity.
std::string_view HostOf(PersistentVolume volume) {
  const auto terms = volume.spec().node_affinity().required().node_selector_terms();
  if (terms.size() != 1 || terms[0].match_expressions().size() != 1) return {};
  const auto requirement = terms[0].match_expressions()[0];
  if (requirement.key() != api::kHostnameLabel || requirement.operator_() != "In") return {};
  return requirement.values().size() == 1 ? requirement.values()[0] : std::string_view();
}

bool IsPlainName(std::string_view text) {
  return !text.empty() && text.front() != '.' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

std::string VolumeName(std::string_view claim_uid) { return fmt::format("{}{}", kPrefix, claim_uid); }

/// "namespace/claim uid folder", as a note has it.
struct Note {
  ObjectName claim;
  std::string uid;
  std::string folder;
};

Result<Note> ParseNote(std::string_view text) {
  const std::vector<std::string_view> words = Split(text, ' ');
  const size_t slash = words.empty() ? std::string_view::npos : words[0].find('/');
  if (words.size() != 3 || slash == std::string_view::npos) return BadRequest("a note that can't be read");
  return Note{{std::string(words[0].substr(0, slash)), std::string(words[0].substr(slash + 1))},
              std::string(words[1]),
              std::string(words[2])};
}

}  // namespace

Result<std::string> LocalFolderName(std::string_view volume, std::string_view ns, std::string_view claim) {
  if (!volume.starts_with(kPrefix) || !IsPlainName(volume) || !IsPlainName(ns) || !IsPlainName(claim)) {
    return BadRequest(fmt::format("{} of {}/{} is no name of a volume's folder", GoQuote(volume), ns, claim));
  }
  std::string out = fmt::format("{}_{}_{}", volume, ns, claim);
  return out.size() <= kFileNameMax ? out : std::string(volume);
}

std::string WhyNotLocal(PersistentVolumeClaim claim, StorageClass storage_class) {
  if (claim.spec().volume_mode().value_or("Filesystem") == "Block") {
    return "block volumes are not supported: local volumes are folders of the node's disk";
  }
  for (const std::string_view mode : claim.spec().access_modes()) {
    if (mode != "ReadWriteOnce" && mode != "ReadWriteOncePod") {
      return fmt::format("access mode {} is not supported: local volumes are ReadWriteOnce or ReadWriteOncePod", mode);
    }
  }
  if (claim.spec().selector()) return "claim.spec.selector is not supported";
  if (claim.spec().data_source_ref() || claim.spec().data_source()) return "claim.spec.dataSource is not supported";
  if (claim.spec().volume_attributes_class_name().value_or("") != "") {
    return "claim.spec.volumeAttributesClassName is not supported";
  }
  for (const auto [key, value] : storage_class.parameters()) {
    return fmt::format("parameter {} of the storage class is not known", GoQuote(key));
  }
  return {};
}

Ok EnsureLocalStorageClass(client::Client& client) {
  const api::KindInfo& kind = api::storage_v1::StorageClassInfo();
  const client::ObjectList present = TRY(client.List(kind, ""));
  for (const ObjectPtr& each : present.items) {
    if (each->name() == kClassName) return {};
  }
  doc::Document document;
  api::storage_v1::StorageClassEdit edit(document);
  edit.metadata().set_name(kClassName);
  if (api::DefaultStorageClass(present.items) == nullptr) edit.metadata().put_annotations(api::kDefaultClass, "true");
  edit.set_provisioner(api::kLocalProvisioner)
      .set_reclaim_policy("Delete")
      .set_volume_binding_mode("WaitForFirstConsumer")
      .set_allow_volume_expansion(true);
  const Result<ObjectPtr> made = client.Create(kind, "", document.root);
  return made.Failed(Reason::kAlreadyExists) ? Ok() : Outcome(made);
}

LocalVolumes::LocalVolumes(rt::Runtime& runtime, rt::FileSystem& files, client::Client& client,
                           client::InformerFactory& informers, client::EventRecorder& events,
                           LocalVolumesOptions options)
    : runtime_(runtime),
      files_(files),
      client_(client),
      events_(events),
      options_(std::move(options)),
      notes_(options_.directory + "/" + std::string(kNotes)),
      claims_(informers.For(Claims())),
      volumes_(informers.For(Volumes())),
      classes_(informers.For(api::storage_v1::StorageClassInfo())),
      claim_worker_(runtime, "local-volumes", [this](const ObjectName& key) { return SyncClaim(key); }),
      volume_worker_(runtime, "local-volumes", [this](const ObjectName& key) { return SyncVolume(key); }),
      tasks_(runtime, "local volumes") {}

LocalVolumes::~LocalVolumes() = default;

void LocalVolumes::Start() {
  // The informers may live longer than this: handlers share whether it is still there.
  const std::weak_ptr<int> alive = alive_;
  claims_.AddHandler([this, alive](const ObjectPtr& before, const ObjectPtr& after) {
    if (alive.expired()) return;
    const api::Object& any = after != nullptr ? *after : *before;
    if (Annotation(any, api::kStorageProvisioner) == api::kLocalProvisioner) claim_worker_.Add(NameOf(any));
  });
  volumes_.AddHandler([this, alive](const ObjectPtr&, const ObjectPtr& after) {
    if (alive.expired() || after == nullptr || !IsOurs(*after)) return;
    volume_worker_.Add(NameOf(*after));
    const auto claim = PersistentVolume(after->tree()).spec().claim_ref();
    claim_worker_.Add({std::string(claim.ns()), std::string(claim.name())});
  });
  tasks_.Spawn("notes", [this] { ReadNotes(); });
}

void LocalVolumes::Stop() {
  alive_.reset();
  tasks_.StopAndJoin();
  claim_worker_.Stop();
  volume_worker_.Stop();
}

/// Nothing is made or removed before it is known what was begun.
void LocalVolumes::ReadNotes() {
  Result<std::vector<rt::DirectoryEntry>> entries = files_.List(notes_);
  while (!entries.ok() && !entries.Failed(Reason::kNotFound)) {
    LOG_WARN("local volumes can't be looked at", {"folder", notes_}, {"error", entries.status()});
    if (!runtime_.Sleep(kListRetry).ok()) return;
    entries = files_.List(notes_);
  }
  if (entries.ok()) {
    for (const rt::DirectoryEntry& entry : *entries) {
      const Result<std::string> text = files_.ReadFile(NoteOf(entry.name), kNoteMax);
      if (!text.ok()) {
        LOG_WARN("what a note tells of is not looked after", {"note", NoteOf(entry.name)}, {"error", text.status()});
        continue;
      }
      const Result<Note> note = ParseNote(*text);
      if (!note.ok() || entry.name != VolumeName(note->uid)) {
        // Half of one, or not in its place yet: its folder was not made.
        const Ok removed = files_.Remove(NoteOf(entry.name));
        if (!removed.ok()) LOG_WARN("a note stays", {"note", entry.name}, {"error", removed.status()});
        continue;
      }
      noted_[note->claim.ToString()] = entry.name;
      claim_worker_.Add(note->claim);
    }
  }
  claim_worker_.Start({&claims_, &volumes_, &classes_}, 2);
  volume_worker_.Start({&claims_, &volumes_, &classes_}, 2);
}

void LocalVolumes::Tell(const api::KindInfo& kind, const api::Object& object, EventKind type, std::string_view reason,
                        std::string message) {
  events_.Record(client::EventTarget::Of(kind, object), type, reason, std::move(message));
}

Result<Requeue> LocalVolumes::SyncClaim(const ObjectName& key) {
  const ObjectPtr claim = claims_.Get(key);
  const auto noted = noted_.find(key.ToString());
  if (noted != noted_.end()) {
    const bool goes_on =
        claim != nullptr && IsToMake(*claim) && noted->second == VolumeName(claim->uid());
    if (!goes_on) {
      TRY(Settle(std::string(noted->second)));
      noted_.erase(key.ToString());
    }
  }
  if (claim == nullptr) return Requeue();
  if (IsToMake(*claim)) {
    TRY(Make(*claim));
    return Requeue();
  }
  const std::string_view name = PersistentVolumeClaim(claim->tree()).spec().volume_name();
  const ObjectPtr volume = name.empty() ? nullptr : volumes_.Get({"", std::string(name)});
  if (IsToGrow(*claim, volume)) TRY(Grow(claim, volume));
  return Requeue();
}

bool LocalVolumes::IsToMake(const api::Object& object) const {
  const PersistentVolumeClaim claim(object.tree());
  return Annotation(object, api::kStorageProvisioner) == api::kLocalProvisioner &&
         options_.nodes.contains(api::SelectedNode(object)) && claim.spec().volume_name().empty() &&
         !object.deleting();
}

Ok LocalVolumes::Make(const api::Object& claim) {
  const std::string volume = VolumeName(claim.uid());
  const PersistentVolumeClaim view(claim.tree());
  const bool begun = noted_.contains(KeyOf(claim));
  if (volumes_.Get({"", volume}) != nullptr) return begun ? Settle(volume) : Ok();
  const std::string class_name(api::ClassOf(view));
  const ObjectPtr storage_class = classes_.Get({"", class_name});
  if (storage_class == nullptr) {
    return Refuse(claim, class_name, fmt::format("storageclass.storage.k8s.io {} not found", GoQuote(class_name)));
  }
  const StorageClass class_view(storage_class->tree());
  if (class_view.provisioner() != api::kLocalProvisioner) return {};
  if (const std::string why = WhyNotLocal(view, class_view); !why.empty()) return Refuse(claim, class_name, why);
  const Result<std::string> folder = LocalFolderName(volume, claim.ns(), claim.name());
  if (!folder.ok()) return Refuse(claim, class_name, folder.status().message());
  if (!begun) {
    Tell(Claims(), claim, EventKind::kNormal, "Provisioning",
         fmt::format("External provisioner is provisioning volume for claim {}", GoQuote(KeyOf(claim))));
  }
  if (const Ok made = MakeFolder(volume, claim, *folder); !made.ok()) {
    if (made.Failed(Reason::kCancelled)) return made;
    TRY(Refuse(claim, class_name, made.status().message()));
    const Ok given_back = PlaceAnew(client_, claim);
    return given_back.Failed(Reason::kNotFound) ? Ok() : given_back;
  }
  const Ok created = CreateVolume(volume, claim, *storage_class, *folder);
  if (!created.ok() && !created.Failed(Reason::kAlreadyExists)) return created;
  // By a call whose answer was lost, or by another node.
  TRY(created.ok() ? files_.Remove(NoteOf(volume)) : Settle(volume));
  noted_.erase(KeyOf(claim));
  Tell(Claims(), claim, EventKind::kNormal, "ProvisioningSucceeded",
       fmt::format("Successfully provisioned volume {}", volume));
  return {};
}

Ok LocalVolumes::MakeFolder(const std::string& volume, const api::Object& claim, const std::string& folder) {
  TRY(files_.MakeDirectories(options_.directory, kAboveMode));
  TRY(files_.MakeDirectories(notes_, kAboveMode));
  noted_[KeyOf(claim)] = volume;
  TRY(files_.WriteFileAtomic(NoteOf(volume), fmt::format("{} {} {}", KeyOf(claim), claim.uid(), folder)));
  const std::string path = options_.directory + "/" + folder;
  TRY(files_.MakeDirectories(path, kFolderMode));
  const rt::FileInfo info = TRY(files_.LinkStat(path));
  if (info.type != rt::FileType::kDirectory) return Conflict(fmt::format("{} is not a folder", path));
  TRY(files_.Chmod(path, kFolderMode));  // whatever our umask is
  return files_.SyncDirectory(options_.directory);
}

Ok LocalVolumes::CreateVolume(const std::string& name, const api::Object& object, const api::Object& storage_class,
                              const std::string& folder) {
  const PersistentVolumeClaim claim(object.tree());
  const StorageClass class_view(storage_class.tree());
  doc::Document document;
  const PersistentVolumeEdit volume(document);
  const std::string_view policy = class_view.reclaim_policy().value_or("Delete");
  volume.metadata().set_name(name).put_annotations(api::kProvisionedBy, api::kLocalProvisioner);
  if (policy == "Delete") volume.metadata().add_finalizers(api::kProvisionerFinalizer);
  auto spec = volume.spec();
  spec.put_capacity(kStorage, api::StorageRequest(claim).ToString());
  for (const std::string_view mode : claim.spec().access_modes()) spec.add_access_modes(mode);
  spec.set_volume_mode("Filesystem").set_storage_class_name(api::ClassOf(claim));
  spec.set_persistent_volume_reclaim_policy(policy);
  for (const std::string_view option : class_view.mount_options()) spec.add_mount_options(option);
  spec.local().set_path(options_.directory + "/" + folder);
  spec.node_affinity()
      .required()
      .add_node_selector_terms()
      .add_match_expressions()
      .set_key(api::kHostnameLabel)
      .set_operator("In")
      .add_values(api::SelectedNode(object));
  spec.claim_ref()
      .set_kind("PersistentVolumeClaim")
      .set_ns(object.ns())
      .set_name(object.name())
      .set_uid(object.uid())
      .set_api_version("v1")
      .set_resource_version(object.resource_version());
  return Outcome(client_.Create(Volumes(), "", document.root));
}

Ok LocalVolumes::Refuse(const api::Object& claim, std::string_view storage_class, const std::string& why) {
  Tell(Claims(), claim, EventKind::kWarning, "ProvisioningFailed",
       fmt::format("failed to provision volume with StorageClass {}: {}", GoQuote(storage_class), why));
  return {};
}

Ok LocalVolumes::Settle(const std::string& volume) {
  const Result<ObjectPtr> present = client_.Get(Volumes(), {"", volume});
  if (!present.ok() && !present.Failed(Reason::kNotFound)) return present.status();
  // A volume of another node was made while this one was away, and the claim was placed anew.
  if (!present.ok() || !IsOurs(**present)) {
    const Result<std::string> text = files_.ReadFile(NoteOf(volume), kNoteMax);
    if (text.Failed(Reason::kNotFound)) return {};
    if (!text.ok()) return text.status();
    const Note note = TRY(ParseNote(*text));
    const std::string folder = TRY(LocalFolderName(volume, note.claim.ns, note.claim.name));
    LOG_INFO("a volume that was begun is not needed any more", {"volume", volume}, {"claim", note.claim.ToString()});
    TRY(files_.RemoveAll(options_.directory + "/" + folder));
  }
  return files_.Remove(NoteOf(volume));
}

bool LocalVolumes::IsOurs(const api::Object& volume) const {
  return Annotation(volume, api::kProvisionedBy) == api::kLocalProvisioner &&
         options_.nodes.contains(HostOf(PersistentVolume(volume.tree())));
}

Result<Requeue> LocalVolumes::SyncVolume(const ObjectName& key) {
  ObjectPtr object = volumes_.Get(key);
  if (object == nullptr || !IsOurs(*object)) return Requeue();
  const PersistentVolume volume(object->tree());
  const bool deletes = volume.spec().persistent_volume_reclaim_policy() == "Delete";
  const bool held = HasFinalizer(*object, api::kProvisionerFinalizer);
  if (!deletes) {
    // What is retained stays, also when the volume goes.
    if (held) TRY(SetFinalizer(*object, false));
    return Requeue();
  }
  const std::string_view phase = volume.status().phase();
  if (!held && !object->deleting() && phase == "Bound") object = TRY(SetFinalizer(*object, true));
  const bool given = phase == "Released" || phase == "Failed";
  if (!given || !volume.spec().claim_ref() || (object->deleting() && !held)) return Requeue();
  const Ok removed = Remove(object);
  if (removed.ok() || removed.Failed(Reason::kNotFound)) return Requeue();
  return removed.status();
}

Ok LocalVolumes::Remove(const ObjectPtr& object) {
  const PersistentVolume volume(object->tree());
  const auto claim = volume.spec().claim_ref();
  // Only what we made: a path that somebody wrote into a volume is not followed.
  const Result<std::string> folder = LocalFolderName(object->name(), claim.ns(), claim.name());
  Ok removed = folder.ok() ? Ok() : Ok(folder.status());
  if (removed.ok() && volume.spec().local().path() != options_.directory + "/" + *folder) {
    removed = BadRequest(fmt::format("{} is not the folder that was made for it, {}/{}",
                                     GoQuote(volume.spec().local().path()), options_.directory, *folder));
  }
  // Until it is seen that the volume goes this is done again.
  const bool first = removed.ok() && files_.Exists(options_.directory + "/" + *folder);
  if (removed.ok()) removed = files_.RemoveAll(options_.directory + "/" + *folder);
  if (!removed.ok()) {
    if (removed.Failed(Reason::kCancelled)) return removed;
    Tell(Volumes(), *object, EventKind::kWarning, "VolumeFailedDelete", removed.status().message());
    return removed;
  }
  if (first) LOG_INFO("a volume is removed", {"volume", object->name()});
  const client::DeleteOptions options{.uid = std::string(object->uid())};
  const Result<ObjectPtr> left = client_.Delete(Volumes(), NameOf(*object), options);
  if (!left.ok()) return left.status();
  if (!HasFinalizer(**left, api::kProvisionerFinalizer)) return {};
  return Outcome(SetFinalizer(**left, false));
}

Result<ObjectPtr> LocalVolumes::SetFinalizer(const api::Object& volume, bool wanted) {
  doc::Document copy = doc::Document::Copy(volume.tree());
  doc::Value fresh = doc::Value::Array();
  for (const doc::Value& item : volume.tree().Get("metadata", "finalizers").items()) {
    if (item.AsString() != api::kProvisionerFinalizer) fresh.Append(copy.arena, item.Clone(copy.arena));
  }
  if (wanted) fresh.Append(copy.arena, doc::Value::Borrow(api::kProvisionerFinalizer));
  copy.root.Ensure(copy.arena, "metadata").Set(copy.arena, "finalizers", fresh);
  return client_.Update(Volumes(), NameOf(volume), copy.root);
}

bool LocalVolumes::IsToGrow(const api::Object& object, const ObjectPtr& volume) const {
  if (volume == nullptr || !IsOurs(*volume)) return false;
  const PersistentVolumeClaim claim(object.tree());
  if (PersistentVolume(volume->tree()).spec().claim_ref().uid() != object.uid()) return false;
  const Quantity wanted = api::StorageRequest(claim);
  return claim.status().phase() == "Bound" && wanted > api::StatusCapacity(claim);
}

/// In upstream's steps, so that whoever follows it sees what they would see there.
Ok LocalVolumes::Grow(const ObjectPtr& object, const ObjectPtr& volume) {
  const std::string wanted = api::StorageRequest(PersistentVolumeClaim(object->tree())).ToString();
  const WallTime now = runtime_.Wall();
  ObjectPtr claim = object;
  const bool begun = PersistentVolumeClaim(claim->tree()).status().allocated_resource_statuses().Has(kStorage) &&
                     PersistentVolumeClaim(claim->tree()).status().allocated_resources().Find(kStorage) == wanted;
  if (!begun) {
    Tell(Claims(), *claim, EventKind::kNormal, "Resizing",
         fmt::format("External resizer is resizing volume {}", volume->name()));
    doc::Document copy = doc::Document::Copy(claim->tree());
    auto status = PersistentVolumeClaimEdit(copy).status();
    status.put_allocated_resources(kStorage, wanted);
    status.put_allocated_resource_statuses(kStorage, "ControllerResizeInProgress");
    const auto conditions = status.conditions();
    bool there = false;
    for (const auto condition : conditions) there |= condition.type() == "Resizing";
    if (!there) conditions.Add().set_type("Resizing").set_status("True").set_last_transition_time(now);
    claim = TRY(client_.Update(Claims(), NameOf(*claim), copy.root, "status"));
  }
  const PersistentVolume present(volume->tree());
  if (api::StorageCapacity(present) < api::StorageRequest(PersistentVolumeClaim(claim->tree()))) {
    doc::Document copy = doc::Document::Copy(volume->tree());
    PersistentVolumeEdit(copy).spec().put_capacity(kStorage, wanted);
    TRY(client_.Update(Volumes(), NameOf(*volume), copy.root));
  }
  doc::Document copy = doc::Document::Copy(claim->tree());
  auto status = PersistentVolumeClaimEdit(copy).status();
  status.put_capacity(kStorage, wanted);
  status.remove_allocated_resource_statuses(kStorage);
  if (status.view().allocated_resource_statuses().empty()) status.clear_allocated_resource_statuses();
  const auto conditions = status.conditions();
  for (size_t i = conditions.size(); i-- > 0;) {
    if (conditions[i].type() == "Resizing") conditions.Erase(i);
  }
  if (conditions.empty()) status.clear_conditions();
  TRY(client_.Update(Claims(), NameOf(*claim), copy.root, "status"));
  Tell(Claims(), *claim, EventKind::kNormal, "VolumeResizeSuccessful", "Resize volume succeeded");
  return {};
}

}  // namespace knarr::controller
