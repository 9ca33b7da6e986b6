#include "apiserver/encryption.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "apiserver/authorization/authorizer.h"
#include "base/strings.h"
#include "doc/yaml.h"
#include "net/cipher.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kSealed = "k8s:enc:";
constexpr std::string_view kRegistry = "/registry/";

enum class Provider : uint8_t { kIdentity, kAesGcm, kAesCbc };

/// One way to seal a value.
struct Key {
  Provider provider = Provider::kIdentity;
  std::string prefix;  ///< "k8s:enc:aesgcm:v1:key1:"
  std::string secret;
};

/// "secrets", "deployments.apps", "*." (core's), "*.apps", "*.*"
struct ResourcePattern {
  std::string plural;
  std::string group;
  bool operator==(const ResourcePattern&) const = default;
  bool Matches(std::string_view other_plural, std::string_view other_group) const {
    return (group == "*" || group == other_group) && (plural == "*" || plural == other_plural);
  }
};

struct Rule {
  std::vector<ResourcePattern> resources;
  std::vector<Key> keys;  ///< in order; never empty
};

ResourcePattern ParsePattern(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return {std::string(text), ""};
  return {std::string(text.substr(0, dot)), std::string(text.substr(dot + 1))};
}

/// The errors of a configuration, in Kubernetes' words.
class Reader {
 public:
  Result<std::vector<Rule>> Read(const Value& root) {
    if (root.At("kind").AsString() != "EncryptionConfiguration" ||
        !root.At("apiVersion").AsString().starts_with("apiserver.config.k8s.io/")) {
      return BadRequest(fmt::format("got unexpected config type: {}, Kind={}", root.At("apiVersion").AsString(),
                                    root.At("kind").AsString()));
    }
    const auto rules = root.At("resources").items();
    if (rules.empty()) Add("resources", "Required value: at least one resources is required");
    std::vector<Rule> out;
    for (size_t i = 0; i < rules.size(); ++i) out.push_back(ReadRule(rules[i], fmt::format("resources[{}]", i)));
    if (!errors_.empty()) return BadRequest("invalid configuration: " + AggregateText(errors_));
    return out;
  }

 private:
  void Add(std::string_view field, std::string_view what) { errors_.push_back(fmt::format("{}: {}", field, what)); }

  Rule ReadRule(const Value& rule, const std::string& path) {
    Rule out;
    const auto resources = rule.At("resources").items();
    const std::string resources_path = path + ".resources";
    if (resources.empty()) {
      Add(resources_path, fmt::format("Required value: at least one {} is required", resources_path));
    }
    for (size_t i = 0; i < resources.size(); ++i) {
      CheckName(resources[i].AsString(), fmt::format("{}[{}]", resources_path, i));
      out.resources.push_back(ParsePattern(resources[i].AsString()));
    }
    CheckOverlap(out.resources, resources_path);
    const auto providers = rule.At("providers").items();
    const std::string providers_path = path + ".providers";
    if (providers.empty()) {
      Add(providers_path, fmt::format("Required value: at least one {} is required", providers_path));
    }
    for (size_t i = 0; i < providers.size(); ++i) {
      ReadProvider(providers[i], fmt::format("{}[{}]", providers_path, i), out.keys);
    }
    return out;
  }

  void CheckName(std::string_view name, const std::string& path) {
    const auto invalid = [&](std::string_view why) {
      Add(path, fmt::format("Invalid value: {}: {}", GoQuote(name), why));
    };
    const ResourcePattern pattern = ParsePattern(name);
    if (std::ranges::any_of(name, [](char c) { return c >= 'A' && c <= 'Z'; })) {
      invalid("resource name should not contain capital letters");
    } else if (name == "*") {
      invalid("use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources");
    } else if (name == "apiserveripinfo" || name == "serviceipallocations" || name == "servicenodeportallocations") {
      invalid("resources which do not have REST API/s cannot be encrypted");
    } else if (pattern.group == "events.k8s.io") {
      invalid(
          "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the "
          "config file");
    } else if (pattern.group == "extensions") {
      invalid("'extensions' group has been removed and cannot be used for encryption");
    } else if (pattern.group == "*" && pattern.plural != "*") {
      invalid("encrypting the same resource across groups is not supported");
    }
  }

  void CheckOverlap(const std::vector<ResourcePattern>& all, const std::string& path) {
    bool twice = false;
    bool masked = false;
    for (size_t i = 0; i < all.size(); ++i) {
      for (size_t j = 0; j < all.size(); ++j) {
        if (i == j) continue;
        if (all[i] == all[j]) {
          twice = true;
        } else if (all[i].plural == "*" && (all[i].group == "*" || all[i].group == all[j].group)) {
          masked = true;
        }
      }
    }
    if (twice) Add(path, "Invalid value: the same resource cannot be specified multiple times");
    if (masked) {
      Add(path,
          "Invalid value: using overlapping resources such as 'secrets' and '*.' in the same resource list is not "
          "allowed as they will be masked");
    }
  }

