#include "apiserver/object_io.h"

#include "api/codec.h"
#include "apiserver/attributes.h"
#include "base/check.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

// Canonical JSON has kind, apiVersion and then metadata's members in their order: before resourceVersion come only
// name, generateName, namespace, selfLink and uid, whose text can't hold an unescaped quote. So the first occurrence of
// the member is the object's own.
constexpr std::string_view kMember = "\"resourceVersion\":\"";

// Stands where the revision comes; never left in the bytes.
constexpr std::string_view kPlaceholder = "0";

}  // namespace

Result<StoredForm> EncodeStored(const api::KindInfo& kind, doc::Document& object) {
  doc::Value& metadata = object.root.Ensure(object.arena, "metadata");
  metadata.Set(object.arena, "resourceVersion", doc::Value::Borrow(kPlaceholder));
  TRY(api::Canonicalize(*kind.type, object.root, object.arena));
  StoredForm form;
  doc::WriteJson(object.root, form.bytes);
  object.root.Find("metadata")->Remove("resourceVersion");
  form.digest = ObjectAttributes(kind, object.root).digest();
  const size_t at = form.bytes.find(kMember);
  CHECK(at != std::string::npos);
  form.revision_offset = at + kMember.size();
  form.bytes.erase(form.revision_offset, kPlaceholder.size());
  return form;
}

std::string WithRevision(const StoredForm& form, std::string_view revision) {
  std::string out = form.bytes;
  out.insert(form.revision_offset, revision);
  return out;
}

std::string WithoutRevision(const StoredForm& form) {
  std::string out = form.bytes;
  const size_t begin = form.revision_offset - kMember.size();
  size_t end = form.revision_offset + 1;
  if (end < out.size() && out[end] == ',') {
    ++end;
    out.erase(begin, end - begin);
  } else {
    const size_t comma = begin > 0 && out[begin - 1] == ',' ? 1 : 0;
    out.erase(begin - comma, end - begin + comma);
  }
  return out;
}

doc::Document DecodeStored(const std::string& bytes) {
  doc::Document out;
  // Our own writing, so it parses.
  out.root = MUST(doc::ParseJsonBorrowing(bytes, out.arena));
  return out;
}

std::string_view StoredResourceVersion(const std::string& stored) {
  const size_t at = stored.find(kMember);
  if (at == std::string::npos) return {};
  const size_t begin = at + kMember.size();
  return std::string_view(stored).substr(begin, stored.find('"', begin) - begin);
}

bool SameAsStored(const StoredForm& form, const std::string& stored) {
  const std::string_view version = StoredResourceVersion(stored);
  if (stored.size() != form.bytes.size() + version.size()) return false;
  const std::string_view bytes = form.bytes;
  const std::string_view text = stored;
  const size_t at = form.revision_offset;
  return text.substr(0, at) == bytes.substr(0, at) && text.substr(at + version.size()) == bytes.substr(at);
}

store::Bytes WithResourceVersion(const std::string& stored, store::Revision revision) {
  const std::string_view version = StoredResourceVersion(stored);
  std::string out;
  const std::string fresh = std::to_string(revision);
  const size_t begin = static_cast<size_t>(version.data() - stored.data());
  out.reserve(stored.size() + fresh.size());
  out.append(stored, 0, begin).append(fresh).append(stored, begin + version.size());
  return std::make_shared<const std::string>(std::move(out));
}

}  // namespace knarr::apiserver
