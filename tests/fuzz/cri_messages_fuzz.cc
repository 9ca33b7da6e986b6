// What a hostile container runtime may answer.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cri/messages.h"

using namespace knarr::cri;  // a fuzz target is a program of its own

namespace {

/// What was read is written as bytes that are read as the same.
template <typename M>
void Try(std::string_view bytes) {
  const auto first = Decode<M>(bytes);
  if (!first.ok()) return;
  const std::string written = Encode(*first);
  const auto second = Decode<M>(written);
  if (!second.ok() || Encode(*second) != written) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 8) {
    case 0:
      Try<PodSandboxStatusResponse>(rest);
      break;
    case 1:
      Try<ListPodSandboxResponse>(rest);
      break;
    case 2:
      Try<ContainerStatusResponse>(rest);
      break;
    case 3:
      Try<ListContainersResponse>(rest);
      break;
    case 4:
      Try<CreateContainerRequest>(rest);
      break;
    case 5:
      Try<ListImagesResponse>(rest);
      break;
    case 6:
      Try<ContainerStatsResponse>(rest);
      break;
    default:
      Try<EventEnvelope>(rest);
      break;
  }
  return 0;
}
