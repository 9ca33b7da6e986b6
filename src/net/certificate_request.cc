#include "net/certificate_request.h"

#include <openssl/pem.h>

#include "base/strings.h"
#include "net/openssl.h"

namespace knarr::net {
namespace {

using RequestPtr = std::unique_ptr<X509_REQ, OpenSslDeleter<X509_REQ_free>>;

constexpr size_t kPemBytesMax = 256 << 10;

std::string Text(const X509_NAME_ENTRY* entry) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
  if (size < 0) return {};
  std::string out(reinterpret_cast<const char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  return out;
}

}  // namespace

Result<CertificateInfo> ReadSigningRequest(std::string_view pem) {
  StartOpenSsl();
  if (pem.size() > kPemBytesMax || pem.find("-----BEGIN CERTIFICATE REQUEST-----") == std::string_view::npos) {
    return BadRequest("PEM block type must be CERTIFICATE REQUEST");
  }
  const BioPtr bio = ReadBio(pem);
  const RequestPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!request) return BadRequest(OpenSslError());
  CertificateInfo info;
  const X509_NAME* subject = X509_REQ_get_subject_name(request.get());
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, i);
    const int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    if (nid == NID_commonName) info.common_name = Text(entry);
    if (nid == NID_organizationName) info.organizations.push_back(Text(entry));
  }
  return info;
}

Result<CertificateInfo> ReadSigningRequestBase64(std::string_view text) {
  const Result<std::string> pem = Base64Decode(text);
  if (!pem.ok()) return pem.status();
  return ReadSigningRequest(*pem);
}

}  // namespace knarr::net
