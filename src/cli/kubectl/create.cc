#include <fmt/format.h>

#include "cli/kubectl/errors.h"
#include "cli/kubectl/generators.h"
#include "cli/kubectl/manifest.h"
#include "cli/kubectl/print.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"
#include "cli/kubectl/write.h"

namespace knarr::cli {
namespace {

class Create : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    flags.StringSlice(&files_, "filename", 'f', "Files, folders or - that hold the objects");
    flags.Bool(&recursive_, "recursive", 'R', "Folders with their subfolders");
    flags.String(&validate_, "validate", 0, "strict, warn or ignore unknown and duplicate fields");
    write_.AddFlags(flags, "kubectl-create");
    generator_.AddFlags(flags);
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    TRY(write_.Check());
    if (files_.empty()) {
      if (args.empty()) return BadRequest("must specify one of -f and -k");
      GeneratedObject made = TRY(generator_.Make(session, args));
      const std::string ns = TRY(session.NamespaceFor(*made.kind));
      // What is only shown says the namespace when the command line does.
      if (!session.globals().ns.empty()) SetNamespace(made.document, *made.kind, ns);
      Result<int> written = Write(session, *made.kind, ns, made.document);
      if (written.ok() || made.kind->kind == "Namespace") return written;
      // kubectl tells these in its own words, whatever the server's reason was.
      return BadRequest(fmt::format("failed to create {}: {}", made.noun, written.status().message()));
    }
    if (!args.empty()) return UsageError(fmt::format("Unexpected args: [{}]", fmt::join(args, " ")));
    ManifestOptions options{.files = files_, .recursive = recursive_};
    options.validation = TRY(ParseFieldValidation(validate_));
    std::vector<ManifestObject> objects = TRY(LoadManifests(session.invocation(), options));
    if (objects.empty()) return BadRequest("no objects passed to create");
    Failures failures;
    for (ManifestObject& object : objects) {
      const std::string ns = TRY(session.NamespaceFor(*object.kind, object.ns));
      SetNamespace(object.document, *object.kind, ns);
      Result<int> written = Write(session, *object.kind, ns, object.document);
      if (!written.ok()) {
        const std::string context = fmt::format("error when creating \"{}\"", object.source);
        TRY(failures.Add(session, written.status().WithContext(context)));
      }
    }
    return failures.ExitCode();
  }

 private:
  Result<int> Write(Session& session, const api::KindInfo& kind, const std::string& ns, doc::Document& document) {
    api::ObjectPtr created;
    if (write_.dry_run() == DryRun::kClient) {
      created = api::Object::FromDocument(doc::Document::Copy(document.root));
    } else {
      created = TRY(session.client().Create(kind, ns, document.root, write_.Options()));
    }
    TRY(write_.PrintResult(session, kind, *created, "created"));
    return 0;
  }

  std::vector<std::string> files_;
  bool recursive_ = false;
  std::string validate_ = "strict";
  WriteFlags write_;
  Generator generator_;
};

}  // namespace

std::unique_ptr<Command> MakeCreate() { return std::make_unique<Create>(); }

}  // namespace knarr::cli
