// Unified diffs as upstream's messages hold them: by the longest matching blocks, with three lines around each change.

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <string_view>
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

/// A part of both texts.
struct Range {
  size_t before, before_end, after, after_end;
};

/// Finds what two texts have in common as Python's difflib does, which upstream's library follows. That can cost more
/// than the square of their length: after kStepsMax the rest counts as different.
class Matching {
 public:
  Matching(const Lines& before, const Lines& after) : before_(before), after_(after) {
    for (size_t i = 0; i < after.size(); ++i) places_[after[i]].push_back(i);
    const size_t most = after.size() < kPopularFrom ? after.size() : after.size() / 100 + 1;
    for (const std::string& line : before) {
      const auto found = places_.find(line);
      const bool begins = found != places_.end() && found->second.size() <= most;
      begins_.push_back(begins ? std::span<const size_t>(found->second) : std::span<const size_t>());
    }
    Find();
  }
  Matching(const Matching&) = delete;
  Matching& operator=(const Matching&) = delete;

  const std::vector<Block>& blocks() const { return blocks_; }
  /// Whether all has been compared.
  bool complete() const { return steps_ <= kStepsMax; }

 private:
  static constexpr size_t kStepsMax = 10'000'000;

  /// A line of the second text, and how long the match is that ends there.
  struct Match {
    size_t at;
    size_t length;
  };

  Block Longest(const Range& range) {
    Block best{range.before, range.after, 0};
    std::vector<Match> above;  // of the line before, by their place
    std::vector<Match> here;
    for (size_t i = range.before; i < range.before_end && complete(); ++i) {
      here.clear();
      auto last = above.begin();
      const auto first = std::ranges::lower_bound(begins_[i], range.after);
      for (const size_t at : std::span(first, std::ranges::lower_bound(begins_[i], range.after_end))) {
        while (last != above.end() && last->at + 1 < at) ++last;
        const size_t length = last != above.end() && last->at + 1 == at ? last->length + 1 : 1;
        here.push_back({at, length});
        if (length > best.length) best = {i + 1 - length, at + 1 - length, length};
      }
      steps_ += 1 + above.size() + here.size();
      std::swap(above, here);
    }
    while (best.before > range.before && best.after > range.after &&
           before_[best.before - 1] == after_[best.after - 1]) {
      best = {best.before - 1, best.after - 1, best.length + 1};
    }
    while (best.before + best.length < range.before_end && best.after + best.length < range.after_end &&
           before_[best.before + best.length] == after_[best.after + best.length]) {
      ++best.length;
    }
    return best;
  }

  void Find() {
    std::vector<Block> found;
    std::vector<Range> open = {{0, before_.size(), 0, after_.size()}};
    while (!open.empty() && complete()) {
      const Range range = open.back();
      open.pop_back();
      if (range.before == range.before_end || range.after == range.after_end) continue;
      const Block block = Longest(range);
      if (block.length == 0) continue;
      found.push_back(block);
      open.push_back({block.before + block.length, range.before_end, block.after + block.length, range.after_end});
      open.push_back({range.before, block.before, range.after, block.after});
    }
    std::ranges::sort(found, {}, &Block::before);
    for (const Block& block : found) {
      if (!blocks_.empty() && blocks_.back().before + blocks_.back().length == block.before &&
          blocks_.back().after + blocks_.back().length == block.after) {
        blocks_.back().length += block.length;
      } else {
        blocks_.push_back(block);
      }
    }
    blocks_.push_back({before_.size(), after_.size(), 0});
  }

  const Lines& before_;
  const Lines& after_;
  std::map<std::string_view, std::vector<size_t>> places_;  // of the lines of the second text
  std::vector<std::span<const size_t>> begins_;             // the same by line of the first, where a match may begin
  std::vector<Block> blocks_;
  size_t steps_ = 0;
};

/// `same` when it is in both.
struct Step : Range {
  bool same;
};

std::vector<Step> Steps(const std::vector<Block>& blocks) {
  std::vector<Step> out;
  size_t before = 0;
  size_t after = 0;
  for (const Block& block : blocks) {
    if (before < block.before || after < block.after)
      out.push_back({{before, block.before, after, block.after}, false});
    before = block.before + block.length;
    after = block.after + block.length;
    if (block.length > 0) out.push_back({{block.before, before, block.after, after}, true});
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

std::string RangeText(size_t begin, size_t end) {
  const size_t length = end - begin;
  if (length == 1) return std::to_string(begin + 1);
  return std::to_string(length == 0 ? begin : begin + 1) + "," + std::to_string(length);
}

}  // namespace

std::string GoDifference(const Type& type, const Value& before, const Value& after) {
  const Lines old_lines = LinesOf(type, before);
  const Lines new_lines = LinesOf(type, after);
  const Matching matching(old_lines, new_lines);
  std::string out;
  const auto write = [&out](char mark, const Lines& lines, size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) out += mark + lines[i] + "\n";
  };
  for (const std::vector<Step>& hunk : Hunks(Steps(matching.blocks()))) {
    out += "@@ -" + RangeText(hunk.front().before, hunk.back().before_end) + " +" +
           RangeText(hunk.front().after, hunk.back().after_end) + " @@\n";
    for (const Step& step : hunk) {
      if (step.same) {
        write(' ', old_lines, step.before, step.before_end);
        continue;
      }
      write('-', old_lines, step.before, step.before_end);
      write('+', new_lines, step.after, step.after_end);
    }
  }
  if (!matching.complete()) out += "(too long to compare in full: some of these lines may be in both)\n";
  return out;
}

}  // namespace knarr::api::validation
