#include "net/tls.h"

#include <gtest/gtest.h>

#include <array>

#include "net/openssl.h"
#include "net/test_support.h"

namespace knarr::net {
namespace {

constexpr WallTime kNow{std::chrono::seconds(1'790'000'000)};

TEST(Certificates, SayWhatWasAskedFor) {
  CertificateRequest request;
  request.common_name = "kube-apiserver";
  request.organizations = {"a", "b, with = signs"};
  request.dns_names = {"localhost", "kubernetes.default.svc"};
  request.ip_addresses = {"10.43.0.1", "fd00::1"};
  request.server_auth = true;
  request.not_before = kNow;
  request.not_after = kNow + 24h * 365;
  auto pair = IssueCertificate(request, nullptr);
  ASSERT_TRUE(pair.ok()) << pair.status().message();
  auto info = ReadCertificate(pair->certificate_pem);
  ASSERT_TRUE(info.ok()) << info.status().message();
  EXPECT_EQ(info->common_name, "kube-apiserver");
  EXPECT_EQ(info->organizations, request.organizations);
  EXPECT_EQ(info->dns_names, request.dns_names);
  EXPECT_EQ(info->ip_addresses, request.ip_addresses);
  EXPECT_EQ(info->not_before, request.not_before);
  EXPECT_EQ(info->not_after, request.not_after);
  EXPECT_EQ(info->serial_hex.size(), 32U);
}

TEST(Certificates, RefuseNonsense) {
  EXPECT_FALSE(ReadCertificate("").ok());
  EXPECT_FALSE(ReadCertificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").ok());
  CertificateRequest request;
  request.not_before = request.not_after = kNow;
  EXPECT_FALSE(IssueCertificate(request, nullptr).ok());
  request.not_after += 1h;
  request.ip_addresses = {"1.2.3"};
  EXPECT_FALSE(IssueCertificate(request, nullptr).ok());
  KeyPair bad{"x", "y"};
  request.ip_addresses.clear();
  EXPECT_FALSE(IssueCertificate(request, &bad).ok());
}

TEST(Certificates, TimesBeyondOursAreHeldAtOurEnds) {
  CertificateRequest request;
  request.common_name = "old";
  request.not_before = kNow;
  request.not_after = kNow + 1h;
  const KeyPair pair = MUST(IssueCertificate(request, nullptr));
  const std::vector<X509Ptr> chain = MUST(ParseCertificates(pair.certificate_pem));
  ASSERT_EQ(ASN1_TIME_set_string(X509_getm_notBefore(chain[0].get()), "00010101000000Z"), 1);
  ASSERT_EQ(ASN1_TIME_set_string(X509_getm_notAfter(chain[0].get()), "99991231235959Z"), 1);
  const CertificateInfo info = DescribeCertificate(chain[0].get());
  EXPECT_EQ(info.not_before, WallTime(std::chrono::seconds(-9'223'372'036)));
  EXPECT_EQ(info.not_after, WallTime(std::chrono::seconds(9'223'372'036)));
}

TEST(Jws, SignsAndVerifies) {
  for (bool rsa : {false, true}) {
    auto pem = GenerateKey(rsa);
    ASSERT_TRUE(pem.ok());
    auto signature = SignJws(*pem, "header.payload");
    ASSERT_TRUE(signature.ok()) << signature.status().message();
    EXPECT_EQ(signature->size(), rsa ? 256U : 64U);
    EXPECT_TRUE(*VerifyJws(*pem, "header.payload", *signature));
    EXPECT_FALSE(*VerifyJws(*pem, "header.other", *signature));
    (*signature)[10] = static_cast<char>((*signature)[10] ^ 1);
    EXPECT_FALSE(*VerifyJws(*pem, "header.payload", *signature));
    EXPECT_FALSE(*VerifyJws(*pem, "header.payload", "short"));
    auto key = JwsKey::Create(*pem);
    auto public_key = JwsKey::Create(*key->PublicPem());
    ASSERT_TRUE(public_key.ok()) << public_key.status().message();
    EXPECT_EQ(public_key->algorithm(), rsa ? "RS256" : "ES256");
    EXPECT_TRUE(*public_key->Verify("m", *key->Sign("m")));
    EXPECT_FALSE(public_key->Sign("m").ok());
    // The numbers of a JSON Web Key make the same key.
    const auto numbers = public_key->Numbers();
    ASSERT_TRUE(numbers.ok()) << numbers.status().message();
    auto again =
        rsa ? JwsKey::FromRsa(numbers->first, numbers->second) : JwsKey::FromP256(numbers->first, numbers->second);
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_TRUE(*again->Verify("m", *key->Sign("m")));
    EXPECT_EQ(*again->Id(), *key->Id());
  }
  EXPECT_FALSE(JwsKey::FromRsa("\x05", "\x03").ok());
  EXPECT_FALSE(JwsKey::FromP256(std::string(32, 'x'), std::string(32, 'y')).ok());
  EXPECT_FALSE(JwsKey::Create("nothing").ok());
}

TEST(Sha256Stream, IsTheSameInPieces) {
  Sha256Stream stream;
  stream.Update("ab");
  stream.Update("c");
  EXPECT_EQ(stream.FinishHex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(static_cast<unsigned char>(Sha256("abc")[0]), 0xba);
}

struct Pair {
  Result<std::unique_ptr<TlsStream>> server = Unavailable("not run");
  Result<std::unique_ptr<TlsStream>> client = Unavailable("not run");
};

/// Both handshakes over a pipe.
Pair Connect(rt::Runtime& runtime, TlsServerContext& server, TlsClientContext& client,
             const TlsConnectOptions& options = {}) {
  auto ends = MemoryPipe(runtime);
  Pair out;
  rt::TaskGroup group(runtime, "handshake");
  group.Spawn("server", [&] { out.server = TlsAccept(std::move(ends.first), server); });
  out.client = TlsConnect(std::move(ends.second), client, options);
  group.Join();
  return out;
}

std::shared_ptr<TlsServerContext> ServerFor(const TestCertificates& certificates) {
  return *TlsServerContext::Create({certificates.server, certificates.authority.certificate_pem, {"h2", "http/1.1"}});
}

// OpenSSL checks certificates against the real time, so these run on the real runtime.
TEST(Tls, MutualHandshakeAndData) {
  RunReal([](rt::Runtime& runtime) {
    auto certificates = TestCertificates::Make(runtime.Wall());
    auto server = ServerFor(certificates);
    auto client =
        TlsClientContext::Create({certificates.authority.certificate_pem, certificates.client, false, "", {"h2"}});
    ASSERT_TRUE(client.ok());
    Pair pair = Connect(runtime, *server, **client, {"127.0.0.1", {}});
    ASSERT_TRUE(pair.client.ok()) << pair.client.status().message();
    ASSERT_TRUE(pair.server.ok()) << pair.server.status().message();
    EXPECT_EQ((*pair.server)->alpn(), "h2");
    EXPECT_EQ((*pair.client)->alpn(), "h2");
    ASSERT_TRUE((*pair.server)->peer_certificate().has_value());
    EXPECT_EQ((*pair.server)->peer_certificate()->common_name, "admin");
    EXPECT_EQ((*pair.server)->peer_certificate()->organizations, (std::vector<std::string>{"system:masters", "dev"}));
    std::string big(1 << 20, 'q');
    rt::TaskGroup group(runtime, "test");
    // Both directions at once, each with its own reader and writer.
    auto pump = [&](TlsStream& stream) {
      group.Spawn("write", [&] {
        EXPECT_TRUE(stream.Write(big).ok());
        EXPECT_TRUE(stream.CloseWrite().ok());
      });
      group.Spawn("read", [&] {
        size_t total = 0;
        std::array<char, 5000> part;
        while (true) {
          auto count = stream.Read(part.data(), part.size());
          ASSERT_TRUE(count.ok()) << count.status().message();
          if (*count == 0) break;
          total += *count;
        }
        EXPECT_EQ(total, big.size());
      });
    };
    pump(**pair.server);
    pump(**pair.client);
    group.Join();
  });
}

/// A client that does what TlsConnect's never does: OpenSSL on buffers in memory, moved to and from the pipe by hand.
class RawClient {
 public:
  explicit RawClient(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {
    StartOpenSsl();
    context_.reset(SSL_CTX_new(TLS_client_method()));
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl_.get());
  }
  void Handshake() {
    while (SSL_do_handshake(ssl_.get()) != 1) {
      Send();
      Receive();
    }
    Send();
  }
  /// Asks the server for new keys, so many times, without reading what it answers.
  void UpdateKeys(int times) {
    for (int i = 0; i < times; ++i) {
      ASSERT_EQ(SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_REQUESTED), 1);
      ASSERT_EQ(SSL_do_handshake(ssl_.get()), 1);
    }
    Send();
  }
  std::string Read(size_t size) {
    std::string out(size, '\0');
    size_t done = 0;
    while (done < size) {
      size_t count = 0;
      if (SSL_read_ex(ssl_.get(), out.data() + done, size - done, &count) != 1) Receive();
      done += count;
    }
    return out;
  }

 private:
  void Send() {
    char* data = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(ssl_.get()), &data);
    MUST(stream_->Write({data, static_cast<size_t>(size)}));
    (void)BIO_reset(SSL_get_wbio(ssl_.get()));
  }
  void Receive() {
    std::array<char, 4096> part;
    const size_t count = MUST(stream_->Read(part.data(), part.size()));
    BIO_write(SSL_get_rbio(ssl_.get()), part.data(), static_cast<int>(count));
  }
  std::unique_ptr<Stream> stream_;
  SslContextPtr context_;
  SslPtr ssl_;
};

TEST(Tls, KeyUpdatesOfAPeerThatReadsNothing) {
  RunReal([](rt::Runtime& runtime) {
    auto certificates = TestCertificates::Make(runtime.Wall());
    auto server = ServerFor(certificates);
    for (const int times : {3, 5000}) {
      // Less than one answer fits into the first pipe.
      auto ends = MemoryPipe(runtime, times == 3 ? 16 : 1 << 20);
      Result<std::unique_ptr<TlsStream>> accepted = Unavailable("not run");
      RawClient client(std::move(ends.second));
      {
        rt::TaskGroup group(runtime, "handshake");
        group.Spawn("server", [&] { accepted = TlsAccept(std::move(ends.first), *server); });
        client.Handshake();
        group.Join();
      }
      ASSERT_TRUE(accepted.ok()) << accepted.status().message();
      TlsStream& stream = **accepted;
      rt::TaskGroup group(runtime, "server");
      Ok read;
      group.Spawn("read", [&] {
        char byte = 0;
        read = stream.Read(&byte, 1).ok() ? Ok() : Ok(Unavailable("over"));
      });
      client.UpdateKeys(times);
      MUST(runtime.Sleep(50ms));
      if (times > 1000) {
        // More than is kept for them: the connection is given up instead of growing.
        group.Join();
        EXPECT_FALSE(read.ok());
        continue;
      }
      // The reader has answers to give and nobody takes them: a writer may begin all the same.
      group.Spawn("write", [&] { EXPECT_TRUE(stream.Write("hello").ok()); });
      MUST(runtime.Sleep(50ms));
      EXPECT_EQ(client.Read(5), "hello");
      stream.Close();
      group.Join();
    }
  });
}

TEST(Tls, ClientCertificateIsOptionalAndJudgedLater) {
  RunReal([](rt::Runtime& runtime) {
    auto certificates = TestCertificates::Make(runtime.Wall());
    auto other = TestCertificates::Make(runtime.Wall());
    auto server = ServerFor(certificates);
    auto none =
        TlsClientContext::Create({certificates.authority.certificate_pem, std::nullopt, false, "localhost", {}});
    Pair pair = Connect(runtime, *server, **none);
    ASSERT_TRUE(pair.server.ok()) << pair.server.status().message();
    EXPECT_FALSE((*pair.server)->peer_certificate().has_value());
    auto wrong =
        TlsClientContext::Create({certificates.authority.certificate_pem, other.client, false, "localhost", {}});
    pair = Connect(runtime, *server, **wrong);
    ASSERT_TRUE(pair.server.ok()) << pair.server.status().message();
    ASSERT_TRUE((*pair.server)->peer_certificate().has_value());
    EXPECT_EQ((*pair.server)->peer_certificate()->refused_because, "x509: certificate signed by unknown authority");
  });
}

TEST(Tls, ServersAreVerified) {
  RunReal([](rt::Runtime& runtime) {
    auto certificates = TestCertificates::Make(runtime.Wall());
    auto other = TestCertificates::Make(runtime.Wall());
    auto server = ServerFor(certificates);
    struct Case {
      const std::string& ca;
      std::string name;
      bool insecure;
      std::string error;
    };
    const Case cases[] = {
        {certificates.authority.certificate_pem, "localhost", false, ""},
        {certificates.authority.certificate_pem, "::1", false, ""},
        {certificates.authority.certificate_pem, "example.com", false,
         "tls: failed to verify certificate: x509: certificate is valid for localhost, not example.com"},
        {certificates.authority.certificate_pem, "10.0.0.1", false,
         "tls: failed to verify certificate: x509: certificate is valid for 127.0.0.1, ::1, not 10.0.0.1"},
        {other.authority.certificate_pem, "localhost", false,
         "tls: failed to verify certificate: x509: certificate signed by unknown authority"},
        {other.authority.certificate_pem, "example.com", true, ""},
    };
    for (const Case& c : cases) {
      auto client = TlsClientContext::Create({c.ca, std::nullopt, c.insecure, c.name, {}});
      ASSERT_TRUE(client.ok());
      Pair pair = Connect(runtime, *server, **client);
      EXPECT_EQ(pair.client.ok() ? "" : pair.client.status().message(), c.error) << c.name;
    }
  });
}

TEST(Tls, IdentityIsReplacedForNewConnections) {
  RunReal([](rt::Runtime& runtime) {
    auto certificates = TestCertificates::Make(runtime.Wall());
    auto server = ServerFor(certificates);
    auto client =
        TlsClientContext::Create({certificates.authority.certificate_pem, std::nullopt, false, "localhost", {}});
    Pair before = Connect(runtime, *server, **client);
    ASSERT_TRUE(before.client.ok());
    CertificateRequest request;
    request.common_name = "renewed";
    request.server_auth = true;
    request.dns_names = {"localhost"};
    request.not_before = runtime.Wall() - 1h;
    request.not_after = runtime.Wall() + 1h;
    EXPECT_TRUE(server->Replace(*IssueCertificate(request, &certificates.authority)).ok());
    EXPECT_FALSE(server->Replace({certificates.server.certificate_pem, certificates.client.key_pem}).ok());
    Pair after = Connect(runtime, *server, **client);
    ASSERT_TRUE(after.client.ok());
    EXPECT_EQ((*before.client)->peer_certificate()->common_name, "server");
    EXPECT_EQ((*after.client)->peer_certificate()->common_name, "renewed");
  });
}

TEST(Tls, ExpiredCertificatesAreRefused) {
  RunReal([](rt::Runtime& runtime) {
    auto certificates = TestCertificates::Make(runtime.Wall() - 48h);
    auto server = ServerFor(certificates);
    auto client =
        TlsClientContext::Create({certificates.authority.certificate_pem, std::nullopt, false, "localhost", {}});
    Pair pair = Connect(runtime, *server, **client);
    ASSERT_FALSE(pair.client.ok());
    EXPECT_EQ(pair.client.status().message(),
              "tls: failed to verify certificate: x509: certificate has expired or is not yet valid");
  });
}

TEST(Tls, PlainHttpGetsATextAnswer) {
  RunReal([](rt::Runtime& runtime) {
    auto certificates = TestCertificates::Make(runtime.Wall());
    auto server = ServerFor(certificates);
    auto ends = MemoryPipe(runtime);
    EXPECT_TRUE(ends.second->Write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").ok());
    EXPECT_FALSE(TlsAccept(std::move(ends.first), *server).ok());
    std::array<char, 1000> answer;
    auto count = ends.second->Read(answer.data(), answer.size());
    ASSERT_TRUE(count.ok());
    EXPECT_EQ(std::string_view(answer.data(), *count),
              "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
  });
}

/// Passes bytes on until a number of them has gone.
class CutStream : public Stream {
 public:
  CutStream(std::unique_ptr<Stream> inner, std::shared_ptr<size_t> left)
      : inner_(std::move(inner)), left_(std::move(left)) {}
  Result<size_t> Read(char* out, size_t size) override { return inner_->Read(out, size); }
  Ok Write(std::string_view bytes) override {
    size_t count = std::min(bytes.size(), *left_);
    *left_ -= count;
    return inner_->Write(bytes.substr(0, count));
  }
  Ok CloseWrite() override { return inner_->CloseWrite(); }
  void Close() override { inner_->Close(); }
  std::string peer() const override { return inner_->peer(); }

 private:
  std::unique_ptr<Stream> inner_;
  std::shared_ptr<size_t> left_;
};

TEST(Tls, ACutInARecordIsAnErrorAndBetweenThemTheEnd) {
  for (bool inside : {true, false}) {
    RunReal([&](rt::Runtime& runtime) {
      auto certificates = TestCertificates::Make(runtime.Wall());
      auto server = ServerFor(certificates);
      auto client =
          TlsClientContext::Create({certificates.authority.certificate_pem, std::nullopt, false, "localhost", {}});
      auto ends = MemoryPipe(runtime);
      auto left = std::make_shared<size_t>(1 << 20);
      rt::TaskGroup group(runtime, "handshake");
      group.Spawn("server", [&] {
        auto stream = TlsAccept(std::make_unique<CutStream>(std::move(ends.first), left), *server);
        ASSERT_TRUE(stream.ok());
        EXPECT_TRUE((*stream)->Write("whole").ok());
        *left = inside ? 10 : 0;
        EXPECT_TRUE((*stream)->Write("lost").ok());
        (*stream)->Close();
      });
      auto stream = TlsConnect(std::move(ends.second), **client);
      ASSERT_TRUE(stream.ok());
      std::array<char, 100> part;
      EXPECT_EQ(*(*stream)->Read(part.data(), part.size()), 5U);
      auto end = (*stream)->Read(part.data(), part.size());
      EXPECT_EQ(end.ok(), !inside);
      group.Join();
    });
  }
}

}  // namespace
}  // namespace knarr::net
