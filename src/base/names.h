#pragma once

// The rules for names in Kubernetes. Each check returns what is wrong, in upstream's words, and nothing when the value
// is fine.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace knarr {

using Problems = std::vector<std::string>;

/// "my-name": one DNS label in lower case, up to 63 characters.
Problems CheckDns1123Label(std::string_view value);
/// "example.com": labels with dots, up to 253 characters.
Problems CheckDns1123Subdomain(std::string_view value);
/// The same with underscores (DNS search paths).
Problems CheckDns1123SubdomainWithUnderscore(std::string_view value);
/// "*.example.com".
Problems CheckWildcardDns1123Subdomain(std::string_view value);
/// As a DNS-1123 label, but begins with a letter (service names of old, port names in some places).
Problems CheckDns1035Label(std::string_view value);
/// "example.com/MyName" or "MyName": label and annotation keys, resource and condition names.
Problems CheckQualifiedName(std::string_view value);
/// "" or up to 63 letters, digits, "-", "_" and ".", with a letter or digit at each end.
Problems CheckLabelValue(std::string_view value);
/// "http": up to 15 of a-z, 0-9 and single inner hyphens, with a letter among them.
Problems CheckPortName(std::string_view value);
Problems CheckPortNumber(int64_t port);
Problems CheckInRange(int64_t value, int64_t least, int64_t most);
Problems CheckUserId(int64_t id);
Problems CheckGroupId(int64_t id);
Problems CheckPercent(std::string_view value);
Problems CheckHttpHeaderName(std::string_view value);
Problems CheckCIdentifier(std::string_view value);
/// Environment variable names, by the old rule and by the present one (any printable ASCII but "=").
Problems CheckEnvVarName(std::string_view value);
Problems CheckRelaxedEnvVarName(std::string_view value);
/// Keys of ConfigMaps and Secrets.
Problems CheckConfigMapKey(std::string_view value);
/// A name that can be one segment of a URL path.
Problems CheckPathSegmentName(std::string_view value);

/// "must be no more than 63 characters".
std::string MaxLengthProblem(size_t length);
/// "must be between 1 and 65535, inclusive".
std::string RangeProblem(int64_t least, int64_t most);

}  // namespace knarr
