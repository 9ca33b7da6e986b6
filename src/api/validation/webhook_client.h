#pragma once

// Where a webhook is called: at a URL or at a Service. Internal to api/validation.

#include <optional>
#include <string_view>

#include "api/validation/errors.h"

namespace knarr::api::validation {

void ValidateWebhookUrl(std::string_view url, const Path& path, Errors& errors);

struct WebhookService {
  std::string_view ns;
  std::string_view name;
  std::optional<std::string_view> path;
  int32_t port = 0;
};
void ValidateWebhookService(const WebhookService& service, const Path& path, Errors& errors);

}  // namespace knarr::api::validation
