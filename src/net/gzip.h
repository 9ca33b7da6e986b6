#pragma once

// Compression of what is sent: one gzip member, made piece by piece.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace knarr::net {

class Gzip {
 public:
  /// The fastest level: it is for bytes that are sent once.
  Gzip();
  ~Gzip();
  Gzip(Gzip&&) noexcept;
  Gzip& operator=(Gzip&&) noexcept;

  /// Takes more of the text and puts what comes of it behind `out`.
  void Add(std::string_view text, std::string& out);
  /// The rest. Nothing may follow.
  void Finish(std::string& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What a whole gzip or zlib stream, or one of bare deflate, unpacks to; nullopt when it is none, or larger than
/// `limit`.
std::optional<std::string> Unpack(std::string_view packed, size_t limit);

}  // namespace knarr::net
