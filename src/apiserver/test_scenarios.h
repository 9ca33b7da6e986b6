#pragma once

// The recorded scenarios below tests/golden, for tests.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace knarr::apiserver {

inline std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The names of the .json files of tests/golden/<folder>, in order.
inline std::vector<std::string> ScenariosIn(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(KNARR_SOURCE_DIR "/tests/golden/" + folder)) {
    if (entry.path().extension() == ".json") out.push_back(entry.path().filename().string());
  }
  std::ranges::sort(out);
  return out;
}

/// "pod" for pod.json: what a test of the scenario is called.
inline std::string ScenarioName(const std::string& file) { return file.substr(0, file.find('.')); }

}  // namespace knarr::apiserver
