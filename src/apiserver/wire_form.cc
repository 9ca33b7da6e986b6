#include "apiserver/wire_form.h"

#include <algorithm>

#include "base/strings.h"
#include "net/gzip.h"

namespace knarr::apiserver {
namespace {

// So much is compressed between two turns of the other fibers.
constexpr size_t kStretch = 256 << 10;

class GzipStream : public BodyStream {
 public:
  GzipStream(Body body, rt::Runtime& runtime) : body_(std::move(body)), runtime_(runtime) {
    // A text that stands alone is a piece like others; it has its place now.
    if (!body_.in_pieces()) body_.pieces.push_back(body_.text);
  }

  Result<bool> Next(std::string& out) override {
    runtime_.Yield();
    size_t taken = 0;
    while (piece_ < body_.pieces.size() && taken < kStretch) {
      const std::string_view left = body_.pieces[piece_].substr(offset_);
      const std::string_view now = left.substr(0, kStretch - taken);
      gzip_.Add(now, out);
      taken += now.size();
      offset_ += now.size();
      if (offset_ == body_.pieces[piece_].size()) {
        ++piece_;
        offset_ = 0;
      }
    }
    if (piece_ < body_.pieces.size()) return true;
    if (body_.rest != nullptr && taken < kStretch) {
      std::string text;
      const bool more = TRY(body_.rest->Next(text));
      gzip_.Add(text, out);
      if (!more) body_.rest.reset();
    }
    if (body_.rest != nullptr) return true;
    gzip_.Finish(out);
    return false;
  }

 private:
  Body body_;
  rt::Runtime& runtime_;
  net::Gzip gzip_;
  size_t piece_ = 0;
  size_t offset_ = 0;
};

}  // namespace

bool WantsPretty(const net::Request& request) {
  const std::string_view asked = request.url.Query("pretty");
  if (!asked.empty()) return ParseBool(asked).value_or(false);
  const std::string_view agent = request.headers.Get("User-Agent");
  return agent.starts_with("curl") || agent.starts_with("Wget") || agent.starts_with("Mozilla/5.0");
}

std::string PrettyJson(std::string_view json) {
  std::string out;
  out.reserve(json.size() * 2);
  size_t depth = 0;
  const auto line = [&] { out.append("\n").append(2 * depth, ' '); };
  bool in_text = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_text) {
      out += c;
      if (c == '\\' && i + 1 < json.size()) out += json[++i];
      if (c == '"') in_text = false;
      continue;
    }
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    if (c == '}' || c == ']') {
      --depth;
      // What is empty stays on its line.
      if (out.back() != '{' && out.back() != '[') line();
      out += c;
      continue;
    }
    if (!out.empty() && (out.back() == '{' || out.back() == '[')) line();
    out += c;
    if (c == '"') in_text = true;
    if (c == '{' || c == '[') ++depth;
    if (c == ',') line();
    if (c == ':') out += ' ';
  }
  return out;
}

bool WantsGzip(const net::Request& request) {
  for (const std::string_view header : request.headers.GetAll("Accept-Encoding")) {
    for (const std::string_view token : Split(header, ',')) {
      if (TrimSpace(token) == "gzip") return true;
    }
  }
  return false;
}

size_t SizeOf(const Body& body) {
  if (!body.in_pieces()) return body.text.size();
  size_t size = 0;
  for (const std::string_view piece : body.pieces) size += piece.size();
  return size;
}

std::shared_ptr<BodyStream> GzipBody(Body body, rt::Runtime& runtime) {
  return std::make_shared<GzipStream>(std::move(body), runtime);
}

}  // namespace knarr::apiserver
