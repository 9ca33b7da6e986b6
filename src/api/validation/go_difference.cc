// Unified diffs as upstream's messages hold them: by the longest matching blocks, with three lines around each change.

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "api/validation/go_form.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::api::validation {
namespace {

using doc::Value;
using Lines = std::vector<std::string>;

constexpr size_t kContext = 3;
/// From so many lines on, lines that are more than a hundredth of all do not begin a match.
constexpr size_t kPopularFrom = 200;

void Print(const Value& value, size_t depth, std::string& out) {
  const bool object = value.is_object();
  if ((!object && !value.is_array()) || value.empty()) {
    out += doc::ToJson(value);
    return;
  }
  const std::string indent(depth + 1, ' ');
  bool first = true;
  const auto begin = [&] {
    out += first ? "\n" : ",\n";
    out += indent;
    first = false;
  };
  out += object ? '{' : '[';
  for (const doc::Member& member : value.members()) {
    begin();
    out += doc::ToJson(Value::Borrow(member.key)) + ": ";
    Print(member.value, depth + 1, out);
  }
  for (const Value& item : value.items()) {
    begin();
    Print(item, depth + 1, out);
  }
  out += "\n" + std::string(depth, ' ') + (object ? '}' : ']');
}

Lines LinesOf(const Type& type, const Value& value) {
  doc::Arena arena;
  std::string text;
  Print(GoForm(type, value, arena), 0, text);
  Lines out;
  for (const std::string_view line : Split(text, '\n')) out.emplace_back(line);
  return out;
}

struct Block {
  size_t before;
  size_t after;
  size_t length;
};

/// Finds what two texts have in common as Python's difflib does, which upstream's library follows.
class Matching {
 public:
  Matching(const Lines& before, const Lines& after) : before_(before), after_(after) {
    for (size_t i = 0; i < after.size(); ++i) places_[after[i]].push_back(i);
    if (after.size() < kPopularFrom) return;
    const size_t most = after.size() / 100 + 1;
    std::erase_if(places_, [most](const auto& entry) { return entry.second.size() > most; });
  }

  std::vector<Block> Blocks() const {
    std::vector<Block> out;
    Find(0, before_.size(), 0, after_.size(), out);
    std::vector<Block> joined;
    for (const Block& block : out) {
      if (!joined.empty() && joined.back().before + joined.back().length == block.before &&
          joined.back().after + joined.back().length == block.after) {
        joined.back().length += block.length;
      } else {
        joined.push_back(block);
      }
    }
    joined.push_back({before_.size(), after_.size(), 0});
    return joined;
  }

 private:
  Block Longest(size_t before, size_t before_end, size_t after, size_t after_end) const {
    Block best{before, after, 0};
    std::map<size_t, size_t> lengths;  // of matches that end at a line of the second text
    for (size_t i = before; i < before_end; ++i) {
      std::map<size_t, size_t> next;
      const auto places = places_.find(before_[i]);
      if (places != places_.end()) {
        for (const size_t j : places->second) {
          if (j < after) continue;
          if (j >= after_end) break;
          const auto found = j > 0 ? lengths.find(j - 1) : lengths.end();
          const size_t length = next[j] = (found == lengths.end() ? 0 : found->second) + 1;
          if (length > best.length) best = {i - length + 1, j - length + 1, length};
        }
      }
      lengths = std::move(next);
    }
    while (best.before > before && best.after > after && before_[best.before - 1] == after_[best.after - 1]) {
      best = {best.before - 1, best.after - 1, best.length + 1};
    }
    while (best.before + best.length < before_end && best.after + best.length < after_end &&
           before_[best.before + best.length] == after_[best.after + best.length]) {
      ++best.length;
    }
    return best;
  }

  void Find(size_t before, size_t before_end, size_t after, size_t after_end, std::vector<Block>& out) const {
    if (before >= before_end || after >= after_end) return;
    const Block block = Longest(before, before_end, after, after_end);
    if (block.length == 0) return;
    Find(before, block.before, after, block.after, out);
    out.push_back(block);
    Find(block.before + block.length, before_end, block.after + block.length, after_end, out);
  }

  const Lines& before_;
  const Lines& after_;
  std::map<std::string_view, std::vector<size_t>> places_;
};

/// A stretch of both texts; `same` when it is in both.
struct Step {
  bool same;
  size_t before, before_end, after, after_end;
};

std::vector<Step> Steps(const std::vector<Block>& blocks) {
  std::vector<Step> out;
  size_t before = 0;
  size_t after = 0;
  for (const Block& block : blocks) {
    if (before < block.before || after < block.after) out.push_back({false, before, block.before, after, block.after});
    before = block.before + block.length;
    after = block.after + block.length;
    if (block.length > 0) out.push_back({true, block.before, before, block.after, after});
  }
  return out;
}

std::vector<std::vector<Step>> Hunks(std::vector<Step> steps) {
  if (steps.empty()) return {};
  const auto shorten_front = [](Step& step) {
    step.before = std::max(step.before, step.before_end - std::min(kContext, step.before_end));
    step.after = std::max(step.after, step.after_end - std::min(kContext, step.after_end));
  };
  const auto shorten_back = [](Step& step) {
    step.before_end = std::min(step.before_end, step.before + kContext);
    step.after_end = std::min(step.after_end, step.after + kContext);
  };
  if (steps.front().same) shorten_front(steps.front());
  if (steps.back().same) shorten_back(steps.back());
  std::vector<std::vector<Step>> out(1);
  for (Step step : steps) {
    if (step.same && step.before_end - step.before > 2 * kContext) {
      Step end = step;
      shorten_back(end);
      out.back().push_back(end);
      out.emplace_back();
      shorten_front(step);
    }
    out.back().push_back(step);
  }
  std::erase_if(out, [](const auto& hunk) { return hunk.empty() || (hunk.size() == 1 && hunk.front().same); });
  return out;
}

std::string Range(size_t begin, size_t end) {
  const size_t length = end - begin;
  if (length == 1) return std::to_string(begin + 1);
  return std::to_string(length == 0 ? begin : begin + 1) + "," + std::to_string(length);
}

}  // namespace

std::string GoDifference(const Type& type, const Value& before, const Value& after) {
  const Lines old_lines = LinesOf(type, before);
  const Lines new_lines = LinesOf(type, after);
  const std::vector<Block> blocks = Matching(old_lines, new_lines).Blocks();
  std::string out;
  const auto write = [&out](char mark, const Lines& lines, size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) out += mark + lines[i] + "\n";
  };
  for (const std::vector<Step>& hunk : Hunks(Steps(blocks))) {
    out += "@@ -" + Range(hunk.front().before, hunk.back().before_end) + " +" +
           Range(hunk.front().after, hunk.back().after_end) + " @@\n";
    for (const Step& step : hunk) {
      if (step.same) {
        write(' ', old_lines, step.before, step.before_end);
        continue;
      }
      write('-', old_lines, step.before, step.before_end);
      write('+', new_lines, step.after, step.after_end);
    }
  }
  return out;
}

}  // namespace knarr::api::validation
