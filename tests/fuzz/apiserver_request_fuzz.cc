// What a client can say to the API server before anybody knows who it is: path and query, Accept, continue tokens,
// bearer tokens, patches, options of deletions.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "apiserver/content.h"
#include "apiserver/continue_token.h"
#include "apiserver/decode.h"
#include "apiserver/patch.h"
#include "apiserver/request_info.h"
#include "base/check.h"
#include "base/strings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0: {
      const Result<net::Url> url = net::Url::Parse(text);
      if (!url.ok()) break;
      for (const char* method : {"GET", "POST", "DELETE"}) {
        const apiserver::Attributes attributes = apiserver::ReadAttributes(method, *url);
        CHECK(!attributes.resource_request || !attributes.resource.empty());
      }
      break;
    }
    case 1:
      for (const apiserver::MediaType& type : apiserver::ParseAccept(text)) CHECK(type.type.size() <= text.size() + 3);
      break;
    case 2: {
      const Result<apiserver::ContinueToken> token = apiserver::DecodeContinueToken(text);
      if (!token.ok()) break;
      const auto again = apiserver::DecodeContinueToken(apiserver::EncodeContinueToken(*token));
      CHECK(again.ok() && again->revision == token->revision && again->start_after == token->start_after);
      break;
    }
    case 3:
      for (const auto encoding :
           {apiserver::Encoding::kJson, apiserver::Encoding::kYaml, apiserver::Encoding::kProtobuf}) {
        const auto options = apiserver::DecodeDeleteOptions(text, encoding);
        CHECK(options.ok() || !options.status().message().empty());
      }
      break;
    default: {
      const auto parts = Cut(text, "\n");
      if (!parts.has_value()) break;
      const api::KindInfo* kind = api::FindKind("v1", "Pod");
      const auto object = apiserver::ParsePatch(client::PatchType::kMerge, parts->first);
      if (!object.ok()) break;
      for (const auto type :
           {client::PatchType::kJson, client::PatchType::kMerge, client::PatchType::kStrategicMerge}) {
        const auto patch = apiserver::ParsePatch(type, parts->second);
        if (patch.ok()) (void)apiserver::ApplyPatch(*kind, object->document.root, *patch);
      }
    }
  }
  return 0;
}
