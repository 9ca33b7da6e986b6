// Lists on the wire. A list as long as it likes takes no memory of its own: JSON is the stored bytes joined, every
// other form is made in stretches, as fast as the client takes them.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/codec.h"
#include "apiserver/render.h"
#include "apiserver/render_parts.h"
#include "base/check.h"
#include "base/strings.h"
#include "doc/json.h"
#include "doc/proto.h"
#include "doc/yaml.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

/// A stretch is about so long.
constexpr size_t kStretch = 48 << 10;
/// So much of a protobuf list is kept from the pass that counts it for the one that sends it.
constexpr size_t kKeptMax = 1 << 20;
/// Objects between two turns of the other fibers.
constexpr size_t kTurn = 32;

// The head of a list's JSON up to its items.
std::string ListHead(std::string_view kind, std::string_view api_version, const ListPage& page) {
  std::string out = fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":{{"resourceVersion":"{}")", kind,
                                api_version, page.revision);
  if (!page.continue_token.empty()) out += fmt::format(R"(,"continue":"{}")", page.continue_token);
  if (page.remaining.has_value()) out += fmt::format(R"(,"remainingItemCount":{})", *page.remaining);
  out += R"(},"items":[)";
  return out;
}

Value ListMetadata(const ListPage& page, doc::Arena& arena) {
  Value metadata = Value::Object();
  metadata.AddMember(arena, "resourceVersion", Value::String(arena, std::to_string(page.revision)));
  if (!page.continue_token.empty()) {
    metadata.AddMember(arena, "continue", Value::String(arena, page.continue_token));
  }
  if (page.remaining.has_value()) metadata.AddMember(arena, "remainingItemCount", Value::Int(*page.remaining));
  return metadata;
}

// What an object of the kind begins with; the items of a list leave it out, as their list says it.
std::string ItemHead(const api::KindInfo& kind) {
  return fmt::format(R"({{"kind":"{}","apiVersion":"{}",)", kind.kind, kind.api_version);
}

// JSON lists are the stored bytes joined.
Body JoinItems(const api::KindInfo& kind, ListPage page) {
  Body body;
  body.text = ListHead(std::string(kind.kind) + "List", kind.api_version, page);
  body.shared = std::move(page.items);
  body.pieces.reserve(2 * body.shared.size() + 2);
  body.pieces.push_back(body.text);
  const std::string head = ItemHead(kind);
  for (const store::Bytes& item : body.shared) {
    const bool first = body.pieces.size() == 1;
    std::string_view rest = *item;
    const bool named = ConsumePrefix(rest, head);
    body.pieces.push_back(named ? (first ? "{" : ",{") : (first ? "" : ","));
    body.pieces.push_back(rest);
  }
  body.pieces.push_back("]}\n");
  return body;
}

/// A list in any other form, object by object.
class ListStream : public BodyStream {
 public:
  ListStream(const api::KindInfo& kind, ListPage page, const RenderOptions& options)
      : kind_(kind), page_(std::move(page)), options_(options) {}

  Result<bool> Next(std::string& out) override {
    if (!std::exchange(begun_, true)) TRY(Begin(out));
    const size_t end = out.size() + kStretch;
    while (next_ < page_.items.size() && out.size() < end) {
      const size_t turn = std::min(next_ + kTurn, page_.items.size());
      for (; next_ < turn; ++next_) {
        // Moved: the store may have dropped it meanwhile, and nobody needs it any more.
        TRY(Append(std::move(page_.items[next_]), out));
      }
      TRY(EndTurn(out));
      if (options_.runtime != nullptr) options_.runtime->Yield();
    }
    if (next_ < page_.items.size()) return true;
    End(out);
    return false;
  }

 protected:
  virtual Ok Begin(std::string& out) = 0;
  virtual Ok Append(store::Bytes stored, std::string& out) = 0;
  virtual Ok EndTurn(std::string& /*out*/) { return {}; }
  virtual void End(std::string& out) = 0;

