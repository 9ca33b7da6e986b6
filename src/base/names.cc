#include "base/names.h"

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "base/strings.h"

namespace knarr {
namespace {

constexpr size_t kLabelMax = 63;
constexpr size_t kSubdomainMax = 253;

// The regular expressions are only shown: the functions below decide, without a regular expression engine.
constexpr std::string_view kLabelRegex = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
constexpr std::string_view kLabelUnderscoreRegex = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
constexpr std::string_view kDns1035Regex = "[a-z]([-a-z0-9]*[a-z0-9])?";
constexpr std::string_view kQualifiedRegex = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLowerAlnum(char c) { return IsLower(c) || IsDigit(c); }
bool IsAlnum(char c) { return IsLowerAlnum(c) || IsUpper(c); }

template <typename Predicate>
bool AllOf(std::string_view text, Predicate predicate) {
  return std::ranges::all_of(text, predicate);
}

bool IsLabel(std::string_view text) {
  return !text.empty() && IsLowerAlnum(text.front()) && IsLowerAlnum(text.back()) &&
         AllOf(text, [](char c) { return IsLowerAlnum(c) || c == '-'; });
}

bool IsLabelWithUnderscore(std::string_view text) {
  ConsumePrefix(text, "_");
  return !text.empty() && IsLowerAlnum(text.front()) && IsLowerAlnum(text.back()) &&
         AllOf(text, [](char c) { return IsLowerAlnum(c) || c == '-' || c == '_'; });
}

bool IsSubdomain(std::string_view text, bool (*is_label)(std::string_view)) {
  return std::ranges::all_of(Split(text, '.'), is_label);
}

bool IsNamePart(std::string_view text) {
  return !text.empty() && IsAlnum(text.front()) && IsAlnum(text.back()) &&
         AllOf(text, [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; });
}

std::string RegexProblem(std::string_view message, std::string_view regex,
                         std::initializer_list<std::string_view> examples) {
  std::string out(message);
  out += " (";
  bool first = true;
  for (const std::string_view example : examples) {
    out += first ? "e.g. '" : " or '";
    first = false;
    out += example;
    out += "', ";
  }
  out += "regex used for validation is '";
  out += regex;
  return out + "')";
}

// Upstream counts bytes, and says so in the checks that its newer validation package has taken over.
std::string MaxBytesProblem(size_t length) { return "must be no more than " + std::to_string(length) + " bytes"; }

std::string SubdomainRegex(std::string_view label) { return std::string(label) + "(\\." + std::string(label) + ")*"; }

std::string SubdomainProblem() {
  return RegexProblem(
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
      "and end with an alphanumeric character",
      SubdomainRegex(kLabelRegex), {"example.com"});
}

std::string QualifiedProblem() {
  return RegexProblem(
      "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
      kQualifiedRegex, {"MyName", "my.name", "123-abc"});
}

void AddParentPathProblems(std::string_view value, Problems& problems) {
  if (value == ".") {
    problems.emplace_back("must not be '.'");
  } else if (value == "..") {
    problems.emplace_back("must not be '..'");
  } else if (value.starts_with("..")) {
    problems.emplace_back("must not start with '..'");
  }
}

}  // namespace

std::string MaxLengthProblem(size_t length) { return "must be no more than " + std::to_string(length) + " characters"; }

std::string RangeProblem(int64_t least, int64_t most) {
  return "must be between " + std::to_string(least) + " and " + std::to_string(most) + ", inclusive";
}

Problems CheckDns1123Label(std::string_view value) {
  Problems problems;
  if (value.size() > kLabelMax) problems.push_back(MaxLengthProblem(kLabelMax));
  if (IsLabel(value)) return problems;
  if (IsSubdomain(value, IsLabel)) {
    problems.emplace_back("must not contain dots");
  } else {
    problems.push_back(RegexProblem(
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        "with an alphanumeric character",
        kLabelRegex, {"my-name", "123-abc"}));
  }
  return problems;
}

Problems CheckDns1123Subdomain(std::string_view value) {
  Problems problems;
  if (value.size() > kSubdomainMax) problems.push_back(MaxLengthProblem(kSubdomainMax));
  if (!IsSubdomain(value, IsLabel)) problems.push_back(SubdomainProblem());
  return problems;
}

Problems CheckDns1123SubdomainWithUnderscore(std::string_view value) {
  Problems problems;
  if (value.size() > kSubdomainMax) problems.push_back(MaxLengthProblem(kSubdomainMax));
  if (!IsSubdomain(value, IsLabelWithUnderscore)) {
    problems.push_back(RegexProblem(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must "
        "start and end with an alphanumeric character",
        SubdomainRegex(kLabelUnderscoreRegex), {"example.com"}));
  }
  return problems;
}

Problems CheckWildcardDns1123Subdomain(std::string_view value) {
  Problems problems;
  if (value.size() > kSubdomainMax) problems.push_back(MaxLengthProblem(kSubdomainMax));
  std::string_view domain = value;
  if (!ConsumePrefix(domain, "*.") || !IsSubdomain(domain, IsLabel)) {
    problems.push_back(RegexProblem(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
        "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        "\\*\\." + SubdomainRegex(kLabelRegex), {"*.example.com"}));
  }
  return problems;
}

Problems CheckDns1035Label(std::string_view value) {
  Problems problems;
  if (value.size() > kLabelMax) problems.push_back(MaxLengthProblem(kLabelMax));
  if (!IsLabel(value) || !IsLower(value.front())) {
    problems.push_back(RegexProblem(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
        "character, and end with an alphanumeric character",
        kDns1035Regex, {"my-name", "abc-123"}));
  }
  return problems;
}

Problems CheckQualifiedName(std::string_view value) {
  Problems problems;
  std::string_view name = value;
  if (std::ranges::count(value, '/') > 1) {
    return {"a valid label key " + QualifiedProblem() +
            " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"};
  }
  if (const auto parts = Cut(value, "/")) {
    const std::string_view prefix = parts->first;
    name = parts->second;
    if (prefix.empty()) {
      problems.emplace_back("prefix part must be non-empty");
    } else {
      if (prefix.size() > kSubdomainMax) problems.push_back("prefix part " + MaxBytesProblem(kSubdomainMax));
      if (!IsSubdomain(prefix, IsLabel)) problems.push_back("prefix part " + SubdomainProblem());
    }
  }
  if (name.empty()) {
    problems.emplace_back("name part must be non-empty");
  } else if (name.size() > kLabelMax) {
    problems.push_back("name part " + MaxBytesProblem(kLabelMax));
  }
  if (!IsNamePart(name)) problems.push_back("name part " + QualifiedProblem());
  return problems;
}

Problems CheckLabelValue(std::string_view value) {
  Problems problems;
  if (value.size() > kLabelMax) problems.push_back(MaxBytesProblem(kLabelMax));
  if (!value.empty() && !IsNamePart(value)) {
    problems.push_back(RegexProblem(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
        "and end with an alphanumeric character",
        "(" + std::string(kQualifiedRegex) + ")?", {"MyValue", "my_value", "12345"}));
  }
  return problems;
}

Problems CheckPortName(std::string_view value) {
  constexpr size_t kPortNameMax = 15;
  Problems problems;
  if (value.size() > kPortNameMax) problems.push_back(MaxLengthProblem(kPortNameMax));
  if (value.empty() || !AllOf(value, [](char c) { return IsLowerAlnum(c) || c == '-'; })) {
    problems.emplace_back("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (std::ranges::none_of(value, IsLower)) problems.emplace_back("must contain at least one letter (a-z)");
  if (value.find("--") != std::string_view::npos) problems.emplace_back("must not contain consecutive hyphens");
  if (!value.empty() && (value.front() == '-' || value.back() == '-')) {
    problems.emplace_back("must not begin or end with a hyphen");
  }
  return problems;
}

Problems CheckInRange(int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return {};
  return {RangeProblem(least, most)};
}

Problems CheckPortNumber(int64_t port) { return CheckInRange(port, 1, 65535); }
Problems CheckUserId(int64_t id) { return CheckInRange(id, 0, std::numeric_limits<int32_t>::max()); }
Problems CheckGroupId(int64_t id) { return CheckInRange(id, 0, std::numeric_limits<int32_t>::max()); }

Problems CheckPercent(std::string_view value) {
  std::string_view digits = value;
  if (ConsumeSuffix(digits, "%") && !digits.empty() && AllOf(digits, IsDigit)) return {};
  return {RegexProblem("a valid percent string must be a numeric string followed by an ending '%'", "[0-9]+%",
                       {"1%", "93%"})};
}

Problems CheckHttpHeaderName(std::string_view value) {
  if (!value.empty() && AllOf(value, [](char c) { return IsAlnum(c) || c == '-'; })) return {};
  return {RegexProblem("a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+",
                       {"X-Header-Name"})};
}

Problems CheckCIdentifier(std::string_view value) {
  if (!value.empty() && !IsDigit(value.front()) && AllOf(value, [](char c) { return IsAlnum(c) || c == '_'; })) {
    return {};
  }
  return {RegexProblem(
      "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
      "characters or '_'",
      "[A-Za-z_][A-Za-z0-9_]*", {"my_name", "MY_NAME", "MyName"})};
}

Problems CheckEnvVarName(std::string_view value) {
  Problems problems;
  const auto allowed = [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; };
  if (value.empty() || IsDigit(value.front()) || !AllOf(value, allowed)) {
    problems.push_back(RegexProblem(
        "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must "
        "not start with a digit",
        "[-._a-zA-Z][-._a-zA-Z0-9]*", {"my.env-name", "MY_ENV.NAME", "MyEnvName1"}));
  }
  AddParentPathProblems(value, problems);
  return problems;
}

Problems CheckRelaxedEnvVarName(std::string_view value) {
  if (value.empty()) return {"environment variable name must be non-empty"};
  if (AllOf(value, [](char c) { return c >= ' ' && c < 0x7f && c != '='; })) return {};
  return {"a valid environment variable name must consist only of printable ASCII characters other than '='"};
}

Problems CheckConfigMapKey(std::string_view value) {
  Problems problems;
  if (value.size() > kSubdomainMax) problems.push_back(MaxLengthProblem(kSubdomainMax));
  const auto allowed = [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; };
  if (value.empty() || !AllOf(value, allowed)) {
    problems.push_back(RegexProblem("a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                                    "[-._a-zA-Z0-9]+", {"key.name", "KEY_NAME", "key-name"}));
  }
  AddParentPathProblems(value, problems);
  return problems;
}

Problems CheckPathSegmentName(std::string_view value) {
  if (value == "." || value == "..") return {"may not be '" + std::string(value) + "'"};
  Problems problems;
  for (const std::string_view part : {"/", "%"}) {
    if (value.find(part) != std::string_view::npos) problems.push_back("may not contain '" + std::string(part) + "'");
  }
  return problems;
}

}  // namespace knarr
