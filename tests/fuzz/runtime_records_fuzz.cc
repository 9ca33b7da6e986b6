// The records of the state folder, and the words of an OCI runtime: any bytes give a record or an error.

#include <cstdint>
#include <string_view>

#include "runtime/kernel.h"
#include "runtime/oci_error.h"
#include "runtime/records.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr::runtime;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto record = ParseSandboxRecord(text); record.ok()) (void)ParseSandboxRecord(ToJson(*record)).value();
  if (const auto record = ParseContainerRecord(text); record.ok()) (void)ParseContainerRecord(ToJson(*record)).value();
  (void)ParseShimPids(text);
  (void)ParseStartRecord(text);
  (void)ParseExitRecord(text);
  (void)SignalNumber(text);
  (void)kernel::ParseMountInfo(text);
  (void)TranslateOciError(text, "program");
  return 0;
}
