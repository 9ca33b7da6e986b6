// Keys, certificates and signatures.

#include <arpa/inet.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "base/check.h"
#include "base/ip.h"
#include "base/strings.h"
#include "net/openssl.h"

namespace knarr::net {
namespace {

constexpr size_t kCertificatesMax = 1000;
constexpr size_t kNamesMax = 1000;
/// ES256: two numbers of 32 bytes.
constexpr int kEs256Half = 32;
constexpr size_t kRsaBytesLeast = 256;
constexpr size_t kRsaBytesMost = 1024;

using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpenSslDeleter<X509_EXTENSION_free>>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, OpenSslDeleter<EVP_MD_CTX_free>>;
using KeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, OpenSslDeleter<EVP_PKEY_CTX_free>>;
using SignaturePtr = std::unique_ptr<ECDSA_SIG, OpenSslDeleter<ECDSA_SIG_free>>;
using BigPtr = std::unique_ptr<BIGNUM, OpenSslDeleter<BN_free>>;

Status Failed(std::string_view what) { return Internal(std::string(what) + ": " + OpenSslError()); }

/// OpenSSL asks for a passphrase on the terminal unless a callback says there is none.
int NoPassphrase(char*, int, int, void*) { return -1; }

Result<KeyPtr> NewP256Key() {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return Failed("make a P-256 key");
  return key;
}

Result<std::string> KeyPem(EVP_PKEY* key) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return Failed("write a private key");
  }
  return TakeBio(bio.get());
}

Result<std::string> CertificatePem(X509* certificate) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1) return Failed("write a certificate");
  return TakeBio(bio.get());
}

Ok AddNameEntry(X509_NAME* name, const char* type, std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  if (X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8, bytes, static_cast<int>(text.size()), -1, 0) != 1) {
    return BadRequest("certificate subject \"" + std::string(text) + "\": " + OpenSslError());
  }
  return {};
}

Ok SetSubject(X509* certificate, const CertificateRequest& request) {
  X509_NAME* name = X509_get_subject_name(certificate);
  for (const std::string& organization : request.organizations) TRY(AddNameEntry(name, "O", organization));
  if (!request.common_name.empty()) TRY(AddNameEntry(name, "CN", request.common_name));
  return {};
}

Ok SetTimes(X509* certificate, const CertificateRequest& request) {
  auto seconds = [](WallTime time) {
    return static_cast<time_t>(std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count());
  };
  if (request.not_after <= request.not_before) return BadRequest("certificate: it would end before it begins");
  if (ASN1_TIME_set(X509_getm_notBefore(certificate), seconds(request.not_before)) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate), seconds(request.not_after)) == nullptr) {
    return Failed("set a certificate's times");
  }
  return {};
}

/// The subject's other names are added as values, not by OpenSSL's configuration text, in which a name could break out.
Ok AddAlternativeNames(X509* certificate, const CertificateRequest& request) {
  if (request.dns_names.empty() && request.ip_addresses.empty()) return {};
  if (request.dns_names.size() + request.ip_addresses.size() > kNamesMax)
    return BadRequest("certificate: too many names");
  NamesPtr names(GENERAL_NAMES_new());
  auto add = [&](int type, std::string_view bytes) -> Ok {
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_STRING* text = ASN1_STRING_type_new(type == GEN_DNS ? V_ASN1_IA5STRING : V_ASN1_OCTET_STRING);
    if (name == nullptr || text == nullptr ||
        ASN1_STRING_set(text, bytes.data(), static_cast<int>(bytes.size())) != 1) {
      GENERAL_NAME_free(name);
      ASN1_STRING_free(text);
      return Failed("add a name to a certificate");
    }
    GENERAL_NAME_set0_value(name, type, text);
    if (sk_GENERAL_NAME_push(names.get(), name) <= 0) {
      GENERAL_NAME_free(name);
      return Failed("add a name to a certificate");
    }
    return {};
  };
  for (const std::string& name : request.dns_names) {
    for (char c : name) {
      if (c <= ' ' || c > '~') return BadRequest("certificate: \"" + name + "\" is no DNS name");
    }
    TRY(add(GEN_DNS, name));
  }
  for (const std::string& text : request.ip_addresses) {
    IpAddress address = TRY(IpAddress::Parse(text));
    TRY(add(GEN_IPADD, address.bytes()));
  }
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, 0) != 1) return Failed("name a certificate");
  return {};
}

