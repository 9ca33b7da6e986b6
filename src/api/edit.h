#pragma once

// What the generated Edit classes stand on (api/view.h tells how they are used). An Edit's object has room for every
// field of its type from the start, so an Edit stays valid while other members are set. It goes stale when something
// before it is cleared or erased, or when the list its element is in grows: ask for it anew then.

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "api/view.h"
#include "base/time.h"
#include "doc/value.h"

namespace knarr::api {

/// The untyped part of every Edit.
class Editor {
 public:
  /// A null value becomes an object with room for `fields` members.
  Editor(EditTarget target, size_t fields);

  doc::Value* value;
  doc::Arena* arena;

  EditTarget Target(std::string_view name) const { return {&value->Ensure(*arena, name), arena}; }
  void SetString(std::string_view name, std::string_view v) const;
  void SetInt(std::string_view name, int64_t v) const;
  void SetBool(std::string_view name, bool v) const;
  void SetDouble(std::string_view name, double v) const;
  void SetTime(std::string_view name, WallTime v, bool micro) const;
  /// A deep copy.
  void SetRaw(std::string_view name, const doc::Value& v) const;
  void AppendString(std::string_view name, std::string_view v) const;
  void AppendInt(std::string_view name, int64_t v) const;
  void AppendRaw(std::string_view name, const doc::Value& v) const;
  void PutString(std::string_view name, std::string_view key, std::string_view v) const;
  void RemoveKey(std::string_view name, std::string_view key) const;
  void Clear(std::string_view name) const { value->Remove(name); }
};

template <typename T>
class EditBase : public T {
 public:
  EditBase(EditTarget target, size_t fields) : T(*target.value), editor_(target, fields) {}
  EditBase(doc::Document& document, size_t fields) : EditBase(EditTarget{&document.root, &document.arena}, fields) {}

  /// The same object for reading: its message getters make nothing.
  const T& view() const { return *this; }
  EditTarget target() const { return {editor_.value, editor_.arena}; }
  doc::Value& tree() const { return *editor_.value; }
  /// Replaces the whole with a deep copy.
  void CopyFrom(const doc::Value& other) const { *editor_.value = other.Clone(*editor_.arena); }

 protected:
  EditTarget Target(std::string_view name) const { return editor_.Target(name); }
  void SetString(std::string_view name, std::string_view v) const { editor_.SetString(name, v); }
  void SetInt(std::string_view name, int64_t v) const { editor_.SetInt(name, v); }
  void SetBool(std::string_view name, bool v) const { editor_.SetBool(name, v); }
  void SetDouble(std::string_view name, double v) const { editor_.SetDouble(name, v); }
  void SetTime(std::string_view name, WallTime v, bool micro) const { editor_.SetTime(name, v, micro); }
  void SetRaw(std::string_view name, const doc::Value& v) const { editor_.SetRaw(name, v); }
  void AppendString(std::string_view name, std::string_view v) const { editor_.AppendString(name, v); }
  void AppendInt(std::string_view name, int64_t v) const { editor_.AppendInt(name, v); }
  void AppendRaw(std::string_view name, const doc::Value& v) const { editor_.AppendRaw(name, v); }
  void PutString(std::string_view name, std::string_view key, std::string_view v) const {
    editor_.PutString(name, key, v);
  }
  void RemoveKey(std::string_view name, std::string_view key) const { editor_.RemoveKey(name, key); }
  void Clear(std::string_view name) const { editor_.Clear(name); }

 private:
  Editor editor_;
};

/// A list whose elements are written through their Edits.
template <typename T>
class ItemsEdit {
 public:
  explicit ItemsEdit(EditTarget target) : target_(target) {}
  class Iterator {
   public:
    Iterator(const ItemsEdit* list, size_t at) : list_(list), at_(at) {}
    T operator*() const { return (*list_)[at_]; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    const ItemsEdit* list_;
    size_t at_;
  };
  Iterator begin() const { return Iterator(this, 0); }
  Iterator end() const { return Iterator(this, size()); }
  size_t size() const { return target_.value->size(); }
  bool empty() const { return size() == 0; }
  T operator[](size_t index) const { return T(EditTarget{&(*target_.value)[index], target_.arena}); }
  /// A new, empty element at the end.
  T Add() const { return T(EditTarget{&target_.value->Append(*target_.arena, doc::Value::Object()), target_.arena}); }
  /// A deep copy of `other` at the end.
  T AddCopy(const doc::Value& other) const {
    return T(EditTarget{&target_.value->Append(*target_.arena, other.Clone(*target_.arena)), target_.arena});
  }
  void Erase(size_t index) const { target_.value->Erase(index); }
  void Clear() const { *target_.value = doc::Value::Array(); }

 private:
  EditTarget target_;
};

}  // namespace knarr::api
