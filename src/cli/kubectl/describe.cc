// The verb: which objects, and which layout.

#include "cli/kubectl/describe.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/kubectl/manifest.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"
#include "cli/kubectl/write.h"

namespace knarr::cli {
namespace {

DescribeFunction FunctionFor(std::string_view kind) {
  constexpr std::pair<std::string_view, DescribeFunction> kFunctions[] = {
      {"Pod", DescribePod},
      {"Node", DescribeNode},
      {"ReplicationController", DescribeReplicationController},
      {"ReplicaSet", DescribeReplicaSet},
      {"Deployment", DescribeDeployment},
      {"StatefulSet", DescribeStatefulSet},
      {"DaemonSet", DescribeDaemonSet},
      {"Service", DescribeService},
      {"Endpoints", DescribeEndpoints},
      {"EndpointSlice", DescribeEndpointSlice},
      {"Namespace", DescribeNamespace},
      {"ConfigMap", DescribeConfigMap},
      {"Secret", DescribeSecret},
      {"ServiceAccount", DescribeServiceAccount},
      {"ResourceQuota", DescribeResourceQuota},
      {"LimitRange", DescribeLimitRange},
      {"PersistentVolume", DescribePersistentVolume},
      {"PersistentVolumeClaim", DescribePersistentVolumeClaim},
      {"PodDisruptionBudget", DescribePodDisruptionBudget},
  };
  for (const auto& [name, function] : kFunctions) {
    if (name == kind) return function;
  }
  return DescribeAnything;
}

class Describe : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    flags.StringSlice(&files_, "filename", 'f', "Files that name the objects");
    flags.Bool(&recursive_, "recursive", 'R', "Folders of files with their subfolders");
    flags.String(&selector_, "selector", 'l', "Objects whose labels fit");
    flags.Bool(&all_namespaces_, "all-namespaces", 'A', "In every namespace");
    flags.Bool(&show_events_, "show-events", 0, "Events about the objects, too");
    flags.Int(&chunk_, "chunk-size", 0, "Objects to fetch at a time; 0: all at once");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    if (files_.empty() && args.empty()) {
      return BadRequest(
          "You must specify the type of resource to describe. Use \"kubectl api-resources\" for a complete list of "
          "supported resources.");
    }
    std::vector<api::ObjectPtr> objects;
    Failures failures;
    Ok collected =
        files_.empty() ? FromArguments(session, args, objects, failures) : FromFiles(session, objects, failures);
    if (!collected.ok()) return collected.status();
    for (const api::ObjectPtr& object : objects) TRY(Print(session, *object));
    if (objects.empty() && failures.ExitCode() == 0) {
      TRY(session.Warn(all_namespaces_ ? "No resources found\n"
                                       : fmt::format("No resources found in {} namespace.\n", session.ns())));
    }
    return failures.ExitCode();
  }

 private:
  Ok FromFiles(Session& session, std::vector<api::ObjectPtr>& objects, Failures& failures) {
    ManifestOptions options{.files = files_, .recursive = recursive_, .validation = FieldValidation::kIgnore};
    for (const ManifestObject& named : TRY(LoadManifests(session.invocation(), options))) {
      const std::string ns = TRY(session.NamespaceFor(*named.kind, named.ns));
      Result<api::ObjectPtr> object = session.client().Get(*named.kind, {ns, named.name});
      if (object.ok()) {
        objects.push_back(*object);
      } else {
        TRY(failures.Add(session, object.status()));
      }
    }
    return {};
  }

  Ok FromArguments(Session& session, const std::vector<std::string>& args, std::vector<api::ObjectPtr>& objects,
                   Failures& failures) {
    const ResourceArgs resources = TRY(ParseResourceArgs(args));
    for (const ResourceArgs::Item& item : resources.items) {
      const std::string ns = all_namespaces_ ? "" : TRY(session.NamespaceFor(*item.kind));
      if (item.name.empty()) {
        TRY(ListAll(session, *item.kind, ns, "", objects));
        continue;
      }
      if (all_namespaces_ && item.kind->namespaced) {
        return BadRequest("a resource cannot be retrieved by name across all namespaces");
      }
      if (!selector_.empty()) return BadRequest("name cannot be provided when a selector is specified");
      Result<api::ObjectPtr> object = session.client().Get(*item.kind, {ns, item.name});
      if (object.ok()) {
        objects.push_back(*object);
        continue;
      }
      // TYPE PREFIX tells of every object whose name begins so.
      const size_t before = objects.size();
      if (object.Failed(Reason::kNotFound) && args.size() == 2) {
        TRY(ListAll(session, *item.kind, ns, item.name, objects));
      }
      if (objects.size() == before) TRY(failures.Add(session, object.status()));
      after_each_ = objects.size() > before;
    }
    return {};
  }

  Ok ListAll(Session& session, const api::KindInfo& kind, const std::string& ns, std::string_view prefix,
             std::vector<api::ObjectPtr>& objects) {
    client::ListOptions options{.label_selector = selector_, .limit = chunk_};
    client::Client& client = session.client();
    while (true) {
      client::ObjectList list = TRY(client.List(kind, ns, options));
      for (api::ObjectPtr& object : list.items) {
        if (object->name().starts_with(prefix)) objects.push_back(std::move(object));
      }
      if (list.continue_token.empty()) return {};
      options.continue_token = list.continue_token;
    }
  }

  Ok Print(Session& session, const api::Object& object) {
    Description out(session, show_events_);
    TRY(FunctionFor(object.kind())(out, object));
    if (!first_ && !after_each_) TRY(session.Print("\n\n"));
    first_ = false;
    TRY(session.Print(out.Take()));
    return after_each_ ? session.Print("\n") : Ok();
  }

  std::vector<std::string> files_;
  bool recursive_ = false;
  std::string selector_;
  bool all_namespaces_ = false;
  bool show_events_ = true;
  int64_t chunk_ = 500;
  bool first_ = true;
  bool after_each_ = false;  ///< an empty line behind each object instead of two between them
};

}  // namespace

std::unique_ptr<Command> MakeDescribe() { return std::make_unique<Describe>(); }

}  // namespace knarr::cli
