#include "doc/value.h"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "doc/members.h"

namespace knarr::doc {
namespace {

constexpr size_t kBlockMin = 1024;
constexpr size_t kBlockMax = size_t{1} << 20;

const Value kNull;

}  // namespace

struct Arena::Block {
  Block* next;
  size_t size;  // of the bytes that follow
  char* bytes() { return reinterpret_cast<char*>(this + 1); }
};

Arena::Arena(size_t first_block) {
  if (first_block == 0) return;
  first_block = (first_block + 7) & ~size_t{7};
  blocks_ = new (::operator new(sizeof(Block) + first_block)) Block{nullptr, first_block};
  next_ = blocks_->bytes();
  left_ = reserved_ = first_block;
}

Arena::Arena(Arena&& other) noexcept
    : next_(std::exchange(other.next_, nullptr)),
      left_(std::exchange(other.left_, 0)),
      blocks_(std::exchange(other.blocks_, nullptr)),
      reserved_(std::exchange(other.reserved_, 0)) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  Arena old(std::move(*this));
  next_ = std::exchange(other.next_, nullptr);
  left_ = std::exchange(other.left_, 0);
  blocks_ = std::exchange(other.blocks_, nullptr);
  reserved_ = std::exchange(other.reserved_, 0);
  return *this;
}

Arena::~Arena() {
  while (blocks_ != nullptr) ::operator delete(std::exchange(blocks_, blocks_->next));
}

void* Arena::AllocateSlow(size_t size) {
  CHECK(size <= SIZE_MAX / 2);
  const size_t regular = std::clamp(reserved_, kBlockMin, kBlockMax);
  // What is large for a block gets one of its own, so that the rest of the current block is not thrown away.
  const bool own_block = size > regular / 4 && left_ > 0;
  const size_t block_size = own_block ? size : std::max(size, regular);
  auto* block = new (::operator new(sizeof(Block) + block_size)) Block{blocks_, block_size};
  blocks_ = block;
  reserved_ += block_size;
  if (!own_block) {
    next_ = block->bytes() + size;
    left_ = block_size - size;
  }
  return block->bytes();
}

