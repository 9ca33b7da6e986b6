#include "store/etcd/messages.h"

#include <gtest/gtest.h>

#include "store/etcd/envelope.h"

namespace knarr::store::etcd {
namespace {

std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    out.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return out;
}

std::string Bytes(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

// As protoc's own coder has them.
TEST(EtcdMessages, RequestsAreEtcds) {
  EXPECT_EQ(Hex(Encode(RangeRequest{.key = "a", .end = "b", .limit = 5, .revision = 300, .keys_only = true})),
            "0a016112016218052"
            "0ac024001");
  EXPECT_EQ(Hex(Encode(WatchRequest{"a", "b", 7})),
            "0a0c0a016112016218072001"
            "4001");
  TxnRequest txn;
  txn.comparisons.push_back({"k", 9});
  txn.then.push_back({Operation::Kind::kPut, "k", "v", 3});
  txn.then.push_back({Operation::Kind::kDelete, "d", {}, 0});
  txn.otherwise.push_back({Operation::Kind::kLook, "k", {}, 0});
  EXPECT_EQ(Hex(Encode(txn)),
            "0a0710021a016b3009"
            "120a12080a016b1201761803"
            "12051a030a0164"
            "1a070a050a016b4001");
  EXPECT_EQ(Hex(EncodeAuthenticate("u", "p")), "0a0175120170");
}

TEST(EtcdMessages, AnswersAreRead) {
  // header {cluster 1, member 2, revision 3}, kvs {key a, create 1, mod 2, version 1, value v}, more, count 7
  const RangeResponse range =
      MUST(DecodeRange(Bytes("0a06080110021803"
                             "120c0a0161100118022001"
                             "2a0176"
                             "18012007")));
  EXPECT_EQ(range.header.cluster, 1u);
  EXPECT_EQ(range.header.revision, 3);
  ASSERT_EQ(range.items.size(), 1u);
  EXPECT_EQ(range.items[0].key, "a");
  EXPECT_EQ(range.items[0].value, "v");
  EXPECT_EQ(range.items[0].mod_revision, 2);
  EXPECT_TRUE(range.more);
  // succeeded absent; one range answer without a key, one with
  const TxnResponse txn =
      MUST(DecodeTxn(Bytes("0a021809"
                           "1a020a00"
                           "1a090a0712050a01611805")));
  EXPECT_FALSE(txn.succeeded);
  ASSERT_EQ(txn.found.size(), 2u);
  EXPECT_EQ(txn.found[0].mod_revision, 0);
  EXPECT_EQ(txn.found[1].mod_revision, 5);
  // a put and a delete
  const WatchResponse watch = MUST(DecodeWatch(Bytes("0a0218095a0a12080a016118092a01765a09080112050a01621809")));
  ASSERT_EQ(watch.events.size(), 2u);
  EXPECT_TRUE(watch.events[0].put);
  EXPECT_EQ(watch.events[0].item.value, "v");
  EXPECT_FALSE(watch.events[1].put);
}

TEST(EtcdMessages, WhatIsNoneIsRefused) {
  for (const char* hex :
       {"0a", "0a0518", "1202", "12020800", "120412020a00", "5a021202", "5a020802", "0a0b18ffffffffffffffffff01"}) {
    EXPECT_FALSE(DecodeRange(Bytes(hex)).ok() && DecodeWatch(Bytes(hex)).ok()) << hex;
  }
}

TEST(EtcdEnvelope, GoesThereAndBack) {
  const Mark mark{7, 9};
  const std::string wrapped = MUST(Wrap(nullptr, "k", "{\"rv\":\"\"}", 7, mark));
  const Unwrapped out = MUST(Unwrap(nullptr, "k", wrapped, 123));
  EXPECT_EQ(out.value, "{\"rv\":\"123\"}");
  EXPECT_EQ(out.mark, mark);
  const std::string nothing = MUST(Wrap(nullptr, "k", "", std::string::npos, {}));
  EXPECT_EQ(MUST(Unwrap(nullptr, "k", nothing, 1)).value, "");
  EXPECT_FALSE(Unwrap(nullptr, "k", "", 1).ok());
  EXPECT_FALSE(Unwrap(nullptr, "k", "k8s", 1).ok());
  EXPECT_FALSE(Unwrap(nullptr, "k", wrapped.substr(0, wrapped.size() - 1), 1).ok());
  // A place behind the value.
  EXPECT_FALSE(Unwrap(nullptr, "k", MUST(Wrap(nullptr, "k", "x", 2, {})), 1).ok());
}

}  // namespace
}  // namespace knarr::store::etcd
