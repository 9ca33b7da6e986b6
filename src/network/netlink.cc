#include "network/netlink.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/check.h"

namespace knarr::network {
namespace {

constexpr size_t kReceiveBuffer = 64 << 10;
constexpr int kSendBuffer = 64 << 20;  // a transaction goes out in one piece

size_t Align(size_t size) { return (size + 3) & ~size_t{3}; }

// Calls `take` for each message in a datagram; false from it ends the walk.
template <typename Take>
void ForEachMessage(std::string_view bytes, Take take) {
  while (bytes.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > bytes.size()) return;
    if (!take(header, bytes.substr(sizeof header, header.nlmsg_len - sizeof header))) return;
    bytes.remove_prefix(std::min(bytes.size(), Align(header.nlmsg_len)));
  }
}

// NLMSG_ERROR's payload: errno, the request's header, and maybe the kernel's own words.
struct Acknowledgement {
  int error = 0;
  uint32_t sequence = 0;
  std::string text;
};

std::optional<Acknowledgement> ReadAcknowledgement(const nlmsghdr& header, std::string_view payload) {
  if (header.nlmsg_type != NLMSG_ERROR || payload.size() < sizeof(nlmsgerr)) return std::nullopt;
  nlmsgerr error;
  std::memcpy(&error, payload.data(), sizeof error);
  Acknowledgement out;
  out.error = -error.error;
  out.sequence = error.msg.nlmsg_seq;
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) != 0) {
    size_t skip = sizeof error;
    if ((header.nlmsg_flags & NLM_F_CAPPED) == 0 && error.msg.nlmsg_len >= sizeof(nlmsghdr)) {
      skip += Align(error.msg.nlmsg_len - sizeof(nlmsghdr));
    }
    if (skip < payload.size()) {
      const std::string_view text = FindAttribute(payload.substr(skip), NLMSGERR_ATTR_MSG);
      out.text = text.substr(0, text.find('\0'));
    }
  }
  return out;
}

Status ToStatus(const Acknowledgement& acknowledgement, const NetlinkBatch& batch) {
  std::string what = batch.DescriptionOf(acknowledgement.sequence);
  if (!acknowledgement.text.empty()) what += " (" + acknowledgement.text + ")";
  return FromErrno(acknowledgement.error, what);
}

}  // namespace

void NetlinkBatch::Begin(uint16_t type, uint16_t flags, std::string_view header) {
  message_at_ = bytes_.size();
  nlmsghdr head{};
  head.nlmsg_type = type;
  head.nlmsg_flags = static_cast<uint16_t>(flags | NLM_F_REQUEST);
  head.nlmsg_seq = static_cast<uint32_t>(++messages_);
  bytes_.append(reinterpret_cast<const char*>(&head), sizeof head);
  bytes_.append(header);
  bytes_.resize(Align(bytes_.size()));
}

void NetlinkBatch::End() {
  const auto length = static_cast<uint32_t>(bytes_.size() - message_at_);
  std::memcpy(bytes_.data() + message_at_, &length, sizeof length);
}

void NetlinkBatch::Put(uint16_t type, std::string_view bytes) {
  CHECK(bytes.size() < 65000);
  const std::array<uint16_t, 2> head{static_cast<uint16_t>(4 + bytes.size()), type};
  bytes_.append(reinterpret_cast<const char*>(head.data()), 4);
  bytes_.append(bytes);
  bytes_.resize(Align(bytes_.size()));
}

void NetlinkBatch::PutText(uint16_t type, std::string_view text) { Put(type, std::string(text) + '\0'); }

void NetlinkBatch::PutU8(uint16_t type, uint8_t value) { Put(type, {reinterpret_cast<const char*>(&value), 1}); }

void NetlinkBatch::PutU16(uint16_t type, uint16_t value) { Put(type, {reinterpret_cast<const char*>(&value), 2}); }

void NetlinkBatch::PutU32(uint16_t type, uint32_t value) { Put(type, {reinterpret_cast<const char*>(&value), 4}); }

void NetlinkBatch::PutBe32(uint16_t type, uint32_t value) { PutU32(type, htobe32(value)); }

void NetlinkBatch::PutBe64(uint16_t type, uint64_t value) {
  const uint64_t swapped = htobe64(value);
  Put(type, {reinterpret_cast<const char*>(&swapped), 8});
}

void NetlinkBatch::PutHeader(std::string_view bytes) {
  bytes_.append(bytes);
  bytes_.resize(Align(bytes_.size()));
}

size_t NetlinkBatch::BeginNest(uint16_t type) {
  const size_t mark = bytes_.size();
  const std::array<uint16_t, 2> head{0, static_cast<uint16_t>(type | NLA_F_NESTED)};
  bytes_.append(reinterpret_cast<const char*>(head.data()), 4);
  return mark;
}

void NetlinkBatch::EndNest(size_t mark) {
  const size_t length = bytes_.size() - mark;
  CHECK(length <= UINT16_MAX);
  const auto narrow = static_cast<uint16_t>(length);
  std::memcpy(bytes_.data() + mark, &narrow, sizeof narrow);
}

std::string NetlinkBatch::DescriptionOf(uint32_t sequence) const {
  std::string out = "netlink message " + std::to_string(sequence);
  for (const Description& description : descriptions_) {
    if (description.message <= sequence) out = description.text;
  }
  return out;
}

