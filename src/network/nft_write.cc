// nftables objects as netlink messages (linux/netfilter/nf_tables.h).

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>

#include "base/check.h"
#include "network/nft.h"

namespace knarr::network::nft {
namespace {

constexpr uint8_t kFamily = NFPROTO_IPV4;
constexpr size_t kNestMax = 48 << 10;  // then a second message goes on
constexpr uint32_t kRememberedMax = 65536;
constexpr uint8_t kPortUnreachable = 3;

// nft's numbers for data types: they only matter to whoever lists the table.
constexpr uint32_t kTypeInteger = 4;
constexpr uint32_t kTypeAddress = 7;
constexpr uint32_t kTypeProtocol = 12;
constexpr uint32_t kTypeService = 13;
constexpr uint32_t kTypeBits = 6;
constexpr uint32_t kEndpointType = kTypeAddress << kTypeBits | kTypeService;
constexpr uint32_t kEndpointLength = 8;

// The 32-bit registers: keys are loaded from the first on, values from kValue on.
constexpr uint32_t kKey = NFT_REG32_00;
constexpr uint32_t kValue = NFT_REG32_08;

uint32_t TypeOf(Field field) {
  switch (field) {
    case Field::kSourceAddress:
    case Field::kDestinationAddress:
      return kTypeAddress;
    case Field::kProtocol:
      return kTypeProtocol;
    default:
      return kTypeService;
  }
}

nfgenmsg Header(uint8_t family, uint16_t resource = 0) {
  nfgenmsg header{};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  header.res_id = htons(resource);
  return header;
}

// Parts of a concatenation are padded to 32 bits each.
std::string Padded(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) {
    out += part;
    out.resize((out.size() + 3) & ~size_t{3});
  }
  return parts.size() == 1 ? parts[0] : out;
}

std::string Padded(const Endpoint& endpoint) { return Padded({AddressKey(endpoint.address), PortKey(endpoint.port)}); }

std::string HostOrder(uint32_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

uint32_t KeyLength(const std::vector<Field>& fields) {
  if (fields.size() > 1) return static_cast<uint32_t>(4 * fields.size());
  return fields[0] == Field::kProtocol ? 1 : fields[0] == Field::kDestinationPort ? 2 : 4;
}

void PutValue(NetlinkBatch& batch, uint16_t type, std::string_view bytes) {
  const size_t nest = batch.BeginNest(type);
  batch.Put(NFTA_DATA_VALUE, bytes);
  batch.EndNest(nest);
}

void PutVerdict(NetlinkBatch& batch, uint16_t type, int32_t code, const std::string& chain) {
  const size_t data = batch.BeginNest(type);
  const size_t verdict = batch.BeginNest(NFTA_DATA_VERDICT);
  batch.PutBe32(NFTA_VERDICT_CODE, static_cast<uint32_t>(code));
  if (!chain.empty()) batch.PutText(NFTA_VERDICT_CHAIN, chain);
  batch.EndNest(verdict);
  batch.EndNest(data);
}

struct SetDescription {
  std::string name;
  uint32_t id = 0;
  uint32_t flags = 0;
  uint32_t key_type = 0;
  uint32_t key_length = 0;
  uint32_t data_type = 0;
  uint32_t data_length = 0;
  uint64_t timeout_ms = 0;
  uint32_t size = 0;
};

void PutSet(NetlinkBatch& batch, const std::string& table, const SetDescription& set) {
  batch.PutText(NFTA_SET_TABLE, table);
  batch.PutText(NFTA_SET_NAME, set.name);
  batch.PutBe32(NFTA_SET_FLAGS, set.flags);
  batch.PutBe32(NFTA_SET_KEY_TYPE, set.key_type);
  batch.PutBe32(NFTA_SET_KEY_LEN, set.key_length);
  if (set.data_type != 0) {
    batch.PutBe32(NFTA_SET_DATA_TYPE, set.data_type);
    batch.PutBe32(NFTA_SET_DATA_LEN, set.data_length);
  }
  batch.PutBe32(NFTA_SET_ID, set.id);
  if (set.timeout_ms != 0) batch.PutBe64(NFTA_SET_TIMEOUT, set.timeout_ms);
  if (set.size != 0) {
    const size_t nest = batch.BeginNest(NFTA_SET_DESC);
    batch.PutBe32(NFTA_SET_DESC_SIZE, set.size);
    batch.EndNest(nest);
  }
}

// One expression: its name, and its attributes as `put` writes them.
template <typename Put>
void Expression(NetlinkBatch& batch, std::string_view name, Put put) {
  const size_t element = batch.BeginNest(NFTA_LIST_ELEM);
  batch.PutText(NFTA_EXPR_NAME, name);
  const size_t data = batch.BeginNest(NFTA_EXPR_DATA);
  put();
  batch.EndNest(data);
  batch.EndNest(element);
}

void Load(NetlinkBatch& batch, Field field, uint32_t to) {
  const auto payload = [&](uint32_t base, uint32_t offset, uint32_t length) {
    Expression(batch, "payload", [&] {
      batch.PutBe32(NFTA_PAYLOAD_DREG, to);
      batch.PutBe32(NFTA_PAYLOAD_BASE, base);
      batch.PutBe32(NFTA_PAYLOAD_OFFSET, offset);
      batch.PutBe32(NFTA_PAYLOAD_LEN, length);
    });
  };
  const auto meta = [&](uint32_t key) {
    Expression(batch, "meta", [&] {
      batch.PutBe32(NFTA_META_DREG, to);
      batch.PutBe32(NFTA_META_KEY, key);
    });
  };
  switch (field) {
    case Field::kSourceAddress:
      return payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4);
    case Field::kDestinationAddress:
      return payload(NFT_PAYLOAD_NETWORK_HEADER, 16, 4);
    case Field::kProtocol:
      return meta(NFT_META_L4PROTO);
    case Field::kDestinationPort:
      return payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
    case Field::kInputLink:
      return meta(NFT_META_IIFNAME);
    case Field::kOutputLink:
      return meta(NFT_META_OIFNAME);
  }
}

void LoadAll(NetlinkBatch& batch, const std::vector<Field>& fields) {
  for (size_t i = 0; i < fields.size(); ++i) Load(batch, fields[i], kKey + static_cast<uint32_t>(i));
}

void Compare(NetlinkBatch& batch, uint32_t reg, bool equal, std::string_view bytes) {
  Expression(batch, "cmp", [&] {
    batch.PutBe32(NFTA_CMP_SREG, reg);
    batch.PutBe32(NFTA_CMP_OP, equal ? NFT_CMP_EQ : NFT_CMP_NEQ);
    PutValue(batch, NFTA_CMP_DATA, bytes);
  });
}

void Mask(NetlinkBatch& batch, uint32_t reg, std::string_view mask, std::string_view flip) {
  Expression(batch, "bitwise", [&] {
    batch.PutBe32(NFTA_BITWISE_SREG, reg);
    batch.PutBe32(NFTA_BITWISE_DREG, reg);
    batch.PutBe32(NFTA_BITWISE_LEN, static_cast<uint32_t>(mask.size()));
    PutValue(batch, NFTA_BITWISE_MASK, mask);
    PutValue(batch, NFTA_BITWISE_XOR, flip);
  });
}

void Lookup(NetlinkBatch& batch, const std::string& set, uint32_t id, uint32_t key, std::optional<uint32_t> to) {
  Expression(batch, "lookup", [&] {
    batch.PutText(NFTA_LOOKUP_SET, set);
    batch.PutBe32(NFTA_LOOKUP_SREG, key);
    if (to) batch.PutBe32(NFTA_LOOKUP_DREG, *to);
    if (id != 0) batch.PutBe32(NFTA_LOOKUP_SET_ID, id);
  });
}

void NatTo(NetlinkBatch& batch, uint32_t reg) {
  Expression(batch, "nat", [&] {
    batch.PutBe32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
    batch.PutBe32(NFTA_NAT_FAMILY, kFamily);
    batch.PutBe32(NFTA_NAT_REG_ADDR_MIN, reg);
    batch.PutBe32(NFTA_NAT_REG_PROTO_MIN, reg + 1);
  });
}

void ChangeMark(NetlinkBatch& batch, bool set) {
  const auto meta = [&](uint16_t direction) {
    Expression(batch, "meta", [&] {
      batch.PutBe32(direction, kKey);
      batch.PutBe32(NFTA_META_KEY, NFT_META_MARK);
    });
  };
  meta(NFTA_META_DREG);
  Mask(batch, kKey, HostOrder(~kMasqueradeMark), HostOrder(set ? kMasqueradeMark : 0));
  meta(NFTA_META_SREG);
}

}  // namespace

