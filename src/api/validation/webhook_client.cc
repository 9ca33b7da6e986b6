#include "api/validation/webhook_client.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/names.h"
#include "base/strings.h"
#include "base/url.h"

namespace knarr::api::validation {
namespace {

constexpr std::string_view kForm = "; desired format: https://host[/path]";

void ValidateServicePath(std::string_view text, const Path& path, Errors& errors) {
  if (text == "/" || text.empty()) return;
  if (text == "//") return errors.Invalid(path, text, "segment[0] may not be empty");
  if (!text.starts_with('/')) errors.Invalid(path, text, "must start with a '/'");
  std::string_view rest = text.substr(1);
  ConsumeSuffix(rest, "/");
  size_t index = 0;
  for (const std::string_view step : Split(rest, '/')) {
    const std::string segment = "segment[" + std::to_string(index++) + "]";
    if (step.empty()) {
      errors.Invalid(path, text, segment + " may not be empty");
      continue;
    }
    for (const std::string& problem : CheckDns1123Subdomain(step)) errors.Invalid(path, text, segment + ": " + problem);
  }
}

}  // namespace

void ValidateWebhookUrl(std::string_view text, const Path& path, Errors& errors) {
  const ParsedUrl url = ParseUrl(text);
  if (!url.problem.empty()) {
    return errors.Required(path,
                           "url must be a valid URL: parse " + GoQuote(text) + ": " + url.problem + std::string(kForm));
  }
  if (url.scheme != "https") {
    errors.Invalid(path, url.scheme, "'https' is the only allowed URL scheme" + std::string(kForm));
  }
  if (url.host.empty()) errors.Invalid(path, url.host, "host must be specified" + std::string(kForm));
  if (url.has_user) errors.Invalid(path, url.user, "user information is not permitted in the URL");
  if (!url.fragment.empty()) errors.Invalid(path, url.fragment, "fragments are not permitted in the URL");
  if (!url.query.empty()) errors.Invalid(path, url.query, "query parameters are not permitted in the URL");
}

void ValidateWebhookService(const WebhookService& service, const Path& path, Errors& errors) {
  if (service.name.empty()) errors.Required(path / "name");
  if (service.ns.empty()) errors.Required(path / "namespace");
  const Problems problems = CheckPortNumber(service.port);
  if (!problems.empty()) errors.Invalid(path / "port", service.port, "port is not valid: " + Join(problems, ", "));
  if (service.path) ValidateServicePath(*service.path, path / "path", errors);
}

}  // namespace knarr::api::validation
