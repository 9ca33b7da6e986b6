#pragma once

// The server's HTTP side: one call of Handle is one request, on a fiber of the I/O runtime that has its connection.
// Who and what is found out here; the verbs are in http_resource.cc, what streams is in files of its own.

#include <atomic>
#include <functional>
#include <string>
#include <string_view>

#include "apiserver/authorization/authorizer.h"
#include "apiserver/content.h"
#include "apiserver/core.h"
#include "apiserver/discovery.h"
#include "apiserver/in_flight.h"
#include "apiserver/openapi.h"
#include "apiserver/render.h"
#include "apiserver/request_metrics.h"
#include "net/http.h"

namespace knarr::apiserver {

/// A whole answer, sent after the request's time limit is lifted.
struct Answer {
  int code = 200;
  std::string content_type = "application/json";
  net::Headers headers;
  Body body;
};

/// One request on its way.
struct Call {
  net::Request& request;
  net::Response& response;
  RequestContext context;
  Attributes attributes;
  Resource* resource = nullptr;  ///< null for paths that are no resource's
  std::string audit_id = {};     ///< the request's own, or a new one; "": one is made for the answer

  ObjectName name() const { return {attributes.ns, attributes.name}; }
};

/// Bodies above this size are refused.
inline constexpr size_t kBodyBytesMax = 3 << 20;

class HttpFace {
 public:
  explicit HttpFace(Core& core);
  void Handle(net::Request& request, net::Response& response);

 private:
  /// Makes the call that of the user the request's headers ask to be.
  Ok Impersonate(Call& call);
  void Route(Call& call);
  bool IsLongRunning(const Call& call) const;
  Result<Answer> AnswerShort(Call& call);
  Result<Answer> AnswerPath(Call& call);
  Result<Answer> AnswerResource(Call& call);
  Result<Answer> GetOrList(Call& call);
  Result<Answer> Create(Call& call);
  Result<Answer> Update(Call& call);
  Result<Answer> Patch(Call& call);
  Result<Answer> Delete(Call& call);
  void HandleKnown(Call& call, const Ok& known, MonoTime began);
  Ok Stream(Call& call);
  /// The time this request may take: ?timeout=, but no more than the server's own limit. BadRequest.
  Result<Duration> TimeLimit(const Call& call) const;
  Result<Answer> AnswerInTime(Call& call);
  void SendBody(Call& call, Answer answer);
  Ok StreamAudited(Call& call);
  void Send(Call& call, Answer answer);
  Ok SendStream(Call& call, Answer& answer);
  void SendError(Call& call, const Status& status);
  void Count(const Call& call, int code, MonoTime began);

  Core& core_;
  Discovery discovery_;
  OpenApi openapi_;
  InFlight in_flight_;
  RequestMetrics metrics_;
};

// What streams: each writes its own answer. An error returned was before anything was sent.
Ok ServeWatch(Call& call, Core& core);
Ok ServeLog(Call& call, Core& core);
Ok ServeExec(Call& call, Core& core);
Ok ServeAttach(Call& call, Core& core);
Ok ServePortForward(Call& call, Core& core);
Ok ServeProxy(Call& call, Core& core);

}  // namespace knarr::apiserver