// Writes one rule: the anonymous sets it needs as messages of their own first, then its expressions.
class RuleWriter {
 public:
  RuleWriter(Transaction& transaction, const std::string& chain) : t_(transaction), chain_(chain) {}

  void Write(const Rule& rule) {
    for (const Statement& statement : rule) Prepare(statement);
    t_.Begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, "rule in chain " + chain_ + ": " + ToText(rule));
    t_.batch_.PutText(NFTA_RULE_TABLE, t_.table_);
    t_.batch_.PutText(NFTA_RULE_CHAIN, chain_);
    const size_t expressions = t_.batch_.BeginNest(NFTA_RULE_EXPRESSIONS);
    for (const Statement& statement : rule) std::visit([this](const auto& s) { Emit(s); }, statement);
    t_.batch_.EndNest(expressions);
    t_.batch_.End();
  }

 private:
  // number → endpoint, or (for DnatRemembered) the endpoints themselves.
  void Prepare(const Statement& statement) {
    if (const auto* dnat = std::get_if<Dnat>(&statement)) MakeSet(dnat->endpoints, true);
    if (const auto* dnat = std::get_if<DnatAndRemember>(&statement)) MakeSet(dnat->endpoints, true);
    if (const auto* dnat = std::get_if<DnatRemembered>(&statement)) MakeSet(dnat->endpoints, false);
  }

  void MakeSet(const std::vector<Endpoint>& endpoints, bool choice) {
    SetDescription set;
    set.name = choice ? "__map%d" : "__set%d";
    set.id = set_ = t_.next_set_++;
    set.flags = NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | (choice ? NFT_SET_MAP : 0);
    set.key_type = choice ? kTypeInteger : kEndpointType;
    set.key_length = choice ? 4 : kEndpointLength;
    set.data_type = choice ? kEndpointType : 0;
    set.data_length = kEndpointLength;
    set.size = static_cast<uint32_t>(endpoints.size());
    t_.Begin(NFT_MSG_NEWSET, NLM_F_CREATE, "endpoints of chain " + chain_);
    PutSet(t_.batch_, t_.table_, set);
    t_.batch_.End();
    for (size_t i = 0; i < endpoints.size();) {
      t_.Begin(NFT_MSG_NEWSETELEM, NLM_F_CREATE, "endpoints of chain " + chain_);
      t_.batch_.PutText(NFTA_SET_ELEM_LIST_TABLE, t_.table_);
      t_.batch_.PutText(NFTA_SET_ELEM_LIST_SET, set.name);
      t_.batch_.PutBe32(NFTA_SET_ELEM_LIST_SET_ID, set.id);
      const size_t list = t_.batch_.BeginNest(NFTA_SET_ELEM_LIST_ELEMENTS);
      for (; i < endpoints.size() && t_.batch_.NestSize(list) < kNestMax; ++i) {
        const size_t element = t_.batch_.BeginNest(NFTA_LIST_ELEM);
        PutValue(t_.batch_, NFTA_SET_ELEM_KEY, choice ? HostOrder(static_cast<uint32_t>(i)) : Padded(endpoints[i]));
        if (choice) PutValue(t_.batch_, NFTA_SET_ELEM_DATA, Padded(endpoints[i]));
        t_.batch_.EndNest(element);
      }
      t_.batch_.EndNest(list);
      t_.batch_.End();
    }
  }

  void Choose(size_t count) {
    Expression(batch_, "numgen", [&] {
      batch_.PutBe32(NFTA_NG_DREG, kKey);
      batch_.PutBe32(NFTA_NG_MODULUS, static_cast<uint32_t>(count));
      batch_.PutBe32(NFTA_NG_TYPE, NFT_NG_RANDOM);
      batch_.PutBe32(NFTA_NG_OFFSET, 0);
    });
    Lookup(batch_, "__map%d", set_, kKey, kValue);
  }

  void Emit(const Match& s) {
    Load(batch_, s.field, kKey);
    std::string value = s.value;
    // Names are compared over the whole register, with the zeros behind them.
    if (s.field == Field::kInputLink || s.field == Field::kOutputLink) value.resize(16, '\0');
    Compare(batch_, kKey, !s.negate, value);
  }
  void Emit(const MatchNetwork& s) {
    Load(batch_, s.field, kKey);
    const uint32_t bits = s.network.prefix() == 0 ? 0 : ~uint32_t{0} << (32 - s.network.prefix());
    Mask(batch_, kKey, AddressKey(IpAddress::V4(bits)), std::string(4, '\0'));
    Compare(batch_, kKey, !s.negate, AddressKey(s.network.Network()));
  }
  void Emit(const MatchLocal& s) {
    Expression(batch_, "fib", [&] {
      batch_.PutBe32(NFTA_FIB_DREG, kKey);
      batch_.PutBe32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
      batch_.PutBe32(NFTA_FIB_FLAGS, s.source ? NFTA_FIB_F_SADDR : NFTA_FIB_F_DADDR);
    });
    Compare(batch_, kKey, true, HostOrder(RTN_LOCAL));
  }
  void Emit(const MatchDnat&) {
    Expression(batch_, "ct", [&] {
      batch_.PutBe32(NFTA_CT_DREG, kKey);
      batch_.PutBe32(NFTA_CT_KEY, NFT_CT_STATUS);
    });
    Mask(batch_, kKey, HostOrder(IPS_DST_NAT), HostOrder(0));
    Compare(batch_, kKey, false, HostOrder(0));
  }
  void Emit(const MatchMark&) {
    Expression(batch_, "meta", [&] {
      batch_.PutBe32(NFTA_META_DREG, kKey);
      batch_.PutBe32(NFTA_META_KEY, NFT_META_MARK);
    });
    Mask(batch_, kKey, HostOrder(kMasqueradeMark), HostOrder(0));
    Compare(batch_, kKey, false, HostOrder(0));
  }
  void Emit(const InSet& s) {
    LoadAll(batch_, s.fields);
    Lookup(batch_, s.set, 0, kKey, std::nullopt);
  }
  void Emit(const VerdictMap& s) {
    LoadAll(batch_, s.fields);
    Lookup(batch_, s.map, 0, kKey, NFT_REG_VERDICT);
  }
  void Emit(const Decide& s) {
    Immediate(s.verdict == Verdict::kAccept ? NF_ACCEPT : s.verdict == Verdict::kDrop ? NF_DROP : int{NFT_RETURN}, "");
  }
  void Emit(const Jump& s) { Immediate(s.go ? NFT_GOTO : NFT_JUMP, s.chain); }
  void Immediate(int32_t code, const std::string& chain) {
    Expression(batch_, "immediate", [&] {
      batch_.PutBe32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
      PutVerdict(batch_, NFTA_IMMEDIATE_DATA, code, chain);
    });
  }
  void Emit(const SetMark&) { ChangeMark(batch_, true); }
  void Emit(const ClearMark&) { ChangeMark(batch_, false); }
  void Emit(const Masquerade&) {
    Expression(batch_, "masq", [&] { batch_.PutBe32(NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_RANDOM_FULLY); });
  }
  void Emit(const Reject&) {
    Expression(batch_, "reject", [&] {
      batch_.PutBe32(NFTA_REJECT_TYPE, NFT_REJECT_ICMP_UNREACH);
      batch_.PutU8(NFTA_REJECT_ICMP_CODE, kPortUnreachable);
    });
  }
  void Emit(const Dnat& s) {
    Choose(s.endpoints.size());
    NatTo(batch_, kValue);
  }
  void Emit(const DnatRemembered& s) {
    Load(batch_, Field::kSourceAddress, kKey);
    Lookup(batch_, s.map, 0, kKey, kValue);
    Lookup(batch_, "__set%d", set_, kValue, std::nullopt);
    // Each use puts the end off, as kube-proxy's does.
    Remember(s.map, 0);
    NatTo(batch_, kValue);
  }
  void Emit(const DnatAndRemember& s) {
    Choose(s.endpoints.size());
    Load(batch_, Field::kSourceAddress, kKey);
    // An update keeps the value of an entry that is there: one that is not valid any more has to go first.
    Expression(batch_, "dynset", [&] {
      batch_.PutText(NFTA_DYNSET_SET_NAME, s.map);
      batch_.PutBe32(NFTA_DYNSET_OP, NFT_DYNSET_OP_DELETE);
      batch_.PutBe32(NFTA_DYNSET_SREG_KEY, kKey);
      batch_.PutBe32(NFTA_DYNSET_SREG_DATA, kValue);  // not read, but asked for
    });
    Remember(s.map, std::chrono::duration_cast<std::chrono::milliseconds>(s.timeout).count());
    NatTo(batch_, kValue);
  }
  void Remember(const std::string& map, int64_t timeout_ms) {
    Expression(batch_, "dynset", [&] {
      batch_.PutText(NFTA_DYNSET_SET_NAME, map);
      batch_.PutBe32(NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
      batch_.PutBe32(NFTA_DYNSET_SREG_KEY, kKey);
      batch_.PutBe32(NFTA_DYNSET_SREG_DATA, kValue);
      if (timeout_ms > 0) batch_.PutBe64(NFTA_DYNSET_TIMEOUT, static_cast<uint64_t>(timeout_ms));
    });
  }

  Transaction& t_;
  NetlinkBatch& batch_ = t_.batch_;
  const std::string& chain_;
  uint32_t set_ = 0;
};

