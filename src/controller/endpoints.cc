#include "controller/endpoints.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "api/discovery_v1.h"
#include "api/label_selector.h"
#include "controller/service_backends.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using api::core_v1::Pod;
using api::core_v1::Service;
using client::ObjectName;

constexpr size_t kSliceMax = 100;
constexpr size_t kEndpointsMax = 1000;
constexpr std::string_view kServiceLabel = "kubernetes.io/service-name";
constexpr std::string_view kManagedLabel = "endpointslice.kubernetes.io/managed-by";
constexpr std::string_view kManager = "endpointslice-controller.k8s.io";
constexpr std::string_view kByService = "service";

std::vector<std::string> ServiceOfSlice(const api::Object& slice) {
  auto labels = api::discovery_v1::EndpointSlice(slice.tree()).metadata().labels();
  auto service = labels.Find(kServiceLabel);
  if (!service || labels.Find(kManagedLabel).value_or("") != kManager) return {};
  return {fmt::format("{}/{}", slice.ns(), *service)};
}

void WriteTarget(api::core_v1::ObjectReferenceEdit target, std::string_view ns, const Backend& backend) {
  target.set_kind("Pod").set_ns(ns).set_name(backend.pod).set_uid(backend.pod_uid);
}

class EndpointsController : public Controller {
 public:
  explicit EndpointsController(Context context)
      : context_(context),
        services_(context.informers.For(api::core_v1::ServiceInfo())),
        pods_(context.informers.For(api::core_v1::PodInfo())),
        endpoints_(context.informers.For(api::core_v1::EndpointsInfo())),
        slices_(context.informers.For(api::discovery_v1::EndpointSliceInfo())),
        worker_(context.runtime, "endpoints", [this](const ObjectName& key) { return Sync(key); }) {
    slices_.AddIndex(std::string(kByService), ServiceOfSlice);
    services_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      worker_.Add(NameOf(after != nullptr ? *after : *before));
    });
    pods_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      // The same labels lead to the same services.
      const bool moved = before != nullptr && (after == nullptr || !SameLabels(*before, *after));
      if (moved) PodChanged(*before);
      if (after != nullptr) PodChanged(*after);
    });
    // Also after our own writes: what was computed beside a copy that did not show them yet may have been wrong.
    endpoints_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      worker_.Add(NameOf(after != nullptr ? *after : *before));
    });
    slices_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      for (const std::string& service : ServiceOfSlice(after != nullptr ? *after : *before)) {
        const size_t slash = service.find('/');
        worker_.Add({service.substr(0, slash), service.substr(slash + 1)});
      }
    });
  }
  void Start() override { worker_.Start({&services_, &pods_, &endpoints_, &slices_}); }
  void Stop() override { worker_.Stop(); }

 private:
  static bool SameLabels(const api::Object& a, const api::Object& b) {
    return a.tree().Get("metadata", "labels").Equals(b.tree().Get("metadata", "labels"));
  }

  void PodChanged(const api::Object& pod) {
    auto labels = Pod(pod.tree()).metadata().labels();
    for (const ObjectPtr& service : services_.List(pod.ns())) {
      auto selector = Service(service->tree()).spec().selector();
      if (!selector.empty() && api::Matches(api::ToLabelSelector(selector), labels)) worker_.Add(NameOf(*service));
    }
  }

  Result<Requeue> Sync(const ObjectName& key) {
    ObjectPtr object = services_.Get(key);
    if (object == nullptr) {
      // Slices go with their owner; Endpoints are tied to the service by name alone.
      ObjectPtr left = endpoints_.Get(key);
      if (left != nullptr && IsManaged(*left)) TRY(Delete(api::core_v1::EndpointsInfo(), *left));
      return Requeue();
    }
    Service service(object->tree());
    if (service.spec().selector().empty() || service.spec().type() == "ExternalName" || object->deleting()) {
      return Requeue();
    }
    LabelSelector selector = api::ToLabelSelector(service.spec().selector());
    std::vector<ObjectPtr> pods;
    for (const ObjectPtr& pod : pods_.List(key.ns)) {
      if (api::Matches(selector, Pod(pod->tree()).metadata().labels())) pods.push_back(pod);
    }
    std::vector<BackendGroup> groups = GroupBackends(service, pods);
    TRY(WriteEndpoints(key, service, groups));
    TRY(WriteSlices(key, *object, groups));
    return Requeue();
  }

  /// Endpoints and slices are the work of two controllers upstream, each with its own rights.
  client::Client& ClientFor(const api::KindInfo& kind) {
    return kind.plural == "endpointslices" ? context_.accounts.Of("endpointslice-controller") : context_.client;
  }

  static bool IsManaged(const api::Object& endpoints) {
    auto labels = api::core_v1::Endpoints(endpoints.tree()).metadata().labels();
    return labels.Find("endpoints.kubernetes.io/managed-by").value_or("") == "endpoint-controller";
  }

  Ok Delete(const api::KindInfo& kind, const api::Object& object) {
    client::DeleteOptions options{.uid = std::string(object.uid())};
    Result<ObjectPtr> deleted = ClientFor(kind).Delete(kind, NameOf(object), options);
    if (deleted.ok() || deleted.Failed(Reason::kNotFound)) return {};
    return deleted.status();
  }

  Ok WriteEndpoints(const ObjectName& key, Service service, const std::vector<BackendGroup>& groups) {
    ObjectPtr present = endpoints_.Get(key);
    doc::Document document = present != nullptr ? doc::Document::Copy(present->tree()) : doc::Document();
    document.root.Remove("subsets");
    if (doc::Value* metadata = document.root.Find("metadata")) metadata->Remove("labels");
    api::core_v1::EndpointsEdit edit(document);
    edit.metadata().set_name(key.name).set_ns(key.ns);
    for (auto [label, value] : service.metadata().labels()) edit.metadata().put_labels(label, value);
    edit.metadata().put_labels("endpoints.kubernetes.io/managed-by", "endpoint-controller");
    if (service.spec().cluster_ip() == "None") edit.metadata().put_labels("service.kubernetes.io/headless", "");
    size_t count = 0;
    for (const BackendGroup& group : groups) {
      const bool any = std::ranges::any_of(group.backends, [](const Backend& b) { return !b.terminating || b.ready; });
      if (!any) continue;
      auto subset = edit.add_subsets();
      for (bool ready : {true, false}) {
        for (const Backend& backend : group.backends) {
          if (backend.ready != ready || (backend.terminating && !ready) || count >= kEndpointsMax) continue;
          count++;
          auto address = ready ? subset.add_addresses() : subset.add_not_ready_addresses();
          address.set_ip(backend.ip);
          if (!backend.hostname.empty()) address.set_hostname(backend.hostname);
          if (!backend.node.empty()) address.set_node_name(backend.node);
          WriteTarget(address.target_ref(), key.ns, backend);
        }
      }
      for (const BackendPort& port : group.ports) {
        auto to = subset.add_ports();
        if (!port.name.empty()) to.set_name(port.name);
        to.set_port(port.port).set_protocol(port.protocol);
        if (!port.app_protocol.empty()) to.set_app_protocol(port.app_protocol);
      }
    }
    return Write(api::core_v1::EndpointsInfo(), key, present, document);
  }

  /// Creates, or updates when it differs from what is there.
  Ok Write(const api::KindInfo& kind, const ObjectName& name, const ObjectPtr& present, const doc::Document& wanted) {
    if (present == nullptr) {
      Result<ObjectPtr> created = ClientFor(kind).Create(kind, name.ns, wanted.root);
      // Forbidden: the namespace is going away; its end takes the service, too.
      if (created.ok() || created.Failed(Reason::kForbidden)) return {};
      return created.status();
    }
    if (wanted.root.Equals(present->tree())) return {};
    Result<ObjectPtr> updated = ClientFor(kind).Update(kind, name, wanted.root);
    return updated.ok() ? Ok() : Ok(updated.status());
  }

  Ok WriteSlices(const ObjectName& key, const api::Object& service, const std::vector<BackendGroup>& groups) {
    std::map<std::string, ObjectPtr> present;
    for (const ObjectPtr& slice : slices_.ByIndex(kByService, key.ToString())) {
      present[std::string(slice->name())] = slice;
    }
    // Names follow from the place alone, so that two looks at a stale copy can't make two slices of one place.
    size_t place = 0;
    auto write = [&](const BackendGroup& group, size_t from) -> Ok {
      const std::string name = fmt::format("{}-{:05x}", key.name, place++);
      ObjectPtr before;
      if (auto at = present.find(name); at != present.end()) {
        before = at->second;
        present.erase(at);
      }
      doc::Document document = before != nullptr ? doc::Document::Copy(before->tree()) : doc::Document();
      FillSlice(document, name, key, service, group, from);
      return Write(api::discovery_v1::EndpointSliceInfo(), {key.ns, name}, before, document);
    };
    for (const BackendGroup& group : groups) {
      for (size_t from = 0; from < group.backends.size(); from += kSliceMax) TRY(write(group, from));
    }
    if (place == 0) TRY(write(BackendGroup{}, 0));
    for (const auto& [name, slice] : present) TRY(Delete(api::discovery_v1::EndpointSliceInfo(), *slice));
    return {};
  }

  static void FillSlice(doc::Document& document, const std::string& name, const ObjectName& key,
                        const api::Object& service, const BackendGroup& group, size_t from) {
    for (std::string_view member : {"endpoints", "ports"}) document.root.Remove(member);
    if (doc::Value* metadata = document.root.Find("metadata")) {
      metadata->Remove("labels");
      // A slice that a service of the same name left behind now belongs to this one.
      metadata->Remove("ownerReferences");
    }
    api::discovery_v1::EndpointSliceEdit edit(document);
    edit.metadata().set_name(name).set_ns(key.ns);
    Service view(service.tree());
    for (auto [label, value] : view.metadata().labels()) edit.metadata().put_labels(label, value);
    edit.metadata().put_labels(kServiceLabel, key.name);
    edit.metadata().put_labels(kManagedLabel, kManager);
    if (view.spec().cluster_ip() == "None") edit.metadata().put_labels("service.kubernetes.io/headless", "");
    edit.metadata()
        .add_owner_references()
        .set_api_version("v1")
        .set_kind("Service")
        .set_name(key.name)
        .set_uid(service.uid())
        .set_controller(true)
        .set_block_owner_deletion(true);
    const bool v6 = !group.backends.empty() && group.backends.front().ip.find(':') != std::string::npos;
    edit.set_address_type(v6 ? "IPv6" : "IPv4");
    edit.endpoints();
    for (size_t i = from; i < group.backends.size() && i < from + kSliceMax; ++i) {
      const Backend& backend = group.backends[i];
      auto endpoint = edit.add_endpoints();
      endpoint.add_addresses(backend.ip);
      endpoint.conditions().set_ready(backend.ready).set_serving(backend.serving).set_terminating(backend.terminating);
      if (!backend.hostname.empty()) endpoint.set_hostname(backend.hostname);
      if (!backend.node.empty()) endpoint.set_node_name(backend.node);
      WriteTarget(endpoint.target_ref(), key.ns, backend);
    }
    for (const BackendPort& port : group.ports) {
      auto to = edit.add_ports();
      to.set_name(port.name).set_protocol(port.protocol).set_port(port.port);
      if (!port.app_protocol.empty()) to.set_app_protocol(port.app_protocol);
    }
  }

  Context context_;
  client::Informer& services_;
  client::Informer& pods_;
  client::Informer& endpoints_;
  client::Informer& slices_;
  Worker worker_;
};

}  // namespace

std::unique_ptr<Controller> MakeEndpointsController(Context context) {
  return std::make_unique<EndpointsController>(context);
}

}  // namespace knarr::controller
