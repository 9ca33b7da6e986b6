// knarr docker load, images.

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "cli/flags.h"
#include "cli/invocation.h"
#include "image/store.h"

namespace knarr::cli {
namespace {

constexpr std::string_view kUsage =
    "Usage:\n"
    "  knarr docker load -i FILE    bring images from a docker save or OCI archive\n"
    "  knarr docker images [-q]     list the images of this machine\n";

constexpr size_t kShortId = 12;

/// "2 weeks ago", as docker words it.
std::string AgoText(Duration age) {
  using std::chrono::duration_cast;
  const auto seconds = duration_cast<std::chrono::seconds>(age).count();
  auto plural = [](int64_t n, std::string_view unit) { return fmt::format("{} {}s ago", n, unit); };
  if (seconds < 1) return "Less than a second ago";
  if (seconds == 1) return "1 second ago";
  if (seconds < 60) return plural(seconds, "second");
  const int64_t minutes = seconds / 60;
  if (minutes == 1) return "About a minute ago";
  if (minutes < 60) return plural(minutes, "minute");
  const int64_t hours = (minutes + 30) / 60;
  if (hours == 1) return "About an hour ago";
  if (hours < 48) return plural(hours, "hour");
  const int64_t days = hours / 24;
  if (days < 14) return plural(days, "day");
  if (days < 60) return plural(days / 7, "week");
  if (days < 730) return plural(days / 30, "month");
  return plural(days / 365, "year");
}

/// "4.43MB": decimal units, three significant digits.
std::string SizeText(int64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    unit++;
  }
  return fmt::format("{:.3g}{}", value, kUnits[unit]);
}

/// A layer that is in, as docker's finished progress bars look.
std::string LayerLine(std::string_view diff_id, int64_t bytes) {
  const std::string size = SizeText(bytes);
  return fmt::format("{}: Loading layer [{:=>50}>]  {}/{}\n", diff_id.substr(diff_id.find(':') + 1, kShortId), "", size,
                     size);
}

Result<int> Load(const Invocation& invocation, image::Store& store, const std::vector<std::string>& args) {
  std::string input;
  bool quiet = false;
  FlagSet flags;
  flags.String(&input, "input", 'i', "The archive to read");
  flags.Bool(&quiet, "quiet", 'q', "No line for each layer, as when the output is no terminal");
  std::vector<std::string> rest = TRY(flags.Parse(args));
  if (!rest.empty()) return BadRequest("\"docker load\" accepts no arguments.");
  if (input.empty()) return BadRequest("name the archive: docker load -i FILE");
  if (!input.starts_with('/')) input = invocation.env("PWD").value_or("") + "/" + input;
  Console& console = invocation.console;
  image::LoadOptions options;
  if (!quiet && console.OutIsTerminal()) {
    options.loaded = [&console](std::string_view diff_id, int64_t bytes) {
      // A terminal that has gone is found by the line that follows.
      (void)console.Out(LayerLine(diff_id, bytes));
      (void)console.Flush();
    };
  }
  std::vector<std::string> names = TRY(store.Load(input, options));
  for (const std::string& name : names) {
    Result<image::Reference> reference = image::Reference::Parse(name);
    TRY(console.Out(fmt::format("Loaded image: {}\n", reference.ok() ? reference->Familiar() : name)));
  }
  return 0;
}

std::string Padded(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += i + 1 < row.size() ? fmt::format("{:<{}}   ", row[i], widths[i]) : row[i];
    }
    out += '\n';
  }
  return out;
}

Result<int> Images(const Invocation& invocation, image::Store& store, const std::vector<std::string>& args) {
  bool quiet = false;
  bool no_trunc = false;
  FlagSet flags;
  flags.Bool(&quiet, "quiet", 'q', "Ids only");
  flags.Bool(&no_trunc, "no-trunc", 0, "Whole ids");
  std::vector<std::string> rest = TRY(flags.Parse(args));
  std::vector<image::Image> images = TRY(store.List());
  std::ranges::sort(images, std::greater<>(), &image::Image::created);
  std::vector<std::vector<std::string>> rows{{"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"}};
  for (const image::Image& image : images) {
    std::string id = image.id;
    if (!no_trunc) id = id.substr(id.find(':') + 1, kShortId);
    std::vector<std::pair<std::string, std::string>> names;
    for (const std::string& name : image.names) {
      image::Reference reference = TRY(image::Reference::Parse(name));
      names.emplace_back(reference.FamiliarName(), reference.tag.empty() ? "<none>" : reference.tag);
    }
    if (names.empty()) names.emplace_back("<none>", "<none>");
    for (const auto& [name, tag] : names) {
      if (!rest.empty() && rest.front() != name && rest.front() != name + ":" + tag) continue;
      rows.push_back({name, tag, id, AgoText(invocation.runtime.Wall() - image.created), SizeText(image.size)});
    }
  }
  if (!quiet) {
    TRY(invocation.console.Out(Padded(rows)));
    return 0;
  }
  for (size_t i = 1; i < rows.size(); ++i) TRY(invocation.console.Out(rows[i][2] + "\n"));
  return 0;
}

Result<int> Dispatch(const Invocation& invocation, const std::string& data_directory) {
  std::vector<std::string> args = invocation.args;
  // `docker image load`, `docker image ls` are the same verbs.
  if (!args.empty() && args.front() == "image") args.erase(args.begin());
  const std::string verb = args.empty() ? "" : args.front();
  if (!args.empty()) args.erase(args.begin());
  if (verb.empty() || verb == "help" || verb == "--help") {
    TRY(invocation.console.Out(kUsage));
    return 0;
  }
  if (verb != "load" && verb != "images" && verb != "ls") {
    return BadRequest(fmt::format("'{}' is not a docker command.\n{}", verb, kUsage));
  }
  auto store = TRY(image::Store::Open(invocation.runtime, {.directory = data_directory + "/images",
                                                           .registries_file = data_directory + "/registries.yaml"}));
  return verb == "load" ? Load(invocation, *store, args) : Images(invocation, *store, args);
}

}  // namespace

int RunDocker(Invocation invocation, const std::string& data_directory) {
  Result<int> done = Dispatch(invocation, data_directory);
  if (done.ok()) return *done;
  (void)invocation.console.Err(done.status().message() + "\n");
  return 1;
}

}  // namespace knarr::cli
