#include "hollow/life_cycles.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "api/label_selector.h"
#include "base/names.h"
#include "base/quantity.h"
#include "base/strings.h"
#include "doc/yaml.h"

namespace knarr::hollow {
namespace {

using doc::Value;

constexpr int64_t kWeightMost = 10000;
constexpr int64_t kPodsMost = 65000;
constexpr size_t kEntriesMost = 1000;
constexpr Duration kSpanMost = std::chrono::hours(24 * 365);
constexpr Duration kHeartbeatLeast = 1s;
constexpr Duration kHeartbeatMost = 30s;
constexpr std::string_view kEffects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute"};

Result<Duration> ReadDuration(std::string_view text) {
  const Duration out = TRY(ParseDuration(text));
  if (out < Duration::zero() || out > kSpanMost) return BadRequest(fmt::format("{}: want 0s to a year", text));
  return out;
}

/// Reads one file; says where what it finds wrong stands.
class Reader {
 public:
  explicit Reader(const doc::YamlDocument& document) : document_(document) {}

  Result<LifeCycles> Read() {
    const Value& root = document_.root();
    LifeCycles out;
    if (root.is_null()) return out;
    TRY(CheckKeys(root, "", {"nodes", "pods", "podRange", "nodeRange", "heartbeat"}));
    TRY(ReadRange(root, "podRange", out.pod_range));
    TRY(ReadRange(root, "nodeRange", out.node_range));
    if (root.Find("heartbeat") != nullptr) {
      const std::string heartbeat = TRY(Text(root, "", "heartbeat"));
      out.heartbeat = TRY(In("heartbeat", ReadDuration(heartbeat)));
      if (out.heartbeat < kHeartbeatLeast || out.heartbeat > kHeartbeatMost) {
        return At("heartbeat", "want 1s to 30s: a node that is silent for 50s is lost");
      }
    }
    if (root.Find("nodes") != nullptr) {
      out.nodes.clear();
      const auto read = [&](const Value& item, const std::string& path) -> Ok {
        out.nodes.push_back(TRY(ReadShape(item, path)));
        return {};
      };
      TRY(ForEach(root.At("nodes"), "nodes", read));
      if (out.nodes.empty()) return At("nodes", "want at least one");
    }
    const auto read = [&](const Value& item, const std::string& path) -> Ok {
      out.pods.push_back(TRY(ReadPod(item, path)));
      return {};
    };
    TRY(ForEach(root.At("pods"), "pods", read));
    return out;
  }

 private:
  Status At(const std::string& path, std::string_view what) const {
    const doc::Position at = document_.positions.Find(path);
    return BadRequest(fmt::format("line {}, column {}: {}: {}", at.line, at.column, path, what));
  }
  static std::string Below(const std::string& path, std::string_view key) {
    return path.empty() ? std::string(key) : path + "." + std::string(key);
  }
  template <typename T>
  Result<T> In(const std::string& path, Result<T> result) const {
    if (result.ok()) return result;
    return At(path, result.status().message());
  }

  Ok CheckKeys(const Value& value, const std::string& path, std::initializer_list<std::string_view> known) const {
    if (!value.is_object()) return At(path, "want a mapping");
    for (const doc::Member& member : value.members()) {
      if (std::ranges::find(known, member.key) != known.end()) continue;
      return At(Below(path, member.key), fmt::format("not known here; want one of: {}", fmt::join(known, ", ")));
    }
    return {};
  }

  template <typename Function>
  Ok ForEach(const Value& list, const std::string& path, Function function) const {
    if (list.is_null()) return {};
    if (!list.is_array()) return At(path, "want a list");
    if (list.size() > kEntriesMost) return At(path, fmt::format("at most {} entries", kEntriesMost));
    for (size_t i = 0; i < list.size(); ++i) TRY(function(list[i], fmt::format("{}[{}]", path, i)));
    return {};
  }

  Result<std::string> Text(const Value& parent, const std::string& path, std::string_view key) const {
    const Value& value = parent.At(key);
    if (value.is_null()) return std::string();
    if (!value.is_string()) return At(Below(path, key), "want a string");
    return std::string(value.AsString());
  }

  Result<bool> Switch(const Value& parent, const std::string& path, std::string_view key) const {
    const Value& value = parent.At(key);
    if (!value.is_null() && !value.is_bool()) return At(Below(path, key), "want true or false");
    return value.AsBool();
  }

  Result<int64_t> Number(const Value& parent, const std::string& path, std::string_view key, int64_t other,
                         int64_t least, int64_t most) const {
    const Value& value = parent.At(key);
    if (value.is_null()) return other;
    if (!value.is_int() || value.AsInt() < least || value.AsInt() > most) {
      return At(path + "." + std::string(key), fmt::format("want a whole number from {} to {}", least, most));
    }
    return value.AsInt();
  }

