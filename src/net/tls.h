#pragma once

// TLS 1.2+ (OpenSSL) over any Stream, and the making of keys and certificates.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "net/stream.h"

namespace knarr::net {

/// A certificate chain and its key, PEM.
struct KeyPair {
  std::string certificate_pem;
  std::string key_pem;
};

/// What a certificate says of its owner.
struct CertificateInfo {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  WallTime not_before;
  WallTime not_after;
  std::string serial_hex;
  std::string fingerprint_hex;  ///< SHA-256 of the whole certificate
  /// The subject's attributes of the type 1.3.6.1.4.1.57683.2, which is Kubernetes' for a user's uid.
  std::vector<std::string> user_ids;
  /// Of a client's certificate: why it is not to be trusted ("x509: certificate signed by unknown authority"); "" when
  /// it is.
  std::string refused_because;
};
Result<CertificateInfo> ReadCertificate(std::string_view pem);

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  bool authority = false;
  bool server_auth = false;
  bool client_auth = false;
  WallTime not_before;
  WallTime not_after;
};
/// A new P-256 key and a certificate signed by `issuer` (self-signed when null). A few hundred microseconds.
Result<KeyPair> IssueCertificate(const CertificateRequest& request, const KeyPair* issuer);
/// A new key for signing tokens, PEM (P-256 or RSA-2048 as `rsa` says).
Result<std::string> GenerateKey(bool rsa);
/// JWS signatures: ES256 for P-256 keys, RS256 for RSA keys; raw signature bytes.
Result<std::string> SignJws(std::string_view key_pem, std::string_view message);
/// True when the signature fits; the key may be a private or a public one.
Result<bool> VerifyJws(std::string_view key_pem, std::string_view message, std::string_view signature);

/// A parsed key for many signatures (reading PEM costs more than a signature). Copies share it; any thread.
class JwsKey {
 public:
  /// RSA (2048 bits or more) or P-256: a private key, a public key, or a certificate, PEM.
  static Result<JwsKey> Create(std::string_view key_pem);
  /// "ES256" or "RS256".
  std::string_view algorithm() const;
  Result<std::string> Sign(std::string_view message) const;
  Result<bool> Verify(std::string_view message, std::string_view signature) const;
  /// "-----BEGIN PUBLIC KEY-----".
  Result<std::string> PublicPem() const;
  /// The digest of the public key that tokens name it by (base64url of SHA-256 of its DER form).
  Result<std::string> Id() const;
  /// A public key from the numbers of a JSON Web Key, big-endian: RSA's n and e, or the point of P-256.
  static Result<JwsKey> FromRsa(std::string_view n, std::string_view e);
  static Result<JwsKey> FromP256(std::string_view x, std::string_view y);
  /// The reverse: n and e, or x and y.
  Result<std::pair<std::string, std::string>> Numbers() const;

 private:
  struct Rep;
  explicit JwsKey(std::shared_ptr<const Rep> rep);
  std::shared_ptr<const Rep> rep_;
};

/// 32 raw bytes.
std::string Sha256(std::string_view bytes);
/// Sha256 over pieces, for digests of what is streamed.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  void Update(std::string_view bytes);
  /// 64 hex digits. Once.
  std::string FinishHex();

 private:
  void* context_;
};

struct TlsServerOptions {
  KeyPair identity;
  /// Clients are asked for a certificate, which is checked against this PEM bundle. One that does not stand the check
  /// ends nothing: CertificateInfo says so. "" asks for none.
  std::string client_ca_pem;
  std::vector<std::string> alpn;  ///< in order of preference: {"h2", "http/1.1"}
};
/// Shared by all connections; Replace swaps the identity for new connections (renewal while running). Any thread.
class TlsServerContext {
 public:
  static Result<std::shared_ptr<TlsServerContext>> Create(const TlsServerOptions& options);
  virtual ~TlsServerContext() = default;
  virtual Ok Replace(const KeyPair& identity) = 0;
};

struct TlsClientOptions {
  std::string ca_pem;  ///< "" uses the system's roots
  std::optional<KeyPair> identity;
  bool insecure = false;    ///< no verification (kubeconfig's insecure-skip-tls-verify)
  std::string server_name;  ///< for SNI and verification; an IP address is verified as one
  std::vector<std::string> alpn;
};
class TlsClientContext {
 public:
  static Result<std::shared_ptr<TlsClientContext>> Create(const TlsClientOptions& options);
  virtual ~TlsClientContext() = default;
};

/// A Stream after the handshake.
class TlsStream : public Stream {
 public:
  virtual std::string alpn() const = 0;
  /// The peer's certificate, if it showed one: a server's is verified, a client's says whether it is.
  virtual const std::optional<CertificateInfo>& peer_certificate() const = 0;
};
/// What one connection has of its own; empty fields take the context's.
struct TlsConnectOptions {
  std::string server_name;
  std::vector<std::string> alpn;
};
Result<std::unique_ptr<TlsStream>> TlsAccept(std::unique_ptr<Stream> stream, TlsServerContext& context);
Result<std::unique_ptr<TlsStream>> TlsConnect(std::unique_ptr<Stream> stream, TlsClientContext& context,
                                              const TlsConnectOptions& options = {});

}  // namespace knarr::net
