// A pull secret of anybody, what it is asked for, and a resolv.conf: nothing of that may do harm; a resolv.conf that
// was read is the same when it is written and read again.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/core_v1.h"
#include "base/check.h"
#include "base/strings.h"
#include "doc/value.h"
#include "node/dns.h"
#include "node/pull_secrets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t cut = input.find('\n');
  const std::string_view repository = input.substr(0, cut);
  const std::string_view config = cut == std::string_view::npos ? "" : input.substr(cut + 1);
  knarr::doc::Document secret;
  secret.root = knarr::doc::Value::Object();
  knarr::doc::Value& fields = secret.root.Set(secret.arena, "data", knarr::doc::Value::Object());
  const std::string encoded = knarr::Base64Encode(config);
  fields.Set(secret.arena, repository.size() % 2 == 0 ? ".dockerconfigjson" : ".dockercfg",
             knarr::doc::Value::Borrow(encoded));
  knarr::node::PullSecrets secrets;
  if (secrets.Add(knarr::api::core_v1::Secret(secret.root)).ok()) (void)secrets.For(repository);

  const std::string text = knarr::node::ToText(knarr::node::ParseResolverConfig(input));
  CHECK(knarr::node::ToText(knarr::node::ParseResolverConfig(text)) == text);
  return 0;
}
