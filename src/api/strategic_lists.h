#pragma once

// What merging and diffing share: looking fields up, and the order of lists. Internal to this folder.

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/schema.h"
#include "base/status.h"
#include "doc/text.h"
#include "doc/value.h"

namespace knarr::api::strategic {

using List = std::vector<doc::Value>;

inline constexpr std::string_view kPatch = "$patch";
inline constexpr std::string_view kRetainKeys = "$retainKeys";
inline constexpr std::string_view kDeletePrefix = "$deleteFromPrimitiveList/";
inline constexpr std::string_view kOrderPrefix = "$setElementOrder/";

/// How the schema wants a member merged. `type` is nullptr below anything without a schema.
struct Meta {
  const Type* type = nullptr;
  bool merge = false;
  bool replace = false;
  bool retain_keys = false;
  std::string_view merge_key;
};

/// Of a member of a `type` object; BadRequest when the type has no such field.
Result<Meta> Lookup(const Type* type, std::string_view name);

List ToList(const doc::Value& array);
doc::Value FromList(const List& list, doc::Arena& arena);

using doc::GoText;
Status NoMergeKey(const doc::Value& item, std::string_view key);

/// Whether all elements are objects (true) or none is (false); BadRequest for mixed lists and lists of lists.
Result<bool> HoldsObjects(const List& a, const List& b);
/// Lists of more elements are not merged: an order can cost the square of their number.
inline constexpr size_t kElementsMax = 10'000;

/// Where the elements of a list stand: objects by their merge key, others by themselves.
class Places {
 public:
  Places(const List& list, std::string_view key, bool objects);
  /// The list's next element. One without the key has no place.
  void Add(const doc::Value& item);
  /// The first one that equals `item`; -1 when there is none.
  int Find(const doc::Value& item) const;

 private:
  const doc::Value* Named(const doc::Value& item) const { return objects_ ? item.Find(key_) : &item; }

  struct Place {
    doc::Value value;
    int at;
  };
  std::string_view key_;
  bool objects_;
  int next_ = 0;
  std::unordered_multimap<size_t, Place> places_;
};

/// Sorts into the order of `order`, "$patch: delete" elements last.
Result<List> InOrderOf(List list, const List& order, std::string_view key, bool objects);
/// Splits into elements that stand in `by` and elements that do not.
struct Parts {
  List patch;
  List server_only;
};
Result<Parts> Partition(const List& list, const List& by, std::string_view key, bool objects);
/// Weaves the two into one list as close to both orders as can be.
Result<List> NormalizeOrder(const Parts& parts, const List& patch_order, const List& server_order, std::string_view key,
                            bool objects);
/// Without elements that came before.
List Deduplicate(const List& list);
/// Sorted by a text of each, stably.
List SortByText(const List& list, const std::function<std::string(const doc::Value&)>& text);
/// Sorted by their own text.
List SortScalars(const List& list);

}  // namespace knarr::api::strategic
