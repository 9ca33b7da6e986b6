// TLS connections. OpenSSL works on two buffers of ours and never touches the socket: only we wait, so that a reading
// and a writing fiber can share a connection. While one of them is suspended no OpenSSL call is under way.

#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/ip.h"
#include "base/strings.h"
#include "net/openssl.h"

namespace knarr::net {
namespace {

/// Read from the connection at once; freed while it is idle.
constexpr size_t kReadSize = 32 << 10;
/// Encrypted before it is written: a few records a system call.
constexpr size_t kWriteBatch = 64 << 10;
constexpr size_t kRecordSize = 16 << 10;
/// Answers to the peer's post-handshake messages (key updates) that may wait for the next Write.
constexpr size_t kAnswersMax = 16 << 10;
/// What an idle connection may keep of its write buffer.
constexpr size_t kKeptBuffer = 4 << 10;

constexpr const char* kCipherSuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

std::string AlpnWire(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255) continue;
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  return wire;
}

/// The contexts' common part.
Result<SslContextPtr> NewContext(const SSL_METHOD* method) {
  StartOpenSsl();
  SslContextPtr context(SSL_CTX_new(method));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) {
    return Internal("make a TLS context: " + OpenSslError());
  }
  // No session is ever resumed: a resumed one would not look at the client's certificate again, and with P-256 a full
  // handshake costs little more.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context.get()), X509_V_FLAG_PARTIAL_CHAIN);
  // AES-128 first, as crypto/tls has it: a third less work than AES-256. A client that puts ChaCha20 first, for want of
  // AES in its processor, gets that.
  if (SSL_CTX_set_ciphersuites(context.get(), kCipherSuites) != 1) {
    return Internal("choose TLS cipher suites: " + OpenSslError());
  }
  SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  return context;
}

Ok UseIdentity(SSL_CTX* context, const KeyPair& identity) {
  auto chain = TRY(ParseCertificates(identity.certificate_pem));
  KeyPtr key = TRY(ParsePrivateKey(identity.key_pem));
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1) return BadRequest("certificate: " + OpenSslError());
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1)
      return BadRequest("certificate chain: " + OpenSslError());
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return BadRequest("private key does not match the certificate: " + OpenSslError());
  }
  return {};
}

/// Trusts the bundle; with `name_them`, a client is told these names, so that it can choose its certificate.
Ok Trust(SSL_CTX* context, std::string_view pem, bool name_them) {
  auto certificates = TRY(ParseCertificates(pem).Context("certificate authority"));
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const X509Ptr& certificate : certificates) {
    if (X509_STORE_add_cert(store, certificate.get()) != 1) return BadRequest("authority: " + OpenSslError());
    if (name_them && SSL_CTX_add_client_CA(context, certificate.get()) != 1) {
      return BadRequest("authority: " + OpenSslError());
    }
  }
  return {};
}

/// The system's authorities where the distributions keep them (the built-in place is only Debian's).
Ok TrustSystem(SSL_CTX* context) {
  constexpr std::array<const char*, 5> kBundles = {
      "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
      "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem"};
  for (const char* path : kBundles) {
    struct stat info{};
    if (stat(path, &info) == 0 && SSL_CTX_load_verify_file(context, path) == 1) return {};
  }
  ERR_clear_error();
  if (SSL_CTX_set_default_verify_paths(context) == 1) return {};
  return Internal("the system's certificate authorities: " + OpenSslError());
}

/// One identity of a server; connections keep theirs alive.
struct ServerState {
  SslContextPtr context;
  std::string alpn;
};

int SelectAlpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
               void* state) {
  const std::string& ours = static_cast<const ServerState*>(state)->alpn;
  unsigned char* selected = nullptr;
  int found = SSL_select_next_proto(&selected, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
                                    static_cast<unsigned>(ours.size()), in, in_size);
  *out = selected;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

class ServerContext : public TlsServerContext {
 public:
  explicit ServerContext(TlsServerOptions options) : options_(std::move(options)) { options_.identity = {}; }

  Ok Replace(const KeyPair& identity) override {
    auto state = std::make_shared<ServerState>();
    state->context = TRY(NewContext(TLS_server_method()));
    SSL_CTX* context = state->context.get();
    TRY(UseIdentity(context, identity));
    if (!options_.client_ca_pem.empty()) {
      TRY(Trust(context, options_.client_ca_pem, true));
      // Whoever fails the check may still have a token: the connection goes on, with the result noted.
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
    }
    state->alpn = AlpnWire(options_.alpn);
    if (!state->alpn.empty()) SSL_CTX_set_alpn_select_cb(context, SelectAlpn, state.get());
    state_.store(std::move(state));
    return {};
  }

  std::shared_ptr<ServerState> state() const { return state_.load(); }

 private:
  TlsServerOptions options_;
  std::atomic<std::shared_ptr<ServerState>> state_;
};

class ClientContext : public TlsClientContext {
 public:
  SslContextPtr context;
  std::string server_name;
  bool insecure = false;
};

/// The encrypted side of a connection: what came and OpenSSL has not taken yet, and what it wants written.
struct Wire {
  std::unique_ptr<char[]> in;
  size_t in_start = 0;
  size_t in_end = 0;
  bool in_ended = false;
  std::string out;
  std::optional<CertificateInfo> refused;  // the peer's certificate that did not stand the check
};

int WireWrite(BIO* bio, const char* data, size_t size, size_t* written) {
  static_cast<Wire*>(BIO_get_data(bio))->out.append(data, size);
  *written = size;
  return 1;
}

int WireRead(BIO* bio, char* out, size_t size, size_t* read) {
  auto* wire = static_cast<Wire*>(BIO_get_data(bio));
  size_t count = std::min(size, wire->in_end - wire->in_start);
  BIO_clear_retry_flags(bio);
  *read = count;
  if (count == 0) {
    if (!wire->in_ended) BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(out, wire->in.get() + wire->in_start, count);
  wire->in_start += count;
  return 1;
}

long WireControl(BIO* bio, int command, long, void*) {
  const auto* wire = static_cast<const Wire*>(BIO_get_data(bio));
  if (command == BIO_CTRL_EOF) return wire->in_ended && wire->in_start == wire->in_end ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD* WireMethod() {
  // Made once for the whole process, as OpenSSL's own methods are.
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "knarr stream");
    CHECK(made != nullptr);
    BIO_meth_set_write_ex(made, WireWrite);
    BIO_meth_set_read_ex(made, WireRead);
    BIO_meth_set_ctrl(made, WireControl);
    return made;
  }();
  return method;
}

/// OpenSSL forgets a certificate it refuses; this keeps what it said, for the message.
int KeepRefused(int fine, X509_STORE_CTX* store) {
  X509* certificate = X509_STORE_CTX_get_current_cert(store);
  if (fine == 1 || certificate == nullptr || X509_STORE_CTX_get_error_depth(store) != 0) return fine;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  static_cast<Wire*>(BIO_get_data(SSL_get_rbio(ssl)))->refused = DescribeCertificate(certificate);
  return fine;
}

/// crypto/x509's words for what is wrong with a server's certificate: users search for them.
std::string VerifyError(SSL* ssl, const std::optional<CertificateInfo>& refused, const std::string& server_name) {
  long code = SSL_get_verify_result(ssl);
  switch (code) {
    case X509_V_OK:
      return {};
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "x509: certificate signed by unknown authority";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "x509: certificate has expired or is not yet valid";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: {
      if (!refused.has_value()) break;
      const auto& names = code == X509_V_ERR_IP_ADDRESS_MISMATCH ? refused->ip_addresses : refused->dns_names;
      if (names.empty()) return "x509: certificate is not valid for any names, but wanted to match " + server_name;
      return "x509: certificate is valid for " + Join(names, ", ") + ", not " + server_name;
    }
    default:
      break;
  }
  return std::string("x509: ") + X509_verify_cert_error_string(code);
}

class OpenSslStream : public TlsStream {
 public:
  OpenSslStream(std::unique_ptr<Stream> inner, SslPtr ssl, std::shared_ptr<const void> keep_alive)
      : inner_(std::move(inner)), keep_alive_(std::move(keep_alive)), ssl_(std::move(ssl)) {
    BIO* bio = BIO_new(WireMethod());
    CHECK(bio != nullptr);
    BIO_set_data(bio, &wire_);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
  }

  Ok Handshake(const std::string& server_name) {
    while (true) {
      ERR_clear_error();
      int done = SSL_do_handshake(ssl_.get());
      int error = SSL_get_error(ssl_.get(), done);
      if (done == 1) break;
      if (error != SSL_ERROR_WANT_READ) return HandshakeFailed(server_name);
      TRY(Flush());
      TRY(Fill());
      if (wire_.in_ended && wire_.in_start == wire_.in_end) return Unavailable("TLS handshake: EOF");
    }
    TRY(Flush());
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    alpn_.assign(reinterpret_cast<const char*>(name), size);
    X509* certificate = SSL_get0_peer_certificate(ssl_.get());
    bool verified = (SSL_get_verify_mode(ssl_.get()) & SSL_VERIFY_PEER) != 0;
    if (certificate != nullptr && verified) {
      certificate_ = DescribeCertificate(certificate);
      if (SSL_is_server(ssl_.get()) == 1) certificate_->refused_because = VerifyError(ssl_.get(), {}, "");
    }
    return {};
  }

  Result<size_t> Read(char* out, size_t size) override {
    while (true) {
      if (broken_) return Unavailable("read from " + peer() + ": the TLS connection is broken");
      ERR_clear_error();
      size_t count = 0;
      int done = SSL_read_ex(ssl_.get(), out, size, &count);
      int error = SSL_get_error(ssl_.get(), done);
      if (done == 1) return count;
      if (error == SSL_ERROR_ZERO_RETURN) return size_t{0};
      // Popular servers just close. As in crypto/tls that is the end, if no record is cut in the middle; messages that
      // must be whole have their own framing.
      if (wire_.in_ended && std::string_view(SSL_rstate_string(ssl_.get())) == "RH") {
        ERR_clear_error();
        return size_t{0};
      }
      if (error != SSL_ERROR_WANT_READ) return ReadFailed();
      // What OpenSSL answered goes with the next Write, as RFC 8446 allows: a reader that waited for a peer who reads
      // nothing would stand in the way of the writer.
      if (wire_.out.size() > kAnswersMax) {
        broken_ = true;
        return Unavailable("read from " + peer() + ": TLS: too many key updates");
      }
      TRY(Fill());
    }
  }

  Ok WaitReadable() override {
    if (SSL_pending(ssl_.get()) > 0 || wire_.in_start != wire_.in_end || wire_.in_ended || broken_) return {};
    wire_.in.reset();
    return inner_->WaitReadable();
  }

  Ok Write(std::string_view bytes) override {
    if (broken_) return Unavailable("write to " + peer() + ": the TLS connection is broken");
    CHECK(!writing_);
    while (!bytes.empty()) {
      if (wire_.out.capacity() == 0) wire_.out.reserve(std::min(bytes.size() + 64, kWriteBatch + 2 * kRecordSize));
      while (!bytes.empty() && wire_.out.size() < kWriteBatch) {
        ERR_clear_error();
        size_t count = 0;
        if (SSL_write_ex(ssl_.get(), bytes.data(), std::min(bytes.size(), kRecordSize), &count) != 1) {
          broken_ = true;
          return Unavailable("write to " + peer() + ": TLS: " + OpenSslError());
        }
        bytes.remove_prefix(count);
      }
      TRY(Flush());
    }
    if (wire_.out.capacity() > kKeptBuffer) wire_.out = {};
    return {};
  }

  Ok CloseWrite() override {
    if (broken_) return Unavailable("close " + peer() + ": the TLS connection is broken");
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
    TRY(FlushUnlessWriting());
    return inner_->CloseWrite();
  }

  void Close() override {
    broken_ = true;
    inner_->Close();
  }

  std::string peer() const override { return inner_->peer(); }
  std::string alpn() const override { return alpn_; }
  const std::optional<CertificateInfo>& peer_certificate() const override { return certificate_; }

 private:
  /// Reads what the connection has. The buffer is empty whenever OpenSSL wants more.
  Ok Fill() {
    if (wire_.in_ended) return {};
    if (wire_.in_start != wire_.in_end) return {};
    wire_.in.reset();
    TRY(inner_->WaitReadable());
    wire_.in = std::make_unique_for_overwrite<char[]>(kReadSize);
    wire_.in_start = wire_.in_end = 0;
    size_t count = TRY(inner_->Read(wire_.in.get(), kReadSize));
    wire_.in_end = count;
    if (count == 0) wire_.in_ended = true;
    return {};
  }

  /// Writes what OpenSSL has made, also what it adds meanwhile (a reader's alert, a key update).
  Ok Flush() {
    writing_ = true;
    while (!wire_.out.empty()) {
      std::string batch;
      batch.swap(wire_.out);
      Ok written = inner_->Write(batch);
      if (!written.ok()) {
        writing_ = false;
        broken_ = true;
        return written;
      }
      batch.clear();
      if (wire_.out.empty()) wire_.out.swap(batch);
    }
    writing_ = false;
    return {};
  }
  Ok FlushUnlessWriting() { return writing_ ? Ok() : Flush(); }

  Status ReadFailed() {
    bool ended = wire_.in_ended;
    std::string error = OpenSslError();
    broken_ = true;  // first: no Write may begin while the alert is on its way
    // Tells the peer why, if nobody is writing and the connection still takes it.
    (void)FlushUnlessWriting();
    if (ended) return Unavailable("read from " + peer() + ": unexpected EOF");
    return Unavailable("read from " + peer() + ": TLS: " + error);
  }

  Status HandshakeFailed(const std::string& server_name) {
    unsigned long code = ERR_peek_last_error();
    std::string error = OpenSslError();
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST) {
      wire_.out = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
      error = "client sent an HTTP request to an HTTPS server";
    } else if (std::string verify = VerifyError(ssl_.get(), wire_.refused, server_name); !verify.empty()) {
      error = (SSL_is_server(ssl_.get()) ? "" : "failed to verify certificate: ") + verify;
    } else if (wire_.in_ended) {
      error = "EOF";
    }
    (void)Flush();  // the alert; the connection is given up in any case
    broken_ = true;
    return Unavailable("tls: " + error);
  }

  Wire wire_;
  std::unique_ptr<Stream> inner_;
  std::shared_ptr<const void> keep_alive_;
  SslPtr ssl_;
  bool writing_ = false;
  bool broken_ = false;
  std::string alpn_;
  std::optional<CertificateInfo> certificate_;
};

