#include "api/validation/addresses.h"

#include <algorithm>
#include <optional>

#include "api/warnings.h"
#include "base/strings.h"

namespace knarr::api {
namespace validation {
namespace {

constexpr std::string_view kNoIp = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
constexpr std::string_view kNoCidr = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

bool IsHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Go once read numbers with leading zeros, and objects with such addresses may still be stored.
std::string WithoutLeadingZeros(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool first = i == 0 || !IsHex(text[i - 1]);
    if (!first || text[i] != '0') {
      out += text[i];
      continue;
    }
    while (i + 1 < text.size() && text[i] == '0' && IsHex(text[i + 1])) ++i;
    out += text[i];
  }
  return out;
}

std::optional<IpAddress> ReadIp(std::string_view text) {
  const Result<IpAddress> address = IpAddress::Parse(WithoutLeadingZeros(text));
  return address.ok() ? std::optional(*address) : std::nullopt;
}

struct ReadCidr {
  IpAddress address;  // with its host bits
  Cidr network;
  bool strict = false;  // no leading zeros

  static std::optional<ReadCidr> From(std::string_view text);
  // As Go prints it: IPv4 inside IPv6 becomes IPv4.
  std::string Canonical() const {
    constexpr int kMappedBits = 96;
    const IpAddress first = network.Network();
    if (!first.IsV4InV6() || network.prefix() < kMappedBits) return network.Masked().ToString();
    return Cidr(first.Unmap(), network.prefix() - kMappedBits).ToString();
  }
};

std::optional<ReadCidr> ReadCidr::From(std::string_view text) {
  const auto parts = Cut(text, "/");
  if (!parts) return std::nullopt;
  const auto [address_text, prefix_text] = *parts;
  const std::optional<IpAddress> address = ReadIp(address_text);
  const bool digits =
      !prefix_text.empty() && std::ranges::all_of(prefix_text, [](char c) { return c >= '0' && c <= '9'; });
  if (!address || !digits) return std::nullopt;
  const Result<int64_t> prefix = ParseInt64(prefix_text);
  if (!prefix.ok() || *prefix > address->bits()) return std::nullopt;
  const bool strict = IpAddress::Parse(address_text).ok() && (prefix_text.size() == 1 || prefix_text[0] != '0');
  return ReadCidr{*address, Cidr(*address, static_cast<int>(*prefix)), strict};
}

std::string InCanonicalForm(const std::string& text) { return "must be in canonical form (" + GoQuote(text) + ")"; }

std::vector<std::string> CheckIp(std::string_view value) {
  const std::optional<IpAddress> address = ReadIp(value);
  if (!address) return {std::string(kNoIp)};
  if (!IpAddress::Parse(value).ok()) return {"must not have leading 0s"};
  if (address->IsV4InV6()) return {"must not be an IPv4-mapped IPv6 address"};
  return {};
}

std::vector<std::string> CheckCidr(std::string_view value) {
  const std::optional<ReadCidr> cidr = ReadCidr::From(value);
  if (!cidr) return {std::string(kNoCidr)};
  if (!cidr->strict) return {"must not have leading 0s in IP or prefix length"};
  if (cidr->address.IsV4InV6()) return {"must not have an IPv4-mapped IPv6 address"};
  if (cidr->address != cidr->network.Network()) return {"must not have bits set beyond the prefix length"};
  return {};
}

}  // namespace

std::vector<std::string> CheckCanonicalIp(std::string_view value) {
  std::vector<std::string> problems = CheckIp(value);
  if (!problems.empty()) return problems;
  const std::string canonical = ReadIp(value)->ToString();
  if (value != canonical) problems.push_back(InCanonicalForm(canonical));
  return problems;
}

void ValidateIp(std::string_view value, const Path& path, Errors& errors) {
  errors.InvalidAll(path, value, CheckIp(value));
}
void ValidateCanonicalIp(std::string_view value, const Path& path, Errors& errors) {
  errors.InvalidAll(path, value, CheckCanonicalIp(value));
}

void ValidateCidr(std::string_view value, const Path& path, Errors& errors) {
  errors.InvalidAll(path, value, CheckCidr(value));
}
void ValidateCanonicalCidr(std::string_view value, const Path& path, Errors& errors) {
  const std::vector<std::string> problems = CheckCidr(value);
  if (!problems.empty()) return errors.InvalidAll(path, value, problems);
  const std::string canonical = ReadCidr::From(value)->Canonical();
  if (value != canonical) errors.Invalid(path, value, InCanonicalForm(canonical));
}

bool LooksLikeIp(std::string_view value) { return ReadIp(value).has_value(); }

std::optional<Cidr> ReadOldCidr(std::string_view value) {
  const auto cidr = ReadCidr::From(value);
  return cidr ? std::optional(cidr->network) : std::nullopt;
}

}  // namespace validation

std::vector<std::string> WarningsOfIp(const std::string& path, std::string_view value) {
  const std::optional<IpAddress> address = validation::ReadIp(value);
  if (!address) return {};
  if (!IpAddress::Parse(value).ok() || address->IsV4InV6()) {
    return {path + ": non-standard IP address " + GoQuote(value) + " is invalid: use " +
            GoQuote(address->Unmap().ToString())};
  }
  if (!address->is_v6() || address->ToString() == value) return {};
  return {path + ": IPv6 address " + GoQuote(value) + " should be in RFC 5952 canonical format (" +
          GoQuote(address->ToString()) + ")"};
}

std::vector<std::string> WarningsOfCidr(const std::string& path, std::string_view value) {
  const auto cidr = validation::ReadCidr::From(value);
  if (!cidr) return {};
  std::vector<std::string> warnings;
  if (cidr->address != cidr->network.Network()) {
    const std::string single = cidr->address.Unmap().ToString() + "/" + std::to_string(cidr->address.bits());
    warnings.push_back(path + ": CIDR value " + GoQuote(value) + " is ambiguous in this context (should be " +
                       GoQuote(cidr->Canonical()) + " or " + GoQuote(single) + "?)");
  }
  if (!cidr->strict || cidr->address.IsV4InV6()) {
    warnings.push_back(path + ": non-standard CIDR value " + GoQuote(value) + " is invalid: use " +
                       GoQuote(cidr->Canonical()));
  }
  if (warnings.empty() && cidr->address.is_v6() && cidr->network.ToString() != value) {
    warnings.push_back(path + ": IPv6 CIDR value " + GoQuote(value) + " should be in RFC 5952 canonical format (" +
                       GoQuote(cidr->network.ToString()) + ")");
  }
  return warnings;
}

}  // namespace knarr::api