Result<NetlinkSocket> NetlinkSocket::Open(int protocol, const std::string& netns_path) {
  int home = -1;
  if (!netns_path.empty()) {
    const int target = open(netns_path.c_str(), O_RDONLY | O_CLOEXEC);
    if (target < 0) return FromErrno(errno, "open network namespace " + netns_path);
    home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    const int entered = home < 0 ? -1 : setns(target, CLONE_NEWNET);
    const int error = errno;
    close(target);
    if (entered != 0) {
      if (home >= 0) close(home);
      return FromErrno(error, "enter network namespace " + netns_path);
    }
  }
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  const int error = errno;
  if (home >= 0) {
    // A pool thread that stays in a pod's namespace would do all later work there.
    CHECK(setns(home, CLONE_NEWNET) == 0);
    close(home);
  }
  if (fd < 0) return FromErrno(error, "open netlink socket");
  const int yes = 1;
  (void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &yes, sizeof yes);
  (void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &yes, sizeof yes);
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof kSendBuffer);
  return NetlinkSocket(fd);
}

NetlinkSocket::NetlinkSocket(NetlinkSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

NetlinkSocket::~NetlinkSocket() {
  if (fd_ >= 0) close(fd_);
}

Ok NetlinkSocket::Send(std::string_view bytes) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  while (sendto(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0) {
    if (errno != EINTR) return FromErrno(errno, "send to netlink");
  }
  return {};
}

Ok NetlinkSocket::Execute(const NetlinkBatch& batch) {
  std::string bytes = batch.bytes();
  for (size_t at = 0; at < bytes.size();) {
    nlmsghdr header;
    std::memcpy(&header, bytes.data() + at, sizeof header);
    header.nlmsg_flags |= NLM_F_ACK;
    std::memcpy(bytes.data() + at, &header, sizeof header);
    at += Align(header.nlmsg_len);
  }
  TRY(Send(bytes));
  std::vector<char> buffer(kReceiveBuffer);
  std::optional<Status> failed;
  for (size_t left = batch.messages(); left > 0;) {
    const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return FromErrno(errno, "receive from netlink");
    ForEachMessage({buffer.data(), static_cast<size_t>(got)}, [&](const nlmsghdr& header, std::string_view payload) {
      const auto acknowledgement = ReadAcknowledgement(header, payload);
      if (!acknowledgement) return true;
      if (acknowledgement->error != 0 && !failed) failed = ToStatus(*acknowledgement, batch);
      return --left > 0;
    });
  }
  if (failed) return *failed;
  return {};
}

Result<std::vector<NetlinkReply>> NetlinkSocket::Query(const NetlinkBatch& batch) {
  std::vector<NetlinkReply> out;
  TRY(Visit(batch, [&out](const NetlinkReply& reply) { out.push_back(reply); }));
  return out;
}

Ok NetlinkSocket::Visit(const NetlinkBatch& batch, const std::function<void(const NetlinkReply& reply)>& take) {
  TRY(Send(batch.bytes()));
  std::vector<char> buffer(kReceiveBuffer);
  std::optional<Status> failed;
  bool done = false;
  while (!done) {
    const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return FromErrno(errno, "receive from netlink");
    ForEachMessage({buffer.data(), static_cast<size_t>(got)}, [&](const nlmsghdr& header, std::string_view payload) {
      const auto acknowledgement = ReadAcknowledgement(header, payload);
      if (acknowledgement && acknowledgement->error != 0) failed = ToStatus(*acknowledgement, batch);
      // The end of a dump says whether it is whole.
      int32_t ended = 0;
      if (header.nlmsg_type == NLMSG_DONE && payload.size() >= sizeof ended) {
        std::memcpy(&ended, payload.data(), sizeof ended);
        if (ended < 0) failed = ToStatus({.error = -ended, .sequence = header.nlmsg_seq, .text = {}}, batch);
      }
      if (!acknowledgement && header.nlmsg_type != NLMSG_DONE) take({header.nlmsg_type, std::string(payload)});
      done = done || acknowledgement || header.nlmsg_type == NLMSG_DONE || (header.nlmsg_flags & NLM_F_MULTI) == 0;
      return true;
    });
  }
  if (failed) return *failed;
  return {};
}

Ok NetlinkSocket::Commit(const NetlinkBatch& batch) {
  TRY(Send(batch.bytes()));
  // The kernel worked on it inside the send: its answers are all here, or there are none.
  std::vector<char> buffer(kReceiveBuffer);
  std::optional<Status> failed;
  bool acknowledged = false;
  while (true) {
    const ssize_t got = recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got < 0 && errno == ENOBUFS) continue;  // so many errors that some were lost: the first is among those kept
    if (got <= 0) return FromErrno(errno, "receive from netlink");
    ForEachMessage({buffer.data(), static_cast<size_t>(got)}, [&](const nlmsghdr& header, std::string_view payload) {
      const auto answer = ReadAcknowledgement(header, payload);
      if (answer && answer->error != 0 && !failed) failed = ToStatus(*answer, batch);
      acknowledged = acknowledged || answer;
      return true;
    });
  }
  if (failed) return *failed;
  if (!acknowledged) return Internal("nftables transaction was not acknowledged");
  return {};
}

std::string_view FindAttribute(std::string_view attributes, uint16_t type) {
  while (attributes.size() >= 4) {
    std::array<uint16_t, 2> head;
    std::memcpy(head.data(), attributes.data(), 4);
    if (head[0] < 4 || head[0] > attributes.size()) return {};
    if ((head[1] & NLA_TYPE_MASK) == type) return attributes.substr(4, head[0] - 4);
    attributes.remove_prefix(std::min(attributes.size(), Align(head[0])));
  }
  return {};
}

}  // namespace knarr::network
