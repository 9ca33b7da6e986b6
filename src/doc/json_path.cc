#include "doc/json_path.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <utility>

#include "base/strings.h"
#include "doc/json.h"
#include "doc/json_path_nodes.h"
#include "doc/number.h"

namespace knarr::doc {
namespace {

using Node = JsonPathNode;
using What = JsonPathNode::Kind;
using Values = std::vector<Value>;

// What one template may look at: wildcards and descents after one another multiply.
constexpr size_t kVisitsMax = 10'000'000;

std::string_view GoType(const Value& value) {
  switch (value.kind()) {
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int64";
    case Kind::kDouble:
      return "float64";
    case Kind::kString:
      return "string";
    case Kind::kArray:
      return "[]interface {}";
    case Kind::kObject:
      return "map[string]interface {}";
    default:
      return "<nil>";
  }
}

// A scalar as Go's fmt prints it.
std::string Text(const Value& value) {
  std::string out;
  if (value.is_string()) return std::string(value.AsString());
  if (value.is_double()) {
    AppendShortestFloat(value.AsDouble(), out);
  } else {
    WriteJson(value, out);
  }
  return out;
}

// Go's %v.
std::string GoFormat(const Value& value) {
  if (value.is_null()) return "<nil>";
  if (!value.is_array() && !value.is_object()) return Text(value);
  std::vector<std::string> parts;
  for (const Value& item : value.items()) parts.push_back(GoFormat(item));
  for (const Member& member : value.members()) parts.push_back(std::string(member.key) + ":" + GoFormat(member.value));
  std::ranges::sort(parts.begin(), value.is_object() ? parts.end() : parts.begin());
  return (value.is_object() ? "map[" : "[") + Join(parts, " ") + "]";
}

Result<int> Compare(const Value& left, const Value& right) {
  const auto comparable = [](const Value& v) { return v.is_bool() || v.is_number() || v.is_string(); };
  if (!comparable(left) || !comparable(right)) return BadRequest("invalid type for comparison");
  if (left.kind() != right.kind()) return BadRequest("incompatible types for comparison");
  const auto order = [](const auto& a, const auto& b) { return a < b ? -1 : b < a ? 1 : 0; };
  if (left.is_string()) return order(left.AsString(), right.AsString());
  if (left.is_int()) return order(left.AsInt(), right.AsInt());
  if (left.is_double()) return order(left.AsDouble(), right.AsDouble());
  return order(left.AsBool(), right.AsBool());
}

Result<bool> Matches(const Value& left, std::string_view op, const Value& right) {
  constexpr std::string_view kKnown[] = {"<", ">", "==", "!=", "<=", ">="};
  if (std::ranges::find(kKnown, op) == std::end(kKnown)) {
    return BadRequest("unrecognized filter operator " + std::string(op));
  }
  const int order = TRY(Compare(left, right));
  if (op == "==") return order == 0;
  if (op == "!=") return order != 0;
  if (left.is_bool()) return BadRequest("invalid type for comparison");
  if (op == "<") return order < 0;
  if (op == "<=") return order <= 0;
  if (op == ">") return order > 0;
  return order >= 0;
}

class Evaluation {
 public:
  Evaluation(const std::vector<Node>& nodes, JsonPath::MissingKeys missing) : nodes_(nodes), missing_(missing) {}

  // The template from its node `begin` on, up to the end of the range it stands in.
  Result<std::vector<Values>> Run(const Value& data, size_t begin) {
    std::vector<Values> out;
    for (size_t i = begin; i < nodes_.size(); ++i) {
      Values results = TRY(Walk({data}, nodes_[i]));
      if (end_range_ > 0 && end_range_ <= in_range_) {
        --end_range_;
        last_end_ = i;
        break;
      }
      if (begin_range_ == 0) {
        out.push_back(std::move(results));
        continue;
      }
      --begin_range_;
      if (in_range_ >= kRangesMax) return BadRequest("ranges nested deeper than " + std::to_string(kRangesMax));
      ++in_range_;
      // Without a result the body runs once all the same, so that its end is found.
      if (results.empty()) TRY(Run(Value(), i + 1));
      for (const Value& value : results) {
        auto inner = TRY(Run(value, i + 1));
        std::ranges::move(inner, std::back_inserter(out));
      }
      --in_range_;
      if (last_end_ > i) i = last_end_;
    }
    return out;
  }

