#include "apiserver/openapi_proto.h"

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "doc/json.h"
#include "doc/yaml.h"

// The messages and numbers are those of gnostic's openapiv2/OpenAPIv2.proto. Only what this server's documents use is
// written.

namespace knarr::apiserver {
namespace {

using doc::Value;

class Message {
 public:
  void Text(int field, std::string_view text) {
    if (!text.empty()) Bytes(field, text);
  }
  void Bytes(int field, std::string_view bytes) {
    Varint(static_cast<uint64_t>(field) << 3 | 2);
    Varint(bytes.size());
    out_ += bytes;
  }
  void Sub(int field, const Message& message) { Bytes(field, message.out_); }
  void Bool(int field, bool value) {
    if (!value) return;
    Varint(static_cast<uint64_t>(field) << 3);
    Varint(1);
  }
  void Texts(int field, const Value& list) {
    for (const Value& item : list.items()) Bytes(field, item.AsString());
  }
  std::string Take() && { return std::move(out_); }

 private:
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }
  std::string out_;
};

Message Named(std::string_view name, const Message& value) {
  Message out;
  out.Text(1, name);
  out.Sub(2, value);
  return out;
}

Message AnyOf(const Value& value) {
  Message out;
  out.Text(2, doc::ToYaml(value));
  return out;
}

void Extensions(int field, const Value& from, Message& out) {
  for (const doc::Member& member : from.members()) {
    if (member.key.starts_with("x-")) out.Sub(field, Named(member.key, AnyOf(member.value)));
  }
}

Message SchemaOf(const Value& schema) {
  Message out;
  out.Text(1, schema.At("$ref").AsString());
  out.Text(2, schema.At("format").AsString());
  out.Text(4, schema.At("description").AsString());
  if (const Value* fallback = schema.Find("default")) out.Sub(5, AnyOf(*fallback));
  out.Texts(19, schema.At("required"));
  for (const Value& value : schema.At("enum").items()) out.Sub(20, AnyOf(value));
  if (const Value* more = schema.Find("additionalProperties")) {
    Message item;
    item.Sub(1, SchemaOf(*more));
    out.Sub(21, item);
  }
  if (const Value* type = schema.Find("type")) {
    Message item;
    item.Bytes(1, type->AsString());
    out.Sub(22, item);
  }
  if (const Value* items = schema.Find("items")) {
    Message item;
    item.Sub(1, SchemaOf(*items));
    out.Sub(23, item);
  }
  if (const Value* properties = schema.Find("properties")) {
    Message list;
    for (const doc::Member& member : properties->members()) list.Sub(1, Named(member.key, SchemaOf(member.value)));
    out.Sub(25, list);
  }
  Extensions(31, schema, out);
  return out;
}

// ParametersItem {parameter = 1 {body = 1 | non-body = 2 {query = 3 | path = 4}}}
Message ParameterOf(const Value& parameter) {
  const std::string_view in = parameter.At("in").AsString();
  Message choice;
  if (in == "body") {
    Message body;
    body.Text(1, parameter.At("description").AsString());
    body.Text(2, parameter.At("name").AsString());
    body.Text(3, in);
    body.Bool(4, parameter.At("required").AsBool());
    body.Sub(5, SchemaOf(parameter.At("schema")));
    choice.Sub(1, body);
  } else {
    const bool path = in == "path";
    Message plain;
    plain.Bool(1, parameter.At("required").AsBool());
    plain.Text(2, in);
    plain.Text(3, parameter.At("description").AsString());
    plain.Text(4, parameter.At("name").AsString());
    plain.Text(path ? 5 : 6, parameter.At("type").AsString());
    plain.Bool(path ? 19 : 20, parameter.At("uniqueItems").AsBool());
    Message kind;
    kind.Sub(path ? 4 : 3, plain);
    choice.Sub(2, kind);
  }
  Message out;
  out.Sub(1, choice);
  return out;
}

Message ResponsesOf(const Value& responses) {
  Message out;
  for (const doc::Member& member : responses.members()) {
    Message response;
    response.Text(1, member.value.At("description").AsString());
    if (const Value* schema = member.value.Find("schema")) {
      Message item;
      item.Sub(1, SchemaOf(*schema));
      response.Sub(2, item);
    }
    Message value;
    value.Sub(1, response);
    out.Sub(1, Named(member.key, value));
  }
  return out;
}

Message OperationOf(const Value& operation) {
  Message out;
  out.Texts(1, operation.At("tags"));
  out.Text(3, operation.At("description").AsString());
  out.Text(5, operation.At("operationId").AsString());
  out.Texts(6, operation.At("produces"));
  out.Texts(7, operation.At("consumes"));
  for (const Value& parameter : operation.At("parameters").items()) out.Sub(8, ParameterOf(parameter));
  out.Sub(9, ResponsesOf(operation.At("responses")));
  out.Texts(10, operation.At("schemes"));
  Extensions(13, operation, out);
  return out;
}

Message PathItemOf(const Value& item) {
  static constexpr struct {
    std::string_view method;
    int field;
  } kMethods[] = {{"get", 2}, {"put", 3}, {"post", 4}, {"delete", 5}, {"options", 6}, {"head", 7}, {"patch", 8}};
  Message out;
  for (const auto& [method, field] : kMethods) {
    if (const Value* operation = item.Find(method)) out.Sub(field, OperationOf(*operation));
  }
  for (const Value& parameter : item.At("parameters").items()) out.Sub(9, ParameterOf(parameter));
  return out;
}

}  // namespace

std::string EncodeSwaggerProtobuf(const Value& swagger) {
  Message out;
  out.Text(1, swagger.At("swagger").AsString());
  Message info;
  info.Text(1, swagger.Get("info", "title").AsString());
  info.Text(2, swagger.Get("info", "version").AsString());
  out.Sub(2, info);
  Message paths;
  for (const doc::Member& member : swagger.At("paths").members()) {
    paths.Sub(2, Named(member.key, PathItemOf(member.value)));
  }
  out.Sub(8, paths);
  Message definitions;
  for (const doc::Member& member : swagger.At("definitions").members()) {
    definitions.Sub(1, Named(member.key, SchemaOf(member.value)));
  }
  out.Sub(9, definitions);
  return std::move(out).Take();
}

}  // namespace knarr::apiserver
