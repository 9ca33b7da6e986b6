#include "node/projected.h"

#include <fmt/format.h>

#include <algorithm>

namespace knarr::node {
namespace {

using api::core_v1::DownwardAPIVolumeFile;
using api::core_v1::DownwardAPIVolumeSource;
using api::core_v1::Pod;
using api::core_v1::ProjectedVolumeSource;
using api::core_v1::ServiceAccountTokenProjection;
using api::core_v1::VolumeProjection;

constexpr uint32_t kDefaultMode = 0644;
constexpr int64_t kDefaultSeconds = 3600;
constexpr Duration kAgeMax = std::chrono::hours(24);
constexpr int kLeftShare = 5;
// How long after a request that failed the next one is made.
constexpr Duration kRetry = std::chrono::minutes(1);
// So that tokens made together are not renewed together.
constexpr uint64_t kJitterSeconds = 10;

void Merge(VolumeFiles files, VolumeFiles& into) {
  for (auto& [path, file] : files) into.insert_or_assign(path, std::move(file));
}

Ok AddDownward(Pod pod, api::ListView<DownwardAPIVolumeFile> items, uint32_t mode, const PodFacts& facts,
               VolumeFiles& out) {
  for (DownwardAPIVolumeFile item : items) {
    VolumeFile file;
    if (auto field = item.field_ref()) {
      file.content = TRY(FieldValue(pod, field.field_path(), facts));
    } else if (auto amount = item.resource_field_ref()) {
      file.content = TRY(ResourceFieldValue(pod, amount, facts));
    }
    file.mode = static_cast<uint32_t>(item.mode().value_or(static_cast<int32_t>(mode)));
    out.insert_or_assign(std::string(item.path()), std::move(file));
  }
  return {};
}

/// A source inside a projected volume as it would be a volume of its own, which is read by the same code.
doc::Document AsVolume(const doc::Value& projection, std::string_view name_field, uint32_t mode) {
  doc::Document out = doc::Document::Copy(projection);
  if (name_field != "name") {
    out.root.Set(out.arena, name_field, doc::Value::String(out.arena, projection.At("name").AsString()));
  }
  out.root.Set(out.arena, "defaultMode", doc::Value::Int(mode));
  return out;
}

}  // namespace

Result<std::string> PodTokens::Get(Pod pod, ServiceAccountTokenProjection source) {
  const int64_t seconds = source.expiration_seconds().value_or(kDefaultSeconds);
  const std::pair<std::string, int64_t> key(source.audience(), seconds);
  const WallTime now = runtime_.Wall();
  const auto present = tokens_.find(key);
  if (present != tokens_.end() && now < present->second.renew) return present->second.text;
  Result<Token> fresh = Request(pod, source);
  if (fresh.ok()) {
    tokens_.insert_or_assign(key, *fresh);
    return fresh->text;
  }
  const auto kept = tokens_.find(key);  // the request waited
  if (kept == tokens_.end() || now >= kept->second.expires) {
    return fresh.status().WithContext("failed to fetch token");
  }
  kept->second.renew = now + kRetry;
  return kept->second.text;
}

Result<PodTokens::Token> PodTokens::Request(Pod pod, ServiceAccountTokenProjection source) {
  const int64_t seconds = source.expiration_seconds().value_or(kDefaultSeconds);
  doc::Document request;
  doc::Arena& arena = request.arena;
  request.root = doc::Value::Object();
  doc::Value& spec = request.root.Set(arena, "spec", doc::Value::Object());
  doc::Value audiences = doc::Value::Array();
  if (!source.audience().empty()) audiences.Append(arena, doc::Value::String(arena, source.audience()));
  spec.Set(arena, "audiences", audiences);
  spec.Set(arena, "expirationSeconds", doc::Value::Int(seconds));
  doc::Value bound = doc::Value::Object();
  bound.Set(arena, "kind", doc::Value::Borrow("Pod"));
  bound.Set(arena, "apiVersion", doc::Value::Borrow("v1"));
  bound.Set(arena, "name", doc::Value::String(arena, pod.metadata().name()));
  bound.Set(arena, "uid", doc::Value::String(arena, pod.metadata().uid()));
  spec.Set(arena, "boundObjectRef", bound);
  const client::ObjectName account{std::string(pod.metadata().ns()), std::string(pod.spec().service_account_name())};
  const api::ObjectPtr answer =
      TRY(client_.CreateSub(api::core_v1::ServiceAccountInfo(), account, "token", request.root));
  const doc::Value& status = answer->tree().At("status");
  Token token;
  token.text = status.At("token").AsString();
  token.expires = TRY(ParseTime(status.At("expirationTimestamp").AsString()));
  // The server may have given another life than was asked for.
  const Duration life = std::chrono::seconds(answer->tree().Get("spec", "expirationSeconds").AsInt(seconds));
  const Duration jitter = std::chrono::seconds(runtime_.Random() % kJitterSeconds);
  token.renew = std::min(token.expires - life / kLeftShare, token.expires - life + kAgeMax) - jitter;
  return token;
}

std::optional<WallTime> PodTokens::renew_at() const {
  std::optional<WallTime> out;
  for (const auto& [key, token] : tokens_) out = out ? std::min(*out, token.renew) : token.renew;
  return out;
}

Result<VolumeFiles> ProjectedFiles(client::Client& client, Pod pod, ProjectedVolumeSource source, const PodFacts& facts,
                                   PodTokens& tokens) {
  using api::core_v1::ConfigMapVolumeSource;
  using api::core_v1::SecretVolumeSource;
  const auto mode = static_cast<uint32_t>(source.default_mode().value_or(kDefaultMode));
  const std::string_view ns = pod.metadata().ns();
  VolumeFiles files;
  for (VolumeProjection part : source.sources()) {
    if (auto config = part.config_map()) {
      const doc::Document own = AsVolume(config.tree(), "name", mode);
      Merge(TRY(ConfigMapFiles(client, ns, ConfigMapVolumeSource(own.root))), files);
    } else if (auto secret = part.secret()) {
      const doc::Document own = AsVolume(secret.tree(), "secretName", mode);
      Merge(TRY(SecretFiles(client, ns, SecretVolumeSource(own.root))), files);
    } else if (auto downward = part.downward_api()) {
      TRY(AddDownward(pod, downward.items(), mode, facts, files));
    } else if (auto token = part.service_account_token()) {
      files.insert_or_assign(std::string(token.path()), VolumeFile{TRY(tokens.Get(pod, token)), mode});
    } else {
      return BadRequest(
          "this node knows only serviceAccountToken, configMap, secret and downwardAPI in projected volumes");
    }
  }
  return files;
}

Result<VolumeFiles> DownwardFiles(Pod pod, DownwardAPIVolumeSource source, const PodFacts& facts) {
  VolumeFiles files;
  const auto mode = static_cast<uint32_t>(source.default_mode().value_or(kDefaultMode));
  TRY(AddDownward(pod, source.items(), mode, facts, files));
  return files;
}

}  // namespace knarr::node