  Result<std::optional<Span>> OptionalSpan(const Value& parent, const std::string& path, std::string_view key) const {
    const std::string text = TRY(Text(parent, path, key));
    if (text.empty()) return std::optional<Span>();
    return std::optional<Span>(TRY(In(path + "." + std::string(key), Span::Parse(text))));
  }
  Ok ReadSpan(const Value& parent, const std::string& path, std::string_view key, Span& out) const {
    const std::optional<Span> span = TRY(OptionalSpan(parent, path, key));
    if (span) out = *span;
    return {};
  }

  Ok ReadRange(const Value& root, const std::string& key, Cidr& out) const {
    const std::string text = TRY(Text(root, "", key));
    if (text.empty()) return {};
    out = TRY(In(key, Cidr::Parse(text))).Masked();
    if (out.family() != IpFamily::kIpv4) return At(key, "want an IPv4 network");
    return {};
  }

  using Pairs = std::vector<std::pair<std::string, std::string>>;
  Result<Pairs> ReadPairs(const Value& parent, const std::string& path, std::string_view key) const {
    Pairs out;
    const std::string own = path + "." + std::string(key);
    const Value& map = parent.At(key);
    if (map.is_null()) return out;
    if (!map.is_object() || map.size() > kEntriesMost) return At(own, "want a mapping");
    for (const doc::Member& member : map.members()) {
      const Value& value = member.value;
      if (!value.is_string() && !value.is_int()) return At(own + "." + std::string(member.key), "want a string");
      out.emplace_back(member.key,
                       value.is_int() ? std::to_string(value.AsInt()) : std::string(value.AsString()));
    }
    std::ranges::sort(out);
    return out;
  }

  Result<NodeShape> ReadShape(const Value& item, const std::string& path) const {
    TRY(CheckKeys(item, path, {"name", "weight", "labels", "capacity", "taints", "lives", "gone"}));
    NodeShape out = LifeCycles::DefaultShape();
    if (const std::string name = TRY(Text(item, path, "name")); !name.empty()) {
      if (const Problems wrong = CheckDns1123Subdomain(name); !wrong.empty()) return At(path + ".name", wrong.front());
      out.name = name;
    }
    out.weight = TRY(Number(item, path, "weight", 1, 1, kWeightMost));
    out.labels = TRY(ReadPairs(item, path, "labels"));
    if (item.Find("capacity") != nullptr) {
      const Pairs given = TRY(ReadPairs(item, path, "capacity"));
      for (const auto& [resource, amount] : given) {
        TRY(In(path + ".capacity." + resource, Quantity::Parse(amount)));
        std::erase_if(out.capacity, [&own = resource](const auto& present) { return present.first == own; });
        out.capacity.emplace_back(resource, amount);
      }
      std::ranges::sort(out.capacity);
    }
    if (out.pods() < 1 || out.pods() > kPodsMost) {
      return At(path + ".capacity.pods", fmt::format("want 1 to {}", kPodsMost));
    }
    const auto read = [&](const Value& taint, const std::string& place) -> Ok {
      TRY(CheckKeys(taint, place, {"key", "value", "effect"}));
      const std::string effect = TRY(Text(taint, place, "effect"));
      if (std::ranges::find(kEffects, effect) == std::end(kEffects)) {
        return At(place, fmt::format("effect: want one of: {}", fmt::join(kEffects, ", ")));
      }
      out.taints.push_back(
          {TRY(Text(taint, place, "key")), TRY(Text(taint, place, "value")), effect});
      return {};
    };
    TRY(ForEach(item.At("taints"), path + ".taints", read));
    out.lives = TRY(OptionalSpan(item, path, "lives"));
    out.gone = TRY(OptionalSpan(item, path, "gone"));
    if (out.gone && !out.lives) return At(path + ".gone", "what never dies (lives) does not come back");
    return out;
  }

  Result<Outcome> ReadOutcome(const Value& item, const std::string& path) const {
    TRY(CheckKeys(item, path, {"weight", "after", "exitCode", "reason", "message", "waiting", "failsPod"}));
    Outcome out;
    out.weight = TRY(Number(item, path, "weight", 1, 1, kWeightMost));
    out.after = TRY(OptionalSpan(item, path, "after"));
    out.exit_code = static_cast<int>(TRY(Number(item, path, "exitCode", 0, 0, 255)));
    out.reason = TRY(Text(item, path, "reason"));
    out.message = TRY(Text(item, path, "message"));
    out.waiting = TRY(Text(item, path, "waiting"));
    out.fails_pod = TRY(Switch(item, path, "failsPod"));
    if (!out.after && (out.exit_code != 0 || out.fails_pod)) return At(path, "after: Required value: when it ends");
    if (!out.after && (!out.reason.empty() || (out.waiting.empty() && !out.message.empty()))) {
      return At(path, "after: Required value: what runs on says nothing of its end");
    }
    if (out.after && !out.waiting.empty()) return At(path + ".waiting", "what never starts has no end");
    return out;
  }

