#include "net/key_pair.h"

#include <openssl/pem.h>

#include <optional>

#include "base/strings.h"
#include "net/openssl.h"

namespace knarr::net {
namespace {

struct Block {
  std::string type;
  std::string bytes;
  bool has_headers = false;  ///< it is encrypted
};

// The next block of PEM, whatever is in it.
std::optional<Block> NextBlock(BIO* bio) {
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;  // NOLINT(google-runtime-int): OpenSSL's
  if (PEM_read_bio(bio, &name, &header, &data, &size) != 1) {
    OpenSslError();
    return std::nullopt;
  }
  Block out{name, {reinterpret_cast<const char*>(data), static_cast<size_t>(size)}, *header != 0};
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_free(data);
  return out;
}

bool IsKey(std::string_view type) { return type == "PRIVATE KEY" || type.ends_with(" PRIVATE KEY"); }

Result<std::string> FindCertificate(std::string_view pem) {
  const BioPtr bio = ReadBio(pem);
  std::vector<std::string> skipped;
  while (auto block = NextBlock(bio.get())) {
    if (block->type == "CERTIFICATE") return std::move(block->bytes);
    skipped.push_back(std::move(block->type));
  }
  if (skipped.empty()) return BadRequest("tls: failed to find any PEM data in certificate input");
  if (skipped.size() == 1 && skipped[0].ends_with("PRIVATE KEY")) {
    return BadRequest(
        "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may "
        "have been switched");
  }
  return BadRequest(
      "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following "
      "types: [" +
      Join(skipped, " ") + "]");
}

Result<Block> FindKey(std::string_view pem) {
  const BioPtr bio = ReadBio(pem);
  std::vector<std::string> skipped;
  while (auto block = NextBlock(bio.get())) {
    if (IsKey(block->type)) return std::move(*block);
    skipped.push_back(std::move(block->type));
  }
  if (skipped.empty()) return BadRequest("tls: failed to find any PEM data in key input");
  if (skipped.size() == 1 && skipped[0] == "CERTIFICATE") {
    return BadRequest("tls: found a certificate rather than a key in the PEM for the private key");
  }
  return BadRequest(
      "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the "
      "following types: [" +
      Join(skipped, " ") + "]");
}

}  // namespace

Ok CheckKeyPair(std::string_view certificate_pem, std::string_view key_pem) {
  StartOpenSsl();
  const std::string certificate_der = TRY(FindCertificate(certificate_pem));
  const Block key_block = TRY(FindKey(key_pem));
  const auto* at = reinterpret_cast<const unsigned char*>(certificate_der.data());
  const X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(certificate_der.size())));
  const unsigned char* key_at = reinterpret_cast<const unsigned char*>(key_block.bytes.data());
  const KeyPtr key(d2i_AutoPrivateKey(nullptr, &key_at, static_cast<long>(key_block.bytes.size())));
  OpenSslError();
  if (certificate == nullptr) return BadRequest("x509: malformed certificate");
  if (key == nullptr || key_block.has_headers) return BadRequest("tls: failed to parse private key");
  EVP_PKEY* of_certificate = X509_get0_pubkey(certificate.get());
  if (of_certificate == nullptr) return BadRequest("tls: unknown public key algorithm");
  if (EVP_PKEY_base_id(of_certificate) != EVP_PKEY_base_id(key.get())) {
    return BadRequest("tls: private key type does not match public key type");
  }
  if (EVP_PKEY_eq(of_certificate, key.get()) != 1) {
    return BadRequest("tls: private key does not match public key");
  }
  return {};
}

}  // namespace knarr::net
