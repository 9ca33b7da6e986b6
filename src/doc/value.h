#pragma once

// The tree every object is decoded into: JSON's data model, in an arena.
//
// A Value is 16 bytes and trivially copyable; strings, arrays and objects it points to live in an Arena (or are
// borrowed from bytes that outlive it). Nothing is freed one by one: the tree goes with its arena, which lives as long
// as one request or one reconcile, or as long as the cached object it belongs to. A Document is an arena and the root
// in it.
//
// Object members keep their order and are found by a linear search, which beats hashing at the sizes API objects have.
// A const Value gives only const access; readers on several threads may share a const tree.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/check.h"

namespace knarr::doc {

/// A bump allocator: blocks that double, freed together. Not thread-safe.
class Arena {
 public:
  Arena() = default;
  explicit Arena(size_t first_block);
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  ~Arena();

  /// 8-byte aligned; never nullptr.
  void* Allocate(size_t size) {
    size = (size + 7) & ~size_t{7};
    if (size > left_) return AllocateSlow(size);
    void* out = next_;
    next_ += size;
    left_ -= size;
    return out;
  }
  /// A copy of the text that lives as long as the arena.
  std::string_view Copy(std::string_view text);
  size_t bytes_reserved() const { return reserved_; }

 private:
  void* AllocateSlow(size_t size);
  struct Block;
  char* next_ = nullptr;
  size_t left_ = 0;
  Block* blocks_ = nullptr;
  size_t reserved_ = 0;
};

enum class Kind : uint8_t { kNull, kBool, kInt, kDouble, kString, kArray, kObject };

class Value;
struct Member;

class Value {
 public:
  constexpr Value() : int_(0) {}
  static Value Null() { return {}; }
  static Value Bool(bool b) {
    Value v(Kind::kBool);
    v.int_ = b ? 1 : 0;
    return v;
  }
  static Value Int(int64_t i) {
    Value v(Kind::kInt);
    v.int_ = i;
    return v;
  }
  static Value Double(double d) {
    Value v(Kind::kDouble);
    v.double_ = d;
    return v;
  }
  /// Borrows: the text must outlive the tree (a literal, or bytes the Document keeps).
  static Value Borrow(std::string_view text) {
    Value v(Kind::kString);
    CHECK(text.size() <= UINT32_MAX);
    v.size_ = static_cast<uint32_t>(text.size());
    v.text_ = text.data();
    return v;
  }
  static Value String(Arena& arena, std::string_view text) { return Borrow(arena.Copy(text)); }
  static Value Array() { return Value(Kind::kArray); }
  static Value Object() { return Value(Kind::kObject); }
  /// An array of exactly these elements, copied (shallowly) into the arena.
  static Value ArrayOf(Arena& arena, std::span<const Value> items);
  /// An object of exactly these members, copied (shallowly) into the arena. REQUIRES: no key is there twice.
  static Value ObjectOf(Arena& arena, std::span<const Member> members);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_int() const { return kind_ == Kind::kInt; }
  bool is_double() const { return kind_ == Kind::kDouble; }
  bool is_number() const { return is_int() || is_double(); }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_array() const { return kind_ == Kind::kArray; }
  bool is_object() const { return kind_ == Kind::kObject; }

  // The payload; the given default when the kind is another (so that absent fields read as zero values).
  bool AsBool(bool other = false) const { return is_bool() ? int_ != 0 : other; }
  int64_t AsInt(int64_t other = 0) const { return is_int() ? int_ : other; }
  double AsDouble(double other = 0) const {
    return is_double() ? double_ : is_int() ? static_cast<double>(int_) : other;
  }
  std::string_view AsString(std::string_view other = {}) const {
    return is_string() ? std::string_view(text_, size_) : other;
  }

  /// Elements of an array, members of an object; 0 for everything else.
  size_t size() const { return is_array() || is_object() ? size_ : 0; }
  bool empty() const { return size() == 0; }

  // Arrays. Empty spans for any other kind.
  std::span<const Value> items() const {
    return is_array() ? std::span<const Value>(items_, size_) : std::span<const Value>();
  }
  std::span<Value> items() { return is_array() ? std::span<Value>(items_, size_) : std::span<Value>(); }
  const Value& operator[](size_t index) const {
    CHECK(is_array() && index < size_);
    return items_[index];
  }
  Value& operator[](size_t index) {
    CHECK(is_array() && index < size_);
    return items_[index];
  }
  /// Appends and returns the place of the new element (valid until the next Append). A null becomes an array.
  Value& Append(Arena& arena, Value element);
  /// Makes room for `count` elements or members: pointers to them stay valid until there are more. A null becomes an
  /// object; other kinds are left alone.
  void Reserve(Arena& arena, size_t count);
  void Erase(size_t index);
  void Insert(Arena& arena, size_t index, Value element);

  // Objects. Empty spans for any other kind.
  std::span<const Member> members() const;
  std::span<Member> members();
  /// nullptr when there is no such member or this is no object.
  const Value* Find(std::string_view key) const;
  Value* Find(std::string_view key);
  /// The member, or a shared null.
  const Value& At(std::string_view key) const;
  /// The value at a path of members: Get("metadata", "name"). A shared null where it breaks off.
  template <typename... Keys>
  const Value& Get(std::string_view key, Keys... rest) const {
    if constexpr (sizeof...(rest) == 0) {
      return At(key);
    } else {
      return At(key).Get(rest...);
    }
  }
  /// Sets or replaces; the key is borrowed. A null becomes an object. The reference is valid until the next insertion.
  Value& Set(Arena& arena, std::string_view key, Value value);
  /// Sets or replaces with a copied key.
  Value& SetCopy(Arena& arena, std::string_view key, Value value) { return Set(arena, arena.Copy(key), value); }
  /// Appends without looking for an existing member: for decoders that have checked. The key is borrowed.
  Value& AddMember(Arena& arena, std::string_view key, Value value);
  /// The member, made as null if absent. The key is borrowed.
  Value& Ensure(Arena& arena, std::string_view key);
  bool Remove(std::string_view key);

  /// A deep copy into `arena`, strings included.
  Value Clone(Arena& arena) const;
  /// Same data; member order does not matter, and 1 equals 1.0.
  bool Equals(const Value& other) const;
  /// Whether no more than `levels` arrays and objects are nested in each other here (a scalar has 0 levels).
  bool FitsDepth(int levels) const;
  /// Sorts the members of every object in the tree by their keys' bytes, as Go prints maps.
  void SortMembers();

 private:
  explicit constexpr Value(Kind kind) : kind_(kind), int_(0) {}
  void Grow(Arena& arena, size_t element_size);

  Kind kind_ = Kind::kNull;
  uint8_t capacity_log2_ = 0;  // arrays and objects: room for at least 2^n elements once items_ is set
  uint32_t size_ = 0;
  union {
    int64_t int_;
    double double_;
    const char* text_;
    Value* items_;
    Member* members_;
  };
};
static_assert(sizeof(Value) == 16);

struct Member {
  std::string_view key;
  Value value;
};

inline std::span<const Member> Value::members() const {
  return is_object() ? std::span<const Member>(members_, size_) : std::span<const Member>();
}
inline std::span<Member> Value::members() {
  return is_object() ? std::span<Member>(members_, size_) : std::span<Member>();
}

/// A tree and the memory it lives in.
struct Document {
  Arena arena;
  Value root;

  Document() = default;
  Document(Document&&) = default;
  Document& operator=(Document&&) = default;
  /// A deep copy of a tree that lives elsewhere.
  static Document Copy(const Value& value);
};

}  // namespace knarr::doc
