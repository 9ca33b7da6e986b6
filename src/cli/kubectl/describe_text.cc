// What describe's layouts are made of: aligned text, labels, annotations, times, events.

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <set>

#include "api/core_v1.h"
#include "api/label_selector.h"
#include "base/strings.h"
#include "cli/kubectl/describe.h"
#include "doc/json.h"

namespace knarr::cli {
namespace {

constexpr size_t kCellGap = 2;
constexpr size_t kAnnotationMax = 140;
constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

size_t Width(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Control sequences of terminals become readable: what is described may come from anybody.
std::string Harmless(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\x1b') {
      out += "^[";
    } else if (c == '\r') {
      out += "\\r";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Shortened(std::string_view text, size_t most) {
  return text.size() > most ? std::string(text.substr(0, most)) + "..." : std::string(text);
}

}  // namespace

std::string AlignTabs(std::string_view text) {
  struct Line {
    std::vector<std::string_view> cells;
    std::vector<size_t> widths;
  };
  std::vector<Line> lines;
  for (std::string_view line : Split(text, '\n')) lines.push_back({Split(line, '\t'), {}});
  // Column by column, among the lines that reach it: a run of neighbours shares a width.
  std::vector<size_t> reaching(lines.size());
  for (size_t i = 0; i < lines.size(); ++i) reaching[i] = i;
  for (size_t column = 0; !reaching.empty(); ++column) {
    std::erase_if(reaching, [&](size_t i) { return lines[i].cells.size() < column + 2; });
    for (size_t from = 0; from < reaching.size();) {
      size_t to = from;
      size_t width = 0;
      do {
        width = std::max(width, Width(lines[reaching[to]].cells[column]) + kCellGap);
        ++to;
      } while (to < reaching.size() && reaching[to] == reaching[to - 1] + 1);
      for (; from < to; ++from) lines[reaching[from]].widths.push_back(width);
    }
  }
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    const Line& line = lines[i];
    for (size_t k = 0; k < line.cells.size(); ++k) {
      out += line.cells[k];
      if (k < line.widths.size()) out.append(line.widths[k] - Width(line.cells[k]), ' ');
    }
    if (i + 1 < lines.size()) out += '\n';
  }
  return out;
}

void Description::Add(int level, std::string_view text) {
  text_.append(static_cast<size_t>(level + nesting_) * 2, ' ');
  text_ += Harmless(text);
}

std::string Description::Take() {
  std::string out = done_ + AlignTabs(text_);
  done_.clear();
  text_.clear();
  return out;
}

void Description::Name(const api::Object& object) { Add(0, fmt::format("Name:\t{}\n", object.name())); }

void Description::NameAndNamespace(const api::Object& object) {
  Name(object);
  Add(0, fmt::format("Namespace:\t{}\n", object.ns()));
}

void Description::Labels(std::string_view title, const doc::Value& labels) {
  Add(0, fmt::format("{}:\t", title));
  if (labels.empty()) text_ += "<none>\n";
  bool first = true;
  for (const std::string& key : SortedKeys(labels)) {
    if (!first) Add(0, "\t");
    first = false;
    text_ += Harmless(fmt::format("{}={}\n", key, labels.At(key).AsString()));
  }
}

void Description::Annotations(const doc::Value& annotations, std::string_view title) {
  Add(0, fmt::format("{}:\t", title));
  std::vector<std::string> keys = SortedKeys(annotations);
  std::erase(keys, kLastApplied);
  if (keys.empty()) text_ += "<none>\n";
  bool first = true;
  for (const std::string& key : keys) {
    if (!first) Add(0, "\t");
    first = false;
    std::string_view value = annotations.At(key).AsString();
    ConsumeSuffix(value, "\n");
    if (value.size() + key.size() + 2 <= kAnnotationMax && value.find('\n') == std::string_view::npos) {
      text_ += Harmless(fmt::format("{}: {}\n", key, value));
      continue;
    }
    text_ += Harmless(fmt::format("{}:\n", key));
    for (std::string_view line : Split(value, '\n')) {
      Add(0, fmt::format("\t  {}\n", Shortened(line, kAnnotationMax - 2)));
    }
  }
}

void Description::Tolerations(std::string_view title, const doc::Value& tolerations) {
  Add(0, fmt::format("{}:\t", title));
  if (tolerations.empty()) text_ += "<none>\n";
  std::vector<const doc::Value*> sorted;
  for (const doc::Value& toleration : tolerations.items()) sorted.push_back(&toleration);
  std::ranges::stable_sort(sorted, {}, [](const doc::Value* t) { return t->At("key").AsString(); });
  bool first = true;
  for (const doc::Value* at : sorted) {
    api::core_v1::Toleration toleration(*at);
    if (!first) Add(0, "\t");
    first = false;
    std::string line(toleration.key());
    if (!toleration.value().empty()) line += fmt::format("={}", toleration.value());
    if (!toleration.effect().empty()) line += fmt::format(":{}", toleration.effect());
    if (toleration.operator_() == "Exists" && toleration.value().empty())
      line += line.empty() ? "op=Exists" : " op=Exists";
    if (auto seconds = toleration.toleration_seconds()) line += fmt::format(" for {}s", *seconds);
    text_ += Harmless(line) + "\n";
  }
}

void Description::Events(const api::Object& object) { Events(object, object.kind(), ""); }

void Description::Events(const api::Object& object, std::string_view kind, std::string_view other_uid) {
  if (!show_events_) return;
  std::string fields = fmt::format("involvedObject.name={},involvedObject.namespace={}", object.name(), object.ns());
  if (!kind.empty()) fields += fmt::format(",involvedObject.kind={}", kind);
  std::vector<api::ObjectPtr> found;
  for (std::string_view uid : {object.uid(), other_uid}) {
    if (uid.empty()) continue;
    client::ListOptions options{.field_selector = fmt::format("{},involvedObject.uid={}", fields, uid)};
    // Who may read the object but not its events still sees the object.
    Result<client::ObjectList> events = client().List(api::core_v1::EventInfo(), object.ns(), options);
    if (!events.ok()) continue;
    found.insert(found.end(), events->items.begin(), events->items.end());
  }
  AddEvents(std::move(found));
}

void Description::AddEvents(std::vector<api::ObjectPtr> events) {
  if (events.empty()) {
    Add(0, "Events:\t<none>\n");
    return;
  }
  // The table keeps its widths to itself.
  done_ += AlignTabs(text_);
  text_.clear();
  std::ranges::stable_sort(events, {},
                           [](const api::ObjectPtr& e) { return e->tree().At("lastTimestamp").AsString(); });
  Add(0, "Events:\n  Type\tReason\tAge\tFrom\tMessage\n");
  Add(1, "----\t------\t----\t----\t-------\n");
  for (const api::ObjectPtr& object : events) {
    const doc::Value& event = object->tree();
    const doc::Value& event_time = event.At("eventTime");
    const std::string first = Since(event_time.is_string() ? event_time : event.At("firstTimestamp"));
    std::string age = first;
    if (event.At("series").is_object()) {
      age = fmt::format("{} (x{} over {})", Since(event.Get("series", "lastObservedTime")),
                        event.Get("series", "count").AsInt(), first);
    } else if (event.At("count").AsInt() > 1) {
      age = fmt::format("{} (x{} over {})", Since(event.At("lastTimestamp")), event.At("count").AsInt(), first);
    }
    std::string_view from = event.Get("source", "component").AsString();
    if (from.empty()) from = event.At("reportingComponent").AsString();
    std::string message(TrimSpace(event.At("message").AsString()));
    const std::string_view part = event.Get("involvedObject", "fieldPath").AsString();
    if (!part.empty()) message = fmt::format("{}: {}", part, message);
    Add(1, fmt::format("{}\t{}\t{}\t{}\t{}\n", event.At("type").AsString(), event.At("reason").AsString(), age, from,
                       message));
  }
}

std::string Description::Since(const doc::Value& time) const {
  Result<WallTime> parsed = ParseTime(time.AsString());
  return parsed.ok() ? FormatAge(session_.runtime().Wall() - *parsed) : "<unknown>";
}

std::string LongTime(const doc::Value& time) {
  Result<Timestamp> parsed = ParseTimestamp(time.AsString());
  if (!parsed.ok()) return "Mon, 01 Jan 0001 00:00:00 +0000";
  const time_t seconds = parsed->seconds;
  tm local{};
  localtime_r(&seconds, &local);
  constexpr std::string_view kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const int offset = static_cast<int>(local.tm_gmtoff / 60);
  const int distance = offset < 0 ? -offset : offset;
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} {}{:02}{:02}", kDays[local.tm_wday], local.tm_mday,
                     kMonths[local.tm_mon], local.tm_year + 1900, local.tm_hour, local.tm_min, local.tm_sec,
                     offset < 0 ? '-' : '+', distance / 60, distance % 60);
}

