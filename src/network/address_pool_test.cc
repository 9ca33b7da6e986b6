#include "network/address_pool.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace knarr::network {
namespace {

MonoTime At(int seconds) { return MonoTime(std::chrono::seconds(seconds)); }

AddressPool Pool(const char* cidr) {
  const Cidr network = MUST(Cidr::Parse(cidr));
  return MUST(AddressPool::Create(network, 60s));
}

TEST(AddressPool, GivesOutInTurn) {
  AddressPool pool = Pool("10.42.3.7/29");  // .0 network, .1 gateway, .2 to .6, .7 broadcast
  EXPECT_EQ(pool.gateway().ToString(), "10.42.3.1");
  EXPECT_EQ(pool.Allocate("a", At(0))->ToString(), "10.42.3.2");
  EXPECT_EQ(pool.Allocate("b", At(0))->ToString(), "10.42.3.3");
  EXPECT_EQ(pool.Allocate("a", At(0))->ToString(), "10.42.3.2");
  EXPECT_EQ(pool.Release("a", At(1))->ToString(), "10.42.3.2");
  EXPECT_FALSE(pool.Release("a", At(1)).has_value());
  EXPECT_EQ(pool.Allocate("c", At(2))->ToString(), "10.42.3.4");
  EXPECT_EQ(pool.Allocate("d", At(2))->ToString(), "10.42.3.5");
  EXPECT_EQ(pool.Allocate("e", At(2))->ToString(), "10.42.3.6");
  // Only one is left, and it still rests: better early than not at all.
  EXPECT_EQ(pool.Allocate("f", At(3))->ToString(), "10.42.3.2");
  const auto full = pool.Allocate("g", At(3));
  EXPECT_TRUE(full.Failed(Reason::kServiceUnavailable));
  EXPECT_EQ(full.status().message(), "no pod address is free in 10.42.3.0/29: all 5 are given out");
}

TEST(AddressPool, LetsAddressesRest) {
  AddressPool pool = Pool("10.0.0.0/29");
  for (const char* owner : {"a", "b", "c", "d"}) ASSERT_TRUE(pool.Allocate(owner, At(0)).ok());
  pool.Release("b", At(10));
  pool.Release("a", At(20));
  EXPECT_EQ(pool.Allocate("e", At(21))->ToString(), "10.0.0.6");
  EXPECT_EQ(pool.Allocate("f", At(75))->ToString(), "10.0.0.3");  // b's has rested a minute, a's has not
  EXPECT_EQ(pool.Allocate("g", At(76))->ToString(), "10.0.0.2");
}

TEST(AddressPool, TakesOverLeases) {
  AddressPool pool = Pool("10.0.0.0/24");
  EXPECT_TRUE(pool.Restore(MUST(IpAddress::Parse("10.0.0.9")), "x").ok());
  EXPECT_TRUE(pool.Restore(MUST(IpAddress::Parse("10.0.0.9")), "y").Failed(Reason::kConflict));
  EXPECT_TRUE(pool.Restore(MUST(IpAddress::Parse("10.0.0.8")), "x").Failed(Reason::kConflict));
  for (const char* bad : {"10.0.0.0", "10.0.0.1", "10.0.0.255", "10.0.1.5", "fd00::5"}) {
    EXPECT_TRUE(pool.Restore(MUST(IpAddress::Parse(bad)), "z").Failed(Reason::kConflict)) << bad;
  }
  EXPECT_EQ(pool.Allocate("x", At(0))->ToString(), "10.0.0.9");
  EXPECT_EQ(pool.Allocate("n", At(0))->ToString(), "10.0.0.10");
}

TEST(AddressPool, RefusesNetworks) {
  for (const char* cidr : {"10.0.0.0/30", "10.0.0.0/32", "0.0.0.0/0", "fd00::/64"}) {
    EXPECT_TRUE(AddressPool::Create(MUST(Cidr::Parse(cidr))).Failed(Reason::kBadRequest)) << cidr;
  }
}

// However pods come and go, no two hold one address, and an address is never refused while one is free.
TEST(AddressPool, NeverGivesOneTwice) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    std::mt19937 random(seed);
    AddressPool pool = Pool("10.1.0.0/27");
    std::map<std::string, std::string> held;
    for (int step = 0; step < 2000; ++step) {
      const std::string owner = "pod" + std::to_string(random() % 40);
      if (random() % 2 == 0) {
        const auto address = pool.Allocate(owner, At(step));
        if (!address.ok()) {
          ASSERT_EQ(held.size(), 29u);
          continue;
        }
        if (held.contains(owner)) {
          ASSERT_EQ(held[owner], address->ToString());
        }
        held[owner] = address->ToString();
      } else if (const auto released = pool.Release(owner, At(step))) {
        ASSERT_EQ(held[owner], released->ToString());
        held.erase(owner);
      }
      std::set<std::string> distinct;
      for (const auto& [pod, address] : held) distinct.insert(address);
      ASSERT_EQ(distinct.size(), held.size());
    }
  }
}

}  // namespace
}  // namespace knarr::network
