// What a hostile server may say in etcd's name, and what may lie in etcd as a value.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "store/etcd/envelope.h"
#include "store/etcd/messages.h"

using namespace knarr::store::etcd;  // a fuzz target is a program of its own

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 6) {
    case 0:
      (void)DecodeRange(rest);
      break;
    case 1:
      (void)DecodeTxn(rest);
      break;
    case 2:
      (void)DecodeWatch(rest);
      break;
    case 3:
      (void)DecodeLease(rest);
      break;
    case 4:
      (void)DecodeAuthenticate(rest);
      (void)DecodeHeaderOnly(rest);
      break;
    default:
      (void)Unwrap(nullptr, "key", rest, 123);
      break;
  }
  return 0;
}
