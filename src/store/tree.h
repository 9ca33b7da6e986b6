#pragma once

// The ordered map under every snapshot: a B+tree whose nodes are reference-counted and shared between versions.
//
// Copying a Tree is one increment. Changing a copy clones only the nodes on the way down that another version still
// holds (count above one) and writes the others in place, so a run of changes between two copies costs no more than in
// a plain B+tree. A version that nobody changes any more may be read by any thread: reading touches no count.
//
// Nodes keep their subtree's size, so Count and Rank take O(log n). An inner node steers by the first item of each
// child, which the child itself keeps alive: no separator outlives its key.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "store/store.h"

namespace knarr::store {

/// One key at one revision. Immutable once it is in a tree; shared by trees and history.
class Item {
  // In front, so that a filter over digests touches one line of each item.
  mutable std::atomic<uint64_t> digest_[4] = {};
  mutable std::atomic<const Facts*> facts_{nullptr};

 public:
  Revision create_revision = 0;
  Revision mod_revision = 0;
  int64_t row = 0;  ///< its record in the log on disk
  Bytes value;      ///< null in the record of a delete, which stands in no tree

  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_size_}; }
  KeyValue ToKeyValue() const;

  Digest digest() const;
  void SetDigest(const Digest& digest) const;
  const Facts* facts() const { return facts_.load(std::memory_order_acquire); }
  const Facts& SetFacts(std::unique_ptr<const Facts> facts) const;

 private:
  friend class ItemRef;
  Item() = default;
  ~Item() { delete facts_.load(std::memory_order_acquire); }
  mutable std::atomic<uint32_t> refs_{1};
  uint32_t key_size_ = 0;
};

/// A counted reference to an Item; may be empty.
class ItemRef {
 public:
  ItemRef() = default;
  static ItemRef Make(std::string_view key);
  ItemRef(const ItemRef& other) : item_(Retain(other.item_)) {}
  ItemRef(ItemRef&& other) noexcept : item_(std::exchange(other.item_, nullptr)) {}
  ItemRef& operator=(ItemRef other) noexcept {
    std::swap(item_, other.item_);
    return *this;
  }
  ~ItemRef() { Release(item_); }

  Item* operator->() const { return item_; }
  Item& operator*() const { return *item_; }
  Item* get() const { return item_; }
  explicit operator bool() const { return item_ != nullptr; }

  /// For the tree's nodes, which hold bare pointers that own a count.
  Item* Detach() { return std::exchange(item_, nullptr); }
  static ItemRef Adopt(Item* item) { return ItemRef(item); }
  static Item* Retain(Item* item) {
    if (item != nullptr) item->refs_.fetch_add(1, std::memory_order_relaxed);
    return item;
  }
  static void Release(Item* item);

 private:
  explicit ItemRef(Item* item) : item_(item) {}
  Item* item_ = nullptr;
};

/// The first key behind every key that begins with `prefix`; "" when there is none (only 0xff bytes).
std::string PrefixEnd(std::string_view prefix);

class Tree {
 public:
  Tree() = default;
  Tree(const Tree& other);
  Tree(Tree&& other) noexcept : root_(std::exchange(other.root_, nullptr)) {}
  Tree& operator=(Tree other) noexcept {
    std::swap(root_, other.root_);
    return *this;
  }
  ~Tree();

  size_t size() const;
  /// nullptr when there is none. Valid as long as this tree holds the key unchanged.
  Item* Find(std::string_view key) const;
  /// Sets the item's key to it; the one it replaces, if any.
  ItemRef Put(ItemRef item);
  /// The removed item; empty when there was none.
  ItemRef Erase(std::string_view key);
  /// How many keys are less than `key`.
  size_t Rank(std::string_view key) const;
  size_t Count(std::string_view prefix) const;
  /// Checks every invariant of the structure; for tests.
  bool Valid() const;

  /// Walks up from a key. Valid as long as the tree is neither changed nor gone.
  class Cursor {
   public:
    /// At the first key not less than `key`.
    Cursor(const Tree& tree, std::string_view key);
    Item* item() const { return item_; }  ///< nullptr behind the last
    void Next();

   private:
    static constexpr size_t kDepthMax = 12;
    void Settle();
    struct Step {
      const void* node;
      uint32_t index;
    };
    Step path_[kDepthMax];
    size_t depth_ = 0;
    Item* item_ = nullptr;
  };

 private:
  struct Node;
  struct Leaf;
  struct Inner;
  static Node* Clone(const Node* node);
  static void Unref(Node* node);
  static void MakeOwn(Node** slot);
  static Node* PutInto(Node** slot, ItemRef* item, ItemRef* old);
  static Node* PutIntoLeaf(Leaf* leaf, ItemRef* item, ItemRef* old);
  static void EraseFrom(Node** slot, std::string_view key, ItemRef* old);
  static void Rejoin(Inner* inner, uint32_t index);
  static size_t ValidNode(const Node* node, bool is_root, size_t depth, size_t* leaf_depth);
  Node* root_ = nullptr;
};

}  // namespace knarr::store