 private:
  static constexpr int kRangesMax = 32;

  Ok Visit(size_t count) {
    visits_ += count;
    if (visits_ > kVisitsMax)
      return BadRequest("the template visits more than " + std::to_string(kVisitsMax) + " values");
    return {};
  }

  Result<Values> Walk(const Values& input, const Node& node) {
    TRY(Visit(1 + input.size()));
    switch (node.kind) {
      case What::kList:
        return WalkList(input, node);
      case What::kText:
        return Values{Value::Borrow(node.text)};
      case What::kIdentifier:
        return Identifier(input, node);
      case What::kField:
        return Field(input, node);
      case What::kArray:
        return Slice(input, node);
      case What::kFilter:
        return Filter(input, node);
      case What::kInt:
        return Values(input.size(), Value::Int(node.integer));
      case What::kFloat:
        return Values(input.size(), Value::Double(node.number));
      case What::kBool:
        return Values(input.size(), Value::Bool(node.integer != 0));
      case What::kWildcard:
        return Wildcard(input);
      case What::kRecursive: {
        Values out;
        TRY(Descend(input, out));
        return out;
      }
      case What::kUnion:
        return Union(input, node);
    }
    return Values();
  }

  Result<Values> WalkList(Values values, const Node& list) {
    for (const Node& node : list.children) values = TRY(Walk(values, node));
    return values;
  }

  Result<Values> Identifier(const Values& input, const Node& node) {
    if (node.text == "range") {
      ++begin_range_;
      return input;
    }
    if (node.text != "end") return BadRequest("unrecognized identifier " + node.text);
    if (in_range_ == 0) return BadRequest("not in range, nothing to end");
    ++end_range_;
    return Values();
  }

  Result<Values> Field(const Values& input, const Node& node) {
    Values out;
    if (input.empty()) return out;
    for (const Value& value : input) {
      TRY(Visit(value.size() / 8));
      if (const Value* found = value.Find(node.text)) out.push_back(*found);
    }
    if (out.empty() && missing_ == JsonPath::MissingKeys::kError) return BadRequest(node.text + " is not found");
    return out;
  }

  Result<Values> Slice(const Values& input, const Node& node) {
    Values out;
    for (const Value& value : input) {
      if (value.is_null()) continue;
      if (!value.is_array()) return BadRequest(std::string(GoType(value)) + " is not array or slice");
      const auto length = static_cast<int64_t>(value.size());
      int64_t from = node.slice[0].known ? node.slice[0].value : 0;
      int64_t to = node.slice[1].known ? node.slice[1].value : length;
      if (from < 0) from += length;
      if (to < 0 || (to == 0 && node.slice[1].derived)) to += length;
      if (from == to) return out;
      const auto out_of_bounds = [&](int64_t index) {
        return BadRequest("array index out of bounds: index " + std::to_string(index) + ", length " +
                          std::to_string(length));
      };
      if (from >= length || from < 0) return out_of_bounds(from);
      if (to > length || to < 0) return out_of_bounds(to - 1);
      if (from > to) {
        return BadRequest("starting index " + std::to_string(from) + " is greater than ending index " +
                          std::to_string(to));
      }
      if (node.slice[2].known && node.slice[2].value <= 0) return BadRequest("step must be > 0");
      const int64_t step = node.slice[2].known ? node.slice[2].value : 1;
      TRY(Visit(static_cast<size_t>((to - from) / step)));
      for (int64_t i = from; i < to; i += step) out.push_back(value[static_cast<size_t>(i)]);
    }
    return out;
  }

