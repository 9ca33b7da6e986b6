#include "apiserver/served_form.h"

#include "api/conversion/conversion.h"
#include "apiserver/object_io.h"
#include "doc/json.h"

namespace knarr::apiserver {
store::Bytes ServedBytes(const Resource& resource, const store::Bytes& stored) {
  if (resource.is_stored_form()) return stored;
  const doc::Document object = DecodeStored(*stored);
  return std::make_shared<const std::string>(doc::ToJson(ServedCopy(resource, object.root).root));
}

api::ObjectPtr ServedObject(const Resource& resource, api::ObjectPtr stored) {
  if (resource.is_stored_form()) return stored;
  return api::Object::FromBytes(ServedBytes(resource, stored->bytes()));
}

doc::Document ServedCopy(const Resource& resource, const doc::Value& stored) {
  // What is stored is canonical, and every version can show it.
  return MUST(api::ConvertKind(stored, *resource.stored, *resource.kind));
}

Ok ThereAndBack(const Resource& resource, doc::Document& object) {
  if (resource.is_stored_form()) return {};
  const doc::Document stored = TRY(api::ConvertKind(object.root, *resource.kind, *resource.stored));
  object = ServedCopy(resource, stored.root);
  return {};
}

Ok ToStoredForm(const Resource& resource, doc::Document& object) {
  if (resource.kind->kind == "HorizontalPodAutoscaler" && resource.is_stored_form()) {
    api::DropAutoscalingAnnotations(object.root);
  }
  if (resource.is_stored_form()) return {};
  object = TRY(api::ConvertKind(object.root, *resource.kind, *resource.stored));
  return {};
}

}  // namespace knarr::apiserver
