#include "apiserver/proxy_links.h"

#include <algorithm>

#include "base/path.h"
#include "base/strings.h"
#include "net/http.h"

namespace knarr::apiserver {
namespace {

/// A reference's parts, as they are written.
struct Reference {
  std::string_view scheme;  // "http:", "" for none
  std::string_view host;    // "a:80", "" for none
  std::string_view path;
  std::string_view rest;  // query and fragment
};

Reference Parse(std::string_view text) {
  Reference out;
  const size_t scheme_end = text.find_first_of(":/?#");
  if (scheme_end != std::string_view::npos && scheme_end > 0 && text[scheme_end] == ':') {
    out.scheme = text.substr(0, scheme_end + 1);
    text.remove_prefix(scheme_end + 1);
  }
  if (text.starts_with("//")) {
    const size_t end = std::min(text.find_first_of("/?#", 2), text.size());
    out.host = text.substr(2, end - 2);
    text.remove_prefix(end);
  }
  const size_t end = std::min(text.find_first_of("?#"), text.size());
  out.path = text.substr(0, end);
  out.rest = text.substr(end);
  return out;
}

std::string Escaped(const std::string& path) {
  net::Url url;
  url.path = path;
  return url.Target();
}

/// The attributes that hold a URL (HTML 4's index of attributes, and 5's).
struct LinkAttributes {
  std::string_view tag;
  std::string_view attributes;
};
constexpr LinkAttributes kLinks[] = {
    {"a", "href"},
    {"applet", "codebase"},
    {"area", "href"},
    {"audio", "src"},
    {"base", "href"},
    {"blockquote", "cite"},
    {"body", "background"},
    {"button", "formaction"},
    {"command", "icon"},
    {"del", "cite"},
    {"embed", "src"},
    {"form", "action"},
    {"frame", "longdesc src"},
    {"head", "profile"},
    {"html", "manifest"},
    {"iframe", "longdesc src"},
    {"img", "longdesc src usemap"},
    {"input", "src usemap formaction"},
    {"ins", "cite"},
    {"link", "href"},
    {"object", "classid codebase data usemap"},
    {"q", "cite"},
    {"script", "src"},
    {"source", "src"},
    {"video", "poster src"},
};
/// What stands in these is no markup.
constexpr std::string_view kRawTags[] = {"iframe", "noembed", "noframes", "noscript", "plaintext",
                                         "script", "style",   "textarea", "title",    "xmp"};

bool HoldsLink(std::string_view tag, std::string_view attribute) {
  for (const LinkAttributes& link : kLinks) {
    if (link.tag != tag) continue;
    const auto names = Split(link.attributes, ' ');
    return std::ranges::find(names, attribute) != names.end();
  }
  return false;
}

bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

class HtmlRewriter {
 public:
  HtmlRewriter(std::string_view page, const ProxyPlace& place) : page_(page), place_(place) {}

  std::string Run() {
    out_.reserve(page_.size() + page_.size() / 8);
    while (at_ < page_.size()) {
      const size_t open = std::min(page_.find('<', at_), page_.size());
      CopyTo(open);
      if (at_ < page_.size()) Markup();
    }
    return std::move(out_);
  }

 private:
  void CopyTo(size_t end) {
    end = std::min(end, page_.size());
    out_ += page_.substr(at_, end - at_);
    at_ = end;
  }
  void CopyBehind(std::string_view mark, size_t from) {
    const size_t found = page_.find(mark, from);
    CopyTo(found == std::string_view::npos ? page_.size() : found + mark.size());
  }
  char Peek(size_t ahead) const { return at_ + ahead < page_.size() ? page_[at_ + ahead] : '\0'; }

  void Markup() {
    if (page_.substr(at_).starts_with("<!--")) {
      CopyBehind("-->", at_ + 4);
    } else if (Peek(1) == '!' || Peek(1) == '?' || Peek(1) == '/') {
      CopyBehind(">", at_ + 2);
    } else if (IsLetter(Peek(1))) {
      StartTag();
    } else {
      CopyTo(at_ + 1);
    }
  }

  void StartTag() {
    size_t end = at_ + 1;
    while (end < page_.size() && !IsBlank(page_[end]) && page_[end] != '/' && page_[end] != '>') ++end;
    const std::string tag = ToLower(page_.substr(at_ + 1, end - at_ - 1));
    CopyTo(end);
    while (at_ < page_.size() && page_[at_] != '>') Attribute(tag);
    CopyTo(at_ + 1);
    if (std::ranges::find(kRawTags, tag) == std::end(kRawTags)) return;
    const std::string close = "</" + tag;
    // Everything up to the end tag, in whatever case it is written.
    while (at_ < page_.size()) {
      const size_t found = std::min(page_.find("</", at_), page_.size());
      if (EqualIgnoreCase(page_.substr(found, close.size()), close)) return CopyTo(found);
      CopyTo(found + 2);
    }
  }

  void Attribute(std::string_view tag) {
    if (IsBlank(page_[at_]) || page_[at_] == '/') return CopyTo(at_ + 1);
    size_t end = at_ + 1;
    while (end < page_.size() && !IsBlank(page_[end]) && page_[end] != '/' && page_[end] != '>' && page_[end] != '=') {
      ++end;
    }
    const std::string name = ToLower(page_.substr(at_, end - at_));
    CopyTo(end);
    size_t value = at_;
    while (value < page_.size() && IsBlank(page_[value])) ++value;
    if (value >= page_.size() || page_[value] != '=') return;
    ++value;
    while (value < page_.size() && IsBlank(page_[value])) ++value;
    CopyTo(value);
    if (at_ >= page_.size()) return;
    const char quote = page_[at_];
    if (quote == '"' || quote == '\'') {
      CopyTo(at_ + 1);
      end = std::min(page_.find(quote, at_), page_.size());
    } else {
      end = at_;
      while (end < page_.size() && !IsBlank(page_[end]) && page_[end] != '>') ++end;
    }
    if (HoldsLink(tag, name)) {
      // What is put before a path is escaped, so that it can't end the attribute.
      out_ += RewriteLink(page_.substr(at_, end - at_), place_);
      at_ = end;
    } else {
      CopyTo(end);
    }
    if (quote == '"' || quote == '\'') CopyTo(at_ + 1);
  }

  const std::string_view page_;
  const ProxyPlace& place_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string RewriteLink(std::string_view link, const ProxyPlace& place) {
  const Reference reference = Parse(link);
  const bool elsewhere = !reference.host.empty() && reference.host != place.backend_host &&
                         reference.host != place.request_host;
  if (elsewhere || !reference.path.starts_with('/')) return std::string(link);
  std::string out;
  if (reference.host == place.request_host && !reference.host.empty()) {
    out.append(reference.scheme).append("//").append(reference.host);
  }
  if (reference.path.starts_with(place.prefix)) return out.append(reference.path).append(reference.rest);
  const Result<net::Url> decoded = net::Url::Parse(reference.path);
  std::string path = JoinPaths(place.prefix, decoded.ok() ? decoded->path : std::string(reference.path));
  if (reference.path.ends_with('/') && !path.ends_with('/')) path += '/';
  return out.append(Escaped(path)).append(reference.rest);
}

std::string RewriteHtml(std::string_view page, const ProxyPlace& place) { return HtmlRewriter(page, place).Run(); }

}  // namespace knarr::apiserver
