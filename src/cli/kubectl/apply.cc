#include <fmt/format.h>

#include "api/strategic_merge.h"
#include "cli/kubectl/apply_server.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/manifest.h"
#include "cli/kubectl/print.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"
#include "cli/kubectl/write.h"
#include "doc/json.h"

namespace knarr::cli {
namespace {

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr int kTries = 5;

/// The manifest as it is remembered: sorted, without the annotation itself.
std::string LastAppliedText(const doc::Value& manifest) {
  doc::Document copy = Printable(manifest);
  doc::Value& metadata = copy.root.Ensure(copy.arena, "metadata");
  doc::Value& annotations = metadata.Ensure(copy.arena, "annotations");
  if (annotations.is_null()) annotations = doc::Value::Object();
  annotations.Remove(kLastApplied);
  copy.root.SortMembers();
  return doc::ToJson(copy.root) + "\n";
}

void SetLastApplied(doc::Document& document, std::string_view text) {
  doc::Value& annotations = document.root.Ensure(document.arena, "metadata").Ensure(document.arena, "annotations");
  annotations.Set(document.arena, kLastApplied, doc::Value::String(document.arena, text));
}

class Apply : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    flags.StringSlice(&files_, "filename", 'f', "Files, folders or - that hold the objects");
    flags.Bool(&recursive_, "recursive", 'R', "Folders with their subfolders");
    flags.String(&validate_, "validate", 0, "strict, warn or ignore unknown and duplicate fields");
    flags.Bool(&server_side_, "server-side", 0, "The server merges, and notes who manages which fields");
    flags.Bool(&force_conflicts_, "force-conflicts", 0, "Take over fields that others manage (with --server-side)");
    write_.AddFlags(flags, "");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    TRY(write_.Check());
    write_.UseFieldManager(server_side_ ? "kubectl" : "kubectl-client-side-apply");
    if (force_conflicts_ && !server_side_) return BadRequest("--force-conflicts only works with --server-side");
    if (server_side_ && write_.dry_run() == DryRun::kClient) {
      return BadRequest("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
    }
    if (files_.empty()) return BadRequest("must specify one of -f and -k");
    if (!args.empty()) return UsageError(fmt::format("Unexpected args: [{}]", fmt::join(args, " ")));
    ManifestOptions options{.files = files_, .recursive = recursive_};
    options.validation = TRY(ParseFieldValidation(validate_));
    std::vector<ManifestObject> objects = TRY(LoadManifests(session.invocation(), options));
    if (objects.empty()) return BadRequest("no objects passed to apply");
    Failures failures;
    for (ManifestObject& object : objects) {
      Ok applied = ApplyOne(session, object);
      if (applied.ok()) continue;
      const Status& why = applied.status();
      TRY(failures.Add(session,
                       server_side_ ? why : why.WithContext(fmt::format("error when applying \"{}\"", object.source))));
    }
    return failures.ExitCode();
  }

 private:
  Ok ApplyOne(Session& session, ManifestObject& object) {
    if (object.name.empty()) {
      return BadRequest(object.document.root.Get("metadata", "generateName").is_null()
                            ? "resource name may not be empty"
                            : "from a manifest with generateName, objects are created, not applied");
    }
    const std::string ns = TRY(session.NamespaceFor(*object.kind, object.ns));
    SetNamespace(object.document, *object.kind, ns);
    const client::ObjectName name{ns, object.name};
    client::Client& client = session.client();
    if (server_side_) {
      client::WriteOptions options = write_.Options();
      options.force = force_conflicts_;
      const api::ObjectPtr applied = TRY(ApplyOnServer(session, *object.kind, name, object.document.root, options));
      return write_.PrintResult(session, *object.kind, *applied, "serverside-applied");
    }
    Result<api::ObjectPtr> live = client.Get(*object.kind, name);
    if (live.Failed(Reason::kNotFound)) return CreateNew(session, client, object, ns);
    for (int tries = kTries; true; live = client.Get(*object.kind, name)) {
      if (!live.ok()) return live.status();
      Ok patched = PatchLive(session, client, object, name, **live);
      if (!patched.Failed(Reason::kConflict) || --tries == 0) return patched;
    }
  }

  Ok CreateNew(Session& session, client::Client& client, ManifestObject& object, const std::string& ns) {
    const std::string text = LastAppliedText(object.document.root);
    SetLastApplied(object.document, text);
    api::ObjectPtr created;
    if (write_.dry_run() == DryRun::kClient) {
      created = api::Object::FromDocument(doc::Document::Copy(object.document.root));
    } else {
      created = TRY(client.Create(*object.kind, ns, object.document.root, write_.Options()));
    }
    return write_.PrintResult(session, *object.kind, *created, "created");
  }

  Ok PatchLive(Session& session, client::Client& client, const ManifestObject& object, const client::ObjectName& name,
               const api::Object& live) {
    const std::string_view applied = live.tree().Get("metadata", "annotations").At(kLastApplied).AsString();
    if (applied.empty()) {
      TRY(
          session.Warn(fmt::format("Warning: resource {} is missing the {} annotation which is required by kubectl "
                                   "apply. kubectl apply should only be used on resources created declaratively by "
                                   "either kubectl create --save-config or kubectl apply. The missing annotation will "
                                   "be patched automatically.\n",
                                   fmt::format("{}/{}", object.kind->plural, object.name), kLastApplied)));
    }
    doc::Document original;
    if (!applied.empty()) original = TRY(doc::ParseJson(applied).Context("the last-applied annotation"));
    doc::Document modified = doc::Document::Copy(object.document.root);
    SetLastApplied(modified, LastAppliedText(object.document.root));
    doc::Arena arena;
    doc::Value patch =
        TRY(api::CreateThreeWayMergePatch(*object.kind->type, original.root, modified.root, live.tree(), arena));
    if (patch.empty()) return write_.PrintResult(session, *object.kind, live, "unchanged");
    if (write_.dry_run() == DryRun::kClient) return write_.PrintResult(session, *object.kind, live, "configured");
    api::ObjectPtr patched = TRY(
        client.Patch(*object.kind, name, client::PatchType::kStrategicMerge, doc::ToJson(patch), "", write_.Options()));
    return write_.PrintResult(session, *object.kind, *patched, "configured");
  }

  std::vector<std::string> files_;
  bool recursive_ = false;
  std::string validate_ = "strict";
  bool server_side_ = false;
  bool force_conflicts_ = false;
  WriteFlags write_;
};

}  // namespace

std::unique_ptr<Command> MakeApply() { return std::make_unique<Apply>(); }

}  // namespace knarr::cli
