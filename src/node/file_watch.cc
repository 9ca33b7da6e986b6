#include "node/file_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"

namespace knarr::node {
namespace {

constexpr uint32_t kMask = IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE;

}  // namespace

Result<std::unique_ptr<FileWatch>> FileWatch::Start(rt::Runtime& runtime, const std::string& path,
                                                    std::function<void()> changed) {
  int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (fd < 0) return FromErrno(errno, "inotify");
  const std::string directory = path.substr(0, path.rfind('/'));
  // The directory tells of files that are made, replaced or removed there, and of writes to them, too.
  if (inotify_add_watch(fd, directory.c_str(), kMask) < 0) {
    Status status = FromErrno(errno, "watch " + directory);
    close(fd);
    return status;
  }
  return std::unique_ptr<FileWatch>(new FileWatch(runtime, fd, std::move(changed)));
}

FileWatch::FileWatch(rt::Runtime& runtime, int fd, std::function<void()> changed)
    : runtime_(runtime), fd_(fd), changed_(std::move(changed)), tasks_(runtime, "file watch") {
  tasks_.Spawn("inotify", [this] { Run(); });
}

FileWatch::~FileWatch() { CHECK(fd_ < 0); }

void FileWatch::Stop() {
  if (fd_ < 0) return;
  tasks_.StopAndJoin();
  runtime_.ForgetFd(fd_);
  close(fd_);
  fd_ = -1;
}

void FileWatch::Run() {
  alignas(inotify_event) char events[4096];
  while (runtime_.WaitFd(fd_, rt::FdEvent::kReadable).ok()) {
    // What happened in the directory does not matter: the reader looks at its file again.
    while (read(fd_, events, sizeof events) > 0) {
    }
    changed_();
  }
}

}  // namespace knarr::node
