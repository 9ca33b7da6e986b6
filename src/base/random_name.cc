#include "base/random_name.h"

namespace knarr {
namespace {

constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
constexpr size_t kSuffixLength = 5;
constexpr size_t kNameMax = 63;

}  // namespace

std::string RandomSuffix(uint64_t random) {
  // 27^5 is 1.4e7, so the bias of the remainders of a 64-bit number is below 1e-12.
  std::string suffix;
  for (size_t i = 0; i < kSuffixLength; ++i) {
    suffix += kAlphabet[random % kAlphabet.size()];
    random /= kAlphabet.size();
  }
  return suffix;
}

std::string GenerateName(std::string_view base, uint64_t random) {
  return std::string(base.substr(0, kNameMax - kSuffixLength)) + RandomSuffix(random);
}

std::string SafeEncode(std::string_view text) {
  std::string out;
  for (const char c : text) out += kAlphabet[static_cast<unsigned char>(c) % kAlphabet.size()];
  return out;
}

}  // namespace knarr
