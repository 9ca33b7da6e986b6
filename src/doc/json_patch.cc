#include "doc/json_patch.h"

#include <optional>
#include <string>
#include <vector>

#include "base/strings.h"
#include "doc/json.h"
#include "doc/json_pointer.h"
#include "doc/text.h"

namespace knarr::doc {
namespace {

constexpr std::string_view kMissing = ": missing value";

Status Failed(std::string message) { return Invalid(std::move(message)); }

// Where an operation works: the object or array that holds (or will hold) the last token's value.
struct Place {
  Value* container = nullptr;
  std::string key;
};

class Patcher {
 public:
  Patcher(Value& target, Arena& arena) : target_(target), arena_(arena) {}

  Ok Apply(const Value& operation) {
    const std::string_view kind = operation.Get("op").AsString("unknown");
    if (kind == "add") return Add(operation);
    if (kind == "remove") return Remove(operation);
    if (kind == "replace") return Replace(operation);
    if (kind == "move") return Move(operation);
    if (kind == "test") return Test(operation);
    if (kind == "copy") return Copy(operation);
    return Failed("Unexpected kind: " + std::string(kind));
  }

 private:
  Result<std::string_view> Field(const Value& operation, std::string_view name, std::string_view kind) {
    const Value& field = operation.Get(name);
    if (field.is_string()) return field.AsString();
    std::string message = std::string(kind) + " operation failed to decode " + std::string(name) + ": ";
    if (!field.is_null()) {
      return Failed(message + "json: cannot unmarshal " + std::string(GoKind(field)) + " into Go value of type string");
    }
    if (name == "path" && (kind == "add" || kind == "remove" || kind == "copy"))
      return Failed(message + "missing value");
    return Failed(message + (name == "path" ? "operation missing path field" : "operation, missing from field") +
                  std::string(kMissing));
  }

  std::optional<Place> Find(std::string_view path) {
    const std::vector<std::string_view> parts = Split(path, '/');
    if (parts.size() < 2) return std::nullopt;
    Value* at = &target_;
    for (size_t i = 1; i + 1 < parts.size(); ++i) {
      auto next = Get(*at, UnescapePointerToken(parts[i]));
      if (!next.ok() || *next == nullptr) return std::nullopt;
      at = *next;
    }
    if (!at->is_object() && !at->is_array()) return std::nullopt;
    return Place{at, UnescapePointerToken(parts.back())};
  }

  Result<Place> MustFind(std::string_view path, std::string_view error) {
    auto place = Find(path);
    if (!place) return Failed(std::string(error) + std::string(path) + std::string(kMissing));
    return *std::move(place);
  }

  static Status BadIndex(int index) {
    return Failed("Unable to access invalid index: " + std::to_string(index) + ": invalid index referenced");
  }

  // The element's index in an array of `size`, with negative ones counted from the end.
  static Result<size_t> Index(const std::string& key, size_t size) {
    const int index = TRY(ParseAtoi(key));
    const int64_t from_end = index + static_cast<int64_t>(size);
    if (index >= 0 ? index >= static_cast<int64_t>(size) : from_end < 0) return BadIndex(index);
    return static_cast<size_t>(index < 0 ? from_end : index);
  }

  // nullptr for a member that is not there.
  static Result<Value*> Get(Value& container, const std::string& key) {
    if (container.is_object()) return container.Find(key);
    if (!container.is_array()) return static_cast<Value*>(nullptr);
    return &container[TRY(Index(key, container.size()))];
  }

  Ok Put(const Place& place, Value value) {
    if (place.container->is_object()) {
      place.container->SetCopy(arena_, place.key, value);
      return {};
    }
    if (place.key == "-") {
      place.container->Append(arena_, value);
      return {};
    }
    auto index = ParseAtoi(place.key);
    if (!index.ok()) {
      return Failed("value was not a proper array index: '" + place.key + "': " + index.status().message());
    }
    const size_t at = TRY(Index(place.key, place.container->size() + 1));
    place.container->Insert(arena_, at, value);
    return {};
  }

  static Ok Take(const Place& place) {
    if (place.container->is_object()) {
      if (place.container->Remove(place.key)) return {};
      return Failed("Unable to remove nonexistent key: " + place.key + std::string(kMissing));
    }
    place.container->Erase(TRY(Index(place.key, place.container->size())));
    return {};
  }

  static Ok In(std::string_view what, std::string_view path, Ok result) {
    if (result.ok()) return {};
    return Failed("error in " + std::string(what) + ": '" + std::string(path) + "': " + result.status().message());
  }

  Ok Add(const Value& operation) {
    const std::string_view path = TRY(Field(operation, "path", "add"));
    const auto place = Find(path);
    if (!place) {
      return Failed("add operation does not apply: doc is missing path: \"" + std::string(path) + "\"" +
                    std::string(kMissing));
    }
    return In("add for path", path, Put(*place, operation.Get("value").Clone(arena_)));
  }

