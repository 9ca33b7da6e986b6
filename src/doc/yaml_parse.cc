#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "doc/json.h"
#include "doc/number.h"
#include "doc/text.h"
#include "doc/yaml.h"
#include "doc/yaml_events.h"
#include "doc/yaml_resolve.h"

namespace knarr::doc {
namespace {

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";
constexpr size_t kKeysLinear = 24;
constexpr std::string_view kTooManyAliases = "document contains excessive aliasing";

// How much of a document may come from aliases: go-yaml's rule. Small documents may be nearly all aliases; for large
// ones the allowed share falls to a tenth, so that the expansion never exceeds some 400,000 nodes. The text in them,
// which the tree shares but every printed form repeats, has a bound of its own.
class AliasBudget {
 public:
  void Count(size_t nodes) { total_ += nodes; }
  bool Expand(size_t nodes, size_t bytes) {
    total_ += nodes;
    expanded_ += nodes;
    bytes_ += bytes;
    if (bytes_ > kBytesMax) return false;
    if (expanded_ <= 100 || total_ <= 1000) return true;
    return static_cast<double>(expanded_) <= Allowed() * static_cast<double>(total_);
  }

 private:
  static constexpr size_t kBytesMax = 16 << 20;

  double Allowed() const {
    constexpr double kLow = 400'000;
    constexpr double kHigh = 4'000'000;
    const auto total = static_cast<double>(total_);
    if (total <= kLow) return 0.99;
    if (total >= kHigh) return 0.10;
    return 0.99 - 0.89 * (total - kLow) / (kHigh - kLow);
  }
  size_t total_ = 0;
  size_t expanded_ = 0;
  size_t bytes_ = 0;
};

// A copy that can be changed by itself; its strings, which are never changed in place, are shared.
Value CopyContainers(const Value& value, Arena& arena) {
  Value out = value;
  if (value.is_array()) {
    out = Value::ArrayOf(arena, value.items());
    for (Value& item : out.items()) item = CopyContainers(item, arena);
  } else if (value.is_object()) {
    out = Value::ObjectOf(arena, value.members());
    for (Member& member : out.members()) member.value = CopyContainers(member.value, arena);
  }
  return out;
}

// A float is what JSON text makes of it: 1.0 and 1e3 are integers.
Value NumberValue(double number) {
  std::string text;
  AppendJsonFloat(number, text);
  int64_t integer = 0;
  const char* const end = text.data() + text.size();
  const auto [p, error] = std::from_chars(text.data(), end, integer);
  return error == std::errc() && p == end ? Value::Int(integer) : Value::Double(number);
}

}  // namespace

// Builds one document from events, with an explicit stack as the JSON parser does.
class YamlBuilder {
 public:
  YamlBuilder(YamlEvents& events, const YamlOptions& options) : events_(events), options_(options) {}

  Result<YamlDocument> Build() {
    YamlEvent event = TRY(events_.Next());
    if (event.kind == YamlEvent::Kind::kStreamEnd) {
      out_.positions.nodes_.push_back({.parent = 0, .index = 0, .member = false, .key = {}, .at = event.at});
      return std::move(out_);
    }
    bool done = false;
    while (!done) {
      event = TRY(events_.Next());
      TRY(Take(event));
      done = frames_.empty();
    }
    TRY(events_.Next());  // the document's end, or an error in what follows the root node
    return std::move(out_);
  }

 private:
  // How large a node is.
  struct Extent {
    size_t nodes = 1;
    size_t depth = 0;  // levels of containers
    size_t bytes = 0;  // of keys and strings
  };
  struct Anchor {
    Value value;
    bool complete = false;
    size_t serial = 0;  // tells a redefinition from the node itself
    Extent extent = {};
  };
  struct Frame {
    bool object;
    bool key_next = true;  // for objects
    bool merging = false;  // the value that comes is to be merged
    uint32_t node = 0;     // in the table of positions
    uint32_t child = 0;    // node of the value that comes
    uint32_t count = 0;    // elements so far
    size_t values = 0;     // where the elements begin
    size_t members = 0;    // where the members begin
    size_t member = 0;     // the one whose value comes
    Extent extent{.depth = 1};
    std::string anchor;
    size_t anchor_serial = 0;
    std::vector<size_t> merged{};                                // members that came by a merge and may be overridden
    std::unique_ptr<std::map<std::string_view, size_t>> keys{};  // once it has many
  };

