#pragma once

// Typed reading and writing of trees. The generator makes two classes a message: `Pod`, which reads, and `PodEdit`,
// which also writes. They are a pointer (and an arena): pass them by value.
//
//   api::core_v1::Pod pod(object->tree());
//   for (api::core_v1::Container c : pod.spec().containers()) use(c.name(), c.resources().requests());
//   if (pod.metadata().deletion_timestamp()) …            // pointers and times are std::optional
//
//   doc::Document copy = doc::Document::Copy(object->tree());
//   api::core_v1::PodEdit edit(copy);
//   edit.status().set_phase("Running");                    // an Edit's message getter makes the member
//   edit.status().add_conditions().set_type("Ready");
//   edit.spec().clear_node_name();
//
// What the getters give: string, bool, int32, int64: the value, zero when absent; pointers to those: std::optional;
// messages: a view, which may be empty (`if (view)` tells); lists: ListView<T>; maps of strings: StringMap; quantities,
// enums and bytes: the text; Time and MicroTime: std::optional<WallTime>; IntOrString: IntOrString; raw: const
// doc::Value&; has_x() tells whether a message is there. What an Edit has: set_x, clear_x, add_x for lists (of
// messages it gives the new element), put_x and remove_x for maps. Names are the JSON names in snake_case (hostIP →
// host_ip; C++ keywords get a trailing underscore: default_, namespace_ is spelled ns()). Setters copy text into the
// arena.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/status.h"
#include "base/time.h"
#include "doc/value.h"

namespace knarr::api {

template <typename T>
class ListView;
struct IntOrString;

class View {
 public:
  View() = default;
  explicit View(const doc::Value& value) : value_(&value) {}
  /// Whether the member is there.
  explicit operator bool() const { return value_ != nullptr && !value_->is_null(); }
  const doc::Value& value() const;
  /// The same; also of kinds that have a field called value.
  const doc::Value& tree() const { return value(); }

 protected:
  const doc::Value& Member(std::string_view name) const { return value().At(name); }
  bool Has(std::string_view name) const { return !Member(name).is_null(); }
  template <typename T>
  ListView<T> Elements(std::string_view name) const;
  std::string_view ReadString(std::string_view name) const { return Member(name).AsString(); }
  bool ReadBool(std::string_view name) const { return Member(name).AsBool(); }
  int32_t ReadInt32(std::string_view name) const { return static_cast<int32_t>(Member(name).AsInt()); }
  int64_t ReadInt64(std::string_view name) const { return Member(name).AsInt(); }
  double ReadDouble(std::string_view name) const { return Member(name).AsDouble(); }
  std::optional<std::string_view> OptString(std::string_view name) const;
  std::optional<bool> OptBool(std::string_view name) const;
  std::optional<int32_t> OptInt32(std::string_view name) const;
  std::optional<int64_t> OptInt64(std::string_view name) const;
  std::optional<double> OptDouble(std::string_view name) const;
  std::optional<WallTime> ReadTime(std::string_view name) const;
  IntOrString ReadIntOrString(std::string_view name) const;
  std::optional<IntOrString> OptIntOrString(std::string_view name) const;

  const doc::Value* value_ = nullptr;
};

/// A list element of no known type.
class RawView : public View {
 public:
  using View::View;
};

template <typename T>
class ListView {
 public:
  explicit ListView(const doc::Value& value) : items_(value.items()) {}
  class Iterator {
   public:
    explicit Iterator(const doc::Value* at) : at_(at) {}
    T operator*() const { return Make(*at_); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    const doc::Value* at_;
  };
  Iterator begin() const { return Iterator(items_.data()); }
  Iterator end() const { return Iterator(items_.data() + items_.size()); }
  size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  T operator[](size_t index) const { return Make(items_[index]); }

 private:
  static T Make(const doc::Value& value) {
    if constexpr (std::is_same_v<T, std::string_view>) {
      return value.AsString();
    } else if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(value.AsInt());
    } else {
      return T(value);
    }
  }
  std::span<const doc::Value> items_;
};

template <typename T>
ListView<T> View::Elements(std::string_view name) const {
  return ListView<T>(Member(name));
}

/// A map from strings to strings (labels) or to quantities (resources: the values are their text).
class StringMap {
 public:
  explicit StringMap(const doc::Value& value) : members_(value.members()) {}
  struct Entry {
    std::string_view key;
    std::string_view value;
  };
  class Iterator {
   public:
    explicit Iterator(const doc::Member* at) : at_(at) {}
    Entry operator*() const { return {at_->key, at_->value.AsString()}; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    const doc::Member* at_;
  };
  Iterator begin() const { return Iterator(members_.data()); }
  Iterator end() const { return Iterator(members_.data() + members_.size()); }
  size_t size() const { return members_.size(); }
  bool empty() const { return members_.empty(); }
  std::optional<std::string_view> Find(std::string_view key) const;
  bool Has(std::string_view key) const { return Find(key).has_value(); }

 private:
  std::span<const doc::Member> members_;
};

/// util/intstr.IntOrString.
struct IntOrString {
  bool is_string = false;
  int32_t number = 0;
  std::string_view text;
  /// The number, or the percentage of `total` rounded up or down ("25%"). BadRequest for other text.
  Result<int32_t> Scaled(int32_t total, bool round_up) const;
  static IntOrString From(const doc::Value& value);
};

/// Where an Edit writes: the value and the arena its tree lives in.
struct EditTarget {
  doc::Value* value;
  doc::Arena* arena;
};

}  // namespace knarr::api
