// Controllers and scheduler in the simulator: a seed decides the workload, the faults and every interleaving.
//
//   knarr_control_plane_test [--seeds A..B] [--shard I/N] [--replay] [--trace] [--verbose] [--stop] [--progress]
//
// --replay runs every seed twice and compares the traces' hashes; --trace prints every step of every fiber; --verbose
// tells what happened also of seeds that passed; --stop ends with the first seed that fails; --progress names each seed
// before it is run.

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "sim/run.h"

namespace knarr::sim {
namespace {

struct Arguments {
  uint64_t first = 1;
  uint64_t last = 1000;
  uint64_t shard = 1;
  uint64_t shards = 1;
  bool replay = false;
  bool trace = false;
  bool verbose = false;
  bool stop = false;
  bool progress = false;
};

/// "3..17" or "2/4": two numbers.
bool ReadPair(std::string_view text, std::string_view between, uint64_t& a, uint64_t& b) {
  const size_t at = text.find(between);
  auto read = [](std::string_view part, uint64_t& out) {
    auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), out);
    return error == std::errc() && end == part.data() + part.size() && !part.empty();
  };
  if (at == std::string_view::npos) return read(text, a) && read(text, b);
  return read(text.substr(0, at), a) && read(text.substr(at + between.size()), b);
}

bool Read(int argc, char** argv, Arguments& out) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--replay") {
      out.replay = true;
    } else if (argument == "--trace") {
      out.trace = true;
    } else if (argument == "--verbose") {
      out.verbose = true;
    } else if (argument == "--stop") {
      out.stop = true;
    } else if (argument == "--progress") {
      out.progress = true;
    } else if (argument == "--seeds" && i + 1 < argc) {
      if (!ReadPair(argv[++i], "..", out.first, out.last) || out.first > out.last) return false;
    } else if (argument == "--shard" && i + 1 < argc) {
      if (!ReadPair(argv[++i], "/", out.shard, out.shards) || out.shard < 1 || out.shard > out.shards) return false;
    } else {
      return false;
    }
  }
  return true;
}

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

bool RunSeed(uint64_t seed, const Arguments& arguments, const char* program) {
  RunOptions options;
  options.seed = seed;
  options.keep_journal = arguments.verbose;
  if (arguments.trace) {
    options.trace = [](std::string_view line) { std::printf("%.*s\n", static_cast<int>(line.size()), line.data()); };
  }
  const RunResult result = RunControlPlane(options);
  bool ok = result.ok;
  if (ok && arguments.replay) {
    const RunResult again = RunControlPlane(options);
    ok = again.ok && again.trace_hash == result.trace_hash;
    if (!ok) {
      std::printf("seed %llu: the second run differs: trace hash %016llx, then %016llx\n",
                  static_cast<unsigned long long>(seed), static_cast<unsigned long long>(result.trace_hash),
                  static_cast<unsigned long long>(again.trace_hash));
    }
  }
  if (!result.ok || arguments.verbose) {
    std::printf("%sseed %llu: %llu changes, %.0f s of virtual time, converged after %.0f s\n", result.journal.c_str(),
                static_cast<unsigned long long>(seed), static_cast<unsigned long long>(result.changes),
                Seconds(result.virtual_time), Seconds(result.converged_after));
  }
  if (!ok) {
    std::printf("seed %llu failed; to see it again: %s --seeds %llu..%llu [--trace]\n",
                static_cast<unsigned long long>(seed), program, static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(seed));
  }
  return ok;
}

int Main(int argc, char** argv) {
  Arguments arguments;
  if (!Read(argc, argv, arguments)) {
    std::fprintf(stderr, "usage: %s [--seeds A..B] [--shard I/N] [--replay] [--trace] [--verbose] [--stop]\n", argv[0]);
    return 2;
  }
  const auto start = std::chrono::steady_clock::now();
  unsigned runs = 0;
  unsigned failures = 0;
  for (uint64_t seed = arguments.first; seed <= arguments.last; ++seed) {
    if (seed % arguments.shards != arguments.shard - 1) continue;
    runs++;
    if (arguments.progress) {
      std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
      std::fflush(stdout);
    }
    if (!RunSeed(seed, arguments, argv[0])) failures++;
    if (failures >= (arguments.stop ? 1U : 3U)) break;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%u seeds, %u failed, %.1f s\n", runs, failures, took.count());
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace knarr::sim

int main(int argc, char** argv) { return knarr::sim::Main(argc, argv); }