Ok AddExtensions(X509* certificate, X509* issuer, const CertificateRequest& request) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  TRY(AddExtension(certificate, &context, NID_basic_constraints,
                   request.authority ? "critical,CA:TRUE" : "critical,CA:FALSE"));
  TRY(AddExtension(certificate, &context, NID_key_usage,
                   request.authority ? "critical,digitalSignature,keyCertSign,cRLSign" : "critical,digitalSignature"));
  std::string usages;
  if (request.server_auth) usages = "serverAuth";
  if (request.client_auth) usages += usages.empty() ? "clientAuth" : ",clientAuth";
  if (!usages.empty()) TRY(AddExtension(certificate, &context, NID_ext_key_usage, usages));
  TRY(AddExtension(certificate, &context, NID_subject_key_identifier, "hash"));
  TRY(AddExtension(certificate, &context, NID_authority_key_identifier, "keyid"));
  return AddAlternativeNames(certificate, request);
}

std::string NameEntry(X509_NAME* name, int index) {
  ASN1_STRING* data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index));
  unsigned char* utf8 = nullptr;
  int size = ASN1_STRING_to_UTF8(&utf8, data);
  if (size < 0) return {};
  std::string out(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  return out;
}

WallTime ToWallTime(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return {};
  // WallTime begins in 1677 and ends in 2262; certificates that "never" end (99991231235959Z) end there.
  constexpr int64_t kMost = 9'223'372'036;
  return WallTime(std::chrono::seconds(std::clamp<int64_t>(timegm(&parts), -kMost, kMost)));
}

void DescribeNames(X509* certificate, CertificateInfo& info) {
  NamesPtr names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  ERR_clear_error();
  if (!names) return;
  int count = std::min<int>(sk_GENERAL_NAME_num(names.get()), kNamesMax);
  for (int i = 0; i < count; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
      info.dns_names.emplace_back(text, static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    } else if (name->type == GEN_IPADD) {
      if (auto text = AddressText(name->d.iPAddress); !text.empty()) info.ip_addresses.push_back(std::move(text));
    }
  }
}

/// A public key from any PEM that has one: "PUBLIC KEY", a private key, or a certificate.
Result<KeyPtr> ParseAnyKey(std::string_view pem) {
  if (auto key = ParsePrivateKey(pem); key.ok()) return key;
  BioPtr bio = ReadBio(pem);
  KeyPtr key(PEM_read_bio_PUBKEY(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (key) return key;
  auto certificates = ParseCertificates(pem);
  if (certificates.ok()) key.reset(X509_get_pubkey(certificates->front().get()));
  if (!key) return BadRequest("no key in the PEM data");
  return key;
}

Result<std::string> RawFromDer(std::string_view der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  SignaturePtr signature(d2i_ECDSA_SIG(nullptr, &bytes, static_cast<long>(der.size())));
  std::string raw(2 * kEs256Half, '\0');
  auto* out = reinterpret_cast<unsigned char*>(raw.data());
  if (!signature || BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out, kEs256Half) != kEs256Half ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out + kEs256Half, kEs256Half) != kEs256Half) {
    return Failed("write an ES256 signature");
  }
  return raw;
}

Result<std::string> DerFromRaw(std::string_view raw) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(raw.data());
  SignaturePtr signature(ECDSA_SIG_new());
  BigPtr r(BN_bin2bn(bytes, kEs256Half, nullptr));
  BigPtr s(BN_bin2bn(bytes + kEs256Half, kEs256Half, nullptr));
  if (!signature || !r || !s || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) {
    return Failed("read an ES256 signature");
  }
  (void)r.release();  // now the signature's
  (void)s.release();
  unsigned char* der = nullptr;
  int size = i2d_ECDSA_SIG(signature.get(), &der);
  if (size <= 0) return Failed("read an ES256 signature");
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

}  // namespace

