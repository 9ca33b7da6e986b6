#include "apiserver/authentication/token_file.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

// Reads records one after the other. Positions in messages count from one, columns in bytes.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : rest_(text) {}

  Result<std::vector<std::vector<std::string>>> Read() {
    std::vector<std::vector<std::string>> records;
    while (NextLine()) {
      if (line_ == "\n" || line_.empty()) continue;
      record_line_ = line_number_;
      records.push_back(TRY(ReadRecord()));
    }
    return records;
  }

 private:
  // The next line with its "\n", which also stands for "\r\n".
  bool NextLine() {
    if (rest_.empty()) return false;
    const size_t end = rest_.find('\n');
    const size_t size = end == std::string_view::npos ? rest_.size() : end + 1;
    line_ = rest_.substr(0, size);
    rest_.remove_prefix(size);
    if (line_.ends_with("\r\n")) {
      line_.erase(line_.size() - 2, 1);
    } else if (line_.ends_with('\r') && rest_.empty()) {
      line_.pop_back();
    }
    ++line_number_;
    at_ = 0;
    return true;
  }

  Status Error(size_t column, std::string_view why) const {
    const std::string where = record_line_ == line_number_
                                  ? fmt::format("parse error on line {}, column {}", line_number_, column + 1)
                                  : fmt::format("record on line {}; parse error on line {}, column {}", record_line_,
                                                line_number_, column + 1);
    return BadRequest(fmt::format("{}: {}", where, why));
  }

  Result<std::vector<std::string>> ReadRecord() {
    std::vector<std::string> fields;
    for (;;) {
      const bool quoted = at_ < line_.size() && line_[at_] == '"';
      bool more = false;
      fields.push_back(quoted ? TRY(ReadQuoted(more)) : TRY(ReadPlain(more)));
      if (!more) return fields;
    }
  }

  Result<std::string> ReadPlain(bool& more) {
    const size_t comma = line_.find(',', at_);
    more = comma != std::string::npos;
    std::string_view field = std::string_view(line_).substr(at_, more ? comma - at_ : std::string::npos);
    if (!more) ConsumeSuffix(field, "\n");
    const size_t quote = field.find('"');
    if (quote != std::string_view::npos) return Error(at_ + quote, "bare \" in non-quoted-field");
    at_ = comma + 1;
    return std::string(field);
  }

  Result<std::string> ReadQuoted(bool& more) {
    std::string field;
    ++at_;
    for (;;) {
      const size_t quote = line_.find('"', at_);
      if (quote == std::string::npos) {
        // It goes on in the next line.
        field.append(line_, at_);
        const size_t end = line_.size();
        if (!NextLine()) return Error(end, "extraneous or missing \" in quoted-field");
        continue;
      }
      field.append(line_, at_, quote - at_);
      at_ = quote + 1;
      const char next = at_ < line_.size() ? line_[at_] : '\n';
      if (next == '"') {
        field += '"';
        ++at_;
      } else if (next == ',') {
        ++at_;
        more = true;
        return field;
      } else if (next == '\n') {
        more = false;
        return field;
      } else {
        return Error(quote, "extraneous or missing \" in quoted-field");
      }
    }
  }

  std::string_view rest_;
  std::string line_;
  size_t at_ = 0;
  size_t line_number_ = 0;
  size_t record_line_ = 0;
};

}  // namespace

Result<std::vector<std::vector<std::string>>> ParseCsv(std::string_view text) { return CsvReader(text).Read(); }

Result<StaticTokens> ParseTokenFile(std::string_view text, std::string_view path) {
  StaticTokens tokens;
  size_t number = 0;
  for (std::vector<std::string>& record : TRY(ParseCsv(text))) {
    if (record.size() < 3) {
      return BadRequest(fmt::format(
          "token file '{}' must have at least 3 columns (token, user name, user uid), found {}", path, record.size()));
    }
    ++number;
    if (record[0].empty()) {
      LOG_WARN("an empty token in the token file", {"file", path}, {"record", number});
      continue;
    }
    UserInfo user{std::move(record[1]), std::move(record[2]), {}};
    if (record.size() > 3) {
      for (const std::string_view group : Split(record[3], ',')) user.groups.emplace_back(group);
    }
    // Of two records with one token the later counts.
    std::erase_if(tokens, [&](const auto& known) { return known.first == record[0]; });
    tokens.emplace_back(std::move(record[0]), std::move(user));
  }
  return tokens;
}

}  // namespace knarr::apiserver
