#include "base/url.h"

#include <algorithm>

#include "base/strings.h"

namespace knarr {
namespace {

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// The length of the scheme before a colon; 0 when there is none.
size_t SchemeLength(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ':') return i;
    if (IsLetter(c)) continue;
    const bool other = IsDigit(c) || c == '+' || c == '-' || c == '.';
    if (!other || i == 0) return 0;
  }
  return 0;
}

// "invalid URL escape …" for the first % that two hexadecimal digits do not follow.
std::string EscapeProblem(std::string_view text) {
  for (size_t at = text.find('%'); at != std::string_view::npos; at = text.find('%', at + 3)) {
    if (at + 2 >= text.size() || !IsHex(text[at + 1]) || !IsHex(text[at + 2])) {
      return "invalid URL escape " + GoQuote(text.substr(at, 3));
    }
  }
  return {};
}

std::string HostProblem(std::string_view host) {
  std::string_view port;
  if (host.starts_with('[')) {
    const size_t close = host.rfind(']');
    if (close == std::string_view::npos) return "missing ']' in host";
    port = host.substr(close + 1);
  } else if (const size_t colon = host.rfind(':'); colon != std::string_view::npos) {
    port = host.substr(colon);
  }
  const bool fits = port.empty() || (port.front() == ':' && std::ranges::all_of(port.substr(1), IsDigit));
  if (!fits) return "invalid port " + GoQuote(port) + " after host";
  constexpr std::string_view kInHosts = "!$&'()*+,;=:[]<>\"-_.~%";
  for (size_t i = 0; i < host.size(); ++i) {
    const char c = host[i];
    if (static_cast<unsigned char>(c) >= 0x80 || IsLetter(c) || IsDigit(c)) continue;
    if (kInHosts.find(c) != std::string_view::npos) continue;
    return "invalid character " + GoQuote(host.substr(i, 1)) + " in host name";
  }
  return EscapeProblem(host);
}

void ParseAuthority(std::string_view authority, ParsedUrl& url) {
  const size_t at = authority.rfind('@');
  url.host = at == std::string_view::npos ? authority : authority.substr(at + 1);
  url.problem = HostProblem(url.host);
  if (at == std::string_view::npos || !url.problem.empty()) return;
  url.has_user = true;
  url.user = authority.substr(0, at);
  static constexpr std::string_view kInUsers = "-._:~!$&'()*+,;=%@";
  const bool fits = std::ranges::all_of(
      url.user, [](char c) { return IsLetter(c) || IsDigit(c) || kInUsers.find(c) != std::string_view::npos; });
  url.problem = fits ? EscapeProblem(url.user) : "net/url: invalid userinfo";
}

// `fragments`: what follows a '#' is one.
ParsedUrl Parse(std::string_view text, bool fragments) {
  ParsedUrl url;
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; })) {
    url.problem = "net/url: invalid control character in URL";
    return url;
  }
  std::string_view rest = fragments ? text.substr(0, text.find('#')) : text;
  if (rest.size() < text.size()) url.fragment = text.substr(rest.size() + 1);
  if (rest.starts_with(':')) {
    url.problem = "missing protocol scheme";
    return url;
  }
  if (const size_t length = SchemeLength(rest); length > 0) {
    url.scheme = ToLower(rest.substr(0, length));
    rest = rest.substr(length + 1);
  }
  if (const size_t mark = rest.find('?'); mark != std::string_view::npos) {
    url.query = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  if (!rest.starts_with('/')) {
    if (!url.scheme.empty()) return url;  // opaque
    if (rest.substr(0, rest.find('/')).find(':') != std::string_view::npos) {
      url.problem = "first path segment in URL cannot contain colon";
      return url;
    }
  }
  const bool authority = rest.starts_with("//") && (!url.scheme.empty() || !rest.starts_with("///"));
  if (authority) {
    rest = rest.substr(2);
    const std::string_view host = rest.substr(0, rest.find('/'));
    rest = rest.substr(host.size());
    ParseAuthority(host, url);
  }
  url.path = rest;
  if (url.problem.empty()) url.problem = EscapeProblem(rest);
  if (url.problem.empty()) url.problem = EscapeProblem(url.fragment);
  return url;
}

}  // namespace

ParsedUrl ParseUrl(std::string_view text) { return Parse(text, true); }

ParsedUrl ParseRequestUri(std::string_view text) {
  ParsedUrl url = Parse(text, false);
  if (text.empty()) url.problem = "empty url";
  const bool relative = url.scheme.empty() && !text.starts_with('/') && text != "*";
  if (url.problem.empty() && relative) url.problem = "invalid URI for request";
  return url;
}

}  // namespace knarr
