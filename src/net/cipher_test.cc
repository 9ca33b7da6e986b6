#include "net/cipher.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace knarr::net {
namespace {

TEST(Cipher, OpensWhatItSealed) {
  for (const size_t bytes : {16, 24, 32}) {
    const std::string key = MUST(SecretBytes(bytes));
    for (const std::string& plain : {std::string(), std::string("x"), std::string(1000, 'y')}) {
      const std::string gcm = MUST(SealAesGcm(key, plain, "place"));
      EXPECT_EQ(gcm.size(), plain.size() + 28);
      EXPECT_EQ(MUST(OpenAesGcm(key, gcm, "place")), plain);
      EXPECT_NE(gcm, MUST(SealAesGcm(key, plain, "place")));
      EXPECT_TRUE(OpenAesGcm(key, gcm, "elsewhere").Failed(Reason::kBadRequest));
      std::string changed = gcm;
      changed.back() = static_cast<char>(changed.back() ^ 1);
      EXPECT_TRUE(OpenAesGcm(key, changed, "place").Failed(Reason::kBadRequest));
      const std::string cbc = MUST(SealAesCbc(key, plain));
      EXPECT_EQ(cbc.size() % 16, 0U);
      EXPECT_EQ(MUST(OpenAesCbc(key, cbc)), plain);
    }
  }
}

TEST(Cipher, RefusesWhatIsNotItsOwn) {
  const std::string key(32, 'k');
  EXPECT_TRUE(SealAesGcm("short", "x", "").Failed(Reason::kBadRequest));
  for (const std::string& bad : {std::string(), std::string(27, 'x'), std::string(33, 'x'), std::string(64, 'x')}) {
    EXPECT_FALSE(OpenAesGcm(key, bad, "").ok()) << bad.size();
  }
  for (const std::string& bad : {std::string(), std::string(16, 'x'), std::string(33, 'x')}) {
    EXPECT_FALSE(OpenAesCbc(key, bad).ok()) << bad.size();
  }
}

}  // namespace
}  // namespace knarr::net
