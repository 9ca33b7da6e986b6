#include "apiserver/render.h"

#include <fmt/format.h>

#include "api/codec.h"
#include "api/conversion/conversion.h"
#include "apiserver/errors.h"
#include "apiserver/object_io.h"
#include "apiserver/render_parts.h"
#include "base/strings.h"
#include "doc/json.h"
#include "doc/yaml.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kEventNames[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"};

// Tables are printed from the stored form; the objects they carry are what the client asked for.
Value StoredFormTable(const api::KindInfo& kind, std::span<const Value* const> objects, const Value& metadata,
                      const RenderOptions& options, doc::Arena& arena) {
  const api::KindInfo& stored = api::StorageKind(kind);
  if (&stored == &kind) return api::MakeTable(kind, objects, metadata, options.include_object, options.now, arena);
  std::vector<Value> copies;
  std::vector<const Value*> pointers;
  for (const Value* object : objects) {
    // It was made from a stored object.
    copies.push_back(MUST(api::ConvertKind(*object, kind, stored)).root.Clone(arena));
  }
  for (const Value& copy : copies) pointers.push_back(&copy);
  Value table = api::MakeTable(stored, pointers, metadata, options.include_object, options.now, arena);
  if (options.include_object == api::IncludeObject::kObject) {
    std::span<Value> rows = table.Find("rows")->items();
    for (size_t i = 0; i < rows.size(); ++i) rows[i].Set(arena, "object", *objects[i]);
  }
  return table;
}

void AppendVarint(uint64_t value, std::string& out) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

void AppendField(char tag, std::string_view bytes, std::string& out) {
  out += tag;
  AppendVarint(bytes.size(), out);
  out += bytes;
}

// A frame of a protobuf watch: length, then WatchEvent {type = 1, object = 2 RawExtension {raw = 1}}. This is all of it
// before the object.
std::string ProtobufEventHead(std::string_view type, size_t object_size) {
  std::string raw_head = "\x0a";
  AppendVarint(object_size, raw_head);
  std::string event;
  AppendField('\x0a', type, event);
  event += '\x12';
  AppendVarint(raw_head.size() + object_size, event);
  event += raw_head;
  std::string out;
  const auto size = static_cast<uint32_t>(event.size() + object_size);
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(size >> shift);
  return out + event;
}

void AddPiece(std::string text, std::vector<net::SharedPiece>& out) {
  auto owner = std::make_shared<const std::string>(std::move(text));
  const std::string_view view = *owner;
  out.push_back({std::move(owner), view});
}

void AddProtobufEvent(std::string_view type, store::Bytes object, std::vector<net::SharedPiece>& out) {
  AddPiece(ProtobufEventHead(type, object->size()), out);
  const std::string_view view = *object;
  out.push_back({std::move(object), view});
}

void AddJsonEvent(client::WatchEventType type, store::Bytes object, std::vector<net::SharedPiece>& out) {
  constexpr std::string_view kHeads[] = {R"({"type":"ADDED","object":)", R"({"type":"MODIFIED","object":)",
                                         R"({"type":"DELETED","object":)", R"({"type":"BOOKMARK","object":)"};
  out.push_back({nullptr, kHeads[static_cast<size_t>(type)]});
  const std::string_view view = *object;
  out.push_back({std::move(object), view});
  out.push_back({nullptr, "}\n"});
}

store::Bytes Own(std::string text) { return std::make_shared<const std::string>(std::move(text)); }

}  // namespace

const api::Type* PartialType(bool list) {
  return api::FindType("meta/v1", list ? "PartialObjectMetadataList" : "PartialObjectMetadata");
}

Value PartialObject(const Value& object, std::string_view meta_version, doc::Arena& arena) {
  Value out = Value::Object();
  out.AddMember(arena, "kind", Value::Borrow("PartialObjectMetadata"));
  out.AddMember(arena, "apiVersion", Value::Borrow(meta_version == "v1" ? "meta.k8s.io/v1" : "meta.k8s.io/v1beta1"));
  out.AddMember(arena, "metadata", object.At("metadata"));
  return out;
}

Value TableOf(const api::KindInfo& kind, std::span<const Value* const> objects, const Value& metadata,
              const RenderOptions& options, bool with_columns, doc::Arena& arena) {
  Value table = StoredFormTable(kind, objects, metadata, options, arena);
  if (options.form.meta_version != "v1") table.Set(arena, "apiVersion", Value::Borrow("meta.k8s.io/v1beta1"));
  if (!with_columns) table.Set(arena, "columnDefinitions", Value::Null());
  return table;
}