Transaction::Transaction(std::string table) : table_(std::move(table)) {
  batch_.Begin(NFNL_MSG_BATCH_BEGIN, 0, Header(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  batch_.End();
}

void Transaction::Begin(uint16_t message, uint16_t flags, std::string description) {
  // One acknowledgement tells that the whole was taken; errors come unasked.
  if (changes_++ == 0) flags |= NLM_F_ACK;
  batch_.Begin(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message), flags, Header(kFamily));
  batch_.Describe("nftables table " + table_ + ": " + std::move(description));
}

void Transaction::AddTable() {
  Begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, "make table");
  batch_.PutText(NFTA_TABLE_NAME, table_);
  batch_.PutBe32(NFTA_TABLE_FLAGS, 0);
  batch_.End();
}

void Transaction::RemoveTable() {
  AddTable();  // so that there is one to remove
  Begin(NFT_MSG_DELTABLE, 0, "remove table");
  batch_.PutText(NFTA_TABLE_NAME, table_);
  batch_.End();
}

void Transaction::AddChain(const Chain& chain) {
  static const std::map<Hook, uint32_t> kHooks = {{Hook::kPrerouting, NF_INET_PRE_ROUTING},
                                                  {Hook::kInput, NF_INET_LOCAL_IN},
                                                  {Hook::kForward, NF_INET_FORWARD},
                                                  {Hook::kOutput, NF_INET_LOCAL_OUT},
                                                  {Hook::kPostrouting, NF_INET_POST_ROUTING}};
  Begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, "make chain " + chain.name);
  batch_.PutText(NFTA_CHAIN_TABLE, table_);
  batch_.PutText(NFTA_CHAIN_NAME, chain.name);
  if (chain.hook != Hook::kNone) {
    const size_t hook = batch_.BeginNest(NFTA_CHAIN_HOOK);
    batch_.PutBe32(NFTA_HOOK_HOOKNUM, kHooks.at(chain.hook));
    batch_.PutBe32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(chain.priority));
    batch_.EndNest(hook);
    batch_.PutBe32(NFTA_CHAIN_POLICY, NF_ACCEPT);
    batch_.PutText(NFTA_CHAIN_TYPE, chain.nat ? "nat" : "filter");
  }
  batch_.End();
  for (const Rule& rule : chain.rules) AddRule(chain.name, rule);
}

