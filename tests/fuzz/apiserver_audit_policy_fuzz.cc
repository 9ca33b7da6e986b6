// An audit policy is a file of somebody's.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "apiserver/audit/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr::apiserver;
  const auto policy = AuditPolicy::Parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!policy.ok()) return 0;
  Attributes attributes;
  attributes.resource_request = true;
  attributes.verb = "get";
  attributes.resource = "pods";
  (void)policy->For(attributes);
  attributes.resource_request = false;
  attributes.path = "/healthz";
  (void)policy->For(attributes);
  return 0;
}