Ok ExpectServer(SSL* ssl, const ClientContext& context, const std::string& server_name) {
  if (auto ip = IpAddress::Parse(server_name); ip.ok()) {
    if (context.insecure) return {};
    auto bytes = ip->bytes();
    if (X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), reinterpret_cast<const unsigned char*>(bytes.data()),
                                  bytes.size()) != 1) {
      return Internal("TLS: " + OpenSslError());
    }
    return {};
  }
  if (server_name.empty()) {
    return context.insecure ? Ok() : BadRequest("TLS: no server name to verify the certificate against");
  }
  if (SSL_set_tlsext_host_name(ssl, server_name.c_str()) != 1 ||
      (!context.insecure && SSL_set1_host(ssl, server_name.c_str()) != 1)) {
    return BadRequest("TLS: server name \"" + server_name + "\": " + OpenSslError());
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<TlsServerContext>> TlsServerContext::Create(const TlsServerOptions& options) {
  auto context = std::make_shared<ServerContext>(options);
  TRY(context->Replace(options.identity));
  return std::shared_ptr<TlsServerContext>(std::move(context));
}

Result<std::shared_ptr<TlsClientContext>> TlsClientContext::Create(const TlsClientOptions& options) {
  auto out = std::make_shared<ClientContext>();
  out->context = TRY(NewContext(TLS_client_method()));
  SSL_CTX* context = out->context.get();
  out->server_name = options.server_name;
  out->insecure = options.insecure;
  if (options.identity.has_value()) TRY(UseIdentity(context, *options.identity));
  if (!options.insecure) {
    TRY(options.ca_pem.empty() ? TrustSystem(context) : Trust(context, options.ca_pem, false));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, KeepRefused);
  }
  std::string alpn = AlpnWire(options.alpn);
  if (!alpn.empty() && SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(alpn.data()),
                                               static_cast<unsigned>(alpn.size())) != 0) {
    return Internal("TLS: " + OpenSslError());
  }
  return std::shared_ptr<TlsClientContext>(std::move(out));
}

