#pragma once

// IP addresses and CIDRs in fields. Old fields take any form that means one thing to everybody; new ones only the
// canonical form. Internal to api/validation, but for the warnings.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/validation/errors.h"
#include "base/ip.h"

namespace knarr::api::validation {

/// An address in an old field.
void ValidateIp(std::string_view value, const Path& path, Errors& errors);
/// An address in its canonical form.
void ValidateCanonicalIp(std::string_view value, const Path& path, Errors& errors);
/// What is wrong with a name that has to be an address in its canonical form.
std::vector<std::string> CheckCanonicalIp(std::string_view value);

void ValidateCidr(std::string_view value, const Path& path, Errors& errors);
void ValidateCanonicalCidr(std::string_view value, const Path& path, Errors& errors);

/// Whether it reads as an address at all, leading zeros and all; and the network that it reads as.
bool LooksLikeIp(std::string_view value);
std::optional<Cidr> ReadOldCidr(std::string_view value);

}  // namespace knarr::api::validation
