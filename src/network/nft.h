#pragma once

// Just enough of nftables: the objects we make (tables, chains, maps, rules of a few kinds of statements), as values.
// They are written as text (nft's own syntax, for golden files and for people) and as netlink messages (for the
// kernel); the caller collects changes in an NftTransaction that the kernel takes whole or not at all.
//
// No program is started and no library loaded (docs/decisions/0010-nftables.md).

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ip.h"
#include "base/status.h"
#include "base/time.h"
#include "network/netlink.h"

namespace knarr::network::nft {

/// What a packet is looked at for.
enum class Field : uint8_t {
  kSourceAddress,
  kDestinationAddress,
  kProtocol,         ///< meta l4proto
  kDestinationPort,  ///< of TCP, UDP and SCTP alike
  kInputLink,
  kOutputLink,
};

enum class Protocol : uint8_t { kTcp = 6, kUdp = 17, kSctp = 132 };

struct Endpoint {
  IpAddress address;
  uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
  auto operator<=>(const Endpoint&) const = default;
};

/// field == value (or !=): value in network order; link names as text.
struct Match {
  Field field;
  std::string value;
  bool negate = false;
};
struct MatchNetwork {
  Field field;
  Cidr network;
  bool negate = false;
};
/// The destination (or source) address is one of this machine's.
struct MatchLocal {
  bool source = false;
};
/// The connection's addresses have been rewritten by a dnat.
struct MatchDnat {};
/// Our bit of the packet mark is set.
struct MatchMark {};
/// The fields are in the set.
struct InSet {
  std::vector<Field> fields;
  std::string set;
};
/// Looks the fields up in a verdict map and does what it says; goes on when they are not there.
struct VerdictMap {
  std::vector<Field> fields;
  std::string map;
};
enum class Verdict : uint8_t { kAccept, kDrop, kReturn };
struct Decide {
  Verdict verdict;
};
struct Jump {
  std::string chain;
  bool go = false;  ///< goto
};
struct SetMark {};
struct ClearMark {};
struct Masquerade {};
/// ICMP port unreachable.
struct Reject {};
/// To one of the endpoints, by chance.
struct Dnat {
  std::vector<Endpoint> endpoints;
};
/// To the endpoint that the map remembers for the source address, if it is still one of these.
struct DnatRemembered {
  std::string map;
  std::vector<Endpoint> endpoints;
};
/// To one of the endpoints by chance, and remembers it for the source address.
struct DnatAndRemember {
  std::string map;
  std::vector<Endpoint> endpoints;
  Duration timeout;
};

using Statement = std::variant<Match, MatchNetwork, MatchLocal, MatchDnat, MatchMark, InSet, VerdictMap, Decide, Jump,
                               SetMark, ClearMark, Masquerade, Reject, Dnat, DnatRemembered, DnatAndRemember>;
using Rule = std::vector<Statement>;

enum class Hook : uint8_t { kNone, kPrerouting, kInput, kForward, kOutput, kPostrouting };
struct Chain {
  std::string name;
  Hook hook = Hook::kNone;
  bool nat = false;  ///< type nat, else filter
  int priority = 0;
  std::vector<Rule> rules;
};

enum class MapKind : uint8_t {
  kVerdicts,    ///< key → verdict
  kSet,         ///< key alone
  kRemembered,  ///< source address → endpoint, made by rules, each with a timeout
};
struct Map {
  std::string name;
  MapKind kind = MapKind::kVerdicts;
  std::vector<Field> key;
  Duration timeout{};  ///< kRemembered: what an entry lives without a packet that renews it
};

/// One entry: its key's parts in network order, and where a verdict map leads ("" for sets).
struct Element {
  std::vector<std::string> key;
  std::string chain;
  bool operator==(const Element&) const = default;
  auto operator<=>(const Element&) const = default;
};
std::string AddressKey(const IpAddress& address);
std::string ProtocolKey(Protocol protocol);
std::string PortKey(uint16_t port);

/// Text in nft's syntax.
std::string ToText(const Rule& rule);
std::string ToText(const Chain& chain);
std::string ToText(const Map& map, const std::vector<Element>& elements);

/// Changes to one `ip` table, in order.
class Transaction {
 public:
  explicit Transaction(std::string table);
  /// The table is made if it is not there.
  void AddTable();
  /// With everything in it; fine if it is not there.
  void RemoveTable();
  /// With its rules.
  void AddChain(const Chain& chain);
  /// Its rules are replaced.
  void SetRules(const std::string& chain, const std::vector<Rule>& rules);
  /// REQUIRES: nothing leads to it any more.
  void RemoveChain(const std::string& chain);
  void AddMap(const Map& map);
  void RemoveMap(const std::string& map);
  void AddElements(const Map& map, const std::vector<Element>& elements);
  void RemoveElements(const Map& map, const std::vector<Element>& elements);
  bool empty() const { return changes_ == 0; }
  /// Blocking. On a socket that is kept: closing one makes the kernel wait for what the transaction removed.
  Ok Commit(NetlinkSocket& socket);
  Ok Commit();

 private:
  friend class RuleWriter;
  void Begin(uint16_t message, uint16_t flags, std::string description);
  void AddRule(const std::string& chain, const Rule& rule);
  void Elements(uint16_t message, uint16_t flags, const Map& map, const std::vector<Element>& elements);
  std::string table_;
  NetlinkBatch batch_;
  size_t changes_ = 0;
  uint32_t next_set_ = 1;
};

/// The bit of the packet mark that asks for masquerading: kube-proxy's.
inline constexpr uint32_t kMasqueradeMark = 0x4000;

}  // namespace knarr::network::nft
