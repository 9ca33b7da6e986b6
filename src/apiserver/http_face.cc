#include "apiserver/http_face.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "apiserver/audit/http.h"
#include "apiserver/authentication/issuer_discovery.h"
#include "apiserver/component_status.h"
#include "apiserver/errors.h"
#include "apiserver/health.h"
#include "apiserver/request_info.h"
#include "apiserver/reviews.h"
#include "apiserver/routes.h"
#include "apiserver/store_admin.h"
#include "apiserver/wire_form.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

constexpr size_t kTargetBytesMax = 16 << 10;

// No Status: upstream answers this before it knows of any form.
Answer TooManyRequests() {
  Answer answer;
  answer.code = 429;
  answer.content_type = "text/plain; charset=utf-8";
  answer.headers.Set("Retry-After", "1");
  answer.headers.Set("X-Content-Type-Options", "nosniff");
  answer.body.text = "Too many requests, please try again later.\n";
  return answer;
}

}  // namespace

HttpFace::HttpFace(Core& core)
    : core_(core),
      discovery_(core.resources(), core.options().listen.ToString()),
      openapi_(core.resources()),
      in_flight_(core.options().in_flight_max, core.options().in_flight_writes_max),
      metrics_(core.metrics()) {}

void HttpFace::Handle(net::Request& request, net::Response& response) {
  Local& local = core_.local();
  rt::Runtime& runtime = local.runtime();
  Call call{request, response, {runtime, local, {}, {}, nullptr, {}}, {}, nullptr};
  const MonoTime began = runtime.Mono();
  if (request.target.size() > kTargetBytesMax) {
    SendError(call, BadRequest("the request's path and query are too long").WithCode(414));
    return;
  }
  call.attributes = ReadAttributes(request.method, request.url);
  Result<UserInfo> user = core_.security().authenticator().Authenticate(runtime, request);
  if (user.ok()) {
    call.context.user = std::move(*user);
    call.attributes.user = call.context.user;
  }
  const Ok known = user.ok() ? Ok() : Ok(user.status());
  AuditLog* log = core_.audit();
  call.audit_id = request.headers.Get("Audit-Id");
  if (call.audit_id.empty()) call.audit_id = NewAuditId(runtime);
  if (log == nullptr) {
    HandleKnown(call, known, began);
    return;
  }
  AuditEvent event(*log, runtime, AuditRequestOf(call));
  if (event.enabled()) call.context.audit = &event;
  if (known.ok()) {
    event.Stage(AuditStage::kRequestReceived);
    HandleKnown(call, known, began);
    event.Complete(IsLongRunning(call));
  } else {
    HandleKnown(call, known, began);
    event.Stage(AuditStage::kResponseStarted);
  }
}

void HttpFace::HandleKnown(Call& call, const Ok& known, MonoTime began) {
  const Ok became = known.ok() ? Impersonate(call) : known;
  if (!became.ok()) {
    SendError(call, became.status());
    Count(call, became.status().code(), began);
    return;
  }
  Route(call);
}

Ok HttpFace::Impersonate(Call& call) {
  const std::optional<UserInfo> wanted = TRY(WantedUser(call.request.headers));
  if (!wanted.has_value()) return {};
  Impersonator& impersonator = core_.security().impersonator();
  Impersonated became = TRY(impersonator.Impersonate(call.context.runtime, *wanted, call.attributes));
  call.context.impersonator = std::move(call.context.user);
  call.context.user = std::move(became.user);
  call.attributes.user = call.context.user;
  if (call.context.audit != nullptr) {
    call.context.audit->SetImpersonated(call.context.user, std::move(became.constraint));
  }
  return {};
}

bool HttpFace::IsLongRunning(const Call& call) const {
  const Attributes& a = call.attributes;
  if (!a.resource_request) return false;
  if (call.resource != nullptr && IsReview(*call.resource->kind)) return false;
  if (a.verb == "watch") return true;
  constexpr std::array<std::string_view, 5> kStreams = {"attach", "exec", "log", "portforward", "proxy"};
  return std::ranges::find(kStreams, a.subresource) != kStreams.end();
}

