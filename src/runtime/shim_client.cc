#include "runtime/shim_client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "runtime/shim/message.h"

namespace knarr::runtime {

namespace {

constexpr Duration kCallTimeout = 2min;

// The address of the socket by a descriptor of its folder: the folder's own path may be too long for one.
Result<OwnedFd> ConnectIn(const std::string& directory) {
  const OwnedFd folder(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder.ok()) return FromErrno(errno, "open " + directory);
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/shim.sock", folder.get());
  OwnedFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) return FromErrno(errno, "make a socket");
  // A local connection is made at once or not at all.
  if (connect(fd.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) != 0) {
    return Unavailable("connect to " + directory + "/shim.sock: " + std::strerror(errno));
  }
  return fd;
}

}  // namespace

Result<std::pair<OwnedFd, OwnedFd>> MakePipe(PipeSide ours) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return FromErrno(errno, "make a pipe");
  const int side = ours == PipeSide::kRead ? 0 : 1;
  if (fcntl(ends[side], F_SETFL, (side == 0 ? O_RDONLY : O_WRONLY) | O_NONBLOCK) != 0) {
    const int failed = errno;
    close(ends[0]);
    close(ends[1]);
    return FromErrno(failed, "set up a pipe");
  }
  return std::pair<OwnedFd, OwnedFd>(OwnedFd(ends[0]), OwnedFd(ends[1]));
}

Result<std::shared_ptr<ShimClient>> ShimClient::Connect(rt::Runtime& runtime, const std::string& directory) {
  OwnedFd fd = TRY(ConnectIn(directory));
  return std::shared_ptr<ShimClient>(new ShimClient(runtime, std::move(fd)));
}

ShimClient::~ShimClient() { Close(); }

void ShimClient::Close() {
  if (closed_) return;
  closed_ = true;
  // Wakes the reader, which forgets the descriptor and fails what waits.
  shutdown(fd_.get(), SHUT_RDWR);
}

Ok ShimClient::SendMessage(const std::vector<std::string>& fields, std::span<const int> fds) {
  shim::MessageBuilder message;
  for (const std::string& field : fields) message.Add(field.c_str());
  if (!message.ok()) return BadRequest("a request to the shim is longer than " + std::to_string(shim::kMessageMax));
  struct iovec part = {const_cast<char*>(message.data()), message.size()};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * 3)];
  struct msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    struct cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(c), fds.data(), sizeof(int) * fds.size());
  }
  const auto guard = TRY(sending_.Lock());
  for (;;) {
    if (closed_) return Unavailable("the shim is gone");
    if (sendmsg(fd_.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return Unavailable(std::string("send to the shim: ") + std::strerror(errno));
    TRY(runtime_.WaitFd(fd_.get(), rt::FdEvent::kWritable));
  }
}

Result<ShimClient::Reply> ShimClient::Call(const std::vector<std::string>& fields, std::span<const int> fds) {
  if (closed_) return Unavailable("the shim is gone");
  std::vector<std::string> message = {std::to_string(next_request_++)};
  message.insert(message.end(), fields.begin(), fields.end());
  Pending pending(runtime_);
  pending_[message[0]] = &pending;
  Ok sent = SendMessage(message, fds);
  if (sent.ok()) sent = pending.done.Wait(runtime_.Mono() + kCallTimeout);
  pending_.erase(message[0]);
  if (!sent.ok()) return sent.status().WithContext("shim: " + fields[0]);
  if (pending.error) return *pending.error;
  return std::move(pending.reply);
}

Result<std::vector<std::string>> ShimClient::Receive(OwnedFd& passed) {
  char data[shim::kMessageMax];
  struct iovec part = {data, sizeof(data)};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  struct msghdr header = {};
  ssize_t got;
  for (;;) {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    got = recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC);
    if (got >= 0) break;
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return Unavailable(std::string("receive from the shim: ") + std::strerror(errno));
    TRY(runtime_.WaitFd(fd_.get(), rt::FdEvent::kReadable));
  }
  const struct cmsghdr* c = got > 0 ? CMSG_FIRSTHDR(&header) : nullptr;
  if (c != nullptr && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(4)) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    passed = OwnedFd(fd);
  }
  shim::Fields fields;
  if (got == 0) return Unavailable("the shim closed the connection");
  if (!shim::ParseMessage(data, static_cast<size_t>(got), fields) || fields.count < 2) {
    return Internal("the shim sent a malformed message");
  }
  return std::vector<std::string>(fields.at, fields.at + fields.count);
}

void ShimClient::Route(std::vector<std::string> fields, OwnedFd passed, const EventHandler& on_event) {
  const std::string request = fields[0];
  const std::string kind = fields[1];
  if (request == "0") {
    fields.erase(fields.begin());
    on_event(fields);
    return;
  }
  const auto found = pending_.find(request);
  if (found == pending_.end()) return;  // its caller was cancelled
  Pending& pending = *found->second;
  fields.erase(fields.begin(), fields.begin() + 2);
  if (kind == "item") {
    pending.reply.items.push_back(std::move(fields));
    return;
  }
  if (kind == "ok") {
    pending.reply.fields = std::move(fields);
    pending.reply.fd = std::move(passed);
  } else {
    pending.error = Internal(fields.empty() ? "the shim refused" : fields[0]);
  }
  pending.done.Set();
}

void ShimClient::Serve(const EventHandler& on_event) {
  for (;;) {
    OwnedFd passed;
    auto fields = Receive(passed);
    if (!fields.ok()) break;
    Route(std::move(*fields), std::move(passed), on_event);
  }
  closed_ = true;
  runtime_.ForgetFd(fd_.get());
  fd_.Reset();
  for (const auto& [request, pending] : pending_) {
    pending->error = Unavailable("the shim is gone");
    pending->done.Set();
  }
}

}  // namespace knarr::runtime
