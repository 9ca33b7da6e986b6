#include "net/http.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace knarr::net {

void Headers::Add(std::string name, std::string value) { all_.emplace_back(std::move(name), std::move(value)); }

void Headers::Set(std::string_view name, std::string value) {
  Remove(name);
  all_.emplace_back(name, std::move(value));
}

void Headers::Remove(std::string_view name) {
  std::erase_if(all_, [&](const auto& header) { return EqualIgnoreCase(header.first, name); });
}

std::string_view Headers::Get(std::string_view name) const {
  for (const auto& [key, value] : all_) {
    if (EqualIgnoreCase(key, name)) return value;
  }
  return {};
}

bool Headers::Has(std::string_view name) const {
  return std::any_of(all_.begin(), all_.end(), [&](const auto& header) { return EqualIgnoreCase(header.first, name); });
}

std::vector<std::string_view> Headers::GetAll(std::string_view name) const {
  std::vector<std::string_view> out;
  for (const auto& [key, value] : all_) {
    if (EqualIgnoreCase(key, name)) out.push_back(value);
  }
  return out;
}

std::string_view HttpStatusText(int code) {
  struct Entry {
    int code;
    std::string_view text;
  };
  static constexpr std::array<Entry, 44> kTexts = {{{100, "Continue"},
                                                    {101, "Switching Protocols"},
                                                    {200, "OK"},
                                                    {201, "Created"},
                                                    {202, "Accepted"},
                                                    {203, "Non-Authoritative Information"},
                                                    {204, "No Content"},
                                                    {205, "Reset Content"},
                                                    {206, "Partial Content"},
                                                    {300, "Multiple Choices"},
                                                    {301, "Moved Permanently"},
                                                    {302, "Found"},
                                                    {303, "See Other"},
                                                    {304, "Not Modified"},
                                                    {307, "Temporary Redirect"},
                                                    {308, "Permanent Redirect"},
                                                    {400, "Bad Request"},
                                                    {401, "Unauthorized"},
                                                    {402, "Payment Required"},
                                                    {403, "Forbidden"},
                                                    {404, "Not Found"},
                                                    {405, "Method Not Allowed"},
                                                    {406, "Not Acceptable"},
                                                    {407, "Proxy Authentication Required"},
                                                    {408, "Request Timeout"},
                                                    {409, "Conflict"},
                                                    {410, "Gone"},
                                                    {411, "Length Required"},
                                                    {412, "Precondition Failed"},
                                                    {413, "Request Entity Too Large"},
                                                    {414, "Request URI Too Long"},
                                                    {415, "Unsupported Media Type"},
                                                    {416, "Requested Range Not Satisfiable"},
                                                    {417, "Expectation Failed"},
                                                    {421, "Misdirected Request"},
                                                    {422, "Unprocessable Entity"},
                                                    {429, "Too Many Requests"},
                                                    {431, "Request Header Fields Too Large"},
                                                    {500, "Internal Server Error"},
                                                    {501, "Not Implemented"},
                                                    {502, "Bad Gateway"},
                                                    {503, "Service Unavailable"},
                                                    {504, "Gateway Timeout"},
                                                    {505, "HTTP Version Not Supported"}}};
  const auto* found =
      std::find_if(kTexts.begin(), kTexts.end(), [&](const Entry& entry) { return entry.code == code; });
  return found == kTexts.end() ? "Unknown" : found->text;
}

std::string FormatHttpDate(WallTime time) {
  static constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  auto seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
  auto day = std::chrono::sys_days(std::chrono::floor<std::chrono::days>(seconds));
  std::chrono::year_month_day date(day);
  std::chrono::hh_mm_ss clock(seconds - day.time_since_epoch());
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[std::chrono::weekday(day).c_encoding()],
                     static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
                     clock.seconds().count());
}

Ok Response::WriteShared(std::vector<SharedPiece> pieces) {
  std::string joined;
  for (const SharedPiece& piece : pieces) joined += piece.text;
  return Write(joined);
}

}  // namespace knarr::net