Result<api::IncludeObject> ReadIncludeObject(std::string_view text) {
  if (text.empty() || text == "Metadata") return api::IncludeObject::kMetadata;
  if (text == "None") return api::IncludeObject::kNone;
  if (text == "Object") return api::IncludeObject::kObject;
  return BadRequest(
      fmt::format("Unable to convert to Table as requested: includeObject: Invalid value: {}: must be "
                  "'Metadata', 'Object', 'None', or empty",
                  GoQuote(text)));
}

Result<std::string> RenderTree(const api::Type* type, const Value& tree, Encoding encoding) {
  if (encoding == Encoding::kYaml) return doc::ToYaml(tree);
  if (encoding == Encoding::kProtobuf && type != nullptr) return api::EncodeProtobuf(*type, tree);
  std::string out = doc::ToJson(tree);
  out += '\n';
  return out;
}

Result<Body> RenderObject(const api::KindInfo& kind, const api::Object& object, const RenderOptions& options) {
  Body body;
  if (options.form.view == View::kTable) {
    doc::Arena arena;
    const Value* one = &object.tree();
    const Value table = TableOf(kind, {&one, 1}, one->At("metadata"), options, true, arena);
    body.text = TRY(RenderTree(nullptr, table, options.form.encoding));
    return body;
  }
  if (options.form.view == View::kPartial) {
    doc::Arena arena;
    const Value partial = PartialObject(object.tree(), options.form.meta_version, arena);
    body.text = TRY(RenderTree(PartialType(false), partial, options.form.encoding));
    return body;
  }
  if (options.form.encoding != Encoding::kJson) {
    body.text = TRY(RenderTree(kind.type, object.tree(), options.form.encoding));
    return body;
  }
  body.shared.push_back(object.bytes());
  body.pieces = {*body.shared.front(), "\n"};
  return body;
}

Ok RenderEvent(const api::KindInfo& kind, const WatchItem& item, const RenderOptions& options, bool first,
               std::vector<net::SharedPiece>& out) {
  const std::string_view type = kEventNames[static_cast<size_t>(item.type)];
  const bool bookmark = item.type == client::WatchEventType::kBookmark;
  if (options.form.view == View::kTable) {
    const api::ObjectPtr object = item.Object();
    doc::Arena arena;
    const Value* one = &object->tree();
    const std::span<const Value* const> rows(&one, bookmark ? 0 : 1);
    const Value table = TableOf(kind, rows, one->At("metadata"), options, first && !bookmark, arena);
    AddJsonEvent(item.type, Own(doc::ToJson(table)), out);
    return {};
  }
  if (options.form.view == View::kPartial) {
    const api::ObjectPtr object = item.Object();
    doc::Arena arena;
    const Value partial = PartialObject(object->tree(), options.form.meta_version, arena);
    if (options.form.encoding == Encoding::kProtobuf) {
      AddProtobufEvent(type, Own(TRY(api::EncodeProtobuf(*PartialType(false), partial))), out);
    } else {
      AddJsonEvent(item.type, Own(doc::ToJson(partial)), out);
    }
    return {};
  }
  if (options.form.encoding != Encoding::kProtobuf) {
    AddJsonEvent(item.type, item.bytes, out);  // the stored bytes are the encoding
    return {};
  }
  if (item.change == nullptr) {
    AddProtobufEvent(type, Own(TRY(api::EncodeProtobuf(*kind.type, item.Object()->tree()))), out);
    return {};
  }
  store::Bytes& encoded = item.change->encoded(item.was);
  if (encoded == nullptr) encoded = Own(TRY(api::EncodeProtobuf(*kind.type, item.Object()->tree())));
  AddProtobufEvent(type, encoded, out);
  return {};
}

void RenderErrorEvent(const Status& status, Encoding encoding, std::string& out) {
  const doc::Document document = StatusDocument(status);
  const api::Type* type = api::FindRootType("v1", "Status");
  if (encoding == Encoding::kProtobuf && type != nullptr) {
    // A Status made here fits its own type.
    const std::string object = MUST(api::EncodeProtobuf(*type, document.root));
    out += ProtobufEventHead("ERROR", object.size());
    out += object;
  } else {
    out += R"({"type":"ERROR","object":)" + doc::ToJson(document.root) + "}\n";
  }
}

}  // namespace knarr::apiserver
