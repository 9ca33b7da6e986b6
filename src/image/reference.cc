// Image names, read as distribution/reference reads them (docker's and containerd's parser).

#include <algorithm>
#include <cctype>

#include "base/strings.h"
#include "image/store.h"

namespace knarr::image {
namespace {

constexpr std::string_view kDefaultRegistry = "docker.io";
constexpr std::string_view kLegacyRegistry = "index.docker.io";
constexpr std::string_view kOfficialPrefix = "library/";
constexpr size_t kNameMax = 255;
constexpr size_t kTagMax = 128;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return IsLower(c) || (c >= 'A' && c <= 'Z'); }
bool IsLowerAlnum(char c) { return IsLower(c) || IsDigit(c); }
bool IsAlnum(char c) { return IsLetter(c) || IsDigit(c); }
bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool All(std::string_view text, bool (*test)(char)) { return std::all_of(text.begin(), text.end(), test); }

// alphanumeric runs joined by one of: ".", "_", "__", any number of "-".
bool IsPathComponent(std::string_view text) {
  size_t at = 0;
  while (true) {
    const size_t start = at;
    while (at < text.size() && IsLowerAlnum(text[at])) ++at;
    if (at == start) return false;
    if (at == text.size()) return true;
    if (text[at] == '.') {
      ++at;
    } else if (text[at] == '_') {
      at += at + 1 < text.size() && text[at + 1] == '_' ? 2 : 1;
    } else if (text[at] == '-') {
      while (at < text.size() && text[at] == '-') ++at;
    } else {
      return false;
    }
  }
}

bool IsPath(std::string_view text) {
  const auto parts = Split(text, '/');
  return std::all_of(parts.begin(), parts.end(), IsPathComponent);
}

bool IsDomainComponent(std::string_view text) {
  return !text.empty() && text.front() != '-' && text.back() != '-' &&
         All(text, [](char c) { return IsAlnum(c) || c == '-'; });
}

bool IsDomain(std::string_view text) {
  std::string_view host = text;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos || end == 1) return false;
    if (!All(text.substr(1, end - 1), [](char c) { return IsHex(c) || c == ':'; })) return false;
    host = text.substr(end + 1);
    return host.empty() || (host.size() > 1 && host[0] == ':' && All(host.substr(1), IsDigit));
  }
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    const std::string_view port = text.substr(colon + 1);
    if (port.empty() || !All(port, IsDigit)) return false;
    host = text.substr(0, colon);
  }
  const auto parts = Split(host, '.');
  return std::all_of(parts.begin(), parts.end(), IsDomainComponent);
}

bool IsTag(std::string_view text) {
  return !text.empty() && text.size() <= kTagMax && (IsAlnum(text[0]) || text[0] == '_') &&
         All(text, [](char c) { return IsAlnum(c) || c == '_' || c == '.' || c == '-'; });
}

Ok CheckDigest(std::string_view text) {
  const auto cut = Cut(text, ":");
  if (!cut || cut->first.empty()) return BadRequest("invalid reference format");
  const auto [algorithm, hex] = *cut;
  const auto parts_ok = [](std::string_view name) {
    bool start = true;
    for (const char c : name) {
      if (start ? !IsLetter(c) : !(IsAlnum(c) || c == '+' || c == '.' || c == '-' || c == '_')) return false;
      start = !IsAlnum(c);
    }
    return !start;
  };
  if (!parts_ok(algorithm) || hex.size() < 32 || !All(hex, IsHex)) return BadRequest("invalid reference format");
  const size_t digits = algorithm == "sha256" ? 64 : algorithm == "sha384" ? 96 : algorithm == "sha512" ? 128 : 0;
  if (digits == 0) return BadRequest("unsupported digest algorithm");
  if (hex.size() != digits) return BadRequest("invalid checksum digest length");
  if (ToLower(hex) != hex) return BadRequest("invalid checksum digest format");
  return {};
}

bool LooksLikeDomain(std::string_view first) {
  return first.find_first_of(".:") != std::string_view::npos || first == "localhost" || ToLower(first) != first;
}

}  // namespace

Result<Reference> Reference::Parse(std::string_view text) {
  if (text.empty()) return BadRequest("invalid reference format");
  if (text.size() == 64 && All(text, [](char c) { return IsHex(c) && !(c >= 'A' && c <= 'F'); })) {
    return BadRequest("invalid repository name (" + std::string(text) +
                      "), cannot specify 64-byte hexadecimal strings");
  }
  Reference out;
  std::string_view rest = text;
  out.registry = kDefaultRegistry;
  if (const auto cut = Cut(text, "/"); cut && LooksLikeDomain(cut->first)) {
    out.registry = cut->first == kLegacyRegistry ? kDefaultRegistry : cut->first;
    rest = cut->second;
  }
  if (const auto at = Cut(rest, "@")) {
    out.digest = at->second;
    rest = at->first;
  }
  bool tagged = false;
  if (const auto colon = Cut(rest, ":")) {
    out.tag = colon->second;
    rest = colon->first;
    tagged = true;
  }
  if (ToLower(rest) != rest) {
    return BadRequest("invalid reference format: repository name (" + std::string(rest) + ") must be lowercase");
  }
  out.repository = rest;
  if (out.registry == kDefaultRegistry && rest.find('/') == std::string_view::npos) {
    out.repository = std::string(kOfficialPrefix) + out.repository;
  }
  const bool digested = text.find('@') != std::string_view::npos;
  if (!IsDomain(out.registry) || !IsPath(out.repository) || (tagged && !IsTag(out.tag))) {
    return BadRequest("invalid reference format");
  }
  if (digested) TRY(CheckDigest(out.digest));
  if (out.repository.size() > kNameMax) {
    return BadRequest("invalid reference format: repository name must not be more than 255 characters");
  }
  if (!tagged && !digested) out.tag = "latest";
  return out;
}

std::string Reference::Canonical() const {
  std::string out = registry + "/" + repository;
  if (!tag.empty()) out += ":" + tag;
  if (!digest.empty()) out += "@" + digest;
  return out;
}

std::string Reference::FamiliarName() const {
  if (registry != kDefaultRegistry) return registry + "/" + repository;
  std::string_view name = repository;
  if (name.starts_with(kOfficialPrefix)) {
    // A name that would read as "registry/name" without its prefix keeps it.
    const std::string_view shorter = name.substr(kOfficialPrefix.size());
    const auto slash = Cut(shorter, "/");
    if (!slash) name = shorter;
  }
  return std::string(name);
}

std::string Reference::Familiar() const {
  std::string out = FamiliarName();
  if (!tag.empty()) out += ":" + tag;
  if (!digest.empty()) out += "@" + digest;
  return out;
}

}  // namespace knarr::image