void HttpFace::Route(Call& call) {
  rt::Runtime& runtime = call.context.runtime;
  const MonoTime began = runtime.Mono();
  const Ok allowed = core_.operations().Authorize(call.context, call.attributes);
  if (!allowed.ok()) {
    SendError(call, allowed.status());
    Count(call, allowed.status().code(), began);
    return;
  }
  if (call.attributes.resource_request) {
    const Attributes& a = call.attributes;
    call.resource = core_.resources().Find(a.group, a.version, a.resource);
  }
  if (call.resource != nullptr) {
    const Ok fits = CheckRoute(call);
    if (!fits.ok()) {
      SendError(call, fits.status());
      Count(call, fits.status().code(), began);
      return;
    }
    const std::string_view deprecated = DeprecationOf(*call.resource->kind);
    if (!deprecated.empty()) call.context.warnings.Add(std::string(deprecated));
    if (!deprecated.empty() && call.context.audit != nullptr) NoteDeprecated(*call.context.audit);
  }
  if (IsLongRunning(call) && call.resource != nullptr) {
    const RequestMetrics::Stream counted = metrics_.CountStream(call);
    const Ok streamed = call.context.audit == nullptr ? Stream(call) : StreamAudited(call);
    if (!streamed.ok() && !call.response.started()) SendError(call, streamed.status());
    Count(call, streamed.ok() ? 200 : streamed.status().code(), began);
    return;
  }
  Result<Answer> answer = AnswerInTime(call);
  if (answer.ok()) {
    Count(call, answer->code, began);
    Send(call, std::move(*answer));
    return;
  }
  Count(call, answer.status().code(), began);
  SendError(call, answer.status());
}

Result<Duration> HttpFace::TimeLimit(const Call& call) const {
  const Duration most = core_.options().request_timeout;
  const std::string_view text = call.request.url.Query("timeout");
  if (text.empty()) return most;
  const Result<Duration> asked = ParseDuration(text);
  if (!asked.ok()) {
    return BadRequest(fmt::format("invalid timeout specified in the request URL - {}", asked.status().message()));
  }
  return *asked > Duration::zero() ? std::min(*asked, most) : most;
}

Result<Answer> HttpFace::AnswerInTime(Call& call) {
  const Duration limit = TRY(TimeLimit(call));
  const auto& groups = call.context.user.groups;
  const bool master = std::ranges::find(groups, "system:masters") != groups.end();
  const std::string& method = call.request.method;
  const auto place = in_flight_.Enter(method != "GET" && method != "HEAD", master);
  if (!place.has_value()) return TooManyRequests();
  rt::CancelScope scope(call.context.runtime, limit);
  Result<Answer> answer = AnswerShort(call);
  if (!answer.Failed(Reason::kTimeout) || !answer.status().details().causes.empty()) return answer;
  return RouteError(Reason::kTimeout, "Timeout: request did not complete within the allotted timeout");
}

Result<Answer> HttpFace::AnswerShort(Call& call) {
  if (!call.attributes.resource_request) return AnswerPath(call);
  if (call.resource == nullptr) {
    if (IsComponentStatus(call.attributes)) return AnswerComponentStatus(call, core_);
    // bindings: the old way of binding a pod, a resource that is only created.
    const Attributes& a = call.attributes;
    if (a.group.empty() && a.version == "v1" && a.resource == "bindings" && a.name.empty()) {
      if (a.verb != "create" || a.ns.empty()) return RouteMethodError();
      call.resource = core_.resources().Find("", "v1", "pods");
      call.attributes.subresource = "binding";
      return Create(call);
    }
    return discovery_.NoSuchPath(a.path);
  }
  return AnswerResource(call);
}

Result<Answer> HttpFace::AnswerPath(Call& call) {
  const std::string& path = call.request.url.path;
  if (IsHealthPath(path)) return AnswerHealth(call, core_);
  if (path == "/") return discovery_.ServePaths(HealthPaths(call, core_));
  if (path == "/metrics") {
    Answer answer;
    answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
    answer.body.text = core_.metrics().Text() + MomentaryMetrics(core_, call.context.runtime, in_flight_);
    return answer;
  }
  if (path == "/version" || path == "/version/") {
    if (call.request.method != "GET") return RouteMethodError();
    return AnswerVersion();
  }
  if (IsStorePath(path)) return AnswerStore(call, core_);
  if (IsIssuerDiscoveryPath(path)) return AnswerIssuerDiscovery(call, core_);
  if (OpenApi::Serves(path)) return openapi_.Serve(call);
  return discovery_.Serve(call);
}

Ok HttpFace::StreamAudited(Call& call) {
  AuditedResponse response(call.response, *call.context.audit);
  Call audited{call.request, response, call.context, call.attributes, call.resource, call.audit_id};
  return Stream(audited);
}

Ok HttpFace::Stream(Call& call) {
  if (call.attributes.verb == "watch") return ServeWatch(call, core_);
  const std::string_view sub = call.attributes.subresource;
  if (sub == "log") return ServeLog(call, core_);
  if (sub == "exec") return ServeExec(call, core_);
  if (sub == "attach") return ServeAttach(call, core_);
  if (sub == "portforward") return ServePortForward(call, core_);
  return ServeProxy(call, core_);
}