std::string_view Arena::Copy(std::string_view text) {
  if (text.empty()) return {"", 0};
  auto* copy = static_cast<char*>(Allocate(text.size()));
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

Value Value::ArrayOf(Arena& arena, std::span<const Value> items) {
  Value out = Array();
  if (items.empty()) return out;
  CHECK(items.size() < UINT32_MAX);
  out.items_ = static_cast<Value*>(arena.Allocate(items.size_bytes()));
  std::uninitialized_copy(items.begin(), items.end(), out.items_);
  out.size_ = static_cast<uint32_t>(items.size());
  out.capacity_log2_ = static_cast<uint8_t>(std::bit_width(items.size()) - 1);
  return out;
}

Value Value::ObjectOf(Arena& arena, std::span<const Member> members) {
  Value out = Object();
  if (members.empty()) return out;
  CHECK(members.size() < UINT32_MAX);
  out.members_ = static_cast<Member*>(arena.Allocate(members.size_bytes()));
  std::uninitialized_copy(members.begin(), members.end(), out.members_);
  out.size_ = static_cast<uint32_t>(members.size());
  out.capacity_log2_ = static_cast<uint8_t>(std::bit_width(members.size()) - 1);
  return out;
}

// Makes room for one more element. The old elements stay behind in the arena.
void Value::Grow(Arena& arena, size_t element_size) {
  if (int_ != 0 && size_ < (uint32_t{1} << capacity_log2_)) return;
  CHECK(size_ < UINT32_MAX / 4);
  const auto log2 = static_cast<uint8_t>(std::max(2, static_cast<int>(std::bit_width(size_))));
  void* grown = arena.Allocate(element_size << log2);
  if (size_ > 0) std::memcpy(grown, items_, element_size * size_);
  if (is_array()) {
    items_ = static_cast<Value*>(grown);
  } else {
    members_ = static_cast<Member*>(grown);
  }
  capacity_log2_ = log2;
}

Value& Value::Append(Arena& arena, Value element) {
  if (is_null()) *this = Array();
  CHECK(is_array());
  Grow(arena, sizeof(Value));
  return *new (&items_[size_++]) Value(element);
}

void Value::Reserve(Arena& arena, size_t count) {
  if (is_null()) *this = Object();
  if ((!is_array() && !is_object()) || (int_ != 0 && count <= (size_t{1} << capacity_log2_))) return;
  CHECK(count < UINT32_MAX / 4);
  const size_t element_size = is_array() ? sizeof(Value) : sizeof(Member);
  const auto log2 = static_cast<uint8_t>(std::bit_width(std::max<size_t>({count, size_, 4}) - 1));
  void* room = arena.Allocate(element_size << log2);
  if (size_ > 0) std::memcpy(room, items_, element_size * size_);
  if (is_array()) {
    items_ = static_cast<Value*>(room);
  } else {
    members_ = static_cast<Member*>(room);
  }
  capacity_log2_ = log2;
}

void Value::Erase(size_t index) {
  CHECK(is_array() && index < size_);
  std::copy(items_ + index + 1, items_ + size_, items_ + index);
  --size_;
}

void Value::Insert(Arena& arena, size_t index, Value element) {
  if (is_null()) *this = Array();
  CHECK(is_array() && index <= size_);
  Append(arena, element);
  std::rotate(items_ + index, items_ + size_ - 1, items_ + size_);
}

const Value* Value::Find(std::string_view key) const {
  for (const Member& member : members()) {
    // Most keys of the same length begin otherwise: no call of memcmp to find that out.
    if (member.key.size() != key.size() || (!key.empty() && member.key.front() != key.front())) continue;
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

Value* Value::Find(std::string_view key) { return const_cast<Value*>(std::as_const(*this).Find(key)); }

const Value& Value::At(std::string_view key) const {
  const Value* found = Find(key);
  return found != nullptr ? *found : kNull;
}

Value& Value::Set(Arena& arena, std::string_view key, Value value) {
  if (Value* found = Find(key)) return *found = value;
  return AddMember(arena, key, value);
}

Value& Value::AddMember(Arena& arena, std::string_view key, Value value) {
  if (is_null()) *this = Object();
  CHECK(is_object());
  Grow(arena, sizeof(Member));
  return (new (&members_[size_++]) Member{key, value})->value;
}

Value& Value::Ensure(Arena& arena, std::string_view key) {
  if (Value* found = Find(key)) return *found;
  return AddMember(arena, key, Null());
}

bool Value::Remove(std::string_view key) {
  Value* found = Find(key);
  if (found == nullptr) return false;
  for (size_t i = 0; i < size_; ++i) {
    if (&members_[i].value != found) continue;
    std::copy(members_ + i + 1, members_ + size_, members_ + i);
    break;
  }
  --size_;
  return true;
}

Value Value::Clone(Arena& arena) const {
  switch (kind_) {
    case Kind::kString:
      return String(arena, AsString());
    case Kind::kArray: {
      Value out = ArrayOf(arena, items());
      for (Value& item : out.items()) item = item.Clone(arena);
      return out;
    }
    case Kind::kObject: {
      Value out = ObjectOf(arena, members());
      for (Member& member : out.members()) member = {arena.Copy(member.key), member.value.Clone(arena)};
      return out;
    }
    default:
      return *this;
  }
}

bool Value::Equals(const Value& other) const {
  if (is_number() && other.is_number()) {
    return is_int() && other.is_int() ? int_ == other.int_ : AsDouble() == other.AsDouble();
  }
  if (kind_ != other.kind_) return false;
  switch (kind_) {
    case Kind::kBool:
      return int_ == other.int_;
    case Kind::kString:
      return AsString() == other.AsString();
    case Kind::kArray:
      return std::ranges::equal(items(), other.items(), [](const Value& a, const Value& b) { return a.Equals(b); });
    case Kind::kObject:
      break;
    default:
      return true;
  }
  if (size_ != other.size_) return false;
  // Members mostly stand in the same order.
  size_t same = 0;
  for (; same < size_ && other.members_[same].key == members_[same].key; ++same) {
    if (!members_[same].value.Equals(other.members_[same].value)) return false;
  }
  if (same == size_) return true;
  const MemberIndex theirs(other, size_ - same);
  return std::ranges::all_of(members().subspan(same), [&](const Member& mine) {
    const Value* value = theirs.Find(mine.key);
    return value != nullptr && mine.value.Equals(*value);
  });
}

bool Value::FitsDepth(int levels) const {
  if (!is_array() && !is_object()) return true;
  if (levels <= 0) return false;
  return std::ranges::all_of(items(), [&](const Value& item) { return item.FitsDepth(levels - 1); }) &&
         std::ranges::all_of(members(), [&](const Member& member) { return member.value.FitsDepth(levels - 1); });
}

void Value::SortMembers() {
  for (Value& item : items()) item.SortMembers();
  for (Member& member : members()) member.value.SortMembers();
  std::ranges::sort(members(), {}, &Member::key);
}

Document Document::Copy(const Value& value) {
  Document out;
  out.root = value.Clone(out.arena);
  return out;
}

}  // namespace knarr::doc