  const api::KindInfo& kind_;
  ListPage page_;
  const RenderOptions options_;
  size_t next_ = 0;  ///< of the page's items

 private:
  bool begun_ = false;
};

/// A Table: its rows are its last member.
class TableStream : public ListStream {
 public:
  using ListStream::ListStream;

 protected:
  Ok Begin(std::string& out) override {
    doc::Arena arena;
    Value table = TableOf(kind_, {}, ListMetadata(page_, arena), options_, true, arena);
    table.Set(arena, "rows", Value::Array());
    out += doc::ToJson(table);
    constexpr std::string_view kTail = "]}";
    CHECK(out.ends_with(kTail));
    out.resize(out.size() - kTail.size());
    return {};
  }
  Ok Append(store::Bytes stored, std::string& /*out*/) override {
    turn_.push_back(std::move(stored));
    return {};
  }
  // Several at once, as each Table has its columns.
  Ok EndTurn(std::string& out) override {
    doc::Arena arena;
    std::vector<Value> objects;
    std::vector<const Value*> pointers;
    objects.reserve(turn_.size());
    for (const store::Bytes& stored : turn_) objects.push_back(TRY(doc::ParseJsonBorrowing(*stored, arena)));
    for (const Value& object : objects) pointers.push_back(&object);
    const Value table = TableOf(kind_, pointers, Value::Null(), options_, false, arena);
    for (const Value& row : table.At("rows").items()) {
      if (!std::exchange(first_, false)) out += ',';
      doc::WriteJson(row, out);
    }
    turn_.clear();
    return {};
  }
  void End(std::string& out) override { out += "]}\n"; }

 private:
  std::vector<store::Bytes> turn_;
  bool first_ = true;
};

/// A PartialObjectMetadataList in JSON.
class PartialStream : public ListStream {
 public:
  using ListStream::ListStream;

 protected:
  Ok Begin(std::string& out) override {
    const std::string version = fmt::format("meta.k8s.io/{}", options_.form.meta_version);
    out += ListHead("PartialObjectMetadataList", version, page_);
    return {};
  }
  Ok Append(store::Bytes stored, std::string& out) override {
    doc::Arena arena;
    const Value object = TRY(doc::ParseJsonBorrowing(*stored, arena));
    if (next_ > 0) out += ',';
    doc::WriteJson(PartialObject(object, options_.form.meta_version, arena), out);
    return {};
  }
  void End(std::string& out) override { out += "]}\n"; }
};

/// A list of objects or of their metadata in protobuf. The length of the whole stands in front of it, so the objects
/// are encoded once to count, and, when they are many, a second time to send.
class ProtobufStream : public ListStream {
 public:
  using ListStream::ListStream;

 protected:
  Ok Begin(std::string& out) override {
    doc::Arena arena;
    Value root = Value::Object();
    const std::string version = fmt::format("meta.k8s.io/{}", options_.form.meta_version);
    const std::string name = partial() ? "PartialObjectMetadataList" : std::string(kind_.kind) + "List";
    root.AddMember(arena, "kind", Value::Borrow(name));
    root.AddMember(arena, "apiVersion", Value::Borrow(partial() ? version : kind_.api_version));
    root.AddMember(arena, "metadata", ListMetadata(page_, arena));
    // The envelope of the list without its items: what stands before and behind the message, and its begin.
    const api::Type& type = partial() ? *PartialType(true) : *kind_.list_type;
    const std::string message = TRY(api::EncodeProtobufMessage(type, root));
    const std::string whole = TRY(api::EncodeProtobuf(type, root));
    const size_t begin = whole.rfind(message);
    CHECK(begin != std::string::npos && begin > 0 && message.size() < 1 << 20);
    std::string length;
    doc::ProtoWriter(length).RawVarint(message.size());
    out += std::string_view(whole).substr(0, begin - length.size());
    tail_ = whole.substr(begin + message.size());
    doc::ProtoWriter(out).RawVarint(message.size() + TRY(Count()));
    out += message;
    return {};
  }
  Ok Append(store::Bytes stored, std::string& out) override {
    if (next_ >= kept_items_) return Encode(*stored, out);
    if (next_ == 0) out += kept_;
    return {};
  }
  void End(std::string& out) override { out += tail_; }

