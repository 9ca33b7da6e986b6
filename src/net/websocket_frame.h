#pragma once

// WebSocket frames as bytes (RFC 6455, section 5). Internal to net/, and what the fuzz target drives.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace knarr::net {

enum class WebSocketOpcode : uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

struct WebSocketFrameHead {
  bool last = false;
  WebSocketOpcode opcode = WebSocketOpcode::kContinuation;
  bool masked = false;
  uint32_t mask = 0;  ///< as it lies in memory
  uint64_t length = 0;
  size_t head_size = 0;
};

/// nullopt while the head is incomplete; BadRequest for what the RFC forbids.
Result<std::optional<WebSocketFrameHead>> ParseFrameHead(std::string_view bytes);
void AppendFrameHead(std::string& out, WebSocketOpcode opcode, uint64_t length, std::optional<uint32_t> mask);
/// XORs in place; `offset` is where in the payload `data` begins.
void ApplyMask(char* data, size_t size, uint32_t mask, uint64_t offset);

}  // namespace knarr::net