  Ok Remove(const Value& operation) {
    const std::string_view path = TRY(Field(operation, "path", "remove"));
    const auto place = Find(path);
    if (!place) {
      return Failed("remove operation does not apply: doc is missing path: \"" + std::string(path) + "\"" +
                    std::string(kMissing));
    }
    return In("remove for path", path, Take(*place));
  }

  Ok Replace(const Value& operation) {
    const std::string_view path = TRY(Field(operation, "path", "replace"));
    const Value& value = operation.Get("value");
    if (path.empty()) {
      if (!value.is_object() && !value.is_array()) return Failed("replace operation value must be object or array");
      target_ = value.Clone(arena_);
      return {};
    }
    const Place place = TRY(MustFind(path, "replace operation does not apply: doc is missing path: "));
    auto old = Get(*place.container, place.key);
    if (!old.ok()) {
      return Failed("replace operation does not apply: doc is missing key: " + std::string(path) +
                    std::string(kMissing));
    }
    if (*old != nullptr) {
      **old = value.Clone(arena_);
    } else {
      place.container->SetCopy(arena_, place.key, value.Clone(arena_));
    }
    return {};
  }

  Ok Move(const Value& operation) {
    const std::string_view from = TRY(Field(operation, "from", "move"));
    const Place source = TRY(MustFind(from, "move operation does not apply: doc is missing from path: "));
    auto found = Get(*source.container, source.key);
    if (!found.ok()) return In("move for path", source.key, found.status());
    const Value value = *found != nullptr ? **found : Value();
    TRY(In("move for path", source.key, Take(source)));
    const std::string_view path = TRY(Field(operation, "path", "move"));
    const Place place = TRY(MustFind(path, "move operation does not apply: doc is missing destination path: "));
    return In("move for path", path, Put(place, value));
  }

  Ok Copy(const Value& operation) {
    const std::string_view from = TRY(Field(operation, "from", "copy"));
    const Place source = TRY(MustFind(from, "copy operation does not apply: doc is missing from path: "));
    auto found = Get(*source.container, source.key);
    if (!found.ok()) return In("copy for from", from, found.status());
    const std::string_view path = TRY(Field(operation, "path", "copy"));
    const Place place = TRY(MustFind(path, "copy operation does not apply: doc is missing destination path: "));
    const Value value = *found != nullptr ? **found : Value();
    // Copies of copies double their depth each time; nothing may walk them before this is known to end.
    if (!value.FitsDepth(kDepthMax)) return TooDeep();
    copied_ += ToJson(value).size();
    if (copied_ > kPatchCopyBytesMax) {
      return Failed("Unable to complete the copy, the accumulated size increase of copy is " + std::to_string(copied_) +
                    ", exceeding the limit " + std::to_string(kPatchCopyBytesMax));
    }
    const Ok put = Put(place, value.Clone(arena_));
    if (!put.ok()) return Failed("error while adding value during copy: " + put.status().message());
    return {};
  }

  Ok Test(const Value& operation) {
    const std::string_view path = TRY(Field(operation, "path", "test"));
    const Value& expected = operation.Get("value");
    const Status differs = Failed("testing value " + std::string(path) + " failed: test failed");
    if (path.empty()) return target_.Equals(expected) ? Ok() : Ok(differs);
    const Place place = TRY(MustFind(path, "test operation does not apply: is missing path: "));
    auto found = Get(*place.container, place.key);
    if (!found.ok()) return In("test for path", path, found.status());
    const Value actual = *found != nullptr ? **found : Value();
    return actual.Equals(expected) ? Ok() : Ok(differs);
  }

 public:
  static Status TooDeep() {
    return Failed("the patched document would exceed the max depth of " + std::to_string(kDepthMax));
  }

 private:
  Value& target_;
  Arena& arena_;
  size_t copied_ = 0;
};

}  // namespace

Ok ApplyJsonPatch(const Value& patch, Value& target, Arena& arena) {
  if (!patch.is_array() && !patch.is_null()) {
    return BadRequest("json: cannot unmarshal " + std::string(GoKind(patch)) +
                      " into Go value of type jsonpatch.Patch");
  }
  for (const Value& operation : patch.items()) {
    if (operation.is_object() || operation.is_null()) continue;
    return BadRequest("json: cannot unmarshal " + std::string(GoKind(operation)) +
                      " into Go value of type jsonpatch.Operation");
  }
  if (patch.size() > kPatchOperationsMax) {
    return Status(Reason::kRequestEntityTooLarge, "The allowed maximum operations in a JSON patch is " +
                                                      std::to_string(kPatchOperationsMax) + ", got " +
                                                      std::to_string(patch.size()));
  }
  Patcher patcher(target, arena);
  for (const Value& operation : patch.items()) TRY(patcher.Apply(operation));
  if (!target.FitsDepth(kDepthMax)) return Patcher::TooDeep();
  return {};
}

}  // namespace knarr::doc
