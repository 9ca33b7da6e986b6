// A shim's socket: any datagram is refused or parsed into fields that lie inside it.

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "runtime/shim/message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr::shim;
  const auto* text = reinterpret_cast<const char*>(data);
  Fields fields;
  if (!ParseMessage(text, size, fields)) return 0;
  MessageBuilder again;
  for (size_t i = 0; i < fields.count; i++) {
    if (fields.at[i] < text || fields.at[i] >= text + size) abort();
    int64_t number = 0;
    if (ParseNumber(fields.at[i], number)) {
      MessageBuilder printed;
      int64_t read_back = 0;
      printed.AddNumber(number);
      if (!ParseNumber(printed.data(), read_back) || read_back != number) abort();
    }
    if (ValidId(fields.at[i]) && strchr(fields.at[i], '/') != nullptr) abort();
    again.Add(fields.at[i]);
  }
  if (!again.ok() || again.size() != size || memcmp(again.data(), text, size) != 0) abort();
  return 0;
}
