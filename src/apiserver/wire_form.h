#pragma once

// What happens to a finished answer on its way out: indented for people, compressed when it is long.

#include <memory>
#include <string>
#include <string_view>

#include "apiserver/render.h"
#include "net/http.h"

namespace knarr::apiserver {

/// ?pretty=true, or a client that people use by hand (curl, wget, browsers) and that does not say otherwise.
bool WantsPretty(const net::Request& request);
/// JSON indented by two spaces, as Go's json.Indent writes it; no line break at the end.
std::string PrettyJson(std::string_view json);

/// The client takes gzip.
bool WantsGzip(const net::Request& request);
/// Answers above this size are compressed.
inline constexpr size_t kGzipFrom = 128 << 10;
/// How long a body without a stream is.
size_t SizeOf(const Body& body);
/// The body, all of it, compressed piece by piece as the client takes it.
std::shared_ptr<BodyStream> GzipBody(Body body, rt::Runtime& runtime);

}  // namespace knarr::apiserver
