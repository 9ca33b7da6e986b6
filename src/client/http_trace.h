#pragma once

// What `kubectl -v` tells of each request, worded and ordered as client-go 1.36 does it: from level 6 on method, URL,
// status and time; at 7 the request's headers; at 8 also the answer's, and the bodies; at 9 a curl command.

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"
#include "net/http_client.h"

namespace knarr::client {

/// Takes a finished message without klog's head. `place` is where it comes from ("http_trace.cc:12").
using TraceSink = std::function<void(std::string_view place, std::string_view message)>;

class HttpTrace {
 public:
  HttpTrace(int64_t level, TraceSink sink) : level_(sink != nullptr ? level : 0), sink_(std::move(sink)) {}

  void Request(const net::ClientRequest& request) const;
  /// `status` is "" when none came.
  void Response(const net::ClientRequest& request, std::string_view status, const net::Headers& headers,
                Duration took) const;
  /// `what`: "Request Body" or "Response Body".
  void Body(std::string_view what, std::string_view body) const;

 private:
  const int64_t level_;
  const TraceSink sink_;
};

}  // namespace knarr::client
