#pragma once

// Objects, lists and watch events as bytes on the wire.

#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/printing.h"
#include "apiserver/content.h"
#include "apiserver/registry.h"
#include "apiserver/watch_session.h"

namespace knarr::apiserver {

/// A body that is too long to lie in memory whole: it is made as fast as the client takes it.
class BodyStream {
 public:
  virtual ~BodyStream() = default;
  /// Puts the next stretch behind `out`; false when it was the last.
  virtual Result<bool> Next(std::string& out) = 0;
};

/// The body of an answer.
struct Body {
  std::string text;  ///< one piece made here …
  std::vector<store::Bytes> shared;
  std::vector<std::string_view> pieces;  ///< … or several, pointing into `text`, `shared` or constants …
  std::shared_ptr<BodyStream> rest;      ///< … or `text` and what comes from here

  bool in_pieces() const { return !pieces.empty(); }
};

/// What of the objects stands in a Table's rows (includeObject): "", "None", "Metadata" or "Object".
Result<api::IncludeObject> ReadIncludeObject(std::string_view text);

struct RenderOptions {
  OutputForm form;
  api::IncludeObject include_object = api::IncludeObject::kMetadata;
  WallTime now{};
  rt::Runtime* runtime = nullptr;  ///< whose other fibers run now and then while a long list is made
};

/// `kind` is the kind of the object (a Scale's for a scale).
Result<Body> RenderObject(const api::KindInfo& kind, const api::Object& object, const RenderOptions& options);
Result<Body> RenderList(const api::KindInfo& kind, ListPage page, const RenderOptions& options);
/// A tree that is no stored object (Status, discovery documents): `type` is needed for protobuf.
Result<std::string> RenderTree(const api::Type* type, const doc::Value& tree, Encoding encoding);

/// Appends one event of a watch; what all watchers of the kind send alike is shared between them. `first`: Tables carry
/// their columns in the first event only.
Ok RenderEvent(const api::KindInfo& kind, const WatchItem& item, const RenderOptions& options, bool first,
               std::vector<net::SharedPiece>& out);
/// An ERROR event.
void RenderErrorEvent(const Status& status, Encoding encoding, std::string& out);

}  // namespace knarr::apiserver
