#include "runtime/shim/message.h"

#include <limits.h>
#include <string.h>

namespace knarr::shim {

bool ParseMessage(const char* data, size_t size, Fields& out) {
  out.count = 0;
  if (size == 0 || size > kMessageMax || data[size - 1] != '\0') return false;
  const char* at = data;
  const char* const end = data + size;
  while (at < end) {
    if (out.count == kFieldsMax) return false;
    out.at[out.count++] = at;
    at += strlen(at) + 1;
  }
  return true;
}

bool ParseNumber(const char* text, int64_t& out) {
  const bool negative = *text == '-';
  if (negative) text++;
  if (*text == '\0') return false;
  uint64_t value = 0;
  const uint64_t most = negative ? static_cast<uint64_t>(INT64_MAX) + 1 : static_cast<uint64_t>(INT64_MAX);
  for (; *text != '\0'; text++) {
    if (*text < '0' || *text > '9') return false;
    const auto digit = static_cast<uint64_t>(*text - '0');
    if (value > (most - digit) / 10) return false;
    value = value * 10 + digit;
  }
  out = negative ? static_cast<int64_t>(0 - value) : static_cast<int64_t>(value);
  return true;
}

bool ValidId(const char* text) {
  const size_t length = strnlen(text, kIdMax + 1);
  if (length == 0 || length > kIdMax) return false;
  for (size_t i = 0; i < length; i++) {
    const char c = text[i];
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && i > 0))) return false;
  }
  return true;
}

MessageBuilder& MessageBuilder::Add(const char* field) {
  const size_t length = strlen(field) + 1;
  if (length > kMessageMax - size_) {
    overflow_ = true;
    return *this;
  }
  memcpy(data_ + size_, field, length);
  size_ += length;
  return *this;
}

MessageBuilder& MessageBuilder::AddNumber(int64_t number) {
  char text[24];
  char* at = text + sizeof(text);
  *--at = '\0';
  uint64_t value = number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  do {
    *--at = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  if (number < 0) *--at = '-';
  return Add(at);
}

}  // namespace knarr::shim