void HttpFace::Send(Call& call, Answer answer) {
  net::Headers& headers = answer.headers;
  headers.Set("Content-Type", answer.content_type);
  if (!headers.Has("Cache-Control")) headers.Set("Cache-Control", "no-cache, private");
  headers.Set("Audit-Id", call.audit_id.empty() ? NewAuditId(call.context.runtime) : std::move(call.audit_id));
  if (call.context.audit != nullptr) {
    AuditAnswer(call, answer);
    if (IsLongRunning(call)) call.context.audit->Stage(AuditStage::kResponseStarted);
  }
  call.context.warnings.WriteTo(headers);
  const bool json = answer.content_type == ContentTypeOf(Encoding::kJson);
  if (json && answer.body.rest == nullptr && WantsPretty(call.request)) {
    answer.body.text = PrettyJson(answer.body.in_pieces() ? Join(answer.body.pieces, "") : answer.body.text);
    answer.body.pieces.clear();
  }
  // Only what is made of objects, and the documents about them: the rest is short, or has its own ways.
  const bool long_answer = answer.body.rest != nullptr || SizeOf(answer.body) > kGzipFrom;
  const bool may_shrink = call.resource != nullptr || OpenApi::Serves(call.request.url.path);
  if (may_shrink && long_answer && WantsGzip(call.request)) {
    headers.Set("Content-Encoding", "gzip");
    headers.Add("Vary", "Accept-Encoding");
    Body compressed;
    compressed.rest = GzipBody(std::move(answer.body), call.context.runtime);
    answer.body = std::move(compressed);
  }
  SendBody(call, std::move(answer));
}

void HttpFace::SendBody(Call& call, Answer answer) {
  // The peer may have gone: then there is nobody to tell.
  if (answer.body.rest != nullptr) {
    const Ok sent = SendStream(call, answer);
    if (!sent.ok() && !sent.Failed(Reason::kServiceUnavailable)) {
      LOG_WARN("an answer was cut off", {"path", call.request.url.path}, {"error", sent.status()});
    }
  } else if (answer.body.in_pieces()) {
    (void)call.response.SendPieces(answer.code, std::move(answer.headers), std::move(answer.body.pieces));
  } else {
    (void)call.response.Send(answer.code, std::move(answer.headers), answer.body.text);
  }
}

Ok HttpFace::SendStream(Call& call, Answer& answer) {
  TRY(call.response.Start(answer.code, std::move(answer.headers)));
  std::string& text = answer.body.text;
  if (!text.empty()) TRY(call.response.Write(text));
  const bool audited = call.context.audit != nullptr && call.context.audit->wants_response();
  std::string all = audited ? text : std::string();
  bool more = true;
  while (more) {
    text.clear();
    more = TRY(answer.body.rest->Next(text));
    if (audited && all.size() <= kAuditedBodyMax) all += text;
    TRY(call.response.Write(text));
  }
  if (audited && all.size() <= kAuditedBodyMax) AuditResponseBody(call, answer.content_type, std::move(all));
  return call.response.Finish();
}

void HttpFace::SendError(Call& call, const Status& status) {
  if (status.Is(Reason::kCancelled)) {
    SendError(call, Unavailable("the server is stopping"));
    return;
  }
  Answer answer;
  answer.code = status.code();
  const doc::Document document = StatusDocument(status, call.context.error_continue);
  const Result<OutputForm> form = Negotiate(call.request, true);
  const Encoding encoding = form.ok() ? form->encoding : Encoding::kJson;
  // A Status fits every form; JSON is the one that always can be made.
  Result<std::string> text = RenderTree(api::FindRootType("v1", "Status"), document.root, encoding);
  answer.body.text = text.ok() ? std::move(*text) : doc::ToJson(document.root);
  answer.content_type = ContentTypeOf(text.ok() ? encoding : Encoding::kJson);
  if (status.details().retry_after_seconds > 0) {
    answer.headers.Set("Retry-After", std::to_string(status.details().retry_after_seconds));
  }
  // Nobody reads a Status that goes out though the client takes no form of it: it is not told of.
  if (call.context.audit != nullptr && form.ok()) call.context.audit->SetError(status);
  if (status.Is(Reason::kInternalError)) {
    LOG_WARN("request failed", {"verb", call.attributes.verb}, {"path", call.request.url.path}, {"error", status});
  }
  Send(call, std::move(answer));
}

void HttpFace::Count(const Call& call, int code, MonoTime began) {
  metrics_.Count(call, code,
                 IsLongRunning(call) ? std::nullopt : std::optional(call.context.runtime.Mono() - began));
}

}  // namespace knarr::apiserver
