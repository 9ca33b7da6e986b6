#pragma once

// A small reader and writer of protobuf messages that are plain structs, driven by tables: each struct has a table of
// its fields (number, kind, where it lies), and one function each way works on any of them. What a field is follows
// from its C++ type:
//
//   bool, int32_t, uint32_t, int64_t, uint64_t   a varint
//   std::string                                  a string: what is not UTF-8 in it is replaced when it is read
//   Bytes                                        a bytes field, as it comes
//   a message struct                             a nested message, left out where nothing of it is set
//   std::optional of a message struct            a nested message, written whenever it has a value
//   std::optional<int64_t>                       a message with a number as its field 1 (Int64Value)
//   std::vector of strings, int64_t, messages    a repeated field (numbers packed or not)
//   std::map<std::string, std::string>           a map
//
// An enum is an int32_t: a value that nobody knows is for the reader of the struct to judge.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/status.h"

namespace knarr::cri {

struct Bytes {
  std::string data;
  bool operator==(const Bytes&) const = default;
};

enum class Kind : uint8_t {
  kBool,
  kNumber32,
  kNumber64,
  kText,
  kBytes,
  kMessage,
  kMessages,
  kWrapped,
  kTexts,
  kNumbers,
  kMap
};

/// Nested messages in a vector or an optional, whatever they are.
struct Elements {
  size_t (*count)(const void* field);
  const void* (*at)(const void* field, size_t index);
  void* (*add)(void* field);  ///< of an optional that has a value: that
};

struct Message;
struct Field {
  uint32_t number = 0;
  Kind kind = Kind::kBool;
  void* (*place)(void* object) = nullptr;
  const Message* message = nullptr;    ///< of kMessage and kMessages
  const Elements* elements = nullptr;  ///< of kMessages
  bool is_signed = false;              ///< of kNumber32
};

struct Message {
  std::string_view name;
  std::span<const Field> fields;
};

/// The messages and map entries of one answer may not be more: the bytes that a small one takes are few, the memory is
/// not.
inline constexpr size_t kElementsMax = 200'000;

std::string Encode(const Message& message, const void* object);
/// Into a fresh object. BadRequest for bytes that are no such message; fields that the table lacks are passed over.
Ok Decode(const Message& message, std::string_view bytes, void* object);

template <typename M>
std::string Encode(const M& message) {
  return Encode(M::kMessage, &message);
}
template <typename M>
Result<M> Decode(std::string_view bytes) {
  M out;
  TRY(Decode(M::kMessage, bytes, &out));
  return out;
}

namespace internal {

template <typename T>
concept IsMessage = requires { T::kMessage; };

template <auto Member>
struct Of;
template <typename Struct, typename T, T Struct::* Member>
struct Of<Member> {
  using Type = T;
  static void* Place(void* object) { return &(static_cast<Struct*>(object)->*Member); }
};

template <typename M>
inline constexpr Elements kVectorElements = {
    [](const void* field) { return static_cast<const std::vector<M>*>(field)->size(); },
    [](const void* field, size_t index) -> const void* { return &(*static_cast<const std::vector<M>*>(field))[index]; },
    [](void* field) -> void* { return &static_cast<std::vector<M>*>(field)->emplace_back(); }};

template <typename M>
inline constexpr Elements kOptionalElements = {
    [](const void* field) -> size_t { return static_cast<const std::optional<M>*>(field)->has_value() ? 1 : 0; },
    [](const void* field, size_t) -> const void* { return &**static_cast<const std::optional<M>*>(field); },
    [](void* field) -> void* {
      auto& optional = *static_cast<std::optional<M>*>(field);
      return optional.has_value() ? &*optional : &optional.emplace();
    }};

template <typename T>
struct Describe {
  static constexpr void To(Field& field) {
    if constexpr (IsMessage<T>) {
      field.kind = Kind::kMessage;
      field.message = &T::kMessage;
    } else if constexpr (std::is_same_v<T, bool>) {
      field.kind = Kind::kBool;
    } else if constexpr (std::is_same_v<T, int32_t> || std::is_same_v<T, uint32_t>) {
      field.kind = Kind::kNumber32;
      field.is_signed = std::is_signed_v<T>;
    } else if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, uint64_t>) {
      field.kind = Kind::kNumber64;
    } else if constexpr (std::is_same_v<T, std::string>) {
      field.kind = Kind::kText;
    } else if constexpr (std::is_same_v<T, Bytes>) {
      field.kind = Kind::kBytes;
    } else if constexpr (std::is_same_v<T, std::optional<int64_t>>) {
      field.kind = Kind::kWrapped;
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      field.kind = Kind::kTexts;
    } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
      field.kind = Kind::kNumbers;
    } else {
      static_assert(std::is_same_v<T, std::map<std::string, std::string>>);
      field.kind = Kind::kMap;
    }
  }
};
template <IsMessage M>
struct Describe<std::vector<M>> {
  static constexpr void To(Field& field) {
    field.kind = Kind::kMessages;
    field.message = &M::kMessage;
    field.elements = &kVectorElements<M>;
  }
};
template <IsMessage M>
struct Describe<std::optional<M>> {
  static constexpr void To(Field& field) {
    field.kind = Kind::kMessages;
    field.message = &M::kMessage;
    field.elements = &kOptionalElements<M>;
  }
};

}  // namespace internal

/// The entry of a table: F<&Struct::member>(number).
template <auto Member>
constexpr Field F(uint32_t number) {
  Field out{.number = number, .place = &internal::Of<Member>::Place};
  internal::Describe<typename internal::Of<Member>::Type>::To(out);
  return out;
}

}  // namespace knarr::cri
