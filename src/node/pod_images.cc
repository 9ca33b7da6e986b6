// The part of a pod worker that sees to it that images are there.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "node/environment.h"
#include "node/pod_worker.h"

namespace knarr::node {
namespace {

using api::core_v1::Container;
using api::core_v1::Pod;
using client::EventKind;

constexpr Duration kPullBackOffFirst = 10s;
constexpr Duration kPullBackOffMost = 300s;
constexpr Duration kErrImagePullShown = 1s;
// How long it takes to look again: the kubelet's backOffPeriod.
constexpr Duration kLookAgain = 10s;

}  // namespace

/// That there is no image for a container, for a reason that no pull could change.
Status PodWorker::NoteNoImage(ContainerRecord& record, const ImageWanted& wanted, std::string_view event,
                              std::string_view reason, Status status) {
  if (record.waiting_reason != reason || record.waiting_message != status.message()) {
    RecordEvent(EventKind::kWarning, event, status.message(), wanted.container);
    RecordEvent(EventKind::kWarning, "Failed", fmt::format("Error: {}", reason), record.name);
  }
  record.waiting_reason = reason;
  record.waiting_message = status.message();
  record.not_before = environment_.runtime.Wall() + kLookAgain;
  return status;
}

Result<image::Image> PodWorker::EnsureImage(Pod pod, const ImageWanted& wanted, ContainerRecord& record) {
  const std::string& name = wanted.name;
  Result<image::Reference> reference = image::Reference::Parse(name);
  if (!reference.ok()) {
    return NoteNoImage(record, wanted, "InspectFailed", "InvalidImageName",
                       BadRequest(fmt::format("Failed to apply default image tag \"{0}\": couldn't parse image name "
                                              "\"{0}\": {1}",
                                              name, reference.status().message())));
  }
  if (wanted.policy == "Always") return PullImage(pod, wanted, *reference, record);
  Result<image::Image> present = environment_.images.Get(name);
  if (present.ok()) {
    RecordEvent(EventKind::kNormal, "Pulled",
                fmt::format("Container image \"{}\" already present on machine and can be accessed by the pod", name),
                wanted.container);
    return present;
  }
  if (wanted.policy != "Never") return PullImage(pod, wanted, *reference, record);
  return NoteNoImage(record, wanted, "ErrImageNeverPull", "ErrImageNeverPull",
                     NotFound(fmt::format("Container image \"{}\" is not present with pull policy of Never", name)));
}

Result<image::Image> PodWorker::PullImage(Pod pod, const ImageWanted& wanted, const image::Reference& reference,
                                          ContainerRecord& record) {
  rt::Runtime& runtime = environment_.runtime;
  const std::string& name = wanted.name;
  RecordEvent(EventKind::kNormal, "Pulling", fmt::format("Pulling image \"{}\"", name), wanted.container);
  const MonoTime begin = runtime.Mono();
  const PullSecrets secrets = TRY(ReadPullSecrets(pod));
  Result<image::Image> pulled = Internal("not tried");
  std::vector<std::string> failures;
  std::vector<PullCredential> credentials = secrets.For(reference.registry + "/" + reference.repository);
  if (credentials.empty()) credentials.emplace_back();  // nobody in particular
  for (PullCredential& credential : credentials) {
    image::PullOptions options;
    options.username = std::move(credential.username);
    options.password = std::move(credential.password);
    pulled = environment_.images.Pull(reference, options);
    if (pulled.ok() || pulled.Failed(Reason::kCancelled)) break;
    failures.push_back(fmt::format("failed to pull image \"{}\": {}", name, pulled.status().message()));
  }
  if (pulled.ok()) {
    pull_back_off_.erase(name);
    // Upstream cuts to milliseconds.
    const Duration took = std::chrono::duration_cast<std::chrono::milliseconds>(runtime.Mono() - begin);
    RecordEvent(EventKind::kNormal, "Pulled",
                fmt::format("Successfully pulled image \"{}\" in {} ({} including waiting). Image size: {} bytes.",
                            name, FormatDuration(took), FormatDuration(took), pulled->size),
                wanted.container);
    return pulled;
  }
  if (pulled.Failed(Reason::kCancelled)) return pulled.status();
  const std::string why =
      failures.size() == 1 ? failures.front() : fmt::format("[{}]", fmt::join(failures, ", "));
  Duration& back_off = pull_back_off_[name];
  back_off = back_off != Duration{} ? std::min(back_off * 2, kPullBackOffMost) : kPullBackOffFirst;
  RecordEvent(EventKind::kWarning, "Failed", fmt::format("Failed to pull image \"{}\": {}", name, why),
              wanted.container);
  RecordEvent(EventKind::kWarning, "Failed", "Error: ErrImagePull", record.name);
  record.waiting_reason = "ErrImagePull";
  record.waiting_message = why;
  record.pull_failed = runtime.Wall();
  record.pull_image = name;
  record.not_before = record.pull_failed + back_off;
  return pulled.status();
}

/// The images that the container's mounts show as volumes. An image is the pod's then, and so are its events.
Ok PodWorker::EnsureImageVolumes(Pod pod, Container container, ContainerRecord& record) {
  for (const auto volume : pod.spec().volumes()) {
    bool wanted = false;
    for (const auto mount : container.volume_mounts()) wanted |= mount.name() == volume.name();
    if (!wanted || !volume.image()) continue;
    image::Image image = TRY(EnsureImage(
        pod, {std::string(volume.image().reference()), volume.image().pull_policy(), ""}, record));
    const Ok mounted = [&]() -> Ok {
      image.layer_directories = TRY(environment_.images.Layers(image));
      const bool own_users = !pod.spec().host_users().value_or(true);
      if (!sandbox_) return Cancelled("pod is going away");
      return volumes_.SetUpImage(volume.name(), image, own_users ? sandbox_->infra_pid : 0);
    }();
    if (!mounted.ok() && !mounted.Failed(Reason::kCancelled)) {
      NoteStartFailure(record, "CreateContainerError", mounted.status());
    }
    TRY(mounted);
  }
  return {};
}

/// A failed pull shows as ErrImagePull first, and as ImagePullBackOff while the next try is waited for.
void PodWorker::TellPullBackOff() {
  const WallTime now = environment_.runtime.Wall();
  for (ContainerRecord& record : state_.containers) {
    if (record.waiting_reason != "ErrImagePull" || record.not_before <= now) continue;
    const WallTime due = record.pull_failed + kErrImagePullShown;
    if (now < due) {
      recheck_ = recheck_ ? std::min(*recheck_, due) : due;
      continue;
    }
    const std::string text = fmt::format("Back-off pulling image \"{}\"", record.pull_image);
    record.waiting_reason = "ImagePullBackOff";
    record.waiting_message = text + ": ErrImagePull: " + record.waiting_message;
    RecordEvent(EventKind::kNormal, "BackOff", text, record.name);
    RecordEvent(EventKind::kWarning, "Failed", "Error: ImagePullBackOff", record.name);
  }
}

/// Those that are missing or malformed are told, but not fatal: the image may be public.
Result<PullSecrets> PodWorker::ReadPullSecrets(Pod pod) {
  PullSecrets out;
  std::vector<std::string> missing;
  for (const auto reference : pod.spec().image_pull_secrets()) {
    if (reference.name().empty()) continue;
    Result<api::ObjectPtr> object = environment_.client.Get(
        api::core_v1::SecretInfo(), {std::string(pod.metadata().ns()), std::string(reference.name())});
    if (object.Failed(Reason::kCancelled)) return object.status();
    if (!object.ok()) {
      missing.emplace_back(reference.name());
      continue;
    }
    const Ok added = out.Add(api::core_v1::Secret((*object)->tree()));
    if (!added.ok()) {
      LOG_WARN("a pull secret is not used", {"pod", KeyOf(*pod_)}, {"secret", reference.name()},
               {"error", added.status()});
    }
  }
  if (!missing.empty()) {
    RecordEvent(EventKind::kWarning, "FailedToRetrieveImagePullSecret",
                fmt::format("Unable to retrieve some image pull secrets ({}); attempting to pull the image may not "
                            "succeed.",
                            fmt::join(missing, ", ")));
  }
  return out;
}

}  // namespace knarr::node
