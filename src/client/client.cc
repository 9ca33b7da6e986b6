#include "client/client.h"

namespace knarr::client {

bool OutcomeUnknown(const Status& status) {
  switch (status.reason()) {
    case Reason::kTimeout:
    case Reason::kServerTimeout:
    case Reason::kServiceUnavailable:
    case Reason::kInternalError:
    case Reason::kUnknown:
      return true;
    default:
      return false;
  }
}

Result<ObjectPtr> UpdateWithRetry(rt::Runtime& runtime, Client& client, const KindInfo& kind, const ObjectName& name,
                                  std::string_view subresource, const std::function<bool(doc::Document&)>& change,
                                  int tries) {
  Duration pause = 10ms;
  while (true) {
    ObjectPtr current = TRY(client.Get(kind, name));
    doc::Document document = doc::Document::Copy(current->tree());
    if (!change(document)) return current;
    Result<ObjectPtr> written = client.Update(kind, name, document.root, subresource);
    if (!written.Failed(Reason::kConflict) || --tries <= 0) return written;
    TRY(runtime.Sleep(pause + Duration(runtime.Random() % static_cast<uint64_t>(pause.count()))));
    pause *= 5;
  }
}

}  // namespace knarr::client