std::string ControllerText(const doc::Value& object) {
  for (const doc::Value& owner : object.Get("metadata", "ownerReferences").items()) {
    if (owner.At("controller").AsBool()) {
      return fmt::format("{}/{}", owner.At("kind").AsString(), owner.At("name").AsString());
    }
  }
  return "";
}

std::string YesNo(bool value) { return value ? "True" : "False"; }

std::string GoText(const doc::Value& value) {
  std::string out;
  if (value.is_null()) return "<nil>";
  if (value.is_string()) return std::string(value.AsString());
  if (value.is_array()) {
    for (const doc::Value& item : value.items()) out += (out.empty() ? "" : " ") + GoText(item);
    return "[" + out + "]";
  }
  if (!value.is_object()) return doc::ToJson(value);
  for (const std::string& key : SortedKeys(value)) {
    out += fmt::format("{}{}:{}", out.empty() ? "" : " ", key, GoText(value.At(key)));
  }
  return "map[" + out + "]";
}

std::vector<std::string> Strings(const doc::Value& list) {
  std::vector<std::string> out;
  for (const doc::Value& item : list.items()) out.emplace_back(item.AsString());
  return out;
}

std::string TextOr(const doc::Value& value, std::string_view other) {
  return value.is_null() ? std::string(other) : GoText(value);
}

std::vector<std::string> SortedKeys(const doc::Value& map) {
  std::vector<std::string> out;
  for (const doc::Member& member : map.members()) out.emplace_back(member.key);
  std::ranges::sort(out);
  return out;
}

Quantity QuantityOf(const doc::Value& value) {
  // Anything but a quantity is not among what a server gives; it counts as nothing.
  return Quantity::Parse(value.is_int() ? std::to_string(value.AsInt()) : std::string(value.AsString()))
      .value_or(Quantity());
}

std::string AccessModes(const doc::Value& modes) {
  std::set<std::string_view> given;
  for (const doc::Value& mode : modes.items()) given.insert(mode.AsString());
  constexpr std::pair<std::string_view, std::string_view> kShort[] = {
      {"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}, {"ReadWriteOncePod", "RWOP"}};
  std::string out;
  for (const auto& [mode, brief] : kShort) {
    if (given.contains(mode)) out += fmt::format("{}{}", out.empty() ? "" : ",", brief);
  }
  return out;
}

std::string SelectorText(const doc::Value& labels) { return api::FormatLabels(api::StringMap(labels)); }

std::string LabelSelectorText(const doc::Value& selector) {
  return api::FormatLabelSelector(api::meta_v1::LabelSelector(selector));
}

}  // namespace knarr::cli
