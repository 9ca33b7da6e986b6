#include "net/certificate_request.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <ctime>

#include "base/strings.h"
#include "net/openssl.h"

namespace knarr::net {
namespace {

constexpr size_t kRequestBytesMax = 64 << 10;
constexpr int kNamesMax = 1000;
constexpr size_t kPemBytesMax = 256 << 10;
using RequestPtr = std::unique_ptr<X509_REQ, OpenSslDeleter<X509_REQ_free>>;

struct ExtensionsDeleter {
  void operator()(STACK_OF(X509_EXTENSION) * list) const { sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free); }
};
using ExtensionsPtr = std::unique_ptr<STACK_OF(X509_EXTENSION), ExtensionsDeleter>;

Status Failed(std::string_view what) { return Internal(std::string(what) + ": " + OpenSslError()); }

Result<RequestPtr> Parse(std::string_view pem) {
  StartOpenSsl();
  if (pem.size() > kRequestBytesMax) return BadRequest("certificate request: too long");
  const size_t start = pem.find("-----BEGIN ");
  if (start == std::string_view::npos || !pem.substr(start).starts_with("-----BEGIN CERTIFICATE REQUEST-----")) {
    return BadRequest("PEM block type must be CERTIFICATE REQUEST");
  }
  const BioPtr bio = ReadBio(pem);
  RequestPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!request) return BadRequest("certificate request: " + OpenSslError());
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  const bool verified = key != nullptr && X509_REQ_verify(request.get(), key) == 1;
  ERR_clear_error();
  if (!verified) return BadRequest("unable to verify certificate request signature");
  return request;
}

// The next block of a PEM text; OpenSSL allocates the three.
struct PemBlock {
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;

  PemBlock() = default;
  PemBlock(const PemBlock&) = delete;
  PemBlock& operator=(const PemBlock&) = delete;
  ~PemBlock() {
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
  }
  bool Read(BIO* bio) { return PEM_read_bio(bio, &name, &header, &data, &size) == 1; }
};

std::string_view SignatureProblem(const EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
      return "crypto/rsa: verification error";
    case EVP_PKEY_EC:
      return "x509: ECDSA verification failure";
    case EVP_PKEY_ED25519:
      return "x509: Ed25519 verification failure";
    default:
      return "x509: cannot verify signature: algorithm unimplemented";
  }
}

std::string Text(const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, text);
  if (size < 0) {
    ERR_clear_error();
    return {};
  }
  std::string out(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  return out;
}

NamesPtr AlternativeNames(X509_REQ* request) {
  const ExtensionsPtr extensions(X509_REQ_get_extensions(request));
  if (!extensions) {
    ERR_clear_error();
    return nullptr;
  }
  NamesPtr names(static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
  ERR_clear_error();
  return names;
}

void ReadName(const GENERAL_NAME* name, SigningRequest& out) {
  const auto text = [](const ASN1_STRING* string) {
    return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
                       static_cast<size_t>(ASN1_STRING_length(string)));
  };
  if (name->type == GEN_DNS) out.dns_names.push_back(text(name->d.dNSName));
  if (name->type == GEN_EMAIL) out.email_addresses.push_back(text(name->d.rfc822Name));
  if (name->type == GEN_URI) out.uris.push_back(text(name->d.uniformResourceIdentifier));
  if (name->type != GEN_IPADD) return;
  out.ip_addresses.push_back(AddressText(name->d.iPAddress));
}

struct Usage {
  std::string_view name;
  const char* key;  ///< nullptr: an extended one
  const char* extended;
};
constexpr Usage kUsages[] = {
    {"signing", "digitalSignature", nullptr},
    {"digital signature", "digitalSignature", nullptr},
    {"content commitment", "nonRepudiation", nullptr},
    {"key encipherment", "keyEncipherment", nullptr},
    {"key agreement", "keyAgreement", nullptr},
    {"data encipherment", "dataEncipherment", nullptr},
    {"cert sign", "keyCertSign", nullptr},
    {"crl sign", "cRLSign", nullptr},
    {"encipher only", "encipherOnly", nullptr},
    {"decipher only", "decipherOnly", nullptr},
    {"any", nullptr, "anyExtendedKeyUsage"},
    {"server auth", nullptr, "serverAuth"},
    {"client auth", nullptr, "clientAuth"},
    {"code signing", nullptr, "codeSigning"},
    {"email protection", nullptr, "emailProtection"},
    {"s/mime", nullptr, "emailProtection"},
    {"ipsec end system", nullptr, "ipsecEndSystem"},
    {"ipsec tunnel", nullptr, "ipsecTunnel"},
    {"ipsec user", nullptr, "ipsecUser"},
    {"timestamping", nullptr, "timeStamping"},
    {"ocsp signing", nullptr, "OCSPSigning"},
    {"microsoft sgc", nullptr, "msSGC"},
    {"netscape sgc", nullptr, "nsSGC"},
};

// The two lists as OpenSSL's extensions have them.
struct UsageTexts {
  std::string key;
  std::string extended;
};
Result<UsageTexts> TextsOf(std::span<const std::string> usages) {
  UsageTexts out;
  std::vector<std::string_view> seen;
  for (const std::string& usage : usages) {
    const auto* found = std::ranges::find(kUsages, usage, &Usage::name);
    if (found == std::end(kUsages)) return BadRequest("unrecognized usage values: [" + GoQuote(usage) + "]");
    const char* text = found->key != nullptr ? found->key : found->extended;
    if (std::ranges::find(seen, text) != seen.end()) continue;
    seen.emplace_back(text);
    std::string& list = found->key != nullptr ? out.key : out.extended;
    list.append(list.empty() ? "" : ",").append(text);
  }
  return out;
}