void Transaction::SetRules(const std::string& chain, const std::vector<Rule>& rules) {
  Begin(NFT_MSG_DELRULE, 0, "empty chain " + chain);
  batch_.PutText(NFTA_RULE_TABLE, table_);
  batch_.PutText(NFTA_RULE_CHAIN, chain);
  batch_.End();
  for (const Rule& rule : rules) AddRule(chain, rule);
}

void Transaction::RemoveChain(const std::string& chain) {
  SetRules(chain, {});
  Begin(NFT_MSG_DELCHAIN, 0, "remove chain " + chain);
  batch_.PutText(NFTA_CHAIN_TABLE, table_);
  batch_.PutText(NFTA_CHAIN_NAME, chain);
  batch_.End();
}

void Transaction::AddRule(const std::string& chain, const Rule& rule) { RuleWriter(*this, chain).Write(rule); }

void Transaction::AddMap(const Map& map) {
  SetDescription set;
  set.name = map.name;
  set.id = next_set_++;
  for (const Field field : map.key) set.key_type = set.key_type << kTypeBits | TypeOf(field);
  set.key_length = KeyLength(map.key);
  if (map.kind == MapKind::kVerdicts) {
    set.flags = NFT_SET_MAP;
    set.data_type = NFT_DATA_VERDICT;
    set.data_length = 0;
  } else if (map.kind == MapKind::kRemembered) {
    set.flags = NFT_SET_MAP | NFT_SET_EVAL | NFT_SET_TIMEOUT;
    set.data_type = kEndpointType;
    set.data_length = kEndpointLength;
    set.timeout_ms = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(map.timeout).count());
    set.size = kRememberedMax;
  }
  Begin(NFT_MSG_NEWSET, NLM_F_CREATE, "make map " + map.name);
  PutSet(batch_, table_, set);
  batch_.End();
}

