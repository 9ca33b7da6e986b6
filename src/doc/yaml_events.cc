#include "doc/yaml_events.h"

#include <yaml.h>

#include <algorithm>
#include <limits>
#include <string>

#include "base/check.h"

namespace knarr::doc {
namespace {

std::string_view View(const yaml_char_t* text) {
  return text == nullptr ? std::string_view() : std::string_view(reinterpret_cast<const char*>(text));
}

std::string Place(Position at) { return "line " + std::to_string(at.line) + ", column " + std::to_string(at.column); }

}  // namespace

struct YamlEvents::Impl {
  yaml_parser_t parser;
  yaml_event_t event;
  bool has_event = false;
  std::string_view text;
  uint32_t first_line = 1;

  Position At(const yaml_mark_t& mark) const {
    // The bound on the text's size keeps both within 32 bits.
    return {static_cast<uint32_t>(mark.line) + first_line, static_cast<uint32_t>(mark.column) + 1};
  }
  void Drop() {
    if (has_event) yaml_event_delete(&event);
    has_event = false;
  }
};

YamlEvents::YamlEvents(std::string_view text, uint32_t first_line) : impl_(std::make_unique<Impl>()) {
  impl_->text = text;
  impl_->first_line = first_line;
  CHECK(yaml_parser_initialize(&impl_->parser) == 1);  // fails only for want of memory
  yaml_parser_set_input_string(&impl_->parser, reinterpret_cast<const unsigned char*>(text.data()), text.size());
}

YamlEvents::~YamlEvents() {
  impl_->Drop();
  yaml_parser_delete(&impl_->parser);
}

Status YamlError(Position at, std::string_view what) { return BadRequest(Place(at) + ": " + std::string(what)); }

Status YamlEvents::Error() const {
  const yaml_parser_t& parser = impl_->parser;
  CHECK(parser.error != YAML_MEMORY_ERROR);
  std::string what = parser.problem != nullptr ? parser.problem : "unknown problem parsing YAML content";
  if (parser.error == YAML_READER_ERROR) {
    // Only an offset is known, in bytes.
    const size_t offset = std::min(parser.problem_offset, impl_->text.size());
    const std::string_view before = impl_->text.substr(0, offset);
    const size_t line_begin = before.rfind('\n') + 1;
    Position at{impl_->first_line, 1};
    at.line += static_cast<uint32_t>(std::ranges::count(before, '\n'));
    at.column += static_cast<uint32_t>(std::ranges::count_if(
        before.substr(line_begin), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
    return YamlError(at, what);
  }
  if (parser.context != nullptr) {
    what += std::string(" (") + parser.context + " from " + Place(impl_->At(parser.context_mark)) + ")";
  }
  return YamlError(impl_->At(parser.problem_mark), what);
}

Result<YamlEvent> YamlEvents::Next() {
  using What = YamlEvent::Kind;
  while (true) {
    impl_->Drop();
    yaml_event_t& event = impl_->event;
    if (yaml_parser_parse(&impl_->parser, &event) == 0) return Error();
    impl_->has_event = true;
    YamlEvent out{.at = impl_->At(event.start_mark)};
    switch (event.type) {
      case YAML_NO_EVENT:
      case YAML_STREAM_END_EVENT:
        return out;
      case YAML_STREAM_START_EVENT:
        continue;
      case YAML_DOCUMENT_START_EVENT:
        out.kind = What::kDocumentStart;
        return out;
      case YAML_DOCUMENT_END_EVENT:
        out.kind = What::kDocumentEnd;
        return out;
      case YAML_ALIAS_EVENT:
        out.kind = What::kAlias;
        out.anchor = View(event.data.alias.anchor);
        return out;
      case YAML_SCALAR_EVENT:
        out.kind = What::kScalar;
        out.plain = event.data.scalar.plain_implicit != 0;
        out.anchor = View(event.data.scalar.anchor);
        out.tag = View(event.data.scalar.tag);
        out.text = {reinterpret_cast<const char*>(event.data.scalar.value), event.data.scalar.length};
        return out;
      case YAML_SEQUENCE_START_EVENT:
        out.kind = What::kSequenceStart;
        out.anchor = View(event.data.sequence_start.anchor);
        return out;
      case YAML_SEQUENCE_END_EVENT:
        out.kind = What::kSequenceEnd;
        return out;
      case YAML_MAPPING_START_EVENT:
        out.kind = What::kMappingStart;
        out.anchor = View(event.data.mapping_start.anchor);
        return out;
      case YAML_MAPPING_END_EVENT:
        out.kind = What::kMappingEnd;
        return out;
    }
  }
}

}  // namespace knarr::doc
