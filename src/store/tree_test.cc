#include "store/tree.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "store/snapshot.h"

namespace knarr::store {
namespace {

using Model = std::map<std::string, Revision>;

ItemRef MakeItem(const std::string& key, Revision revision) {
  ItemRef item = ItemRef::Make(key);
  item->create_revision = item->mod_revision = revision;
  item->value = std::make_shared<const std::string>(std::to_string(revision));
  return item;
}

void ExpectSame(const Tree& tree, const Model& model) {
  ASSERT_TRUE(tree.Valid());
  ASSERT_EQ(tree.size(), model.size());
  auto expected = model.begin();
  for (Tree::Cursor cursor(tree, ""); cursor.item() != nullptr; cursor.Next(), ++expected) {
    ASSERT_EQ(cursor.item()->key(), expected->first);
    ASSERT_EQ(cursor.item()->mod_revision, expected->second);
  }
}

size_t ModelCount(const Model& model, const std::string& prefix) {
  size_t count = 0;
  for (const auto& [key, revision] : model) count += key.starts_with(prefix);
  return count;
}

TEST(Tree, BehavesAsAMapAndOldVersionsStayAsTheyWere) {
  for (uint32_t seed = 1; seed <= 20; seed++) {
    std::mt19937 random(seed);
    // Few keys make many overwrites, many keys make a deep tree.
    uint32_t keys = 10u << (seed % 10);
    Tree tree;
    Model model;
    std::vector<std::pair<Tree, Model>> versions;
    for (Revision revision = 1; revision <= 6000; revision++) {
      std::string key = "k/" + std::to_string(random() % keys);
      // Waves: the tree grows, then shrinks to nearly nothing.
      bool grow = (revision / 1500) % 2 == 0 ? random() % 4 != 0 : random() % 8 == 0;
      auto known = model.find(key);
      if (grow) {
        ItemRef old = tree.Put(MakeItem(key, revision));
        ASSERT_EQ(bool(old), known != model.end());
        if (old) {
          ASSERT_EQ(old->mod_revision, known->second);
        }
        model[key] = revision;
      } else {
        ItemRef old = tree.Erase(key);
        ASSERT_EQ(bool(old), known != model.end());
        if (old) model.erase(known);
      }
      if (revision % 500 == 0) {
        versions.emplace_back(tree, model);
        ExpectSame(tree, model);
      }
      Item* found = tree.Find(key);
      ASSERT_EQ(found != nullptr, grow);
    }
    for (const auto& [old_tree, old_model] : versions) ExpectSame(old_tree, old_model);
  }
}

TEST(Tree, ShrinksToNothing) {
  Tree tree;
  for (int i = 0; i < 5000; i++) tree.Put(MakeItem("a" + std::to_string(i), i + 1));
  Tree full = tree;
  for (int i = 4999; i >= 0; i--) {
    ASSERT_TRUE(tree.Erase("a" + std::to_string(i)));
    if (i % 97 == 0) {
      ASSERT_TRUE(tree.Valid());
    }
  }
  EXPECT_EQ(tree.size(), 0u);
  EXPECT_EQ(tree.Find("a1"), nullptr);
  EXPECT_EQ(tree.Rank("z"), 0u);
  EXPECT_FALSE(tree.Erase("a1"));
  EXPECT_EQ(full.size(), 5000u);
  EXPECT_TRUE(full.Valid());
}

TEST(Tree, CountsAndRanks) {
  std::mt19937 random(7);
  Tree tree;
  Model model;
  for (int i = 0; i < 3000; i++) {
    std::string key = "/registry/" + std::string(1, static_cast<char>('a' + random() % 5)) + "/" +
                      std::to_string(random() % 40) + "/" + std::to_string(random() % 100);
    tree.Put(MakeItem(key, i + 1));
    model[key] = i + 1;
  }
  for (std::string prefix :
       {"", "/", "/registry/a/", "/registry/a/1", "/registry/b/13/", "/registry/f/", "/z", "\xff"}) {
    EXPECT_EQ(tree.Count(prefix), ModelCount(model, prefix)) << prefix;
  }
  size_t rank = 0;
  for (const auto& [key, revision] : model) {
    ASSERT_EQ(tree.Rank(key), rank++);
    ASSERT_EQ(tree.Rank(key + '\0'), rank);
  }
}

TEST(Tree, PrefixEnd) {
  const std::pair<std::string, std::string> cases[] = {{"", ""},       {"a", "b"},       {"/x/", "/x0"},
                                                       {"a\xff", "b"}, {"\xff\xff", ""}, {"a\xff\xff", "b"}};
  for (const auto& [prefix, end] : cases) EXPECT_EQ(PrefixEnd(prefix), end) << prefix;
}

TEST(Snapshot, PagesOfARangeAreTheWholeRange) {
  Tree tree;
  Model model;
  std::mt19937 random(3);
  for (int i = 0; i < 700; i++) {
    std::string key = "/p/" + std::to_string(random() % 2000);
    tree.Put(MakeItem(key, i + 1));
    model[key] = i + 1;
  }
  tree.Put(MakeItem("/o/before", 1));
  tree.Put(MakeItem("/q/behind", 1));
  TreeSnapshot snapshot(tree, 700);
  for (size_t limit : {0, 1, 7, 100, 5000}) {
    std::vector<KeyValue> all;
    RangeOptions options{.start_after = "", .limit = limit};
    while (true) {
      RangeResult page = snapshot.Range("/p/", options);
      ASSERT_LE(page.items.size(), limit == 0 ? SIZE_MAX : limit);
      all.insert(all.end(), page.items.begin(), page.items.end());
      ASSERT_EQ(page.remaining, model.size() - all.size());
      ASSERT_EQ(page.more, page.remaining != 0);
      if (!page.more) break;
      options.start_after = page.items.back().key;
    }
    ASSERT_EQ(all.size(), model.size());
    auto expected = model.begin();
    for (const KeyValue& item : all) {
      ASSERT_EQ(item.key, expected->first);
      ASSERT_EQ(item.mod_revision, (expected++)->second);
    }
  }
}

TEST(Snapshot, StartAfterAKeyThatIsGoneOrElsewhere) {
  Tree tree;
  for (const char* key : {"/a/1", "/a/3", "/a/5", "/b/1"}) tree.Put(MakeItem(key, 1));
  TreeSnapshot snapshot(tree, 1);
  const struct {
    std::string prefix, after;
    std::vector<std::string> keys;
  } cases[] = {
      {"/a/", "", {"/a/1", "/a/3", "/a/5"}},
      {"/a/", "/a/2", {"/a/3", "/a/5"}},
      {"/a/", "/a/3", {"/a/5"}},
      {"/a/", "/a/5", {}},
      {"/a/", "/A", {"/a/1", "/a/3", "/a/5"}},
      {"/a/", "/zzz", {}},
      {"", "", {"/a/1", "/a/3", "/a/5", "/b/1"}},
      {"/c", "", {}},
  };
  for (const auto& test : cases) {
    std::vector<std::string> keys;
    for (const KeyValue& item : snapshot.Range(test.prefix, {.start_after = test.after}).items)
      keys.push_back(item.key);
    EXPECT_EQ(keys, test.keys) << test.prefix << " after " << test.after;
    std::vector<std::string> visited;
    snapshot.Visit(test.prefix, test.after, [&](std::string_view key, const Bytes&, Revision) {
      visited.emplace_back(key);
      return true;
    });
    EXPECT_EQ(visited, test.keys);
    visited.clear();
    snapshot.VisitEntries(test.prefix, test.after, [&](const Entry& entry) {
      visited.emplace_back(entry.key());
      return true;
    });
    EXPECT_EQ(visited, test.keys);
  }
}

TEST(SnapshotTest, EntriesCarryDigestsAndFacts) {
  struct Length : Facts {
    explicit Length(size_t size) : length(size) {}
    size_t length;
  };
  Tree tree;
  for (int i = 0; i < 1000; ++i) {
    ItemRef item = ItemRef::Make((i < 500 ? "a/" : "b/") + std::to_string(i));
    item->value = std::make_shared<const std::string>(std::string(static_cast<size_t>(i), 'x'));
    item->mod_revision = i + 1;
    if (i % 2 == 0) item->SetDigest({{uint64_t{1} << 63 | static_cast<uint64_t>(i), 0, 0, 7}});
    tree.Put(std::move(item));
  }
  const TreeSnapshot snapshot(tree, 1000);
  size_t seen = 0;
  snapshot.VisitEntries("a/", "", [&](const Entry& entry) {
    const size_t number = entry.value()->size();
    EXPECT_EQ(entry.key(), "a/" + std::to_string(number));
    EXPECT_EQ(entry.digest().known(), number % 2 == 0);
    if (!entry.digest().known()) entry.SetDigest({{9, 8, 7, 6}});
    EXPECT_EQ(entry.facts(), nullptr);
    EXPECT_EQ(static_cast<const Length&>(entry.SetFacts(std::make_unique<Length>(number))).length, number);
    // The first facts stay.
    EXPECT_EQ(static_cast<const Length&>(entry.SetFacts(std::make_unique<Length>(5))).length, number);
    return ++seen < 400;
  });
  EXPECT_EQ(seen, 400U);
  // A later version of the tree shares the items, and what is known of them.
  tree.Put(ItemRef::Make("a/0"));
  const TreeSnapshot later(tree, 1001);
  later.VisitEntries("a/1", "", [&](const Entry& entry) {
    EXPECT_EQ(entry.key(), "a/1");
    EXPECT_EQ(entry.digest(), (Digest{{9, 8, 7, 6}}));
    EXPECT_NE(entry.facts(), nullptr);
    return false;
  });
  std::vector<std::string> keys;
  later.VisitEntries("b/", "b/997", [&](const Entry& entry) {
    keys.emplace_back(entry.key());
    return true;
  });
  EXPECT_EQ(keys, (std::vector<std::string>{"b/998", "b/999"}));
}

}  // namespace
}  // namespace knarr::store
