#include "image/records.h"

#include <algorithm>

#include "base/strings.h"
#include "doc/json.h"
#include "image/manifest.h"

namespace knarr::image {
namespace {

using doc::Value;

constexpr size_t kPrefixMin = 12;

Value StringList(doc::Arena& arena, const auto& strings) {
  Value list = Value::Array();
  for (const std::string& text : strings) list.Append(arena, Value::String(arena, text));
  return list;
}

Result<std::string> ReadDigest(const Value& value) {
  if (!IsDigest(value.AsString())) return BadRequest("images.json: invalid digest " + GoQuote(value.AsString()));
  return std::string(value.AsString());
}

Result<ImageRecord> ReadRecord(const Value& value) {
  ImageRecord record;
  record.id = TRY(ReadDigest(value.At("id")));
  for (const Value& digest : value.At("manifests").items()) record.manifests.push_back(TRY(ReadDigest(digest)));
  for (const Value& layer : value.At("layers").items()) {
    LayerRecord& added = record.layers.emplace_back();
    added.digest = TRY(ReadDigest(layer.At("digest")));
    added.diff_id = TRY(ReadDigest(layer.At("diffID")));
  }
  for (const Value& name : value.At("names").items()) record.names.emplace(name.AsString());
  for (const Value& name : value.At("repoDigests").items()) record.repo_digests.emplace(name.AsString());
  record.size = value.At("size").AsInt();
  return record;
}

bool IsHexPrefix(std::string_view text) {
  return text.size() >= kPrefixMin && text.size() <= 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

Result<ImageRecords> ImageRecords::Parse(std::string_view json) {
  const doc::Document document = TRY(doc::ParseJson(json).Context("images.json"));
  if (document.root.At("version").AsInt() != 1) return BadRequest("images.json: written by a version not known here");
  ImageRecords out;
  for (const Value& item : document.root.At("images").items()) {
    ImageRecord record = TRY(ReadRecord(item));
    const std::string id = record.id;
    out.images_.emplace(id, std::move(record));
  }
  return out;
}

std::string ImageRecords::ToJson() const {
  doc::Document document;
  doc::Arena& arena = document.arena;
  Value images = Value::Array();
  for (const auto& [id, record] : images_) {
    Value item = Value::Object();
    item.Set(arena, "id", Value::Borrow(id));
    item.Set(arena, "manifests", StringList(arena, record.manifests));
    Value layers = Value::Array();
    for (const LayerRecord& layer : record.layers) {
      Value entry = Value::Object();
      entry.Set(arena, "digest", Value::Borrow(layer.digest));
      entry.Set(arena, "diffID", Value::Borrow(layer.diff_id));
      layers.Append(arena, entry);
    }
    item.Set(arena, "layers", layers);
    item.Set(arena, "names", StringList(arena, record.names));
    item.Set(arena, "repoDigests", StringList(arena, record.repo_digests));
    item.Set(arena, "size", Value::Int(record.size));
    images.Append(arena, item);
  }
  document.root = Value::Object();
  document.root.Set(arena, "version", Value::Int(1));
  document.root.Set(arena, "images", images);
  return doc::ToJson(document.root);
}

const ImageRecord* ImageRecords::ById(std::string_view id) const {
  const auto found = images_.find(id);
  return found == images_.end() ? nullptr : &found->second;
}

Result<const ImageRecord*> ImageRecords::Find(std::string_view name) const {
  if (const ImageRecord* record = ById(name)) return record;
  std::string shown(name);
  const auto reference = Reference::Parse(name);
  if (reference.ok()) {
    shown = reference->Familiar();
    const std::string canonical = reference->Canonical();
    const std::string by_digest = reference->registry + "/" + reference->repository + "@" + reference->digest;
    for (const auto& [id, record] : images_) {
      if (record.names.contains(canonical) || record.repo_digests.contains(by_digest)) return &record;
    }
  }
  std::string_view prefix = name;
  ConsumePrefix(prefix, "sha256:");
  if (IsHexPrefix(prefix)) {
    const auto first = images_.lower_bound("sha256:" + std::string(prefix));
    const auto fits = [&](auto it) { return it != images_.end() && DigestHex(it->first).starts_with(prefix); };
    if (fits(first)) {
      if (fits(std::next(first))) return Conflict("multiple IDs found with provided prefix: " + std::string(name));
      return &first->second;
    }
  }
  return NotFound("No such image: " + shown);
}

void ImageRecords::Add(const ImageRecord& record) {
  for (const std::string& name : record.names) RemoveName(name);
  const auto [at, is_new] = images_.emplace(record.id, record);
  if (is_new) return;
  at->second.manifests.insert(at->second.manifests.end(), record.manifests.begin(), record.manifests.end());
  std::sort(at->second.manifests.begin(), at->second.manifests.end());
  at->second.manifests.erase(std::unique(at->second.manifests.begin(), at->second.manifests.end()),
                             at->second.manifests.end());
  at->second.names.insert(record.names.begin(), record.names.end());
  at->second.repo_digests.insert(record.repo_digests.begin(), record.repo_digests.end());
  at->second.layers = record.layers;
  at->second.size = record.size;
}

void ImageRecords::AddName(const std::string& id, const std::string& name) {
  RemoveName(name);
  images_.at(id).names.insert(name);
}

void ImageRecords::RemoveName(const std::string& name) {
  for (auto& [id, record] : images_) record.names.erase(name);
}

void ImageRecords::Remove(const std::string& id) { images_.erase(id); }

std::set<std::string> ImageRecords::BlobsInUse() const {
  std::set<std::string> out;
  for (const auto& [id, record] : images_) {
    out.insert(id);
    out.insert(record.manifests.begin(), record.manifests.end());
    for (const LayerRecord& layer : record.layers) out.insert(layer.digest);
  }
  return out;
}

std::set<std::string> ImageRecords::LayersInUse() const {
  std::set<std::string> out;
  for (const auto& [id, record] : images_) {
    for (const LayerRecord& layer : record.layers) out.insert(layer.diff_id);
  }
  return out;
}

}  // namespace knarr::image