  Ok Take(const YamlEvent& event) {
    using What = YamlEvent::Kind;
    if (event.kind == What::kSequenceEnd || event.kind == What::kMappingEnd) return Close();
    budget_.Count(1);
    if (!frames_.empty() && frames_.back().object && frames_.back().key_next) return TakeKey(event);
    const uint32_t node = PlaceValue(event);
    switch (event.kind) {
      case What::kScalar: {
        const Value value = TRY(ScalarValue(event));
        if (!event.anchor.empty()) {
          anchors_[std::string(event.anchor)] = {
              .value = value, .complete = true, .serial = ++serial_, .extent = {.bytes = event.text.size()}};
        }
        return Emit(value, {.bytes = event.text.size()}, event.at);
      }
      case What::kAlias:
        return TakeAlias(event);
      default:
        return Open(event, node);
    }
  }

  // The value's entry in the table of positions: made by its key, or now.
  uint32_t PlaceValue(const YamlEvent& event) {
    auto& nodes = out_.positions.nodes_;
    if (!frames_.empty() && frames_.back().object) return frames_.back().child;
    const uint32_t parent = frames_.empty() ? 0 : frames_.back().node;
    const uint32_t index = frames_.empty() ? 0 : frames_.back().count;
    nodes.push_back({.parent = parent, .index = index, .member = false, .key = {}, .at = event.at});
    return static_cast<uint32_t>(nodes.size() - 1);
  }

  Ok Open(const YamlEvent& event, uint32_t node) {
    if (frames_.size() >= static_cast<size_t>(kDepthMax)) {
      return YamlError(event.at, "exceeded max depth of " + std::to_string(kDepthMax));
    }
    Frame frame{.object = event.kind == YamlEvent::Kind::kMappingStart,
                .node = node,
                .values = values_.size(),
                .members = members_.size(),
                .anchor = std::string(event.anchor)};
    if (!event.anchor.empty()) {
      frame.anchor_serial = ++serial_;
      anchors_[frame.anchor] = {.serial = serial_};
    }
    frames_.push_back(std::move(frame));
    opened_at_.push_back(event.at);
    return {};
  }

  Ok Close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    const Position at = opened_at_.back();
    opened_at_.pop_back();
    Value value;
    if (frame.object) {
      value = Value::ObjectOf(arena(), std::span(members_).subspan(frame.members));
      members_.resize(frame.members);
    } else {
      value = Value::ArrayOf(arena(), std::span(values_).subspan(frame.values));
      values_.resize(frame.values);
    }
    if (!frame.anchor.empty() && anchors_[frame.anchor].serial == frame.anchor_serial) {
      anchors_[frame.anchor] = {
          .value = value, .complete = true, .serial = frame.anchor_serial, .extent = frame.extent};
    }
    return Emit(value, frame.extent, at);
  }

  Result<const Anchor*> FindAnchor(const YamlEvent& event) {
    const std::string name(event.anchor);
    const auto found = anchors_.find(name);
    if (found == anchors_.end()) return YamlError(event.at, "unknown anchor '" + name + "' referenced");
    if (!found->second.complete) return YamlError(event.at, "anchor '" + name + "' value contains itself");
    return &found->second;
  }

  Ok TakeAlias(const YamlEvent& event) {
    const Anchor& anchor = *TRY(FindAnchor(event));
    if (!budget_.Expand(anchor.extent.nodes, anchor.extent.bytes)) return YamlError(event.at, kTooManyAliases);
    if (frames_.size() + anchor.extent.depth > static_cast<size_t>(kDepthMax)) {
      return YamlError(event.at, "exceeded max depth of " + std::to_string(kDepthMax));
    }
    return Emit(CopyContainers(anchor.value, arena()), anchor.extent, event.at);
  }

  // A finished node: the root, an element, a member's value or what is to be merged.
  Ok Emit(Value value, const Extent& extent, Position at) {
    if (frames_.empty()) {
      out_.document.root = value;
      return {};
    }
    Frame& frame = frames_.back();
    frame.extent.nodes += extent.nodes;
    frame.extent.depth = std::max(frame.extent.depth, extent.depth + 1);
    frame.extent.bytes += extent.bytes;
    ++frame.count;
    if (!frame.object) {
      values_.push_back(value);
      return {};
    }
    frame.key_next = true;
    if (frame.merging) return Merge(value, at);
    members_[frame.member].value = value;
    return {};
  }

