#pragma once

// URLs as Go's net/url takes them apart.

#include <string>
#include <string_view>

namespace knarr {

/// The parts point into the text.
struct ParsedUrl {
  std::string scheme;  ///< in lower case
  std::string_view user;
  std::string_view host;
  std::string_view path;
  std::string_view query;
  std::string_view fragment;
  bool has_user = false;
  std::string problem;  ///< what Go says of a URL that it does not understand
};
ParsedUrl ParseUrl(std::string_view text);
/// As url.ParseRequestURI: a URL with a scheme, or an absolute path; '#' is a character like others.
ParsedUrl ParseRequestUri(std::string_view text);

}  // namespace knarr
