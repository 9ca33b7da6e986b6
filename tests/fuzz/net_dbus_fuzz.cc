// What a hostile program may send over the machine's D-Bus.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/dbus.h"
#include "net/dbus_message.h"

using namespace knarr::net;  // a fuzz target is a program of its own

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto path = DbusSocketPath(bytes); !path.ok() && path.status().message().empty()) abort();
  if (bytes.size() < kDbusHeadSize) return 0;
  const auto whole = DbusSize(bytes.substr(0, kDbusHeadSize));
  if (!whole.ok() || *whole != bytes.size()) return 0;
  const auto message = DecodeDbus(bytes);
  if (!message.ok()) return 0;
  DbusReader in(*message);
  for (const char type : message->signature) {
    const bool ok = type == 's'   ? in.String().ok()
                    : type == 'b' ? in.Bool().ok()
                    : type == 'h' ? in.Descriptor().ok()
                                  : in.VariantUint64().ok();
    if (!ok) break;
  }
  if (message->big_endian || message->signature.size() > 255) return 0;
  // What was read is written as bytes that are read as the same.
  const std::string written = EncodeDbus(*message);
  const auto size_again = DbusSize(written.substr(0, kDbusHeadSize));
  if (!size_again.ok() || *size_again != written.size()) abort();
  const auto again = DecodeDbus(written);
  if (!again.ok() || EncodeDbus(*again) != written) abort();
  return 0;
}
