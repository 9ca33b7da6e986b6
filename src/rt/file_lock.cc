#include "rt/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

namespace knarr::rt {

FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

Ok FileLock::Open(const std::string& path) {
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) return FromErrno(errno, "open " + path);
  return {};
}

Ok FileLock::Lock(int operation) {
  // Mostly nobody else is there: no thread is needed to find that out.
  if (flock(fd_, operation | LOCK_NB) == 0) return {};
  int error = errno;
  if (error != EWOULDBLOCK) return FromErrno(error, "flock");
  runtime_.Blocking([&] {
    error = 0;
    while (flock(fd_, operation) != 0) {
      if (errno == EINTR) continue;
      error = errno;
      return;
    }
  });
  return error == 0 ? Ok() : Ok(FromErrno(error, "flock"));
}

Ok FileLock::LockShared() { return Lock(LOCK_SH); }
Ok FileLock::LockExclusive() { return Lock(LOCK_EX); }
bool FileLock::TryLockExclusive() { return flock(fd_, LOCK_EX | LOCK_NB) == 0; }
void FileLock::Unlock() { flock(fd_, LOCK_UN); }

}  // namespace knarr::rt
