#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "runtime/shim/shim.h"

// Attaching: what a container writes goes into its log and, too, into pipes that others read. Who reads too slowly
// holds the container up, as a terminal would, for what is dropped can't be shown again; who goes away is forgotten.

namespace knarr::shim {

namespace {

constexpr int kAttachmentsMax = 32;
/// Once a container has ended, what it wrote is read at once, and kept for who has not taken it yet.
constexpr size_t kPendingMax = 1 << 20;

}  // namespace

// attach <container> <flags>, with descriptors for its stdout (o) and stderr (e) in this order.
void Shim::Attach(const Fields& fields, const Waiter& waiter, const int* fds, int fd_count) {
  Container* c = fields.count == 4 ? FindContainer(fields.at[2]) : nullptr;
  if (c == nullptr || c->state != ContainerState::kRunning) return ReplyError(waiter, "the container is not running");
  int count = 0;
  for (const Attachment* a = attachments_; a != nullptr; a = a->next) count++;
  int used = 0;
  for (int i = 0; i < 2; i++) {
    if (strchr(fields.at[3], "oe"[i]) == nullptr || (c->tty && i == 1)) continue;
    if (used >= fd_count) return ReplyError(waiter, "attach: a descriptor is missing");
    if (++count > kAttachmentsMax) return ReplyError(waiter, "too many are attached already");
    if (!AddAttachment(c, i, fds[used++])) return ReplyError(waiter, strerror(errno));
  }
  // Its input: a terminal's is the terminal.
  const int input = c->tty ? c->outputs[0].source.fd : c->stdin_fd;
  MessageBuilder message;
  message.Add(waiter.request).Add("ok").AddNumber(c->tty ? 1 : 0).AddNumber(c->stdin_open ? 1 : 0);
  if (Connection* connection = FindConnection(waiter.serial)) Send(connection, message, input);
}

bool Shim::AddAttachment(Container* container, int index, int fd) {
  auto* a = static_cast<Attachment*>(calloc(1, sizeof(Attachment)));
  if (a == nullptr) return false;
  a->source = {SourceKind::kAttachment, fcntl(fd, F_DUPFD_CLOEXEC, 3), a};
  a->output = &container->outputs[index];
  a->next = attachments_;
  attachments_ = a;
  struct epoll_event event = {};  // that the reader has gone is told in any case
  event.data.ptr = &a->source;
  const bool added = a->source.fd >= 0 && fcntl(a->source.fd, F_SETFL, O_WRONLY | O_NONBLOCK) == 0 &&
                     epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, a->source.fd, &event) == 0;
  const int failed = errno;
  if (!added) {
    Detach(a);
  } else if (a->output->source.fd < 0) {
    EndAttachments(a->output);  // the stream has ended already
  }
  errno = failed;
  return added;
}

void Shim::WatchAttachment(Attachment* a, uint32_t events) {
  struct epoll_event event = {};
  event.events = events;
  event.data.ptr = &a->source;
  epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, a->source.fd, &event);
}

void Shim::Deliver(Output* output, const char* data, size_t size) {
  for (Attachment *a = attachments_, *next = nullptr; a != nullptr; a = next) {
    next = a->next;
    if (a->output != output) continue;
    size_t done = 0;
    if (a->pending_size == 0) {
      const ssize_t wrote = write(a->source.fd, data, size);
      if (wrote < 0 && errno != EAGAIN && errno != EINTR) {
        Detach(a);
        continue;
      }
      done = wrote > 0 ? static_cast<size_t>(wrote) : 0;
    }
    if (done == size) continue;
    const size_t left = size - done;
    void* grown = a->pending_size + left > kPendingMax ? nullptr : realloc(a->pending, a->pending_size + left);
    if (grown == nullptr) {
      Detach(a);
      continue;
    }
    a->pending = static_cast<char*>(grown);
    memcpy(a->pending + a->pending_size, data + done, left);
    a->pending_size += left;
    WatchAttachment(a, EPOLLOUT);
    Pause(output);
  }
  errno = 0;  // the caller looks at it to see whether the stream is empty
}

void Shim::Pause(Output* output) {
  if (output->paused || output->source.fd < 0) return;
  // Taken out, not only asked for nothing: the end of a pipe is told in any case, again and again.
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, output->source.fd, nullptr);
  output->paused = true;
}

void Shim::ResumeIfTaken(Output* output) {
  if (output == nullptr || !output->paused) return;
  for (const Attachment* a = attachments_; a != nullptr; a = a->next) {
    if (a->output == output && a->pending_size > 0) return;
  }
  output->paused = false;
  if (output->source.fd >= 0) Watch(&output->source);
}

void Shim::ServeAttachment(Attachment* a, uint32_t events) {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return Detach(a);
  if (a->pending_size == 0) return;
  const ssize_t wrote = write(a->source.fd, a->pending, a->pending_size);
  if (wrote < 0) {
    if (errno != EAGAIN && errno != EINTR) Detach(a);
    return;
  }
  a->pending_size -= static_cast<size_t>(wrote);
  memmove(a->pending, a->pending + wrote, a->pending_size);
  if (a->pending_size > 0) return;
  if (a->output == nullptr) return Detach(a);
  WatchAttachment(a, 0);
  ResumeIfTaken(a->output);
}

// The stream has ended: whoever has taken all of it sees the end.
void Shim::EndAttachments(Output* output) {
  for (Attachment *a = attachments_, *next = nullptr; a != nullptr; a = next) {
    next = a->next;
    if (a->output != output) continue;
    a->output = nullptr;
    if (a->pending_size == 0) Detach(a);
  }
}

void Shim::Detach(Attachment* attachment) {
  for (Attachment** at = &attachments_; *at != nullptr; at = &(*at)->next) {
    if (*at != attachment) continue;
    *at = attachment->next;
    break;
  }
  Output* output = attachment->output;
  if (attachment->source.fd >= 0) {
    epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, attachment->source.fd, nullptr);
    close(attachment->source.fd);
  }
  free(attachment->pending);
  free(attachment);
  ResumeIfTaken(output);
}

// close-stdin <container>
void Shim::CloseStdin(const Fields& fields, const Waiter& waiter) {
  Container* c = fields.count == 3 ? FindContainer(fields.at[2]) : nullptr;
  if (c == nullptr) return ReplyError(waiter, "no such container");
  if (c->stdin_fd >= 0) close(c->stdin_fd);
  c->stdin_fd = -1;
  ReplyOk(waiter);
}

}  // namespace knarr::shim