Ok AddExtensions(X509* certificate, X509* issuer, X509_REQ* request, const UsageTexts& usages) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  if (!usages.key.empty()) TRY(AddExtension(certificate, &context, NID_key_usage, "critical," + usages.key));
  if (!usages.extended.empty()) TRY(AddExtension(certificate, &context, NID_ext_key_usage, usages.extended));
  TRY(AddExtension(certificate, &context, NID_basic_constraints, "critical,CA:FALSE"));
  TRY(AddExtension(certificate, &context, NID_authority_key_identifier, "keyid"));
  const NamesPtr names = AlternativeNames(request);
  if (names == nullptr || sk_GENERAL_NAME_num(names.get()) == 0) return {};
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, 0) != 1) return Failed("name a certificate");
  return {};
}

time_t ToTime(WallTime time) {
  return static_cast<time_t>(std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count());
}

}  // namespace

Result<SigningRequest> ReadSigningRequest(std::string_view pem) {
  const RequestPtr request = TRY(Parse(pem));
  SigningRequest out;
  X509_NAME* subject = X509_REQ_get_subject_name(request.get());
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, i);
    const int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    if (nid == NID_commonName) out.common_name = Text(X509_NAME_ENTRY_get_data(entry));
    if (nid == NID_organizationName) out.organizations.push_back(Text(X509_NAME_ENTRY_get_data(entry)));
  }
  const NamesPtr names = AlternativeNames(request.get());
  const int count = names == nullptr ? 0 : sk_GENERAL_NAME_num(names.get());
  if (count > kNamesMax) return BadRequest("certificate request: too many names");
  for (int i = 0; i < count; ++i) ReadName(sk_GENERAL_NAME_value(names.get(), i), out);
  return out;
}

Result<SigningRequest> ReadSigningRequestBase64(std::string_view text) {
  const Result<std::string> pem = Base64Decode(text);
  if (!pem.ok()) return pem.status();
  return ReadSigningRequest(*pem);
}

Result<std::string> SignRequest(std::string_view request_pem, const SigningPolicy& policy, const KeyPair& issuer) {
  const RequestPtr request = TRY(Parse(request_pem));
  const UsageTexts usages = TRY(TextsOf(policy.usages));
  const KeyPtr issuer_key = TRY(ParsePrivateKey(issuer.key_pem).Context("issuer"));
  const std::vector<X509Ptr> chain = TRY(ParseCertificates(issuer.certificate_pem).Context("issuer"));
  X509* signer = chain.front().get();
  const WallTime end = DescribeCertificate(signer).not_after;
  if (policy.not_before >= end) return BadRequest("the signer has expired: NotAfter=" + FormatTime(end));
  const X509Ptr certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1) return Failed("make a certificate");
  TRY(SetSerial(certificate.get()));
  if (ASN1_TIME_set(X509_getm_notBefore(certificate.get()), ToTime(policy.not_before)) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), ToTime(std::min(policy.not_after, end))) == nullptr ||
      X509_set_subject_name(certificate.get(), X509_REQ_get_subject_name(request.get())) != 1 ||
      X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer)) != 1 ||
      X509_set_pubkey(certificate.get(), X509_REQ_get0_pubkey(request.get())) != 1) {
    return Failed("make a certificate");
  }
  TRY(AddExtensions(certificate.get(), signer, request.get(), usages));
  if (X509_sign(certificate.get(), issuer_key.get(), EVP_sha256()) <= 0) return Failed("sign a certificate");
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate.get()) != 1) return Failed("write a certificate");
  return TakeBio(bio.get());
}

Ok CheckSigningRequest(std::string_view pem) {
  StartOpenSsl();
  const BioPtr bio = ReadBio(pem);
  PemBlock block;
  const bool found = pem.size() <= kPemBytesMax && block.Read(bio.get());
  if (!found || std::string_view(block.name) != "CERTIFICATE REQUEST") {
    ERR_clear_error();
    return BadRequest("PEM block type must be CERTIFICATE REQUEST");
  }
  const unsigned char* at = block.data;
  const RequestPtr request(d2i_X509_REQ(nullptr, &at, block.size));
  if (!request) return BadRequest("asn1: " + OpenSslError());
  if (at != block.data + block.size) return BadRequest("asn1: syntax error: trailing data");
  const KeyPtr key(X509_REQ_get_pubkey(request.get()));
  if (!key) return BadRequest("x509: " + OpenSslError());
  if (X509_REQ_verify(request.get(), key.get()) == 1) return {};
  ERR_clear_error();
  return BadRequest(std::string(SignatureProblem(key.get())));
}

Ok CheckCertificates(std::string_view pem) {
  StartOpenSsl();
  const BioPtr bio = ReadBio(pem);
  bool any = false;
  for (;;) {
    PemBlock block;
    if (!block.Read(bio.get())) break;
    if (std::string_view(block.name) != "CERTIFICATE") {
      return BadRequest("only CERTIFICATE PEM blocks are allowed, found " + GoQuote(block.name));
    }
    if (!std::string_view(block.header).empty()) return BadRequest("no PEM block headers are permitted");
    const unsigned char* at = block.data;
    const X509Ptr certificate(d2i_X509(nullptr, &at, block.size));
    if (!certificate) return BadRequest("x509: malformed certificate: " + OpenSslError());
    if (at != block.data + block.size) return BadRequest("x509: trailing data");
    any = true;
  }
  ERR_clear_error();
  if (!any) return BadRequest("must contain at least one CERTIFICATE PEM block");
  return {};
}

}  // namespace knarr::net
