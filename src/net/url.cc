// URLs as Go's net/url reads and writes them, as far as a Kubernetes client sees it.

#include <algorithm>

#include "base/ip.h"
#include "base/strings.h"
#include "net/http.h"

namespace knarr::net {
namespace {

constexpr size_t kUrlMax = 256 << 10;
constexpr size_t kQueryPairsMax = 10000;

enum class Escape : uint8_t { kPath, kSegment, kQuery };

bool IsAlphaNumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

/// RFC 3986 by way of net/url's shouldEscape.
bool StaysPlain(char c, Escape where) {
  if (IsAlphaNumeric(c) || c == '-' || c == '_' || c == '.' || c == '~') return true;
  std::string_view plain = where == Escape::kPath ? "$&+,/:;=@" : where == Escape::kSegment ? "$&+:=@" : "";
  return plain.find(c) != std::string_view::npos;
}

void AppendEscaped(std::string& out, std::string_view text, Escape where) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (char c : text) {
    if (StaysPlain(c, where)) {
      out += c;
    } else if (c == ' ' && where == Escape::kQuery) {
      out += '+';
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
}

std::string Escaped(std::string_view text, Escape where) {
  std::string out;
  out.reserve(text.size());
  AppendEscaped(out, text, where);
  return out;
}

void ParseQuery(std::string_view text, std::vector<std::pair<std::string, std::string>>& out) {
  while (!text.empty() && out.size() < kQueryPairsMax) {
    size_t end = std::min(text.find('&'), text.size());
    std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty() || pair.find(';') != std::string_view::npos) continue;
    size_t equals = std::min(pair.find('='), pair.size());
    auto name = UrlDecode(pair.substr(0, equals), true);
    auto value = UrlDecode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (name.ok() && value.ok()) out.emplace_back(std::move(*name), std::move(*value));
  }
}

Ok ParseAuthority(std::string_view text, Url& url) {
  if (text.find('@') != std::string_view::npos) return BadRequest("a user in a URL is not supported");
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    size_t end = text.find(']');
    if (end == std::string_view::npos) return BadRequest("missing ']' in host");
    host = text.substr(1, end - 1);
    port = text.substr(end + 1);
    if (!IpAddress::Parse(host).ok()) return BadRequest("invalid host \"" + std::string(text) + "\"");
  } else {
    size_t colon = std::min(text.find(':'), text.size());
    host = text.substr(0, colon);
    port = text.substr(colon);
    for (char c : host) {
      if (!IsAlphaNumeric(c) && c != '-' && c != '.' && c != '_') return BadRequest("invalid character in host name");
    }
  }
  if (host.empty()) return BadRequest("no Host in request URL");
  url.host = ToLower(host);
  if (port.empty() || port == ":") return {};
  auto number = ParseInt<uint16_t>(port.substr(1));
  if (!port.starts_with(':') || !number.ok() || *number == 0 || port[1] < '0' || port[1] > '9') {
    return BadRequest("invalid port \"" + std::string(port) + "\" after host");
  }
  url.port = *number;
  return {};
}

Ok ParsePath(std::string_view text, Url& url) {
  for (char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f)
      return BadRequest("net/url: invalid control character in URL");
  }
  size_t question = std::min(text.find('?'), text.size());
  std::string_view path = text.substr(0, question);
  url.path = TRY(UrlDecode(path, false));
  if (Escaped(url.path, Escape::kPath) != path) url.raw_path = path;
  ParseQuery(text.substr(std::min(question + 1, text.size())), url.query);
  return {};
}

Ok ParseUrl(std::string_view text, Url& url) {
  if (text.size() > kUrlMax) return BadRequest("URL too long");
  text = text.substr(0, text.find('#'));
  if (text.empty()) return BadRequest("empty url");
  if (text.starts_with('/')) return ParsePath(text, url);
  if (text == "*") {
    url.path = "*";
    return {};
  }
  size_t colon = text.find("://");
  if (colon == std::string_view::npos || colon == 0) return BadRequest("invalid URI for request");
  for (char c : text.substr(0, colon)) {
    if (!IsAlphaNumeric(c) && c != '+' && c != '-' && c != '.') return BadRequest("invalid URI for request");
  }
  url.scheme = ToLower(text.substr(0, colon));
  text.remove_prefix(colon + 3);
  size_t end = std::min(text.find_first_of("/?"), text.size());
  TRY(ParseAuthority(text.substr(0, end), url));
  return ParsePath(text.substr(end), url);
}

}  // namespace

Result<Url> Url::Parse(std::string_view text) {
  Url url;
  Ok parsed = ParseUrl(text, url);
  if (!parsed.ok()) {
    return BadRequest("parse " + GoQuote(text.substr(0, 1024)) + ": " + parsed.status().message());
  }
  return url;
}

std::string_view Url::Query(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return {};
}

bool Url::HasQuery(std::string_view name) const {
  return std::any_of(query.begin(), query.end(), [&](const auto& pair) { return pair.first == name; });
}

std::string Url::Target() const {
  std::string out;
  // The escapes as they were written count only while they still mean this path.
  auto decoded = raw_path.empty() ? Result<std::string>(std::string()) : UrlDecode(raw_path, false);
  bool keep_raw = !raw_path.empty() && decoded.ok() && *decoded == path;
  if (keep_raw && raw_path.find_first_of(" ?#\"") == std::string::npos) {
    out = raw_path;
  } else if (path == "*") {
    out = path;
  } else {
    AppendEscaped(out, path, Escape::kPath);
  }
  if (out.empty()) out = "/";
  char separator = '?';
  for (const auto& [name, value] : query) {
    out += separator;
    separator = '&';
    AppendEscaped(out, name, Escape::kQuery);
    out += '=';
    AppendEscaped(out, value, Escape::kQuery);
  }
  return out;
}

std::string Url::ToString() const {
  if (scheme.empty()) return Target();
  std::string out = scheme + "://";
  if (port != 0) {
    out += JoinHostPort(host, port);
  } else {
    out += host.find(':') == std::string::npos ? host : "[" + host + "]";
  }
  return out + Target();
}

std::string QueryEscape(std::string_view text) { return Escaped(text, Escape::kQuery); }
std::string PathEscape(std::string_view text) { return Escaped(text, Escape::kSegment); }

}  // namespace knarr::net
