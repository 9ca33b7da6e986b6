#pragma once

// Between HTTP requests and their audit events.

#include <string>

#include "apiserver/audit/event.h"
#include "apiserver/http_face.h"
#include "net/http.h"

namespace knarr::apiserver {

AuditRequest AuditRequestOf(const Call& call);
/// What a request's body says, where it is wanted. Does nothing for requests that are not audited.
void AuditBody(const Call& call, const api::KindInfo& kind, const doc::Value& object);
/// The options of a delete. REQUIRES: the call is audited.
void AuditDelete(const Call& call, const doc::Document& options);
void NoteDeprecated(AuditEvent& event);
/// The code, and the body where it is wanted. REQUIRES: the call is audited.
void AuditAnswer(const Call& call, const Answer& answer);

/// The same for a body that was made piece by piece.
void AuditResponseBody(const Call& call, std::string_view content_type, std::string body);
/// Longer bodies are not kept for the audit log.
inline constexpr size_t kAuditedBodyMax = 16 << 20;

/// Notes when an answer that streams begins.
class AuditedResponse : public net::Response {
 public:
  AuditedResponse(net::Response& inner, AuditEvent& event) : inner_(inner), event_(event) {}
  Ok Send(int code, net::Headers headers, std::string_view body) override {
    Begin(code);
    return inner_.Send(code, std::move(headers), body);
  }
  Ok SendPieces(int code, net::Headers headers, std::vector<std::string_view> pieces) override {
    Begin(code);
    return inner_.SendPieces(code, std::move(headers), std::move(pieces));
  }
  Ok Start(int code, net::Headers headers) override {
    Begin(code);
    return inner_.Start(code, std::move(headers));
  }
  Ok Write(std::string_view bytes) override { return inner_.Write(bytes); }
  Ok Finish() override { return inner_.Finish(); }
  bool started() const override { return inner_.started(); }
  Result<std::unique_ptr<net::Stream>> Hijack(net::Headers headers) override {
    Begin(101);
    return inner_.Hijack(std::move(headers));
  }
  void WaitClosed() override { inner_.WaitClosed(); }

 private:
  void Begin(int code) {
    event_.SetCode(code);
    event_.Stage(AuditStage::kResponseStarted);
  }
  net::Response& inner_;
  AuditEvent& event_;
};

}  // namespace knarr::apiserver