Ok SetSerial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) return Failed("make a serial number");
  bytes[0] &= 0x7f;  // positive, and
  bytes[0] |= 0x40;  // of full length
  BigPtr number(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
  if (!number || BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) == nullptr) {
    return Failed("make a serial number");
  }
  return {};
}

Ok AddExtension(X509* certificate, X509V3_CTX* context, int nid, const std::string& value) {
  ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, context, nid, value.c_str()));
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) return Failed("add a certificate extension");
  return {};
}

std::string AddressText(const ASN1_OCTET_STRING* bytes) {
  const unsigned char* data = ASN1_STRING_get0_data(bytes);
  if (ASN1_STRING_length(bytes) == 4) {
    return IpAddress::V4(static_cast<uint32_t>(data[0]) << 24 | data[1] << 16 | data[2] << 8 | data[3]).ToString();
  }
  if (ASN1_STRING_length(bytes) != 16) return {};
  std::array<uint8_t, 16> six{};
  std::copy_n(data, 16, six.begin());
  return IpAddress::V6(six).ToString();
}

void StartOpenSsl() {
  constexpr uint64_t kOptions = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT;
  CHECK(OPENSSL_init_ssl(kOptions, nullptr) == 1);
}

std::string OpenSslError() {
  unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

BioPtr ReadBio(std::string_view text) {
  StartOpenSsl();
  BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(std::min<size_t>(text.size(), INT32_MAX))));
  CHECK(bio != nullptr);
  return bio;
}

Result<std::string> TakeBio(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  if (size < 0) return Failed("read memory");
  return std::string(data, static_cast<size_t>(size));
}

Result<KeyPtr> ParsePrivateKey(std::string_view pem) {
  BioPtr bio = ReadBio(pem);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  if (!key) return BadRequest("private key: " + OpenSslError());
  return key;
}

Result<std::vector<X509Ptr>> ParseCertificates(std::string_view pem) {
  BioPtr bio = ReadBio(pem);
  std::vector<X509Ptr> out;
  while (out.size() < kCertificatesMax) {
    X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr));
    if (!certificate) break;
    out.push_back(std::move(certificate));
  }
  // The loop ends on "no start line" at the end of the bundle, which is no error; on anything else the bundle is bad.
  unsigned long code = ERR_peek_last_error();
  bool at_end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  std::string error = OpenSslError();
  if (code != 0 && !at_end) return BadRequest("certificate " + std::to_string(out.size() + 1) + ": " + error);
  if (out.empty()) return BadRequest("no certificate in the PEM data");
  return out;
}

namespace {

bool IsUserIdType(const ASN1_OBJECT* type) {
  std::array<char, 64> text{};
  const int size = OBJ_obj2txt(text.data(), text.size(), type, 1);
  return size > 0 && std::string_view(text.data()) == "1.3.6.1.4.1.57683.2";
}

}  // namespace

CertificateInfo DescribeCertificate(X509* certificate) {
  CertificateInfo info;
  X509_NAME* subject = X509_get_subject_name(certificate);
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(X509_NAME_get_entry(subject, i)));
    if (nid == NID_commonName) info.common_name = NameEntry(subject, i);
    if (nid == NID_organizationName) info.organizations.push_back(NameEntry(subject, i));
    if (nid == NID_undef && IsUserIdType(X509_NAME_ENTRY_get_object(X509_NAME_get_entry(subject, i)))) {
      info.user_ids.push_back(NameEntry(subject, i));
    }
  }
  DescribeNames(certificate, info);
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  CHECK(X509_digest(certificate, EVP_sha256(), digest.data(), nullptr) == 1);
  info.fingerprint_hex = HexEncode(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
  info.not_before = ToWallTime(X509_get0_notBefore(certificate));
  info.not_after = ToWallTime(X509_get0_notAfter(certificate));
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  info.serial_hex = HexEncode(std::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)),
                                               static_cast<size_t>(ASN1_STRING_length(serial))));
  return info;
}

Result<CertificateInfo> ReadCertificate(std::string_view pem) {
  auto certificates = TRY(ParseCertificates(pem));
  return DescribeCertificate(certificates.front().get());
}

