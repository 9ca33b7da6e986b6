#include "apiserver/render.h"

#include <fmt/format.h>

#include "api/codec.h"
#include "api/conversion/conversion.h"
#include "apiserver/errors.h"
#include "apiserver/object_io.h"
#include "apiserver/render_parts.h"
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

// A frame of a protobuf watch: length, then WatchEvent {type = 1, object = 2 RawExtension {raw = 1}}.
void AppendProtobufEvent(std::string_view type, std::string_view object, std::string& out) {
  std::string raw;
  AppendField('\x0a', object, raw);
  std::string event;
  AppendField('\x0a', type, event);
  AppendField('\x12', raw, event);
  const auto size = static_cast<uint32_t>(event.size());
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(size >> shift);
  out += event;
}

void AppendJsonEvent(std::string_view type, std::string_view object, std::string& out) {
  out += R"({"type":")";
  out += type;
  out += R"(","object":)";
  out += object;
  out += "}\n";
}

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
  return BadRequest(fmt::format("Unsupported value: \"{}\": includeObject is one of None, Metadata, Object", text));
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
               std::string& out) {
  const std::string_view type = kEventNames[static_cast<size_t>(item.type)];
  const bool bookmark = item.type == client::WatchEventType::kBookmark;
  if (options.form.view == View::kTable) {
    const api::ObjectPtr object = item.Object();
    doc::Arena arena;
    const Value* one = &object->tree();
    const std::span<const Value* const> rows(&one, bookmark ? 0 : 1);
    const Value table = TableOf(kind, rows, one->At("metadata"), options, first && !bookmark, arena);
    AppendJsonEvent(type, doc::ToJson(table), out);
    return {};
  }
  if (options.form.view == View::kPartial) {
    const api::ObjectPtr object = item.Object();
    doc::Arena arena;
    const Value partial = PartialObject(object->tree(), options.form.meta_version, arena);
    if (options.form.encoding == Encoding::kProtobuf) {
      AppendProtobufEvent(type, TRY(api::EncodeProtobuf(*PartialType(false), partial)), out);
    } else {
      AppendJsonEvent(type, doc::ToJson(partial), out);
    }
    return {};
  }
  if (options.form.encoding != Encoding::kProtobuf) {
    AppendJsonEvent(type, *item.bytes, out);  // the stored bytes are the encoding
    return {};
  }
  if (item.change == nullptr) {
    AppendProtobufEvent(type, TRY(api::EncodeProtobuf(*kind.type, item.Object()->tree())), out);
    return {};
  }
  std::string& encoded = item.change->encoded(item.was);
  if (encoded.empty()) encoded = TRY(api::EncodeProtobuf(*kind.type, item.Object()->tree()));
  AppendProtobufEvent(type, encoded, out);
  return {};
}

void RenderErrorEvent(const Status& status, Encoding encoding, std::string& out) {
  const doc::Document document = StatusDocument(status);
  const api::Type* type = api::FindRootType("v1", "Status");
  if (encoding == Encoding::kProtobuf && type != nullptr) {
    // A Status made here fits its own type.
    AppendProtobufEvent("ERROR", MUST(api::EncodeProtobuf(*type, document.root)), out);
  } else {
    AppendJsonEvent("ERROR", doc::ToJson(document.root), out);
  }
}

}  // namespace knarr::apiserver
