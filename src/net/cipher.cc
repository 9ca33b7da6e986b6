#include "net/cipher.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <memory>

#include "net/openssl.h"

namespace knarr::net {
namespace {

using CipherPtr = std::unique_ptr<EVP_CIPHER_CTX, OpenSslDeleter<EVP_CIPHER_CTX_free>>;

constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;
constexpr size_t kBlockBytes = 16;
// OpenSSL counts in ints; values are far smaller.
constexpr size_t kPlainBytesMax = 64 << 20;

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* Bytes(std::string& text, size_t at = 0) { return reinterpret_cast<unsigned char*>(text.data()) + at; }
int Count(size_t size) { return static_cast<int>(size); }

Status Failed(std::string_view what) { return Internal(std::string(what) + ": " + OpenSslError()); }

enum class Mode : uint8_t { kGcm, kCbc };

Result<const EVP_CIPHER*> CipherFor(Mode mode, std::string_view key) {
  StartOpenSsl();
  const bool gcm = mode == Mode::kGcm;
  switch (key.size()) {
    case 16:
      return gcm ? EVP_aes_128_gcm() : EVP_aes_128_cbc();
    case 24:
      return gcm ? EVP_aes_192_gcm() : EVP_aes_192_cbc();
    case 32:
      return gcm ? EVP_aes_256_gcm() : EVP_aes_256_cbc();
    default:
      return BadRequest("an AES key has 16, 24 or 32 bytes, not " + std::to_string(key.size()));
  }
}

}  // namespace

Result<std::string> SecretBytes(size_t count) {
  StartOpenSsl();
  std::string out(count, '\0');
  if (RAND_priv_bytes(Bytes(out), Count(count)) != 1) return Failed("random bytes");
  return out;
}

Result<std::string> SealAesGcm(std::string_view key, std::string_view plain, std::string_view authenticated) {
  const EVP_CIPHER* cipher = TRY(CipherFor(Mode::kGcm, key));
  if (plain.size() > kPlainBytesMax) return BadRequest("too large to be encrypted");
  std::string out(kNonceBytes + plain.size() + kTagBytes, '\0');
  const CipherPtr context(EVP_CIPHER_CTX_new());
  int size = 0;
  int last = 0;
  const bool done =
      context != nullptr && RAND_bytes(Bytes(out), kNonceBytes) == 1 &&
      EVP_EncryptInit_ex(context.get(), cipher, nullptr, Bytes(key), Bytes(out)) == 1 &&
      EVP_EncryptUpdate(context.get(), nullptr, &size, Bytes(authenticated), Count(authenticated.size())) == 1 &&
      EVP_EncryptUpdate(context.get(), Bytes(out, kNonceBytes), &size, Bytes(plain), Count(plain.size())) == 1 &&
      EVP_EncryptFinal_ex(context.get(), Bytes(out, kNonceBytes + plain.size()), &last) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, Bytes(out, kNonceBytes + plain.size())) == 1;
  if (!done) return Failed("AES-GCM");
  return out;
}

Result<std::string> OpenAesGcm(std::string_view key, std::string_view sealed, std::string_view authenticated) {
  const EVP_CIPHER* cipher = TRY(CipherFor(Mode::kGcm, key));
  if (sealed.size() < kNonceBytes + kTagBytes || sealed.size() > kPlainBytesMax) {
    return BadRequest("not of AES-GCM's form");
  }
  const size_t plain = sealed.size() - kNonceBytes - kTagBytes;
  std::string out(plain, '\0');
  std::string tag(sealed.substr(kNonceBytes + plain));
  const CipherPtr context(EVP_CIPHER_CTX_new());
  int size = 0;
  int last = 0;
  std::string rest(kBlockBytes, '\0');
  const bool begun =
      context != nullptr && EVP_DecryptInit_ex(context.get(), cipher, nullptr, Bytes(key), Bytes(sealed)) == 1 &&
      EVP_DecryptUpdate(context.get(), nullptr, &size, Bytes(authenticated), Count(authenticated.size())) == 1 &&
      EVP_DecryptUpdate(context.get(), Bytes(out), &size, Bytes(sealed.substr(kNonceBytes)), Count(plain)) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, Bytes(tag)) == 1;
  if (!begun) return Failed("AES-GCM");
  if (EVP_DecryptFinal_ex(context.get(), Bytes(rest), &last) != 1) {
    (void)OpenSslError();
    return BadRequest("message authentication failed");
  }
  return out;
}

Result<std::string> SealAesCbc(std::string_view key, std::string_view plain) {
  const EVP_CIPHER* cipher = TRY(CipherFor(Mode::kCbc, key));
  if (plain.size() > kPlainBytesMax) return BadRequest("too large to be encrypted");
  std::string out(kBlockBytes + plain.size() + kBlockBytes, '\0');
  const CipherPtr context(EVP_CIPHER_CTX_new());
  int size = 0;
  int last = 0;
  const bool done =
      context != nullptr && RAND_bytes(Bytes(out), kBlockBytes) == 1 &&
      EVP_EncryptInit_ex(context.get(), cipher, nullptr, Bytes(key), Bytes(out)) == 1 &&
      EVP_EncryptUpdate(context.get(), Bytes(out, kBlockBytes), &size, Bytes(plain), Count(plain.size())) == 1 &&
      EVP_EncryptFinal_ex(context.get(), Bytes(out, kBlockBytes + static_cast<size_t>(size)), &last) == 1;
  if (!done) return Failed("AES-CBC");
  out.resize(kBlockBytes + static_cast<size_t>(size) + static_cast<size_t>(last));
  return out;
}

Result<std::string> OpenAesCbc(std::string_view key, std::string_view sealed) {
  const EVP_CIPHER* cipher = TRY(CipherFor(Mode::kCbc, key));
  const bool shaped = sealed.size() >= 2 * kBlockBytes && sealed.size() % kBlockBytes == 0;
  if (!shaped || sealed.size() > kPlainBytesMax) return BadRequest("not of AES-CBC's form");
  const std::string_view body = sealed.substr(kBlockBytes);
  std::string out(body.size() + kBlockBytes, '\0');
  const CipherPtr context(EVP_CIPHER_CTX_new());
  int size = 0;
  int last = 0;
  const bool begun = context != nullptr &&
                     EVP_DecryptInit_ex(context.get(), cipher, nullptr, Bytes(key), Bytes(sealed)) == 1 &&
                     EVP_DecryptUpdate(context.get(), Bytes(out), &size, Bytes(body), Count(body.size())) == 1;
  if (!begun) return Failed("AES-CBC");
  if (EVP_DecryptFinal_ex(context.get(), Bytes(out, static_cast<size_t>(size)), &last) != 1) {
    (void)OpenSslError();
    return BadRequest("invalid padding on input");
  }
  out.resize(static_cast<size_t>(size) + static_cast<size_t>(last));
  return out;
}

}  // namespace knarr::net
