#include <gtest/gtest.h>

#include "image/store.h"

namespace knarr::image {
namespace {

const std::string kHex(64, 'a');
const std::string kDigest = "sha256:" + kHex;

struct Good {
  std::string text;
  std::string canonical;
  std::string familiar;
};

TEST(Reference, Parses) {
  const Good cases[] = {
      {"nginx", "docker.io/library/nginx:latest", "nginx:latest"},
      {"nginx:1.25", "docker.io/library/nginx:1.25", "nginx:1.25"},
      {"library/nginx", "docker.io/library/nginx:latest", "nginx:latest"},
      {"docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"},
      {"index.docker.io/library/nginx:a", "docker.io/library/nginx:a", "nginx:a"},
      {"user/app:v1", "docker.io/user/app:v1", "user/app:v1"},
      {"localhost/app", "localhost/app:latest", "localhost/app:latest"},
      {"localhost:5000/a/b:v1", "localhost:5000/a/b:v1", "localhost:5000/a/b:v1"},
      {"127.0.0.1:5000/x", "127.0.0.1:5000/x:latest", "127.0.0.1:5000/x:latest"},
      {"[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"},
      {"[fd00::1]/x", "[fd00::1]/x:latest", "[fd00::1]/x:latest"},
      {"registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"},
      {"nginx@" + kDigest, "docker.io/library/nginx@" + kDigest, "nginx@" + kDigest},
      {"host:5000/a/b:v1@" + kDigest, "host:5000/a/b:v1@" + kDigest, "host:5000/a/b:v1@" + kDigest},
      {"Upper/name", "Upper/name:latest", "Upper/name:latest"},  // an upper-case first part is a host
      {"a/b/c", "docker.io/a/b/c:latest", "a/b/c:latest"},
      {"a--b/c__d.e_f", "docker.io/a--b/c__d.e_f:latest", "a--b/c__d.e_f:latest"},
      {"x:" + std::string(128, 't'), "docker.io/library/x:" + std::string(128, 't'), "x:" + std::string(128, 't')},
      {"x:_T.-9", "docker.io/library/x:_T.-9", "x:_T.-9"},
      {"aa" + kHex, "docker.io/library/aa" + kHex + ":latest", "aa" + kHex + ":latest"},
  };
  for (const Good& test : cases) {
    const auto parsed = Reference::Parse(test.text);
    ASSERT_TRUE(parsed.ok()) << test.text << ": " << parsed.status().message();
    EXPECT_EQ(parsed->Canonical(), test.canonical) << test.text;
    EXPECT_EQ(parsed->Familiar(), test.familiar) << test.text;
    const auto again = Reference::Parse(test.canonical);
    ASSERT_TRUE(again.ok()) << test.canonical;
    EXPECT_EQ(again->Canonical(), test.canonical);
  }
}

TEST(Reference, Refuses) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "invalid reference format"},
      {":justtag", "invalid reference format"},
      {"@" + kDigest, "invalid reference format"},
      {"repo@sha256:ffff", "invalid reference format"},
      {"repo@sha256:" + kHex + "00", "invalid checksum digest length"},
      {"repo@sha256:" + std::string(64, 'A'), "invalid checksum digest format"},
      {"repo@md5:" + std::string(32, 'a'), "unsupported digest algorithm"},
      {"validname@invaliddigest:" + std::string(128, 'f'), "unsupported digest algorithm"},
      {"Uppercase:tag", "invalid reference format: repository name (Uppercase) must be lowercase"},
      {"test:5000/Uppercase/lowercase:tag",
       "invalid reference format: repository name (Uppercase/lowercase) must be lowercase"},
      {"aa/asdf$$^/aa", "invalid reference format"},
      {"-a/x", "invalid reference format"},
      {"a-/x", "invalid reference format"},
      {"a//b", "invalid reference format"},
      {"a/", "invalid reference format"},
      {"a___b", "invalid reference format"},
      {"a..b", "invalid reference format"},
      {"x:", "invalid reference format"},
      {"x@", "invalid reference format"},
      {"x:-t", "invalid reference format"},
      {"x:" + std::string(129, 't'), "invalid reference format"},
      {"xn--n3h.com:18080:5/foo", "invalid reference format"},
      {"[::1/x", "invalid reference format"},
      {"host:port/x", "invalid reference format"},
      {" nginx", "invalid reference format"},
      {"nginx\n", "invalid reference format"},
      {std::string(256, 'a'), "invalid reference format: repository name must not be more than 255 characters"},
      {kHex, "invalid repository name (" + kHex + "), cannot specify 64-byte hexadecimal strings"},
  };
  for (const auto& [text, message] : cases) {
    const auto parsed = Reference::Parse(text);
    ASSERT_FALSE(parsed.ok()) << text << " → " << parsed->Canonical();
    EXPECT_EQ(parsed.status().message(), message) << text;
    EXPECT_TRUE(parsed.Failed(Reason::kBadRequest));
  }
}

}  // namespace
}  // namespace knarr::image
