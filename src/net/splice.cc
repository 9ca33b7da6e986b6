#include "net/splice.h"

#include <memory>

namespace knarr::net {
namespace {

constexpr size_t kPart = 32 << 10;

Ok Copy(Stream& from, Stream& to) {
  std::unique_ptr<char[]> part;
  for (;;) {
    // A direction that is silent keeps no memory.
    part.reset();
    TRY(from.WaitReadable());
    part = std::make_unique_for_overwrite<char[]>(kPart);
    const size_t count = TRY(from.Read(part.get(), kPart));
    if (count == 0) return to.CloseWrite();
    TRY(to.Write({part.get(), count}));
  }
}

}  // namespace

Ok Splice(rt::Runtime& runtime, Stream& one, Stream& other) {
  const auto close = [&] {
    one.Close();
    other.Close();
  };
  Ok back;
  rt::TaskGroup group(runtime, "splice");
  group.Spawn("back", [&] {
    back = Copy(other, one);
    if (!back.ok()) close();
  });
  const Ok forth = Copy(one, other);
  if (!forth.ok()) close();
  group.Join();  // stopped with this fiber
  close();
  return forth.ok() ? back : forth;
}

}  // namespace knarr::net
