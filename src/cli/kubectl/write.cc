#include "cli/kubectl/write.h"
#include "cli/kubectl/errors.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/kubectl/manifest.h"
#include "cli/kubectl/resources.h"

namespace knarr::cli {

void WriteFlags::AddFlags(FlagSet& flags, std::string field_manager) {
  field_manager_ = std::move(field_manager);
  flags.OptionalString(&dry_run_text_, "dry-run", 0, "unchanged",
                       "none, client (print only) or server (do all but store)");
  flags.String(&output_, "output", 'o', "Output format: yaml, json, name, jsonpath=…");
  flags.String(&field_manager_, "field-manager", 0, "Who manages the fields that are written");
  flags.Bool(&show_managed_fields_, "show-managed-fields", 0, "Show metadata.managedFields in yaml and json");
}

Ok WriteFlags::Check() {
  if (dry_run_text_ == "client") {
    dry_run_ = DryRun::kClient;
  } else if (dry_run_text_ == "server") {
    dry_run_ = DryRun::kServer;
  } else if (dry_run_text_ == "unchanged") {
    return BadRequest(
        "--dry-run flag without a value was specified. A value must be set: \"none\", \"server\", or \"client\".");
  } else if (dry_run_text_ != "none") {
    return BadRequest(
        fmt::format("Invalid dry-run value ({}). Must be \"none\", \"server\", or \"client\".", dry_run_text_));
  }
  format_ = TRY(OutputFormat::Parse(output_));
  return {};
}

client::WriteOptions WriteFlags::Options() const {
  return {.dry_run = dry_run_ == DryRun::kServer, .field_manager = field_manager_};
}

Ok WriteFlags::PrintResult(Session& session, const api::KindInfo& kind, const api::Object& object,
                           std::string_view done) const {
  if (!format_.name.empty() && format_.name != "wide") {
    if (format_.name == "yaml" && printed_++ > 0) TRY(session.Print("---\n"));
    std::vector<doc::Document> one;
    one.push_back(Printable(object.tree(), ShowsManagedFields(format_, show_managed_fields_)));
    return session.Print(TRY(PrintObjects(format_, one, {&kind}, false)));
  }
  std::string_view suffix;
  if (dry_run_ == DryRun::kClient) suffix = " (dry run)";
  if (dry_run_ == DryRun::kServer) suffix = " (server dry run)";
  return session.Print(fmt::format("{} {}{}\n", TypedName(kind, object.name()), done, suffix));
}

void SetNamespace(doc::Document& document, const api::KindInfo& kind, std::string_view ns) {
  if (!kind.namespaced || ns.empty()) return;
  doc::Value& metadata = document.root.Ensure(document.arena, "metadata");
  metadata.Set(document.arena, "namespace", doc::Value::String(document.arena, ns));
}

Ok Failures::Add(Session& session, const Status& status) {
  count_++;
  TRY(session.console().Flush());
  return session.Warn(ErrorText(status, ""));
}

void SelectFlags::AddFlags(FlagSet& flags) {
  flags.StringSlice(&files, "filename", 'f', "Files, folders or - that name the objects");
  flags.Bool(&recursive, "recursive", 'R', "Folders with their subfolders");
  flags.Bool(&all, "all", 0, "All objects of the types");
  flags.Bool(&all_namespaces, "all-namespaces", 'A', "In every namespace");
  flags.String(&selector, "selector", 'l', "Objects whose labels fit");
  flags.String(&field_selector, "field-selector", 0, "Objects whose fields fit");
}

Result<std::vector<SelectFlags::Item>> SelectFlags::Select(Session& session, const std::vector<std::string>& args,
                                                           bool fetch) const {
  std::vector<Item> out;
  if (!files.empty()) {
    ManifestOptions options{.files = files, .recursive = recursive, .validation = FieldValidation::kIgnore};
    for (const ManifestObject& object : TRY(LoadManifests(session.invocation(), options))) {
      out.push_back({object.kind, {TRY(session.NamespaceFor(*object.kind, object.ns)), object.name}, nullptr});
    }
  } else {
    if (args.empty()) {
      return BadRequest(
          "You must provide one or more resources by argument or filename.\n"
          "Example resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   "
          "'<resource> <name>'\n   '<resource>'");
    }
    ResourceArgs resources = TRY(ParseResourceArgs(args));
    const bool listing = all || !selector.empty() || !field_selector.empty();
    for (const ResourceArgs::Item& item : resources.items) {
      const std::string ns = all_namespaces && listing ? "" : TRY(session.NamespaceFor(*item.kind));
      if (!item.name.empty()) {
        if (listing) return BadRequest("setting 'all' parameter or a selector but found a non empty resource name");
        out.push_back({item.kind, {ns, item.name}, nullptr});
        continue;
      }
      if (!listing) {
        return BadRequest("resource(s) were provided, but no name was specified");
      }
      client::ListOptions options{.label_selector = selector, .field_selector = field_selector};
      for (api::ObjectPtr& object : TRY(session.client().List(*item.kind, ns, options)).items) {
        client::ObjectName name{std::string(object->ns()), std::string(object->name())};
        out.push_back({item.kind, std::move(name), std::move(object)});
      }
    }
  }
  for (Item& item : out) {
    if (fetch && item.object == nullptr) item.object = TRY(session.client().Get(*item.kind, item.name));
  }
  return out;
}

}  // namespace knarr::cli
