#include "store/snapshot.h"

#include <algorithm>

namespace knarr::store {

std::optional<KeyValue> TreeSnapshot::Get(std::string_view key) const {
  Item* item = tree_.Find(key);
  if (item == nullptr) return std::nullopt;
  return item->ToKeyValue();
}

Tree::Cursor TreeSnapshot::Begin(std::string_view prefix, std::string_view start_after) const {
  if (start_after < prefix) return Tree::Cursor(tree_, prefix);
  Tree::Cursor cursor(tree_, start_after);
  if (cursor.item() != nullptr && !start_after.empty() && cursor.item()->key() == start_after) cursor.Next();
  return cursor;
}

RangeResult TreeSnapshot::Range(std::string_view prefix, const RangeOptions& options) const {
  RangeResult result;
  size_t total = tree_.Count(prefix);
  result.items.reserve(options.limit == 0 ? total : std::min(options.limit, total));
  auto cursor = Begin(prefix, options.start_after);
  for (; cursor.item() != nullptr && cursor.item()->key().starts_with(prefix); cursor.Next()) {
    if (options.limit != 0 && result.items.size() == options.limit) {
      std::string end = PrefixEnd(prefix);
      result.more = true;
      result.remaining = (end.empty() ? tree_.size() : tree_.Rank(end)) - tree_.Rank(cursor.item()->key());
      break;
    }
    result.items.push_back(cursor.item()->ToKeyValue());
  }
  return result;
}

void TreeSnapshot::Visit(
    std::string_view prefix, std::string_view start_after,
    const std::function<bool(std::string_view key, const Bytes& value, Revision mod)>& visit) const {
  auto cursor = Begin(prefix, start_after);
  for (; cursor.item() != nullptr && cursor.item()->key().starts_with(prefix); cursor.Next()) {
    const Item& item = *cursor.item();
    if (!visit(item.key(), item.value, item.mod_revision)) return;
  }
}

void TreeSnapshot::VisitEntries(std::string_view prefix, std::string_view start_after,
                                const std::function<bool(const Entry& entry)>& visit) const {
  // The end is found once: to compare each key's prefix would touch every item's key.
  const std::string behind = PrefixEnd(prefix);
  if (!behind.empty() && start_after >= behind) return;
  const Item* end = behind.empty() ? nullptr : Tree::Cursor(tree_, behind).item();
  for (auto cursor = Begin(prefix, start_after); cursor.item() != end; cursor.Next()) {
    if (!visit(Entry(*cursor.item()))) return;
  }
}

}  // namespace knarr::store
