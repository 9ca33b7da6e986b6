#include "apiserver/component_status.h"

#include <fmt/format.h>

#include "api/codec.h"
#include "apiserver/audit/http.h"
#include "apiserver/errors.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

Result<store::Bytes> StatusOf(const api::KindInfo& kind, const Core::ReadyCheck& check) {
  const Ok result = check.check();
  doc::Document object;
  doc::Arena& arena = object.arena;
  Value metadata = Value::Object();
  metadata.AddMember(arena, "name", Value::String(arena, check.name));
  Value condition = Value::Object();
  condition.AddMember(arena, "type", Value::Borrow("Healthy"));
  condition.AddMember(arena, "status", Value::Borrow(result.ok() ? "True" : "False"));
  condition.AddMember(arena, "message",
                      result.ok() ? Value::Borrow("ok") : Value::String(arena, result.status().message()));
  object.root = Value::Object();
  object.root.AddMember(arena, "kind", Value::Borrow(kind.kind));
  object.root.AddMember(arena, "apiVersion", Value::Borrow(kind.api_version));
  object.root.AddMember(arena, "metadata", metadata);
  object.root.AddMember(arena, "conditions", Value::ArrayOf(arena, {&condition, 1}));
  TRY(api::Canonicalize(*kind.type, object.root, arena));
  return store::Bytes(std::make_shared<const std::string>(doc::ToJson(object.root)));
}

}  // namespace

bool IsComponentStatus(const Attributes& attributes) {
  return attributes.group.empty() && attributes.version == "v1" && attributes.resource == "componentstatuses";
}

Result<Answer> AnswerComponentStatus(Call& call, Core& core) {
  const api::KindInfo* kind = api::FindResource("", "v1", "componentstatuses");
  if (kind == nullptr || !call.attributes.ns.empty() || !call.attributes.subresource.empty()) {
    return NoSuchResourceError();
  }
  const bool list = call.attributes.verb == "list";
  if (!list && call.attributes.verb != "get") return MethodNotAllowedError(ResourceOf(*kind), call.attributes.verb);
  RenderOptions options;
  options.form = TRY(Negotiate(call.request, true));
  options.now = call.context.runtime.Wall();
  Answer answer;
  answer.content_type = ContentTypeOf(options.form.encoding);
  call.context.warnings.Add("v1 ComponentStatus is deprecated in v1.19+");
  if (call.context.audit != nullptr) NoteDeprecated(*call.context.audit);

  const std::vector<Core::ReadyCheck> checks = core.ReadyChecks(call.context.runtime);
  ListPage page;
  page.revision = core.store().Latest()->revision();
  for (const Core::ReadyCheck& check : checks) {
    if (!call.attributes.name.empty() && check.name != call.attributes.name) continue;
    // Checks look at the world's state.
    page.items.push_back(TRY(rt::CallOn(call.context.runtime, core.world(), [&] { return StatusOf(*kind, check); })));
  }
  if (list) {
    answer.body = TRY(RenderList(*kind, std::move(page), options));
    return answer;
  }
  if (page.items.empty()) return NotFoundError({"", "componentstatus"}, call.attributes.name);
  answer.body = TRY(RenderObject(*kind, *api::Object::FromBytes(page.items.front()), options));
  return answer;
}

}  // namespace knarr::apiserver
