#pragma once

// An API object at rest: its canonical JSON bytes, immutable and shared by the store, every watcher and every response,
// with the decoded tree made when first asked for.

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "doc/value.h"

namespace knarr::api {

class Object;
using ObjectPtr = std::shared_ptr<const Object>;
using Bytes = std::shared_ptr<const std::string>;

class Object {
 public:
  /// From canonical JSON bytes that the store gave (trusted: decoding can't fail).
  static ObjectPtr FromBytes(Bytes bytes);
  /// From a tree; the bytes are written from it.
  static ObjectPtr FromDocument(doc::Document document);

  const std::string& json() const { return *bytes_; }
  const Bytes& bytes() const { return bytes_; }
  /// The decoded tree. Any thread (it is decoded once, under a lock-free once).
  const doc::Value& tree() const;

  /// Gives back the decoded tree's memory; the next tree() decodes again. REQUIRES: the caller has the only reference,
  /// and nothing points into the tree.
  void ForgetTree() const;

  // What everything asks for. Of stored bytes, those of the metadata are read without decoding.
  std::string_view api_version() const;
  std::string_view kind() const;
  std::string_view name() const;
  std::string_view ns() const;
  std::string_view uid() const;
  std::string_view resource_version() const;
  bool deleting() const;

  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  ~Object();
  class Token;
  Object(Token, Bytes bytes);

 private:
  std::string_view Metadata(std::string_view member) const;
  Bytes bytes_;
  mutable std::atomic<doc::Document*> tree_{nullptr};
};

/// Whether a member of that name stands anywhere in JSON text, also inside strings: what is certainly not there needs
/// no decoding to say so.
bool Mentions(std::string_view json, std::string_view member);

/// "namespace/name", or "name" for kinds without a namespace: the key of work queues and log lines.
std::string KeyOf(const Object& object);

}  // namespace knarr::api