  Result<PodLifeCycle> ReadPod(const Value& item, const std::string& path) const {
    TRY(CheckKeys(item, path,
                  {"name", "namespace", "selector", "start", "init", "ready", "stop", "restart", "outcomes"}));
    PodLifeCycle out;
    out.name = TRY(Text(item, path, "name"));
    out.ns = TRY(Text(item, path, "namespace"));
    const std::string selector = TRY(Text(item, path, "selector"));
    out.selector = TRY(In(path + ".selector", LabelSelector::Parse(selector)));
    TRY(ReadSpan(item, path, "start", out.start));
    TRY(ReadSpan(item, path, "init", out.init));
    TRY(ReadSpan(item, path, "ready", out.ready));
    TRY(ReadSpan(item, path, "stop", out.stop));
    out.restart = TRY(OptionalSpan(item, path, "restart"));
    const auto read = [&](const Value& outcome, const std::string& place) -> Ok {
      out.outcomes.push_back(TRY(ReadOutcome(outcome, place)));
      return {};
    };
    TRY(ForEach(item.At("outcomes"), path + ".outcomes", read));
    return out;
  }

  const doc::YamlDocument& document_;
};

}  // namespace

Result<Span> Span::Parse(std::string_view text) {
  const size_t dots = text.find("..");
  if (dots == std::string_view::npos) {
    const Duration both = TRY(ReadDuration(text));
    return Span{both, both};
  }
  Span out{TRY(ReadDuration(text.substr(0, dots))), TRY(ReadDuration(text.substr(dots + 2)))};
  if (out.least > out.most) return BadRequest(fmt::format("{}: the first is longer than the second", text));
  return out;
}

Duration Span::Draw(rt::Runtime& runtime) const {
  if (least == most) return least;
  return least + Duration(runtime.Random() % static_cast<uint64_t>((most - least).count() + 1));
}

int64_t NodeShape::pods() const {
  for (const auto& [resource, amount] : capacity) {
    if (resource != "pods") continue;
    const Result<Quantity> pods = Quantity::Parse(amount);
    return pods.ok() ? pods->Value() : 0;
  }
  return 0;
}

NodeShape LifeCycles::DefaultShape() {
  NodeShape out;
  out.capacity = {{"cpu", "32"}, {"ephemeral-storage", "1Ti"}, {"memory", "256Gi"}, {"pods", "110"}};
  return out;
}

// Apart from the server's own ranges: 10.42.0.0/16 for pods, 10.43.0.0/16 for services.
Cidr LifeCycles::DefaultPodRange() { return {IpAddress::V4(0x0a800000), 9}; }   // 10.128.0.0/9
Cidr LifeCycles::DefaultNodeRange() { return {IpAddress::V4(0x64400000), 10}; }  // 100.64.0.0/10

Result<LifeCycles> LifeCycles::Parse(std::string_view yaml) {
  const doc::YamlDocument document = TRY(doc::ParseYaml(yaml));
  return Reader(document).Read();
}

const PodLifeCycle& LifeCycles::For(api::core_v1::Pod pod) const {
  static const PodLifeCycle kDefault;
  for (const PodLifeCycle& cycle : pods) {
    if (!cycle.ns.empty() && cycle.ns != pod.metadata().ns()) continue;
    if (api::Matches(cycle.selector, pod.metadata().labels())) return cycle;
  }
  return kDefault;
}

int LifeCycles::PodPrefix() const {
  int64_t most = 0;
  for (const NodeShape& shape : nodes) most = std::max(most, shape.pods());
  // Room for the network's own two addresses, and one to spare; at least what nodes usually have.
  return std::min(24, 32 - static_cast<int>(std::bit_width(static_cast<uint64_t>(most + 2))));
}

Ok LifeCycles::CheckCount(int count) const {
  const auto number = static_cast<uint64_t>(std::max(count, 1) - 1);
  TRY(pod_range.Subnet(PodPrefix(), number).Context(fmt::format("{} nodes: podRange {}", count, pod_range.ToString())));
  if (number + 3 <= node_range.Size()) return {};
  return BadRequest(fmt::format("{} nodes: nodeRange {} has no room for so many", count, node_range.ToString()));
}

const NodeShape& LifeCycles::ShapeOf(int index) const {
  int64_t total = 0;
  for (const NodeShape& shape : nodes) total += shape.weight;
  int64_t at = index % total;
  for (const NodeShape& shape : nodes) {
    if (at < shape.weight) return shape;
    at -= shape.weight;
  }
  return nodes.back();
}

}  // namespace knarr::hollow
