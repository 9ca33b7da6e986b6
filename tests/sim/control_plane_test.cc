// Controllers and scheduler in the simulator: a seed decides the workload, the faults and every interleaving; or a
// scenario file says what happens (docs/recipes/scenarios.md).

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "sim/generate.h"
#include "sim/run.h"

namespace knarr::sim {
namespace {

constexpr const char* kUsage =
    "usage: %s [--seeds A..B | --seed N | --scenario FILE]… [FLAG…]\n"
    "  --shard I/N       of the seeds only every Nth\n"
    "  --steps N         at most so many steps of a seed's workload (100)\n"
    "  --until TIME      breaks a run off when so much virtual time has passed\n"
    "  --replay          runs each seed twice and compares the traces' hashes\n"
    "  --trace           prints every step of every fiber\n"
    "  --verbose         tells what happened also of runs that went well\n"
    "  --print           prints the scenario of each seed, and runs nothing\n"
    "  --shrink FILE     makes the first run that fails smaller, and writes that scenario to the file\n"
    "  --stop            ends with the first run that fails\n"
    "  --progress        names each seed before it is run\n"
    "  --probes          tells which rare things happened how often, and which never did\n";

struct Arguments {
  uint64_t first = 1;
  uint64_t last = 1000;
  uint64_t shard = 1;
  uint64_t shards = 1;
  int steps = 100;
  Duration until{};
  std::vector<std::string> files;
  std::string shrink;
  bool replay = false;
  bool trace = false;
  bool verbose = false;
  bool print = false;
  bool stop = false;
  bool progress = false;
  bool probes = false;
};

bool ReadNumber(std::string_view text, uint64_t& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

/// "3..17" or "2/4": two numbers.
bool ReadPair(std::string_view text, std::string_view between, uint64_t& a, uint64_t& b) {
  const size_t at = text.find(between);
  if (at == std::string_view::npos) return ReadNumber(text, a) && ReadNumber(text, b);
  return ReadNumber(text.substr(0, at), a) && ReadNumber(text.substr(at + between.size()), b);
}

bool ReadValue(std::string_view flag, const std::string& value, Arguments& out) {
  if (flag == "--seeds" || flag == "--seed") {
    return ReadPair(value, "..", out.first, out.last) && out.first <= out.last;
  }
  if (flag == "--shard") {
    return ReadPair(value, "/", out.shard, out.shards) && out.shard >= 1 && out.shard <= out.shards;
  }
  if (flag == "--until") {
    const auto until = ParseDuration(value);
    if (until.ok()) out.until = *until;
    return until.ok() && *until > Duration::zero();
  }
  if (flag == "--steps") {
    uint64_t steps = 0;
    if (!ReadNumber(value, steps) || steps < 1 || steps > 100000) return false;
    out.steps = static_cast<int>(steps);
    return true;
  }
  if (flag == "--scenario") {
    out.files.push_back(value);
    return true;
  }
  if (flag == "--shrink") out.shrink = value;
  return flag == "--shrink";
}

bool Read(int argc, char** argv, Arguments& out) {
  const std::map<std::string_view, bool*> switches = {
      {"--replay", &out.replay}, {"--trace", &out.trace},       {"--verbose", &out.verbose}, {"--print", &out.print},
      {"--stop", &out.stop},     {"--progress", &out.progress}, {"--probes", &out.probes}};
  for (int i = 1; i < argc; ++i) {
    const auto found = switches.find(argv[i]);
    if (found != switches.end()) {
      *found->second = true;
    } else if (i + 1 < argc && ReadValue(argv[i], argv[i + 1], out)) {
      ++i;
    } else {
      return false;
    }
  }
  return true;
}

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

Result<std::string> ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return NotFound(path + ": can't be read");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class Runs {
 public:
  Runs(const Arguments& arguments, const char* program) : arguments_(arguments), program_(program) {}

  int Run() {
    const auto start = std::chrono::steady_clock::now();
    for (const std::string& path : arguments_.files) RunFile(path);
    if (arguments_.files.empty()) RunSeeds();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    if (arguments_.print) return 0;
    if (arguments_.probes) PrintProbes();
    std::printf("%u %s, %u failed, %.1f s\n", runs_, arguments_.files.empty() ? "seeds" : "scenarios", failures_,
                took.count());
    return failures_ == 0 ? 0 : 1;
  }

 private:
  bool Over() const { return failures_ >= (arguments_.stop || !arguments_.shrink.empty() ? 1U : 3U); }

  void RunFile(const std::string& path) {
    const Result<std::string> text = ReadWhole(path);
    const Result<Scenario> scenario = text.ok() ? Scenario::Parse(*text, path) : Result<Scenario>(text.status());
    if (!scenario.ok()) {
      std::printf("%s\n", std::string(scenario.status().message()).c_str());
      failures_++;
      return;
    }
    folder_ = path.substr(0, path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1);
    runs_++;
    if (!RunOne(*scenario, "--scenario " + path)) failures_++;
  }

  void RunSeeds() {
    for (uint64_t seed = arguments_.first; seed <= arguments_.last && !Over(); ++seed) {
      if (seed % arguments_.shards != arguments_.shard - 1) continue;
      runs_++;
      if (arguments_.progress) {
        std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
        std::fflush(stdout);
      }
      const std::string text = GenerateScenario(seed, arguments_.steps);
      if (arguments_.print) {
        std::printf("%s", text.c_str());
        continue;
      }
      // Made by us: it parses.
      if (!RunOne(MUST(Scenario::Parse(text, "seed")), "--seed " + std::to_string(seed))) {
        std::printf("seed %llu failed\n", static_cast<unsigned long long>(seed));
        failures_++;
      }
    }
  }

  bool RunOne(const Scenario& scenario, const std::string& how) {
    RunOptions options;
    options.keep_journal = arguments_.verbose;
    options.until = arguments_.until;
    options.read_file = [this](const std::string& path) { return ReadWhole(folder_ + path); };
    if (arguments_.trace) {
      options.trace = [](std::string_view line) { std::printf("%.*s\n", static_cast<int>(line.size()), line.data()); };
    }
    const RunResult result = RunScenario(scenario, options);
    for (const auto& [name, count] : result.probes) probes_[name] += count;
    bool ok = result.ok;
    if (ok && arguments_.replay) {
      const RunResult again = RunScenario(scenario, options);
      ok = again.ok && again.trace_hash == result.trace_hash;
      if (!ok) {
        std::printf("%s: the second run differs: trace hash %016llx, then %016llx\n", how.c_str(),
                    static_cast<unsigned long long>(result.trace_hash),
                    static_cast<unsigned long long>(again.trace_hash));
      }
    }
    if (!result.ok || arguments_.verbose) {
      std::printf("%s%s: %llu changes, %.0f s of virtual time, converged after %.0f s\n", result.journal.c_str(),
                  how.c_str(), static_cast<unsigned long long>(result.changes), Seconds(result.virtual_time),
                  Seconds(result.converged_after));
    }
    if (!ok) std::printf("%s failed; to see it again: %s %s [--trace]\n", how.c_str(), program_, how.c_str());
    if (!result.ok && !arguments_.shrink.empty()) ShrinkTo(scenario, options, FailureClass(result.why));
    return ok;
  }

  void ShrinkTo(const Scenario& scenario, const RunOptions& options, const std::string& failure) const {
    unsigned tries = 0;
    const Scenario small = Shrink(scenario, [&](const Scenario& smaller) {
      ++tries;
      const RunResult result = RunScenario(smaller, options);
      return !result.ok && FailureClass(result.why) == failure;
    });
    const RunResult last = RunScenario(small, options);
    std::ofstream file(arguments_.shrink, std::ios::binary);
    file << "# " << last.why << "\n" << small.ToText();
    std::printf("%s: %zu of %zu statements are left, after %u runs\n", arguments_.shrink.c_str(),
                small.statements.size(), scenario.statements.size(), tries);
  }

  void PrintProbes() const {
    for (const auto& [name, count] : probes_) {
      std::printf("%10llu  %s%s\n", static_cast<unsigned long long>(count), name.c_str(),
                  count == 0 ? "   NEVER" : "");
    }
  }

  const Arguments& arguments_;
  const char* program_;
  std::string folder_;
  unsigned runs_ = 0;
  unsigned failures_ = 0;
  std::map<std::string, uint64_t> probes_;
};

}  // namespace
}  // namespace knarr::sim

int main(int argc, char** argv) {
  knarr::sim::Arguments arguments;
  if (!knarr::sim::Read(argc, argv, arguments)) {
    std::fprintf(stderr, knarr::sim::kUsage, argv[0]);
    return 2;
  }
  return knarr::sim::Runs(arguments, argv[0]).Run();
}