  Result<Values> Union(const Values& input, const Node& node) {
    Values out;
    for (const Node& child : node.children) {
      const Values found = TRY(WalkList(input, child));
      out.insert(out.end(), found.begin(), found.end());
    }
    return out;
  }

  // What is directly inside the value; Go's reflection sees bytes inside a string.
  static Values Inside(const Value& value) {
    Values out(value.items().begin(), value.items().end());
    for (const Member& member : value.members()) out.push_back(member.value);
    for (char c : value.AsString()) out.push_back(Value::Int(static_cast<unsigned char>(c)));
    return out;
  }

  Result<Values> Wildcard(const Values& input) {
    Values out;
    for (const Value& value : input) {
      const Values inside = Inside(value);
      TRY(Visit(inside.size()));
      out.insert(out.end(), inside.begin(), inside.end());
    }
    return out;
  }

  Ok Descend(std::span<const Value> input, Values& out) {
    TRY(Visit(input.size()));
    for (const Value& value : input) {
      if (value.is_string() ? value.AsString().empty() : value.empty()) continue;
      out.push_back(value);
      if (value.is_string()) continue;  // nothing is inside its bytes
      const Values inside = Inside(value);
      TRY(Descend(inside, out));
    }
    return {};
  }

  Result<Values> Filter(const Values& input, const Node& node) {
    Values out;
    for (const Value& value : input) {
      if (!value.is_array()) return BadRequest(GoFormat(value) + " is not array or slice and cannot be filtered");
      for (const Value& item : value.items()) {
        TRY(Visit(1));
        auto left = WalkList({item}, node.children[0]);
        if (node.text == "exists") {
          // An error means that nothing is there.
          if (left.ok() && !left->empty()) out.push_back(item);
          continue;
        }
        if (!left.ok()) return left.status();
        if (left->empty()) continue;
        if (left->size() > 1) return BadRequest("can only compare one element at a time");
        const Values right = TRY(WalkList({item}, node.children[1]));
        if (right.empty()) continue;
        if (right.size() > 1) return BadRequest("can only compare one element at a time");
        if (TRY(Matches((*left)[0], node.text, right[0]))) out.push_back(item);
      }
    }
    return out;
  }

  const std::vector<Node>& nodes_;
  const JsonPath::MissingKeys missing_;
  size_t visits_ = 0;
  int begin_range_ = 0;
  int in_range_ = 0;
  int end_range_ = 0;
  size_t last_end_ = 0;
};

}  // namespace

struct JsonPath::Template {
  Node root;
};

JsonPath::JsonPath(std::unique_ptr<Template> parsed) : template_(std::move(parsed)) {}
JsonPath::JsonPath(JsonPath&&) noexcept = default;
JsonPath& JsonPath::operator=(JsonPath&&) noexcept = default;
JsonPath::~JsonPath() = default;

Result<JsonPath> JsonPath::Parse(std::string_view text) {
  auto parsed = std::make_unique<Template>();
  parsed->root = TRY(ParseJsonPath(text));
  return JsonPath(std::move(parsed));
}

Result<std::vector<std::vector<Value>>> JsonPath::Find(const Value& data, MissingKeys missing) const {
  return Evaluation(template_->root.children, missing).Run(data, 0);
}

Result<std::string> JsonPath::Print(const Value& data, MissingKeys missing) const {
  std::string out;
  for (const std::vector<Value>& results : TRY(Find(data, missing))) {
    for (size_t i = 0; i < results.size(); ++i) {
      if (i > 0) out += ' ';
      if (results[i].is_array() || results[i].is_object()) {
        // As Go prints maps: members sorted.
        Document copy = Document::Copy(results[i]);
        copy.root.SortMembers();
        WriteJson(copy.root, out);
      } else {
        out += Text(results[i]);
      }
    }
  }
  return out;
}

}  // namespace knarr::doc
