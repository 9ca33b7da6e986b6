#include "rt/process.h"

#include <cstring>

namespace knarr::rt {

std::string ExitStatus::ToString() const {
  if (signal == 0) return "exit status " + std::to_string(code);
  const char* name = sigdescr_np(signal);
  return std::string("signal: ") + (name != nullptr ? name : std::to_string(signal).c_str());
}

}  // namespace knarr::rt
