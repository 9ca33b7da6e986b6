#pragma once

// Talking netlink: messages put together attribute by attribute, and a socket that sends them and collects what the
// kernel answers. For routing (links, addresses, routes) and nftables alike. Blocking (microseconds to milliseconds):
// for use inside Runtime::Blocking.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace knarr::network {

/// A buffer of netlink messages, built in order.
class NetlinkBatch {
 public:
  /// Begins a message; `header` is the family's own fixed header (ifinfomsg, nfgenmsg, …).
  void Begin(uint16_t type, uint16_t flags, std::string_view header);
  template <typename Header>
  void Begin(uint16_t type, uint16_t flags, const Header& header) {
    Begin(type, flags, std::string_view(reinterpret_cast<const char*>(&header), sizeof header));
  }
  /// Ends the message begun last.
  void End();

  void Put(uint16_t type, std::string_view bytes);
  /// With the zero byte that the kernel's string attributes end in.
  void PutText(uint16_t type, std::string_view text);
  void PutU8(uint16_t type, uint8_t value);
  void PutU16(uint16_t type, uint16_t value);
  void PutU32(uint16_t type, uint32_t value);
  /// Network byte order: nftables' integers.
  void PutBe32(uint16_t type, uint32_t value);
  void PutBe64(uint16_t type, uint64_t value);
  /// Bytes without an attribute's head: a fixed header inside a nest.
  void PutHeader(std::string_view bytes);
  /// An attribute that holds attributes, until EndNest with the mark it gave.
  size_t BeginNest(uint16_t type);
  void EndNest(size_t mark);
  /// Bytes in the nest so far: a nest can't hold more than 65535.
  size_t NestSize(size_t mark) const { return bytes_.size() - mark; }

  const std::string& bytes() const { return bytes_; }
  size_t messages() const { return messages_; }
  /// What message number n (from 1) was about, for errors.
  void Describe(std::string text) { descriptions_.push_back({messages_, std::move(text)}); }
  std::string DescriptionOf(uint32_t sequence) const;

 private:
  struct Description {
    size_t message;
    std::string text;
  };
  std::string bytes_;
  size_t message_at_ = 0;
  size_t messages_ = 0;
  std::vector<Description> descriptions_;
};

/// One answer's payload, after nlmsghdr.
struct NetlinkReply {
  uint16_t type = 0;
  std::string payload;
};

class NetlinkSocket {
 public:
  /// `protocol`: NETLINK_ROUTE or NETLINK_NETFILTER. In the network namespace at `netns_path`, or ours when "".
  static Result<NetlinkSocket> Open(int protocol, const std::string& netns_path = {});
  NetlinkSocket(NetlinkSocket&& other) noexcept;
  NetlinkSocket& operator=(NetlinkSocket&&) = delete;
  ~NetlinkSocket();

  /// Sends all messages, each with NLM_F_ACK, and waits for their acknowledgements. The first error, with the
  /// kernel's errno as FromErrno and the extended text if there is one; later messages have been tried all the same.
  Ok Execute(const NetlinkBatch& batch);
  /// The answers of one request (a dump or a single object).
  Result<std::vector<NetlinkReply>> Query(const NetlinkBatch& batch);
  /// The same, one by one as they come, for dumps that may be long. `take` may not use the socket.
  Ok Visit(const NetlinkBatch& batch, const std::function<void(const NetlinkReply& reply)>& take);
  /// An nftables transaction: one send; the kernel has taken all of it or nothing when this returns.
  Ok Commit(const NetlinkBatch& batch);

 private:
  explicit NetlinkSocket(int fd) : fd_(fd) {}
  Ok Send(std::string_view bytes);
  int fd_;
};

/// The attribute of this type in a row of attributes; "" when absent (or empty).
std::string_view FindAttribute(std::string_view attributes, uint16_t type);

}  // namespace knarr::network