Result<KeyPair> IssueCertificate(const CertificateRequest& request, const KeyPair* issuer) {
  StartOpenSsl();
  KeyPtr key = TRY(NewP256Key());
  X509Ptr certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1) return Failed("make a certificate");
  TRY(SetSerial(certificate.get()));
  TRY(SetTimes(certificate.get(), request));
  TRY(SetSubject(certificate.get(), request));
  if (X509_set_pubkey(certificate.get(), key.get()) != 1) return Failed("make a certificate");
  KeyPtr issuer_key;
  std::vector<X509Ptr> issuer_chain;
  if (issuer != nullptr) {
    issuer_key = TRY(ParsePrivateKey(issuer->key_pem).Context("issuer"));
    issuer_chain = TRY(ParseCertificates(issuer->certificate_pem).Context("issuer"));
  }
  X509* signer = issuer != nullptr ? issuer_chain.front().get() : certificate.get();
  if (X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer)) != 1) return Failed("name the issuer");
  TRY(AddExtensions(certificate.get(), signer, request));
  EVP_PKEY* signing_key = issuer != nullptr ? issuer_key.get() : key.get();
  if (X509_sign(certificate.get(), signing_key, EVP_sha256()) <= 0) return Failed("sign a certificate");
  return KeyPair{TRY(CertificatePem(certificate.get())), TRY(KeyPem(key.get()))};
}

Result<std::string> GenerateKey(bool rsa) {
  StartOpenSsl();
  if (!rsa) return KeyPem(TRY(NewP256Key()).get());
  KeyPtr key(EVP_RSA_gen(2048));
  if (!key) return Failed("make an RSA key");
  return KeyPem(key.get());
}

struct JwsKey::Rep {
  KeyPtr key;
  bool rsa = false;
};

JwsKey::JwsKey(std::shared_ptr<const Rep> rep) : rep_(std::move(rep)) {}

Result<JwsKey> JwsKey::Create(std::string_view key_pem) {
  auto rep = std::make_shared<Rep>();
  rep->key = TRY(ParseAnyKey(key_pem));
  rep->rsa = EVP_PKEY_is_a(rep->key.get(), "RSA") == 1;
  if (rep->rsa && EVP_PKEY_get_bits(rep->key.get()) < 2048) return BadRequest("RSA key: shorter than 2048 bits");
  if (!rep->rsa) {
    std::array<char, 64> group{};
    size_t size = 0;
    if (EVP_PKEY_get_group_name(rep->key.get(), group.data(), group.size(), &size) != 1 ||
        std::string_view(group.data(), size) != "prime256v1") {
      ERR_clear_error();
      return BadRequest("key: neither RSA nor P-256");
    }
  }
  return JwsKey(std::move(rep));
}

std::string_view JwsKey::algorithm() const { return rep_->rsa ? "RS256" : "ES256"; }

Result<std::string> JwsKey::Sign(std::string_view message) const {
  DigestPtr context(EVP_MD_CTX_new());
  const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
  size_t size = 0;
  if (!context || EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, rep_->key.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, bytes, message.size()) != 1) {
    return Failed("sign");
  }
  std::string signature(size, '\0');
  auto* out = reinterpret_cast<unsigned char*>(signature.data());
  if (EVP_DigestSign(context.get(), out, &size, bytes, message.size()) != 1) return Failed("sign");
  signature.resize(size);
  if (!rep_->rsa) return RawFromDer(signature);
  return signature;
}

Result<bool> JwsKey::Verify(std::string_view message, std::string_view signature) const {
  std::string der;
  if (!rep_->rsa) {
    if (signature.size() != 2 * kEs256Half) return false;
    der = TRY(DerFromRaw(signature));
    signature = der;
  }
  DigestPtr context(EVP_MD_CTX_new());
  if (!context || EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, rep_->key.get()) != 1) {
    return Failed("verify");
  }
  int fits = EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                              reinterpret_cast<const unsigned char*>(message.data()), message.size());
  ERR_clear_error();
  return fits == 1;
}

Result<std::string> JwsKey::PublicPem() const {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PUBKEY(bio.get(), rep_->key.get()) != 1) return Failed("write a public key");
  return TakeBio(bio.get());
}

