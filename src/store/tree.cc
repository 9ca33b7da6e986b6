#include "store/tree.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/check.h"

namespace knarr::store {

KeyValue Item::ToKeyValue() const { return {std::string(key()), value, create_revision, mod_revision}; }

Digest Item::digest() const {
  Digest out;
  // The first word is written last: when it is there, all are.
  out.words[0] = digest_[0].load(std::memory_order_acquire);
  if (!out.known()) return out;
  for (size_t i = 1; i < out.words.size(); i++) out.words[i] = digest_[i].load(std::memory_order_relaxed);
  return out;
}

void Item::SetDigest(const Digest& digest) const {
  for (size_t i = 1; i < digest.words.size(); i++) digest_[i].store(digest.words[i], std::memory_order_relaxed);
  digest_[0].store(digest.words[0], std::memory_order_release);
}

const Facts& Item::SetFacts(std::unique_ptr<const Facts> facts) const {
  const Facts* present = nullptr;
  if (facts_.compare_exchange_strong(present, facts.get(), std::memory_order_acq_rel)) return *facts.release();
  return *present;
}

std::string_view Entry::key() const { return item_.key(); }
const Bytes& Entry::value() const { return item_.value; }
Revision Entry::mod_revision() const { return item_.mod_revision; }
Digest Entry::digest() const { return item_.digest(); }
void Entry::SetDigest(const Digest& digest) const { item_.SetDigest(digest); }
const Facts* Entry::facts() const { return item_.facts(); }
const Facts& Entry::SetFacts(std::unique_ptr<const Facts> facts) const { return item_.SetFacts(std::move(facts)); }

ItemRef ItemRef::Make(std::string_view key) {
  void* memory = ::operator new(sizeof(Item) + key.size());
  Item* item = new (memory) Item();
  item->key_size_ = static_cast<uint32_t>(key.size());
  std::memcpy(reinterpret_cast<char*>(item + 1), key.data(), key.size());
  return ItemRef(item);
}

void ItemRef::Release(Item* item) {
  if (item == nullptr || item->refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  item->~Item();
  ::operator delete(item);
}

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

// 32 wide: a leaf is 272 bytes, half a million keys are four levels, and a change clones about 1.5 KB at worst.
constexpr uint32_t kWidth = 32;
constexpr uint32_t kJoinBelow = kWidth / 4;
constexpr uint32_t kJoinUpTo = kWidth * 3 / 4;

struct Tree::Node {
  std::atomic<uint32_t> refs{1};
  uint16_t n = 0;
  bool leaf = false;
};

struct Tree::Leaf : Node {
  Item* items[kWidth];
  Leaf() { leaf = true; }

  uint32_t LowerBound(std::string_view key) const {
    return static_cast<uint32_t>(
        std::lower_bound(items, items + n, key, [](const Item* a, std::string_view b) { return a->key() < b; }) -
        items);
  }
  void Insert(uint32_t at, Item* item) {
    std::memmove(items + at + 1, items + at, (n - at) * sizeof(items[0]));
    items[at] = item;
    n++;
  }
  void Remove(uint32_t at) {
    n--;
    std::memmove(items + at, items + at + 1, (n - at) * sizeof(items[0]));
  }
};

struct Tree::Inner : Node {
  Node* children[kWidth];
  const Item* first[kWidth];  ///< the least item below each child, which owns it
  size_t sizes[kWidth];       ///< items below each child

  /// The child under which the key stands or would stand.
  uint32_t ChildFor(std::string_view key) const {
    auto up =
        std::upper_bound(first + 1, first + n, key, [](std::string_view a, const Item* b) { return a < b->key(); });
    return static_cast<uint32_t>(up - first) - 1;
  }
  void Insert(uint32_t at, Node* child) {
    std::memmove(children + at + 1, children + at, (n - at) * sizeof(children[0]));
    std::memmove(first + at + 1, first + at, (n - at) * sizeof(first[0]));
    std::memmove(sizes + at + 1, sizes + at, (n - at) * sizeof(sizes[0]));
    children[at] = child;
    n++;
    Refresh(at);
  }
  void Remove(uint32_t at) {
    n--;
    std::memmove(children + at, children + at + 1, (n - at) * sizeof(children[0]));
    std::memmove(first + at, first + at + 1, (n - at) * sizeof(first[0]));
    std::memmove(sizes + at, sizes + at + 1, (n - at) * sizeof(sizes[0]));
  }
  void Refresh(uint32_t at);
  size_t Size() const {
    size_t sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += sizes[i];
    return sum;
  }
};

void Tree::Inner::Refresh(uint32_t at) {
  const Node* child = children[at];
  if (child->leaf) {
    first[at] = static_cast<const Leaf*>(child)->items[0];
    sizes[at] = child->n;
  } else {
    auto* inner = static_cast<const Inner*>(child);
    first[at] = inner->first[0];
    sizes[at] = inner->Size();
  }
}

Tree::Tree(const Tree& other) : root_(other.root_) {
  if (root_ != nullptr) root_->refs.fetch_add(1, std::memory_order_relaxed);
}

Tree::~Tree() {
  if (root_ != nullptr) Unref(root_);
}

void Tree::Unref(Node* node) {
  if (node->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (node->leaf) {
    auto* leaf = static_cast<Leaf*>(node);
    for (uint32_t i = 0; i < leaf->n; i++) ItemRef::Release(leaf->items[i]);
    delete leaf;
  } else {
    auto* inner = static_cast<Inner*>(node);
    for (uint32_t i = 0; i < inner->n; i++) Unref(inner->children[i]);
    delete inner;
  }
}

Tree::Node* Tree::Clone(const Node* node) {
  if (node->leaf) {
    auto* from = static_cast<const Leaf*>(node);
    auto* to = new Leaf();
    to->n = from->n;
    for (uint32_t i = 0; i < from->n; i++) to->items[i] = ItemRef::Retain(from->items[i]);
    return to;
  }
  auto* from = static_cast<const Inner*>(node);
  auto* to = new Inner();
  to->n = from->n;
  std::memcpy(to->first, from->first, from->n * sizeof(from->first[0]));
  std::memcpy(to->sizes, from->sizes, from->n * sizeof(from->sizes[0]));
  for (uint32_t i = 0; i < from->n; i++) {
    to->children[i] = from->children[i];
    to->children[i]->refs.fetch_add(1, std::memory_order_relaxed);
  }
  return to;
}

void Tree::MakeOwn(Node** slot) {
  // A count of one means that only this slot leads here, and the way to this slot is our own already.
  if ((*slot)->refs.load(std::memory_order_acquire) == 1) return;
  Node* own = Clone(*slot);
  Unref(std::exchange(*slot, own));
}

size_t Tree::size() const {
  if (root_ == nullptr) return 0;
  return root_->leaf ? root_->n : static_cast<const Inner*>(root_)->Size();
}

Item* Tree::Find(std::string_view key) const {
  const Node* node = root_;
  if (node == nullptr) return nullptr;
  while (!node->leaf) {
    auto* inner = static_cast<const Inner*>(node);
    node = inner->children[inner->ChildFor(key)];
  }
  auto* leaf = static_cast<const Leaf*>(node);
  uint32_t at = leaf->LowerBound(key);
  return at < leaf->n && leaf->items[at]->key() == key ? leaf->items[at] : nullptr;
}

ItemRef Tree::Put(ItemRef item) {
  ItemRef old;
  if (root_ == nullptr) root_ = new Leaf();
  if (Node* right = PutInto(&root_, &item, &old)) {
    auto* up = new Inner();
    up->Insert(0, root_);
    up->Insert(1, right);
    root_ = up;
  }
  return old;
}

Tree::Node* Tree::PutIntoLeaf(Leaf* leaf, ItemRef* item, ItemRef* old) {
  uint32_t at = leaf->LowerBound((*item)->key());
  if (at < leaf->n && leaf->items[at]->key() == (*item)->key()) {
    *old = ItemRef::Adopt(std::exchange(leaf->items[at], item->Detach()));
    return nullptr;
  }
  if (leaf->n < kWidth) {
    leaf->Insert(at, item->Detach());
    return nullptr;
  }
  auto* right = new Leaf();
  // Keys that come in order fill their leaves.
  uint32_t keep = at == kWidth ? kWidth : kWidth / 2;
  right->n = static_cast<uint16_t>(kWidth - keep);
  std::memcpy(right->items, leaf->items + keep, right->n * sizeof(leaf->items[0]));
  leaf->n = static_cast<uint16_t>(keep);
  if (at > keep || keep == kWidth) {
    right->Insert(at - keep, item->Detach());
  } else {
    leaf->Insert(at, item->Detach());
  }
  return right;
}

Tree::Node* Tree::PutInto(Node** slot, ItemRef* item, ItemRef* old) {
  MakeOwn(slot);
  if ((*slot)->leaf) return PutIntoLeaf(static_cast<Leaf*>(*slot), item, old);
  auto* inner = static_cast<Inner*>(*slot);
  uint32_t at = inner->ChildFor((*item)->key());
  Node* grown = PutInto(&inner->children[at], item, old);
  inner->Refresh(at);
  if (grown == nullptr) return nullptr;
  at++;
  if (inner->n < kWidth) {
    inner->Insert(at, grown);
    return nullptr;
  }
  auto* right = new Inner();
  uint32_t keep = at == kWidth ? kWidth : kWidth / 2;
  right->n = static_cast<uint16_t>(kWidth - keep);
  std::memcpy(right->children, inner->children + keep, right->n * sizeof(inner->children[0]));
  std::memcpy(right->first, inner->first + keep, right->n * sizeof(inner->first[0]));
  std::memcpy(right->sizes, inner->sizes + keep, right->n * sizeof(inner->sizes[0]));
  inner->n = static_cast<uint16_t>(keep);
  if (at > keep || keep == kWidth) {
    right->Insert(at - keep, grown);
  } else {
    inner->Insert(at, grown);
  }
  return right;
}

ItemRef Tree::Erase(std::string_view key) {
  ItemRef old;
  if (Find(key) == nullptr) return old;
  // The caller's key may be that of the item about to go.
  std::string own_key(key);
  EraseFrom(&root_, own_key, &old);
  while (!root_->leaf && root_->n == 1) {
    Node* child = static_cast<Inner*>(root_)->children[0];
    child->refs.fetch_add(1, std::memory_order_relaxed);
    Unref(std::exchange(root_, child));
  }
  if (root_->n == 0) Unref(std::exchange(root_, nullptr));
  return old;
}

void Tree::EraseFrom(Node** slot, std::string_view key, ItemRef* old) {
  MakeOwn(slot);
  if ((*slot)->leaf) {
    auto* leaf = static_cast<Leaf*>(*slot);
    uint32_t at = leaf->LowerBound(key);
    *old = ItemRef::Adopt(leaf->items[at]);
    leaf->Remove(at);
    return;
  }
  auto* inner = static_cast<Inner*>(*slot);
  uint32_t at = inner->ChildFor(key);
  EraseFrom(&inner->children[at], key, old);
  if (inner->children[at]->n == 0) {
    Unref(inner->children[at]);
    inner->Remove(at);
    return;
  }
  inner->Refresh(at);
  if (inner->children[at]->n < kJoinBelow && inner->n > 1) Rejoin(inner, at == 0 ? 0 : at - 1);
}

/// Makes one child of the children `index` and `index + 1` when they fit together comfortably.
void Tree::Rejoin(Inner* inner, uint32_t index) {
  if (inner->children[index]->n + inner->children[index + 1]->n > static_cast<int>(kJoinUpTo)) return;
  MakeOwn(&inner->children[index]);
  Node* left = inner->children[index];
  Node* right = inner->children[index + 1];
  if (left->leaf) {
    auto* to = static_cast<Leaf*>(left);
    auto* from = static_cast<const Leaf*>(right);
    for (uint32_t i = 0; i < from->n; i++) to->items[to->n++] = ItemRef::Retain(from->items[i]);
  } else {
    auto* to = static_cast<Inner*>(left);
    auto* from = static_cast<const Inner*>(right);
    for (uint32_t i = 0; i < from->n; i++) {
      from->children[i]->refs.fetch_add(1, std::memory_order_relaxed);
      to->children[to->n] = from->children[i];
      to->first[to->n] = from->first[i];
      to->sizes[to->n++] = from->sizes[i];
    }
  }
  inner->Remove(index + 1);
  inner->Refresh(index);
  Unref(right);
}

size_t Tree::Rank(std::string_view key) const {
  const Node* node = root_;
  if (node == nullptr) return 0;
  size_t rank = 0;
  while (!node->leaf) {
    auto* inner = static_cast<const Inner*>(node);
    uint32_t at = inner->ChildFor(key);
    for (uint32_t i = 0; i < at; i++) rank += inner->sizes[i];
    node = inner->children[at];
  }
  return rank + static_cast<const Leaf*>(node)->LowerBound(key);
}

size_t Tree::Count(std::string_view prefix) const {
  if (prefix.empty()) return size();
  std::string end = PrefixEnd(prefix);
  return (end.empty() ? size() : Rank(end)) - Rank(prefix);
}

Tree::Cursor::Cursor(const Tree& tree, std::string_view key) {
  const Node* node = tree.root_;
  if (node == nullptr) return;
  while (!node->leaf) {
    auto* inner = static_cast<const Inner*>(node);
    uint32_t at = inner->ChildFor(key);
    CHECK(depth_ + 1 < kDepthMax);
    path_[depth_++] = {inner, at};
    node = inner->children[at];
  }
  auto* leaf = static_cast<const Leaf*>(node);
  path_[depth_++] = {leaf, leaf->LowerBound(key)};
  Settle();
}

void Tree::Cursor::Next() {
  path_[depth_ - 1].index++;
  Settle();
}

/// Moves on to the next leaf while the present one is used up, and sets item_.
void Tree::Cursor::Settle() {
  auto* leaf = static_cast<const Leaf*>(path_[depth_ - 1].node);
  if (path_[depth_ - 1].index < leaf->n) {
    item_ = leaf->items[path_[depth_ - 1].index];
    return;
  }
  size_t up = depth_ - 1;
  while (up > 0) {
    Step& step = path_[up - 1];
    if (step.index + 1 < static_cast<const Inner*>(step.node)->n) break;
    up--;
  }
  if (up == 0) {
    item_ = nullptr;
    return;
  }
  path_[up - 1].index++;
  for (size_t i = up; i < depth_; i++) {
    path_[i] = {static_cast<const Inner*>(path_[i - 1].node)->children[path_[i - 1].index], 0};
  }
  leaf = static_cast<const Leaf*>(path_[depth_ - 1].node);
  // Items lie all over the memory: asked for together, they come in the time of a few.
  for (uint32_t i = 1; i < leaf->n; i++) __builtin_prefetch(leaf->items[i]);
  item_ = leaf->items[0];
}

bool Tree::Valid() const {
  if (root_ == nullptr) return true;
  size_t leaf_depth = 0;
  size_t count = ValidNode(root_, true, 1, &leaf_depth);
  if (count != size()) return false;
  size_t seen = 0;
  const Item* before = nullptr;
  for (Cursor cursor(*this, ""); cursor.item() != nullptr; cursor.Next(), seen++) {
    if (before != nullptr && before->key() >= cursor.item()->key()) return false;
    before = cursor.item();
  }
  return seen == count;
}

/// The number of items below; SIZE_MAX when something is wrong.
size_t Tree::ValidNode(const Node* node, bool is_root, size_t depth, size_t* leaf_depth) {
  constexpr size_t kWrong = SIZE_MAX;
  if (node->n == 0 || node->n > kWidth) return kWrong;
  if (node->leaf) {
    if (*leaf_depth == 0) *leaf_depth = depth;
    return *leaf_depth == depth ? node->n : kWrong;
  }
  if (is_root && node->n < 2) return kWrong;
  auto* inner = static_cast<const Inner*>(node);
  size_t sum = 0;
  for (uint32_t i = 0; i < inner->n; i++) {
    size_t below = ValidNode(inner->children[i], false, depth + 1, leaf_depth);
    const Node* child = inner->children[i];
    const Item* first =
        child->leaf ? static_cast<const Leaf*>(child)->items[0] : static_cast<const Inner*>(child)->first[0];
    if (below == kWrong || below != inner->sizes[i] || first != inner->first[i]) return kWrong;
    sum += below;
  }
  return sum;
}

}  // namespace knarr::store
