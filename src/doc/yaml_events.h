#pragma once

// The seam to libyaml: a text as a stream of events, each with its place.

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/status.h"
#include "doc/yaml.h"

namespace knarr::doc {

struct YamlEvent {
  enum class Kind : uint8_t {
    kDocumentStart,
    kDocumentEnd,
    kStreamEnd,
    kScalar,
    kAlias,
    kSequenceStart,
    kSequenceEnd,
    kMappingStart,
    kMappingEnd,
  };
  Kind kind = Kind::kStreamEnd;
  bool plain = false;       ///< A scalar without quotes and without a tag.
  std::string_view anchor;  ///< Of a node; the name an alias refers to.
  std::string_view tag;     ///< In full ("tag:yaml.org,2002:str"); empty when there is none.
  std::string_view text;    ///< A scalar's.
  Position at;
};

/// Reads events one by one. What an event points to is valid until the next one.
class YamlEvents {
 public:
  /// `text` must outlive the reader.
  YamlEvents(std::string_view text, uint32_t first_line);
  ~YamlEvents();
  YamlEvents(const YamlEvents&) = delete;
  YamlEvents& operator=(const YamlEvents&) = delete;

  Result<YamlEvent> Next();

 private:
  struct Impl;
  Status Error() const;
  std::unique_ptr<Impl> impl_;
};

/// "line 3, column 5: what".
Status YamlError(Position at, std::string_view what);

}  // namespace knarr::doc