  Ok Merge(const Value& value, Position at) {
    frames_.back().merging = false;
    bool good = value.is_object() || value.is_array();
    for (const Value& item : value.items()) good = good && item.is_object();
    if (!good) return YamlError(at, "map merge requires map or sequence of maps as the value");
    if (value.is_object()) MergeOne(value);
    // Earlier maps take precedence, so they come last.
    for (size_t i = value.size(); value.is_array() && i > 0; --i) MergeOne(value[i - 1]);
    return {};
  }

  void MergeOne(const Value& value) {
    Frame& frame = frames_.back();
    for (const Member& member : value.members()) {
      size_t at = FindMember(member.key);
      if (at == members_.size()) {
        AddMember(member.key);
        frame.merged.push_back(at);
      }
      members_[at].value = member.value;
    }
  }

  // Index of the member with the key in the innermost mapping; members_.size() when there is none.
  size_t FindMember(std::string_view key) {
    Frame& frame = frames_.back();
    if (frame.keys != nullptr) {
      const auto found = frame.keys->find(key);
      return found == frame.keys->end() ? members_.size() : found->second;
    }
    size_t i = frame.members;
    while (i < members_.size() && members_[i].key != key) ++i;
    return i;
  }

  void AddMember(std::string_view key) {
    Frame& frame = frames_.back();
    members_.push_back({key, Value()});
    if (frame.keys != nullptr) {
      frame.keys->emplace(key, members_.size() - 1);
    } else if (members_.size() - frame.members > kKeysLinear) {
      frame.keys = std::make_unique<std::map<std::string_view, size_t>>();
      for (size_t i = frame.members; i < members_.size(); ++i) frame.keys->emplace(members_[i].key, i);
    }
  }

  Ok TakeKey(const YamlEvent& event) {
    Frame& frame = frames_.back();
    frame.key_next = false;
    ++frame.extent.nodes;
    const bool plain_merge = event.kind == YamlEvent::Kind::kScalar && event.text == "<<" &&
                             (event.plain || event.tag == "tag:yaml.org,2002:merge");
    std::string_view key = "<<";
    if (!plain_merge) key = arena().Copy(TRY(KeyText(event)));
    frame.extent.bytes += key.size();
    auto& nodes = out_.positions.nodes_;
    frame.child = static_cast<uint32_t>(nodes.size());
    nodes.push_back({.parent = frame.node, .index = 0, .member = true, .key = key, .at = event.at});
    frame.merging = plain_merge;
    if (plain_merge) return {};
    frame.member = FindMember(key);
    if (frame.member == members_.size()) {
      AddMember(key);
    } else if (std::erase(frame.merged, frame.member) == 0) {
      if (!options_.on_duplicate) return YamlError(event.at, "key " + GoQuote(key) + " already set in map");
      options_.on_duplicate(Path(frame.child), event.at);
    }
    return {};
  }

  // Mapping keys become strings, as on the way to JSON.
  Result<std::string> KeyText(const YamlEvent& event) {
    if (event.kind == YamlEvent::Kind::kAlias) {
      const Anchor& anchor = *TRY(FindAnchor(event));
      if (!budget_.Expand(1, anchor.extent.bytes)) return YamlError(event.at, kTooManyAliases);
      const Value& value = anchor.value;
      if (value.is_string()) return std::string(value.AsString());
      if (value.is_bool() || value.is_number()) return ToJson(value);
      return YamlError(event.at, "unsupported map key: an alias of something that is neither text, number nor boolean");
    }
    if (event.kind != YamlEvent::Kind::kScalar) {
      return YamlError(event.at, "invalid map key: a key must be a scalar");
    }
    const YamlScalar scalar = TRY(Resolve(event));
    if (!event.anchor.empty()) {
      anchors_[std::string(event.anchor)] = {.value = TRY(ScalarValue(event)),
                                             .complete = true,
                                             .serial = ++serial_,
                                             .extent = {.bytes = event.text.size()}};
    }
    switch (scalar.kind) {
      case YamlScalar::Kind::kBool:
        return std::string(scalar.boolean ? "true" : "false");
      case YamlScalar::Kind::kInt:
        return std::to_string(scalar.integer);
      case YamlScalar::Kind::kFloat:
        return FloatKey(scalar.number);
      case YamlScalar::Kind::kNull:
      case YamlScalar::Kind::kUint:
        return YamlError(event.at, "unsupported map key: " + GoQuote(event.text));
      default:
        return std::string(TRY(ScalarValue(event)).AsString());
    }
  }

