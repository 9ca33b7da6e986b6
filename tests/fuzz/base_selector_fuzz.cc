// What is accepted prints a text that reads back as the same selector.

#include <cstdint>
#include <cstdlib>

#include "base/selector.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto labels = LabelSelector::Parse(text); labels.ok()) {
    const auto again = LabelSelector::Parse(labels->ToString());
    if (!again.ok() || again->ToString() != labels->ToString()) std::abort();
    (void)labels->Matches([&](std::string_view) -> std::optional<std::string_view> { return text; });
  }
  if (const auto fields = FieldSelector::Parse(text); fields.ok()) {
    const auto again = FieldSelector::Parse(fields->ToString());
    if (!again.ok()) std::abort();
    (void)fields->Matches([&](std::string_view) { return text; });
  }
  return 0;
}
