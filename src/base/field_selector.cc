#include "base/selector.h"
#include "base/strings.h"
#include "base/unicode.h"

namespace knarr {
namespace {

// The terms between commas that no backslash escapes.
std::vector<std::string_view> SplitTerms(std::string_view text) {
  std::vector<std::string_view> terms;
  size_t start = 0;
  bool escaped = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (escaped) {
      escaped = false;
    } else if (text[i] == '\\') {
      escaped = true;
    } else if (text[i] == ',') {
      terms.push_back(text.substr(start, i - start));
      start = i + 1;
    }
  }
  terms.push_back(text.substr(start));
  return terms;
}

Result<std::string> Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ',' || c == '=') {
      // Upstream prints the character's number.
      return BadRequest("invalid field selector: unescaped character in value: " + std::to_string(static_cast<int>(c)));
    }
    if (c != '\\') {
      out += c;
      continue;
    }
    ++i;
    if (i == text.size()) return BadRequest("invalid field selector: invalid escape sequence: \\");
    if (text[i] != '\\' && text[i] != ',' && text[i] != '=') {
      std::string sequence = "\\";
      AppendRune(sequence, DecodeRune(text.substr(i)).rune);
      return BadRequest("invalid field selector: invalid escape sequence: " + sequence);
    }
    out += text[i];
  }
  return out;
}

std::string Escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == ',' || c == '=') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

Result<FieldSelector> FieldSelector::Parse(std::string_view text) {
  std::vector<std::string_view> terms = SplitTerms(text);
  std::ranges::sort(terms);
  std::vector<FieldRequirement> requirements;
  for (const std::string_view term : terms) {
    if (term.empty()) continue;
    size_t at = 0;
    while (at < term.size() && term[at] != '=' && !term.substr(at).starts_with("!=")) ++at;
    if (at == term.size()) {
      return BadRequest("invalid selector: '" + std::string(text) + "'; can't understand '" + std::string(term) + "'");
    }
    std::string_view value = term.substr(at);
    const bool differs = ConsumePrefix(value, "!=");
    if (!differs && !ConsumePrefix(value, "==")) ConsumePrefix(value, "=");
    FieldRequirement requirement{
        .field = std::string(term.substr(0, at)), .equal = !differs, .value = TRY(Unescape(value))};
    // "=" alone selects everything.
    if (requirement.field.empty() && requirement.value.empty()) continue;
    requirements.push_back(std::move(requirement));
  }
  return FieldSelector(std::move(requirements));
}

std::optional<std::string_view> FieldSelector::ExactValue(std::string_view field) const {
  for (const FieldRequirement& requirement : requirements_) {
    if (requirement.field == field && requirement.equal) return requirement.value;
  }
  return std::nullopt;
}

std::string FieldSelector::ToString() const {
  std::vector<std::string> parts;
  for (const FieldRequirement& requirement : requirements_) {
    parts.push_back(requirement.field + (requirement.equal ? "=" : "!=") + Escape(requirement.value));
  }
  return Join(parts, ",");
}

}  // namespace knarr