  static std::string FloatKey(double number) {
    const auto single = static_cast<float>(number);
    if (std::isnan(single)) return ".nan";
    if (std::isinf(single)) return single > 0 ? ".inf" : "-.inf";
    std::string text;
    AppendShortestFloat(single, text);
    return text;
  }

  // Applies the scalar's tag to what its text means.
  Result<YamlScalar> Resolve(const YamlEvent& event) {
    using What = YamlScalar::Kind;
    if (event.tag.empty()) return event.plain ? ResolveYamlScalar(event.text) : YamlScalar{};
    if (!event.tag.starts_with(kTagPrefix)) return YamlScalar{};
    const std::string_view tag = event.tag.substr(kTagPrefix.size());
    constexpr std::pair<std::string_view, What> kTags[] = {{"bool", What::kBool},
                                                           {"int", What::kInt},
                                                           {"float", What::kFloat},
                                                           {"null", What::kNull},
                                                           {"timestamp", What::kTimestamp}};
    for (const auto& [name, kind] : kTags) {
      if (tag != name) continue;
      YamlScalar scalar = ResolveYamlScalar(event.text, kind == What::kTimestamp);
      if (kind == What::kFloat && scalar.kind == What::kInt) {
        scalar = {.kind = What::kFloat, .number = static_cast<double>(scalar.integer)};
      }
      if (scalar.kind == kind || (kind == What::kInt && scalar.kind == What::kUint)) return scalar;
      return YamlError(event.at, "cannot decode `" + std::string(event.text) + "` as a !!" + std::string(tag));
    }
    return YamlScalar{};
  }

  Result<Value> ScalarValue(const YamlEvent& event) {
    const YamlScalar scalar = TRY(Resolve(event));
    switch (scalar.kind) {
      case YamlScalar::Kind::kNull:
        return Value::Null();
      case YamlScalar::Kind::kBool:
        return Value::Bool(scalar.boolean);
      case YamlScalar::Kind::kInt:
        return Value::Int(scalar.integer);
      case YamlScalar::Kind::kUint:
        return Value::Double(static_cast<double>(scalar.natural));
      case YamlScalar::Kind::kFloat:
        if (!std::isfinite(scalar.number)) {
          return YamlError(event.at, "unsupported value: " + std::string(event.text) + " has no form in JSON");
        }
        return NumberValue(scalar.number);
      default:
        break;
    }
    if (event.tag == "tag:yaml.org,2002:binary") {
      auto bytes = Base64Decode(event.text);
      if (!bytes.ok()) return YamlError(event.at, "!!binary value contains invalid base64 data");
      return Value::String(arena(), RepairUtf8(*bytes));
    }
    return Value::String(arena(), event.text);
  }

  std::string Path(uint32_t node) const {
    std::vector<const YamlPositions::Node*> way;
    for (; node != 0; node = way.back()->parent) way.push_back(&out_.positions.nodes_[node]);
    std::string out;
    for (; !way.empty(); way.pop_back()) {
      if (!way.back()->member) {
        out += "[" + std::to_string(way.back()->index) + "]";
        continue;
      }
      if (!out.empty()) out += '.';
      out += way.back()->key;
    }
    return out;
  }

  Arena& arena() { return out_.document.arena; }

  YamlEvents& events_;
  const YamlOptions& options_;
  YamlDocument out_;
  std::vector<Frame> frames_;
  std::vector<Position> opened_at_;
  std::vector<Value> values_;
  std::vector<Member> members_;
  std::map<std::string, Anchor> anchors_;
  size_t serial_ = 0;
  AliasBudget budget_;
};

Result<YamlDocument> ParseYaml(std::string_view text, const YamlOptions& options) {
  if (text.size() > kTextMax) {
    return Status(Reason::kRequestEntityTooLarge, "YAML text of " + std::to_string(text.size()) + " bytes is too long");
  }
  YamlEvents events(text, options.first_line);
  return YamlBuilder(events, options).Build();
}

}  // namespace knarr::doc
