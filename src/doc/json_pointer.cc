#include "doc/json_pointer.h"

#include <charconv>
#include <utility>

#include "base/strings.h"

namespace knarr::doc {
namespace {

// An index has no sign and no leading zeros.
bool ParseIndex(std::string_view token, size_t& out) {
  if (token.empty() || (token.size() > 1 && token[0] == '0')) return false;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), out);
  return error == std::errc() && end == token.data() + token.size();
}

}  // namespace

std::string UnescapePointerToken(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1')) {
      out += token[++i] == '0' ? '~' : '/';
    } else {
      out += token[i];
    }
  }
  return out;
}

std::string EscapePointerToken(std::string_view token) {
  std::string out;
  for (char c : token) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

Result<std::vector<std::string>> ParsePointer(std::string_view pointer) {
  std::vector<std::string> out;
  if (pointer.empty()) return out;
  if (pointer[0] != '/') return BadRequest("JSON pointer " + GoQuote(pointer) + " must be empty or begin with \"/\"");
  for (std::string_view token : Split(pointer.substr(1), '/')) out.push_back(UnescapePointerToken(token));
  return out;
}

const Value* FindPointer(const Value& root, std::string_view pointer) {
  const auto tokens = ParsePointer(pointer);
  if (!tokens.ok()) return nullptr;
  const Value* at = &root;
  for (const std::string& token : *tokens) {
    size_t index = 0;
    if (at->is_object()) {
      at = at->Find(token);
    } else if (ParseIndex(token, index) && index < at->size()) {
      at = &at->items()[index];
    } else {
      return nullptr;
    }
    if (at == nullptr) return nullptr;
  }
  return at;
}

Value* FindPointer(Value& root, std::string_view pointer) {
  return const_cast<Value*>(FindPointer(std::as_const(root), pointer));
}

}  // namespace knarr::doc
