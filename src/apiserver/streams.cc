#include "apiserver/streams.h"

#include <fmt/format.h>

#include "apiserver/errors.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

std::vector<std::string_view> NamesIn(const doc::Value& pod, std::string_view list) {
  std::vector<std::string_view> out;
  for (const doc::Value& container : pod.Get("spec", list).items()) out.push_back(container.At("name").AsString());
  return out;
}

bool Contains(const std::vector<std::string_view>& list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

}  // namespace

StreamScope::StreamScope(Local& local, rt::Runtime& runtime)
    : local_(local), scope_(runtime), watcher_(runtime, "stream") {
  local_.AddStream(&scope_);
}

StreamScope::StreamScope(Call& call) : StreamScope(call.context.local, call.context.runtime) {
  watcher_.Spawn("client", [this, &call] {
    call.response.WaitClosed();
    scope_.Stop();
  });
}

StreamScope::~StreamScope() {
  local_.RemoveStream(&scope_);
  watcher_.StopAndJoin();
}

Result<PodTarget> FindPodTarget(Call& call, Core& core) {
  PodTarget out;
  out.pod = TRY(core.operations().registry().Get(call.context, *call.resource, call.name()));
  const doc::Value& pod = out.pod->tree();
  out.node = pod.Get("spec", "nodeName").AsString();
  out.container = call.request.url.Query("container");
  const auto containers = NamesIn(pod, "containers");
  const auto inits = NamesIn(pod, "initContainers");
  const auto ephemerals = NamesIn(pod, "ephemeralContainers");
  const std::string_view name = out.pod->name();
  if (!out.container.empty()) {
    if (Contains(containers, out.container) || Contains(inits, out.container) || Contains(ephemerals, out.container)) {
      return out;
    }
    return BadRequest(fmt::format("container {} is not valid for pod {}", out.container, name));
  }
  if (containers.size() == 1) {
    out.container = containers.front();
    return out;
  }
  std::string message =
      fmt::format("a container name must be specified for pod {}, choose one of: [{}]", name, Join(containers, " "));
  if (!inits.empty()) message += fmt::format(" or one of the init containers: [{}]", Join(inits, " "));
  return BadRequest(std::move(message));
}

Result<std::reference_wrapper<client::NodeAccess>> FindPodNode(Call& call, Core& core, const PodTarget& target) {
  if (target.node.empty()) return BadRequest(fmt::format("pod {} does not have a host assigned", target.pod->name()));
  client::NodeAccess* node = core.FindNode(call.context.runtime, target.node);
  if (node == nullptr) {
    return Internal(fmt::format("the node {} of pod {} is not connected", target.node, target.pod->name()));
  }
  return std::ref(*node);
}

Ok MayConnect(const Call& call, Core& core) {
  if (call.attributes.verb == "create") return {};
  Attributes attributes = call.attributes;
  attributes.verb = "create";
  const Verdict verdict = core.security().authorizer().Authorize(call.context.runtime, attributes);
  if (verdict.allowed()) return {};
  if (!verdict.error.empty()) return BareError(verdict.error);
  return ForbiddenError(ResourceOf(*call.resource->kind), call.attributes.name, verdict.reason);
}

}  // namespace knarr::apiserver
