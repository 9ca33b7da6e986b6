#include "net/websocket_frame.h"

#include <cstring>

namespace knarr::net {

Result<std::optional<WebSocketFrameHead>> ParseFrameHead(std::string_view bytes) {
  if (bytes.size() < 2) return std::optional<WebSocketFrameHead>();
  auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  WebSocketFrameHead head;
  head.last = (byte(0) & 0x80) != 0;
  if ((byte(0) & 0x70) != 0) return BadRequest("WebSocket: reserved bits are set");
  uint8_t opcode = byte(0) & 0x0f;
  if ((opcode > 2 && opcode < 8) || opcode > 10) return BadRequest("WebSocket: unknown opcode");
  head.opcode = static_cast<WebSocketOpcode>(opcode);
  head.masked = (byte(1) & 0x80) != 0;
  head.length = byte(1) & 0x7f;
  bool control = opcode >= 8;
  if (control && (!head.last || head.length > 125)) return BadRequest("WebSocket: malformed control frame");
  size_t extra = head.length == 126 ? 2 : head.length == 127 ? 8 : 0;
  head.head_size = 2 + extra + (head.masked ? 4 : 0);
  if (bytes.size() < head.head_size) return std::optional<WebSocketFrameHead>();
  if (extra > 0) {
    head.length = 0;
    for (size_t i = 0; i < extra; ++i) head.length = head.length << 8 | byte(2 + i);
    if ((extra == 2 && head.length < 126) || (extra == 8 && head.length < 65536) || head.length >> 63 != 0) {
      return BadRequest("WebSocket: malformed length");
    }
  }
  if (head.masked) std::memcpy(&head.mask, bytes.data() + 2 + extra, 4);
  return std::optional<WebSocketFrameHead>(head);
}

void AppendFrameHead(std::string& out, WebSocketOpcode opcode, uint64_t length, std::optional<uint32_t> mask) {
  out += static_cast<char>(0x80 | static_cast<uint8_t>(opcode));
  int mask_bit = mask.has_value() ? 0x80 : 0;
  int extra = length < 126 ? 0 : length < 65536 ? 2 : 8;
  out += static_cast<char>(mask_bit | (extra == 0 ? static_cast<int>(length) : extra == 2 ? 126 : 127));
  for (int i = extra - 1; i >= 0; --i) out += static_cast<char>(length >> (8 * i));
  if (mask.has_value()) out.append(reinterpret_cast<const char*>(&*mask), 4);
}

void ApplyMask(char* data, size_t size, uint32_t mask, uint64_t offset) {
  char key[8];
  std::memcpy(key, &mask, 4);
  std::memcpy(key + 4, &mask, 4);
  // Turns the key so that the eight bytes at a time below begin at its first byte.
  uint64_t wide = 0;
  char turned[8];
  for (size_t i = 0; i < 8; ++i) turned[i] = key[(i + offset) % 4];
  std::memcpy(&wide, turned, 8);
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t block = 0;
    std::memcpy(&block, data + i, 8);
    block ^= wide;
    std::memcpy(data + i, &block, 8);
  }
  for (; i < size; ++i) data[i] = static_cast<char>(data[i] ^ turned[i % 8]);
}

}  // namespace knarr::net