Result<std::unique_ptr<TlsStream>> TlsAccept(std::unique_ptr<Stream> stream, TlsServerContext& context) {
  auto state = static_cast<ServerContext&>(context).state();
  SslPtr ssl(SSL_new(state->context.get()));
  if (!ssl) return Internal("TLS: " + OpenSslError());
  SSL_set_accept_state(ssl.get());
  auto out = std::make_unique<OpenSslStream>(std::move(stream), std::move(ssl), std::move(state));
  TRY(out->Handshake({}));
  return std::unique_ptr<TlsStream>(std::move(out));
}

Result<std::unique_ptr<TlsStream>> TlsConnect(std::unique_ptr<Stream> stream, TlsClientContext& context,
                                              const TlsConnectOptions& options) {
  auto& client = static_cast<ClientContext&>(context);
  SslPtr ssl(SSL_new(client.context.get()));
  if (!ssl) return Internal("TLS: " + OpenSslError());
  SSL_set_connect_state(ssl.get());
  std::string server_name = client.server_name.empty() ? options.server_name : client.server_name;
  TRY(ExpectServer(ssl.get(), client, server_name));
  std::string alpn = AlpnWire(options.alpn);
  if (!alpn.empty() && SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                                           static_cast<unsigned>(alpn.size())) != 0) {
    return Internal("TLS: " + OpenSslError());
  }
  auto out = std::make_unique<OpenSslStream>(std::move(stream), std::move(ssl), nullptr);
  TRY(out->Handshake(server_name));
  return std::unique_ptr<TlsStream>(std::move(out));
}

}  // namespace knarr::net