void Transaction::RemoveMap(const std::string& map) {
  Begin(NFT_MSG_DELSET, 0, "remove map " + map);
  batch_.PutText(NFTA_SET_TABLE, table_);
  batch_.PutText(NFTA_SET_NAME, map);
  batch_.End();
}

void Transaction::AddElements(const Map& map, const std::vector<Element>& elements) {
  Elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, map, elements);
}

void Transaction::RemoveElements(const Map& map, const std::vector<Element>& elements) {
  Elements(NFT_MSG_DELSETELEM, 0, map, elements);
}

void Transaction::Elements(uint16_t message, uint16_t flags, const Map& map, const std::vector<Element>& elements) {
  for (size_t i = 0; i < elements.size();) {
    Begin(message, flags, "elements of map " + map.name);
    batch_.PutText(NFTA_SET_ELEM_LIST_TABLE, table_);
    batch_.PutText(NFTA_SET_ELEM_LIST_SET, map.name);
    const size_t list = batch_.BeginNest(NFTA_SET_ELEM_LIST_ELEMENTS);
    for (; i < elements.size() && batch_.NestSize(list) < kNestMax; ++i) {
      CHECK(elements[i].key.size() == map.key.size());
      const size_t element = batch_.BeginNest(NFTA_LIST_ELEM);
      PutValue(batch_, NFTA_SET_ELEM_KEY, Padded(elements[i].key));
      if (map.kind == MapKind::kVerdicts) PutVerdict(batch_, NFTA_SET_ELEM_DATA, NFT_GOTO, elements[i].chain);
      batch_.EndNest(element);
    }
    batch_.EndNest(list);
    batch_.End();
  }
}

Ok Transaction::Commit(NetlinkSocket& socket) {
  if (changes_ == 0) return {};
  batch_.Begin(NFNL_MSG_BATCH_END, 0, Header(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  batch_.End();
  return socket.Commit(batch_);
}

Ok Transaction::Commit() {
  NetlinkSocket socket = TRY(NetlinkSocket::Open(NETLINK_NETFILTER));
  return Commit(socket);
}

}  // namespace knarr::network::nft
