// Addresses and networks come back from their own text; names are checked without trouble.

#include <cstdint>
#include <cstdlib>

#include "base/ip.h"
#include "base/names.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto address = IpAddress::Parse(text); address.ok()) {
    if (IpAddress::Parse(address->ToString()).value_or(IpAddress()) != *address) std::abort();
    if ((*address + 5).DistanceFrom(*address) != 5 && *address < *address + 5) std::abort();
  }
  if (const auto cidr = Cidr::Parse(text); cidr.ok()) {
    if (Cidr::Parse(cidr->ToString()).value_or(Cidr()) != *cidr) std::abort();
    if (!cidr->Contains(cidr->Last()) || !cidr->Contains(cidr->Network())) std::abort();
    if (cidr->At(cidr->Size() - 1) < cidr->Network()) std::abort();
  }
  (void)SplitHostPort(text);
  if (CheckDns1123Label(text).empty() !=
      (CheckDns1123Subdomain(text).empty() && text.size() <= 63 && text.find('.') == std::string_view::npos)) {
    std::abort();
  }
  (void)CheckQualifiedName(text);
  (void)CheckLabelValue(text);
  (void)CheckPortName(text);
  (void)CheckEnvVarName(text);
  (void)CheckConfigMapKey(text);
  return 0;
}
