// Scenario files: what is read can be written, and is read again as the same.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "sim/scenario.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto scenario = knarr::sim::Scenario::Parse(std::string_view(reinterpret_cast<const char*>(data), size), "f");
  if (!scenario.ok()) return 0;
  const std::string text = scenario->ToText();
  const auto again = knarr::sim::Scenario::Parse(text, "f");
  CHECK(again.ok());
  CHECK(again->ToText() == text);
  CHECK(again->statements.size() == scenario->statements.size());
  return 0;
}
