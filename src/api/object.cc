#include "api/object.h"

#include <utility>

#include "base/check.h"
#include "doc/json.h"

namespace knarr::api {

class Object::Token {};

Object::Object(Token, Bytes bytes) : bytes_(std::move(bytes)) {}

Object::~Object() { delete tree_.load(std::memory_order_acquire); }

ObjectPtr Object::FromBytes(Bytes bytes) {
  CHECK(bytes != nullptr);
  return std::make_shared<Object>(Token(), std::move(bytes));
}

ObjectPtr Object::FromDocument(doc::Document document) {
  auto bytes = std::make_shared<const std::string>(doc::ToJson(document.root));
  auto object = std::make_shared<Object>(Token(), std::move(bytes));
  object->tree_.store(new doc::Document(std::move(document)), std::memory_order_release);
  return object;
}

const doc::Value& Object::tree() const {
  if (const doc::Document* known = tree_.load(std::memory_order_acquire)) return known->root;
  // Several threads may decode at once; the first to finish wins and the others throw theirs away.
  auto fresh = std::make_unique<doc::Document>();
  // The bytes are our own, so they parse; and they live as long as this object, so the tree may borrow from them.
  fresh->root = MUST(doc::ParseJsonBorrowing(*bytes_, fresh->arena));
  doc::Document* known = nullptr;
  if (tree_.compare_exchange_strong(known, fresh.get(), std::memory_order_acq_rel)) return fresh.release()->root;
  return known->root;
}

std::string_view Object::api_version() const { return tree().At("apiVersion").AsString(); }
std::string_view Object::kind() const { return tree().At("kind").AsString(); }
std::string_view Object::name() const { return tree().Get("metadata", "name").AsString(); }
std::string_view Object::ns() const { return tree().Get("metadata", "namespace").AsString(); }
std::string_view Object::uid() const { return tree().Get("metadata", "uid").AsString(); }
std::string_view Object::resource_version() const { return tree().Get("metadata", "resourceVersion").AsString(); }
bool Object::deleting() const { return !tree().Get("metadata", "deletionTimestamp").is_null(); }

std::string KeyOf(const Object& object) {
  std::string key(object.ns());
  if (!key.empty()) key += '/';
  key += object.name();
  return key;
}

}  // namespace knarr::api
