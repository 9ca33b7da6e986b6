#include <fmt/format.h>

#include "api/core_v1.h"
#include "base/strings.h"
#include "cli/kubectl/generators.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"
#include "cli/kubectl/write.h"

namespace knarr::cli {
namespace {

using api::core_v1::ServiceEdit;

class Expose : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    select_.AddFlags(flags);
    flags.String(&name_, "name", 0, "The service's name");
    flags.String(&port_, "port", 0, "The service's port");
    flags.String(&target_port_, "target-port", 0, "Name or number of the pods' port");
    flags.String(&protocol_, "protocol", 0, "TCP, UDP or SCTP");
    flags.String(&type_, "type", 0, "ClusterIP, NodePort, LoadBalancer or ExternalName");
    flags.String(&labels_, "labels", 0, "Labels of the service");
    flags.String(&external_ip_, "external-ip", 0, "An address of outside that leads to the service");
    flags.String(&cluster_ip_, "cluster-ip", 0, "The service's address; None: headless");
    flags.String(&affinity_, "session-affinity", 0, "None or ClientIP");
    write_.AddFlags(flags, "kubectl-expose");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    TRY(write_.Check());
    // -l names the service's selector here, not the objects.
    SelectFlags select = select_;
    select.selector.clear();
    std::vector<SelectFlags::Item> items = TRY(select.Select(session, args, true));
    for (const SelectFlags::Item& item : items) TRY(ExposeOne(session, item));
    return 0;
  }

 private:
  Ok ExposeOne(Session& session, const SelectFlags::Item& item) {
    doc::Document document;
    ServiceEdit service(document);
    service.set_api_version("v1").set_kind("Service");
    const std::string& name = name_.empty() ? item.name.name : name_;
    service.metadata().set_name(name);
    TRY(SetLabels(*item.object, service));
    TRY(SetSelector(item, service));
    TRY(SetPorts(item, service));
    if (!type_.empty()) service.spec().set_type(type_);
    if (!cluster_ip_.empty()) service.spec().set_cluster_ip(cluster_ip_);
    if (!affinity_.empty()) service.spec().set_session_affinity(affinity_);
    if (!external_ip_.empty()) service.spec().add_external_ips(external_ip_);
    service.status().load_balancer();
    api::ObjectPtr made;
    if (write_.dry_run() == DryRun::kClient) {
      made = api::Object::FromDocument(doc::Document::Copy(document.root));
    } else {
      made = TRY(session.client().Create(api::core_v1::ServiceInfo(), item.name.ns, document.root, write_.Options()));
    }
    return write_.PrintResult(session, api::core_v1::ServiceInfo(), *made, "exposed");
  }

  Ok SetLabels(const api::Object& object, ServiceEdit& service) const {
    if (!labels_.empty()) {
      for (const auto& [key, value] : TRY(ParseLabels(labels_))) service.metadata().put_labels(key, value);
      return {};
    }
    for (const doc::Member& label : object.tree().Get("metadata", "labels").members()) {
      service.metadata().put_labels(label.key, label.value.AsString());
    }
    return {};
  }

  Ok SetSelector(const SelectFlags::Item& item, ServiceEdit& service) const {
    if (!select_.selector.empty()) {
      for (const auto& [key, value] : TRY(ParseLabels(select_.selector))) service.spec().put_selector(key, value);
      return {};
    }
    const std::string_view kind = item.kind->kind;
    const doc::Value& spec = item.object->tree().At("spec");
    const doc::Value* map = nullptr;
    if (kind == "Pod") {
      map = &item.object->tree().Get("metadata", "labels");
      if (map->empty()) {
        return BadRequest(
            "couldn't retrieve selectors via --selector flag or introspection: the pod has no labels and "
            "cannot be exposed");
      }
    } else if (kind == "Service" || kind == "ReplicationController") {
      map = &spec.At("selector");
    } else if (kind == "Deployment" || kind == "ReplicaSet") {
      if (!spec.Get("selector", "matchExpressions").empty()) {
        return BadRequest(
            "couldn't retrieve selectors via --selector flag or introspection: couldn't convert expressions "
            "to map-based selector format");
      }
      map = &spec.Get("selector", "matchLabels");
    } else {
      return BadRequest(fmt::format("cannot expose a {}{}{}", item.kind->kind, item.kind->group.empty() ? "" : ".",
                                    item.kind->group));
    }
    for (const doc::Member& label : map->members()) service.spec().put_selector(label.key, label.value.AsString());
    return {};
  }

  Ok SetPorts(const SelectFlags::Item& item, ServiceEdit& service) const {
    std::vector<std::pair<int32_t, std::string>> ports;
    if (!port_.empty()) {
      for (std::string_view text : Split(port_, ',')) ports.emplace_back(TRY(ParseInt<int32_t>(text)), protocol_);
    } else {
      const doc::Value& spec = item.object->tree().At("spec");
      const doc::Value& pod = item.kind->kind == "Pod" ? spec : spec.Get("template", "spec");
      for (const doc::Value& container : pod.At("containers").items()) {
        for (const doc::Value& port : container.At("ports").items()) {
          ports.emplace_back(static_cast<int32_t>(port.At("containerPort").AsInt()),
                             std::string(port.At("protocol").AsString("TCP")));
        }
      }
      for (const doc::Value& port : spec.At("ports").items()) {
        ports.emplace_back(static_cast<int32_t>(port.At("port").AsInt()),
                           std::string(port.At("protocol").AsString("TCP")));
      }
    }
    if (ports.empty()) return BadRequest("couldn't find port via --port flag or introspection");
    for (size_t i = 0; i < ports.size(); ++i) {
      auto to = service.spec().add_ports();
      if (ports.size() > 1) to.set_name(fmt::format("port-{}", i + 1));
      to.set_port(ports[i].first).set_protocol(ports[i].second.empty() ? "TCP" : ports[i].second);
      if (target_port_.empty()) {
        to.set_target_port(ports[i].first);
      } else if (Result<int32_t> number = ParseInt<int32_t>(target_port_); number.ok()) {
        to.set_target_port(*number);
      } else {
        to.set_target_port(std::string_view(target_port_));
      }
    }
    return {};
  }

  SelectFlags select_;
  WriteFlags write_;
  std::string name_;
  std::string port_;
  std::string target_port_;
  std::string protocol_;
  std::string type_;
  std::string labels_;
  std::string external_ip_;
  std::string cluster_ip_;
  std::string affinity_;
};

}  // namespace

std::unique_ptr<Command> MakeExpose() { return std::make_unique<Expose>(); }

}  // namespace knarr::cli
