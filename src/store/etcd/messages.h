#pragma once

// etcd's v3 messages that the engine speaks, as structures, and their protobuf form (etcd's rpc.proto has the numbers).
// What comes from a server is checked; fields that are not known here are passed over.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace knarr::store::etcd {

struct Header {
  uint64_t cluster = 0;
  uint64_t member = 0;
  int64_t revision = 0;
};

struct Item {
  std::string key;
  std::string value;
  int64_t mod_revision = 0;
};

struct RangeRequest {
  std::string key;
  std::string end;       ///< "": the key alone
  int64_t limit = 0;     ///< 0: all
  int64_t revision = 0;  ///< 0: the newest, as all members agree on it
  bool keys_only = false;
};
struct RangeResponse {
  Header header;
  std::vector<Item> items;
  bool more = false;
};

struct Comparison {
  std::string key;
  int64_t mod_revision = 0;  ///< 0: not there
};
struct Operation {
  enum class Kind : uint8_t { kPut, kDelete, kLook };
  Kind kind = Kind::kPut;
  std::string key;
  std::string value;
  int64_t lease = 0;
};
struct TxnRequest {
  std::vector<Comparison> comparisons;
  std::vector<Operation> then;
  std::vector<Operation> otherwise;
};
struct TxnResponse {
  Header header;
  bool succeeded = false;
  /// What each kLook found, in order; an empty key: nothing. Without values.
  std::vector<Item> found;
};

struct WatchRequest {
  std::string key;
  std::string end;
  int64_t start_revision = 0;
};
struct WatchEvent {
  bool put = true;
  Item item;
};
struct WatchResponse {
  Header header;
  bool created = false;
  bool canceled = false;
  bool fragment = false;  ///< more of the same revision follows
  int64_t compact_revision = 0;
  std::string cancel_reason;
  std::vector<WatchEvent> events;
};

struct LeaseResponse {
  Header header;
  int64_t id = 0;
  int64_t seconds = 0;  ///< to live; 0 or less: gone
};

std::string Encode(const RangeRequest& request);
std::string Encode(const TxnRequest& request);
std::string Encode(const WatchRequest& request);
std::string EncodeCompaction(int64_t revision);
std::string EncodeLeaseGrant(int64_t seconds);
/// Also LeaseRevoke's.
std::string EncodeLeaseKeepAlive(int64_t id);
std::string EncodeAuthenticate(std::string_view user, std::string_view password);

Result<RangeResponse> DecodeRange(std::string_view bytes);
Result<TxnResponse> DecodeTxn(std::string_view bytes);
Result<WatchResponse> DecodeWatch(std::string_view bytes);
/// The answer to LeaseGrant and to LeaseKeepAlive.
Result<LeaseResponse> DecodeLease(std::string_view bytes);
/// The token.
Result<std::string> DecodeAuthenticate(std::string_view bytes);
/// Of an answer of which nothing else is looked at.
Result<Header> DecodeHeaderOnly(std::string_view bytes);

}  // namespace knarr::store::etcd