Result<std::string> JwsKey::Id() const {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(rep_->key.get(), &der);
  if (size <= 0) return Failed("write a public key");
  const std::string digest = Sha256(std::string_view(reinterpret_cast<const char*>(der), static_cast<size_t>(size)));
  OPENSSL_free(der);
  return Base64UrlEncode(digest);
}

namespace {

using ParametersPtr = std::unique_ptr<OSSL_PARAM, OpenSslDeleter<OSSL_PARAM_free>>;
using ParameterBuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, OpenSslDeleter<OSSL_PARAM_BLD_free>>;

BigPtr Number(std::string_view bytes) {
  return BigPtr(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
}

Result<KeyPtr> PublicKey(const char* type, OSSL_PARAM_BLD* builder) {
  const ParametersPtr parameters(OSSL_PARAM_BLD_to_param(builder));
  const KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
    return BadRequest("public key: " + OpenSslError());
  }
  return KeyPtr(key);
}

Result<std::string> ReadNumber(EVP_PKEY* key, const char* name, size_t size) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &number) != 1) return Failed("read a public key");
  const BigPtr owner(number);
  std::string out(size == 0 ? static_cast<size_t>(BN_num_bytes(number)) : size, '\0');
  if (BN_bn2binpad(number, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size())) < 0) {
    return Failed("read a public key");
  }
  return out;
}

}  // namespace

Result<JwsKey> JwsKey::FromRsa(std::string_view n, std::string_view e) {
  StartOpenSsl();
  if (n.size() < kRsaBytesLeast || n.size() > kRsaBytesMost || e.empty() || e.size() > 8) {
    return BadRequest("RSA key: its numbers are too short or too long");
  }
  const BigPtr modulus = Number(n);
  const BigPtr exponent = Number(e);
  const ParameterBuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!modulus || !exponent || !builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1) {
    return Failed("make a public key");
  }
  auto rep = std::make_shared<Rep>();
  rep->key = TRY(PublicKey("RSA", builder.get()));
  rep->rsa = true;
  if (EVP_PKEY_get_bits(rep->key.get()) < 2048) return BadRequest("RSA key: shorter than 2048 bits");
  return JwsKey(std::move(rep));
}

Result<JwsKey> JwsKey::FromP256(std::string_view x, std::string_view y) {
  StartOpenSsl();
  if (x.size() != kEs256Half || y.size() != kEs256Half) return BadRequest("P-256 key: its numbers have 32 bytes each");
  const std::string point = std::string(1, '\4').append(x).append(y);  // 4: both coordinates, uncompressed
  const ParameterBuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1) {
    return Failed("make a public key");
  }
  auto rep = std::make_shared<Rep>();
  rep->key = TRY(PublicKey("EC", builder.get()));
  return JwsKey(std::move(rep));
}

Result<std::pair<std::string, std::string>> JwsKey::Numbers() const {
  EVP_PKEY* key = rep_->key.get();
  if (rep_->rsa) {
    return std::pair(TRY(ReadNumber(key, OSSL_PKEY_PARAM_RSA_N, 0)), TRY(ReadNumber(key, OSSL_PKEY_PARAM_RSA_E, 0)));
  }
  return std::pair(TRY(ReadNumber(key, OSSL_PKEY_PARAM_EC_PUB_X, kEs256Half)),
                   TRY(ReadNumber(key, OSSL_PKEY_PARAM_EC_PUB_Y, kEs256Half)));
}

Result<std::string> SignJws(std::string_view key_pem, std::string_view message) {
  return TRY(JwsKey::Create(key_pem)).Sign(message);
}

Result<bool> VerifyJws(std::string_view key_pem, std::string_view message, std::string_view signature) {
  return TRY(JwsKey::Create(key_pem)).Verify(message, signature);
}

std::string Sha256(std::string_view bytes) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

Sha256Stream::Sha256Stream() {
  StartOpenSsl();
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  CHECK(context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1);
  context_ = context;
}
Sha256Stream::~Sha256Stream() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }
Sha256Stream::Sha256Stream(Sha256Stream&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}
void Sha256Stream::Update(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size()) == 1);
}
std::string Sha256Stream::FinishHex() {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  CHECK(EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), reinterpret_cast<unsigned char*>(out.data()), nullptr) ==
        1);
  return HexEncode(out);
}

}  // namespace knarr::net
