#pragma once

// An engine on the real kernel, for tests and benchmarks: an image store that knows one image (busybox, from layer
// directories made here) and a state folder of its own. Needs root, crun and busybox-static.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "image/store.h"
#include "rt/real.h"
#include "runtime/engine.h"

namespace knarr::runtime {

/// One image of ready layer directories; nothing can be pulled or removed.
class DirectoryStore final : public image::Store {
 public:
  explicit DirectoryStore(image::Image image) : image_(std::move(image)) {}
  Result<image::Image> Get(std::string_view name) override {
    if (name != image_.id) return NotFound("No such image: " + std::string(name));
    return image_;
  }
  Result<std::vector<image::Image>> List() override { return std::vector<image::Image>{image_}; }
  Result<image::Image> Pull(const image::Reference&, const image::PullOptions&) override { return Forbidden("pull"); }
  Result<std::vector<std::string>> Load(const std::string&, const image::LoadOptions&) override {
    return Forbidden("load");
  }
  Ok Tag(std::string_view, const image::Reference&) override { return Forbidden("tag"); }
  Ok Remove(std::string_view, const std::function<bool(const std::string& id)>&) override {
    return Forbidden("remove");
  }
  Result<User> ResolveUser(const image::Image&, std::string_view user) override;
  image::Image& image() { return image_; }

 private:
  image::Image image_;
};

/// Why engine tests can't run here; "" when they can.
std::string EngineTestsMissing();

/// A folder below `directory` made a root file system of busybox, `layers` layers of it in all (the upper ones empty
/// but for one file each).
image::Image MakeBusyboxImage(const std::string& directory, int layers = 1);

/// The shim that was built with this program.
std::string BuiltShim();

/// What a machine must be free of after a test: mounts and processes that name the folder, and groups of that root.
std::string FindLeaks(const std::string& directory, const std::string& cgroup_root);

/// Runs `body` as the first fiber of a real runtime.
void RunOnFiber(const std::function<void(rt::Runtime&)>& body);

}  // namespace knarr::runtime
