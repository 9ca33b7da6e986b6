#pragma once

// What the .cc files that use OpenSSL share: owning pointers, its error queue as text, and its start.

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/tls.h"

namespace knarr::net {

template <auto kFree>
struct OpenSslDeleter {
  template <typename T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};
using BioPtr = std::unique_ptr<BIO, OpenSslDeleter<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslDeleter<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, OpenSslDeleter<X509_free>>;
using NamePtr = std::unique_ptr<X509_NAME, OpenSslDeleter<X509_NAME_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpenSslDeleter<GENERAL_NAMES_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, OpenSslDeleter<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, OpenSslDeleter<SSL_free>>;

/// Sets OpenSSL up without its configuration file, its engines and its exit handler: they cost milliseconds and bring
/// the machine's settings into the program. Called before anything else; any thread, any number of times.
void StartOpenSsl();
/// The newest error of this thread's queue, and empties it.
std::string OpenSslError();

BioPtr ReadBio(std::string_view text);
Result<std::string> TakeBio(BIO* bio);
Result<KeyPtr> ParsePrivateKey(std::string_view pem);
/// All certificates of a bundle; BadRequest when there is none.
Result<std::vector<X509Ptr>> ParseCertificates(std::string_view pem);
CertificateInfo DescribeCertificate(X509* certificate);
/// A random one.
Ok SetSerial(X509* certificate);
Ok AddExtension(X509* certificate, X509V3_CTX* context, int nid, const std::string& value);
/// "" for what is no address.
std::string AddressText(const ASN1_OCTET_STRING* bytes);

}  // namespace knarr::net
