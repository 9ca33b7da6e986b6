#include "api/object.h"

#include <cstring>
#include <optional>
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

void Object::ForgetTree() const { delete tree_.exchange(nullptr, std::memory_order_acq_rel); }

namespace {

/// Reads past `text` where it stands.
bool Skip(std::string_view& json, std::string_view text) {
  if (!json.starts_with(text)) return false;
  json.remove_prefix(text.size());
  return true;
}

/// The rest of a string whose opening quote is behind us. nullopt when it has an escape or no end.
std::optional<std::string_view> TakeString(std::string_view& json) {
  const size_t end = json.find_first_of("\"\\");
  if (end == std::string_view::npos || json[end] != '"') return std::nullopt;
  const std::string_view text = json.substr(0, end);
  json.remove_prefix(end + 1);
  return text;
}

/// A string member of canonical JSON's metadata, as far as only strings stand before it: name, generateName, namespace,
/// uid and resourceVersion do. nullopt when this can't be told by looking at the first members.
std::optional<std::string_view> PeekMetadata(std::string_view json, std::string_view member) {
  if (!Skip(json, R"({"kind":")") || !TakeString(json) || !Skip(json, R"(,"apiVersion":")") || !TakeString(json) ||
      !Skip(json, R"(,"metadata":{)")) {
    return std::nullopt;
  }
  while (Skip(json, "\"")) {
    const auto key = TakeString(json);
    if (!key.has_value() || !Skip(json, ":\"")) return std::nullopt;
    const auto value = TakeString(json);
    if (!value.has_value()) return std::nullopt;
    if (*key == member) return value;
    if (*key == "uid" && member == "namespace") return std::string_view();  // it would stand before
    if (!Skip(json, ",")) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::string_view Object::Metadata(std::string_view member) const {
  if (tree_.load(std::memory_order_relaxed) == nullptr) {
    if (const auto found = PeekMetadata(*bytes_, member)) return *found;
  }
  return tree().Get("metadata", member).AsString();
}

std::string_view Object::api_version() const { return tree().At("apiVersion").AsString(); }
std::string_view Object::kind() const { return tree().At("kind").AsString(); }
std::string_view Object::name() const { return Metadata("name"); }
std::string_view Object::ns() const { return Metadata("namespace"); }
std::string_view Object::uid() const { return Metadata("uid"); }
std::string_view Object::resource_version() const { return Metadata("resourceVersion"); }
bool Object::deleting() const { return !tree().Get("metadata", "deletionTimestamp").is_null(); }

bool Mentions(std::string_view json, std::string_view member) {
  const std::string quoted = '"' + std::string(member) + '"';
  // A quote stands everywhere in JSON: std::string::find, which looks for the first character, takes ten times as long.
  return memmem(json.data(), json.size(), quoted.data(), quoted.size()) != nullptr;
}

std::string KeyOf(const Object& object) {
  std::string key(object.ns());
  if (!key.empty()) key += '/';
  key += object.name();
  return key;
}

}  // namespace knarr::api