  void ReadProvider(const Value& provider, const std::string& path, std::vector<Key>& out) {
    constexpr std::string_view kNames[] = {"kms", "aesgcm", "aescbc", "secretbox", "identity"};
    std::string_view found;
    int count = 0;
    for (const std::string_view name : kNames) {
      if (provider.Find(name) == nullptr) continue;
      found = name;
      ++count;
    }
    if (count == 0) {
      Add(path,
          "Invalid value: provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, "
          "Identity");
    } else if (count > 1) {
      Add(path,
          "Invalid value: more than one provider specified in a single element, should split into different list "
          "elements");
    } else if (found == "identity") {
      out.push_back({});
    } else if (found == "aesgcm" || found == "aescbc") {
      ReadKeys(provider.At(found).At("keys"), fmt::format("{}.{}.keys", path, found), found, out);
    } else {
      Add(path,
          fmt::format("Unsupported value: \"{}\": this server has the providers aesgcm, aescbc and identity", found));
    }
  }

  void ReadKeys(const Value& keys, const std::string& path, std::string_view provider, std::vector<Key>& out) {
    if (keys.empty()) Add(path, "Required value: at least one keys is required");
    for (size_t i = 0; i < keys.size(); ++i) {
      const std::string own = fmt::format("{}[{}]", path, i);
      const std::string_view name = keys[i].At("name").AsString();
      if (name.empty()) Add(own + ".name", "Required value: name is a mandatory field for a key");
      const std::string_view text = keys[i].At("secret").AsString();
      if (text.empty()) {
        Add(own + ".secret", "Required value: secret is a mandatory field for a key");
        continue;
      }
      const Result<std::string> secret = Base64Decode(text);
      if (!secret.ok()) {
        Add(own + ".secret", "Invalid value: \"REDACTED\": secrets must be base64 encoded");
        continue;
      }
      if (secret->size() != 16 && secret->size() != 24 && secret->size() != 32) {
        Add(own + ".secret", fmt::format("Invalid value: \"REDACTED\": secret is not of the expected length, got {}, "
                                         "expected one of [16 24 32]",
                                         secret->size()));
        continue;
      }
      out.push_back({provider == "aesgcm" ? Provider::kAesGcm : Provider::kAesCbc,
                     fmt::format("{}{}:v1:{}:", kSealed, provider, name), *secret});
    }
  }

  std::vector<std::string> errors_;
};

class ConfiguredSealer : public store::Sealer {
 public:
  explicit ConfiguredSealer(std::vector<Rule> rules) : rules_(std::move(rules)) {}

  Result<std::optional<std::string>> Seal(std::string_view key, std::string_view value) const override {
    const Rule* rule = RuleFor(key);
    if (rule == nullptr || rule->keys.front().provider == Provider::kIdentity) return std::optional<std::string>();
    const Key& with = rule->keys.front();
    const bool gcm = with.provider == Provider::kAesGcm;
    return std::optional(
        with.prefix + (gcm ? TRY(net::SealAesGcm(with.secret, value, key)) : TRY(net::SealAesCbc(with.secret, value))));
  }

  Result<Opened> Open(std::string_view key, std::string_view bytes) const override {
    const Rule* rule = RuleFor(key);
    if (!bytes.starts_with(kSealed)) {
      return Opened{std::nullopt, rule != nullptr && rule->keys.front().provider != Provider::kIdentity};
    }
    if (rule == nullptr) return BadRequest("it is encrypted, and the encryption configuration does not name it");
    Status last = BadRequest("it is encrypted, and the encryption configuration has no key of that name");
    for (const Key& with : rule->keys) {
      if (with.provider == Provider::kIdentity || !bytes.starts_with(with.prefix)) continue;
      const std::string_view sealed = bytes.substr(with.prefix.size());
      Result<std::string> plain = with.provider == Provider::kAesGcm ? net::OpenAesGcm(with.secret, sealed, key)
                                                                     : net::OpenAesCbc(with.secret, sealed);
      if (plain.ok()) return Opened{std::move(*plain), &with != &rule->keys.front()};
      last = plain.status().WithContext("it was not encrypted with the key of that name");
    }
    return last;
  }

 private:
  const Rule* RuleFor(std::string_view key) const {
    if (!ConsumePrefix(key, kRegistry)) return nullptr;
    const size_t slash = key.find('/');
    std::string_view group = key.substr(0, slash);
    if (group == "core") group = {};
    const std::string_view rest = slash == std::string_view::npos ? std::string_view() : key.substr(slash + 1);
    const std::string_view plural = rest.substr(0, rest.find('/'));
    for (const Rule& rule : rules_) {
      for (const ResourcePattern& pattern : rule.resources) {
        if (pattern.Matches(plural, group)) return &rule;
      }
    }
    return nullptr;
  }

  const std::vector<Rule> rules_;
};

}  // namespace

Result<std::shared_ptr<const store::Sealer>> MakeSealer(std::string_view configuration) {
  const doc::YamlDocument parsed = TRY(doc::ParseYaml(configuration));
  return std::shared_ptr<const store::Sealer>(
      std::make_shared<ConfiguredSealer>(TRY(Reader().Read(parsed.document.root))));
}

Result<std::string> NewEncryptionConfiguration() {
  constexpr size_t kKeyBytes = 32;
  const std::string secret = TRY(net::SecretBytes(kKeyBytes));
  return fmt::format(
      "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources:\n  - secrets\n"
      "  providers:\n  - aesgcm:\n      keys:\n      - name: key1\n        secret: {}\n  - identity: {{}}\n",
      Base64Encode(secret));
}

}  // namespace knarr::apiserver
