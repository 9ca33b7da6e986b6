#pragma once

// The requests of a claim by their names, which the rest of the claim refers to. Internal to api/validation.

#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "api/resource_v1.h"
#include "api/validation/errors.h"

namespace knarr::api::validation {

/// The names of a claim's requests, each with those of the alternatives it has.
class RequestNames {
 public:
  explicit RequestNames(const resource_v1::DeviceClaim& claim);
  /// "request" or "request/alternative", taken apart.
  bool Has(const std::vector<std::string_view>& segments) const;

 private:
  std::map<std::string_view, std::set<std::string_view>> names_;
};

void ValidateRequestReference(std::string_view name, const RequestNames& names, const Path& path, Errors& errors);
void ValidateRequestReferences(const doc::Value& list, const RequestNames& names, const Path& path, Errors& errors);

}  // namespace knarr::api::validation
