#pragma once

// SPDY/3.1 frames as bytes: heads, and blocks of headers under zlib with the protocol's dictionary. Internal to net/,
// and what the fuzz target drives.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/http.h"

namespace knarr::net {

enum class SpdyType : uint16_t {
  kData = 0,  ///< no control frame: ours alone
  kSynStream = 1,
  kSynReply = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kHeaders = 8,
  kWindowUpdate = 9,
};

inline constexpr size_t kSpdyHeadSize = 8;
inline constexpr uint8_t kSpdyFlagFin = 1;
inline constexpr uint8_t kSpdyFlagUnidirectional = 2;
/// The longest control frame and the largest block of headers, unpacked.
inline constexpr size_t kSpdyControlMax = 64 << 10;
inline constexpr size_t kSpdyHeadersMax = 64 << 10;

struct SpdyHead {
  SpdyType type = SpdyType::kData;  ///< of a control frame maybe none of the above: such are skipped
  uint32_t stream = 0;              ///< of data only
  uint8_t flags = 0;
  uint32_t length = 0;
};

/// REQUIRES: kSpdyHeadSize bytes. BadRequest for a control frame of another version or one that is too long.
Result<SpdyHead> ParseSpdyHead(std::string_view bytes);
void AppendSpdyHead(std::string& out, const SpdyHead& head);
void AppendU32(std::string& out, uint32_t value);
/// REQUIRES: four bytes at `at`.
uint32_t ReadU32(std::string_view bytes, size_t at = 0);

/// Unpacks the header blocks of one direction, in order: each builds on those before.
class SpdyInflater {
 public:
  SpdyInflater();
  ~SpdyInflater();
  SpdyInflater(const SpdyInflater&) = delete;
  SpdyInflater& operator=(const SpdyInflater&) = delete;
  /// BadRequest for what is no block of headers or unpacks to more than kSpdyHeadersMax; the connection is lost then.
  Result<Headers> Inflate(std::string_view block);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Packs the header blocks of one direction.
class SpdyDeflater {
 public:
  SpdyDeflater();
  ~SpdyDeflater();
  SpdyDeflater(const SpdyDeflater&) = delete;
  SpdyDeflater& operator=(const SpdyDeflater&) = delete;
  std::string Deflate(const Headers& headers);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace knarr::net
