#pragma once

// Objects between bytes and trees, by the schema's tables.
//
// Every decoder gives a *canonical* tree: members in the order and with the presence that Kubernetes' own JSON encoder
// gives them (structs always there, empty omitempty members gone, maps sorted, nulls only where Go writes null), times,
// quantities and bytes in their canonical text, unknown members gone. So canonical JSON is just the tree written out,
// and two equal objects have equal bytes. A tree that was changed (defaulted, patched, edited) becomes canonical again
// by Canonicalize.
//
// Errors are what Kubernetes' server says: "json: cannot unmarshal string into Go struct field PodSpec.spec.nodeName of
// type …", and for fields it does not know or finds twice, lines such as `unknown field "spec.foo"`, which callers
// ignore, send as warnings or turn into an error (fieldValidation).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"
#include "base/status.h"
#include "doc/value.h"

namespace knarr::api {

/// Lines such as `unknown field "spec.foo"` and `duplicate field "spec.bar"`, in the order they were found.
using StrictErrors = std::vector<std::string>;

/// At most this many strict errors are collected, as upstream does.
inline constexpr size_t kStrictErrorMax = 100;

/// Checks the tree's types and makes it canonical, in place. BadRequest with Go's message on a wrong type; the tree is
/// then in between, and `error_path` says where ("spec.containers[0].name"). `strict` and `error_path` may be nullptr.
Ok Canonicalize(const Type& type, doc::Value& tree, doc::Arena& arena, StrictErrors* strict = nullptr,
                std::string* error_path = nullptr);

/// An object, what it is, and what was odd about its text.
struct Decoded {
  doc::Document document;
  const Type* type = nullptr;
  std::string api_version;
  std::string kind;
  StrictErrors strict;
  /// metadata.managedFields was an empty list. It means something to server-side apply, but no canonical tree has it.
  bool empty_managed_fields = false;
};

enum class WireFormat : uint8_t { kJson, kYaml, kProtobuf };

/// What an object is taken for when its text does not say.
struct DefaultKind {
  std::string_view api_version;
  std::string_view kind;
};

/// BadRequest for malformed text ("line 2, column 7: …"), a missing or unknown kind, and wrong types (with Go's message
/// alone: it names the field).
Result<Decoded> DecodeJson(std::string_view text, const DefaultKind& fallback = {});
/// The first document.
Result<Decoded> DecodeYaml(std::string_view text, const DefaultKind& fallback = {});
/// With the "k8s\0" envelope.
Result<Decoded> DecodeProtobuf(std::string_view bytes, const DefaultKind& fallback = {});

Result<Decoded> Decode(WireFormat format, std::string_view bytes, const DefaultKind& fallback = {});
/// The same. On an error `out` has what was found of api_version, kind and type until then.
Ok DecodeInto(WireFormat format, std::string_view bytes, const DefaultKind& fallback, Decoded& out);
Ok DecodeProtobufInto(std::string_view bytes, const DefaultKind& fallback, Decoded& out);
/// A canonical tree in the given form; JSON and YAML end with a line break, as Kubernetes' serializers write them.
Result<std::string> Encode(WireFormat format, const Type& type, const doc::Value& tree);

/// BadRequest, `no kind "Foo" is registered for version "v1"`, or what is missing.
Status UnknownKind(std::string_view api_version, std::string_view kind);

/// "strict decoding error: unknown field …, duplicate field …".
std::string StrictErrorText(const StrictErrors& errors);

/// What every protobuf body of Kubernetes begins with.
inline constexpr std::string_view kProtobufMagic = {"k8s\0", 4};

/// The bare protobuf message of a tree. The tree need not be canonical, but its types must fit; BadRequest on text in
/// it that is no time, duration or base64.
Result<std::string> EncodeProtobufMessage(const Type& type, const doc::Value& tree);
/// The message in the "k8s\0" envelope, with the tree's apiVersion and kind.
Result<std::string> EncodeProtobuf(const Type& type, const doc::Value& tree);
/// A canonical tree; apiVersion and kind are set to these when they are not empty. BadRequest with the byte offset.
Result<doc::Document> DecodeProtobufMessage(const Type& type, std::string_view bytes, const DefaultKind& identity = {});

}  // namespace knarr::api