 private:
  bool partial() const { return options_.form.view == View::kPartial; }

  Ok Encode(const std::string& stored, std::string& out) const {
    doc::Arena arena;
    const Value object = TRY(doc::ParseJsonBorrowing(stored, arena));
    const std::string item = partial()
                                 ? TRY(api::EncodeProtobufMessage(
                                       *PartialType(false), PartialObject(object, options_.form.meta_version, arena)))
                                 : TRY(api::EncodeProtobufMessage(*kind_.type, object));
    constexpr uint32_t kItems = 2;  // in every list
    doc::ProtoWriter(out).Bytes(kItems, item);
    return {};
  }

  /// The bytes that the items take, the first of which are kept.
  Result<size_t> Count() {
    size_t size = 0;
    std::string one;
    for (size_t i = 0; i < page_.items.size(); ++i) {
      one.clear();
      TRY(Encode(*page_.items[i], one));
      size += one.size();
      if (kept_items_ == i && kept_.size() < kKeptMax) {
        kept_ += one;
        ++kept_items_;
      }
      if (i % kTurn == kTurn - 1 && options_.runtime != nullptr) options_.runtime->Yield();
    }
    return size;
  }

  std::string kept_;
  size_t kept_items_ = 0;
  std::string tail_;
};

// YAML is for people: such lists are short.
Result<std::string> RenderYaml(const api::KindInfo& kind, const ListPage& page, const RenderOptions& options) {
  doc::Arena arena;
  const bool partial = options.form.view == View::kPartial;
  Value items = Value::Array();
  std::vector<const Value*> objects;
  for (const store::Bytes& bytes : page.items) {
    Value object = TRY(doc::ParseJsonBorrowing(*bytes, arena));
    if (options.form.view == View::kObject) {
      object.Remove("kind");
      object.Remove("apiVersion");
    }
    items.Append(arena, partial ? PartialObject(object, options.form.meta_version, arena) : object);
  }
  if (options.form.view == View::kTable) {
    for (const Value& item : items.items()) objects.push_back(&item);
    return doc::ToYaml(TableOf(kind, objects, ListMetadata(page, arena), options, true, arena));
  }
  const std::string kind_name = partial ? "PartialObjectMetadataList" : std::string(kind.kind) + "List";
  const std::string api_version =
      partial ? fmt::format("meta.k8s.io/{}", options.form.meta_version) : std::string(kind.api_version);
  Value root = Value::Object();
  root.AddMember(arena, "kind", Value::Borrow(kind_name));
  root.AddMember(arena, "apiVersion", Value::Borrow(api_version));
  root.AddMember(arena, "metadata", ListMetadata(page, arena));
  root.AddMember(arena, "items", items);
  return doc::ToYaml(root);
}

}  // namespace

Result<Body> RenderList(const api::KindInfo& kind, ListPage page, const RenderOptions& options) {
  const bool json = options.form.encoding == Encoding::kJson;
  if (json && options.form.view == View::kObject) return JoinItems(kind, std::move(page));
  Body body;
  if (options.form.encoding == Encoding::kYaml) {
    body.text = TRY(RenderYaml(kind, page, options));
    return body;
  }
  std::shared_ptr<BodyStream> stream;
  if (options.form.view == View::kTable) {
    stream = std::make_shared<TableStream>(kind, std::move(page), options);
  } else if (json) {
    stream = std::make_shared<PartialStream>(kind, std::move(page), options);
  } else {
    stream = std::make_shared<ProtobufStream>(kind, std::move(page), options);
  }
  // A short one is whole with its first stretch.
  if (TRY(stream->Next(body.text))) body.rest = std::move(stream);
  return body;
}

}  // namespace knarr::apiserver
