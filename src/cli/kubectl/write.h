#pragma once

// What verbs that write share: --dry-run, -o, and how several failures end.

#include <string>

#include "cli/kubectl/print.h"
#include "cli/kubectl/session.h"

namespace knarr::cli {

enum class DryRun : uint8_t { kNone, kClient, kServer };

class WriteFlags {
 public:
  void AddFlags(FlagSet& flags, std::string field_manager);
  /// REQUIRES: called first in Run. BadRequest for values that make no sense.
  Ok Check();
  DryRun dry_run() const { return dry_run_; }
  /// Who writes unless --field-manager says so.
  void UseFieldManager(std::string_view name) {
    if (field_manager_.empty()) field_manager_ = name;
  }
  client::WriteOptions Options() const;
  /// "pod/web created", with "(dry run)" or "(server dry run)" behind it; or the object in the -o form.
  Ok PrintResult(Session& session, const api::KindInfo& kind, const api::Object& object, std::string_view done) const;

 private:
  std::string dry_run_text_ = "none";
  std::string output_;
  std::string field_manager_;
  bool show_managed_fields_ = false;
  DryRun dry_run_ = DryRun::kNone;
  OutputFormat format_;
  mutable int printed_ = 0;  ///< objects; YAML documents are set apart
};

/// Writes metadata.namespace where the kind has one.
void SetNamespace(doc::Document& document, const api::KindInfo& kind, std::string_view ns);

/// One object's failure does not keep the others from being tried; each is told, and the exit code is 1.
class Failures {
 public:
  Ok Add(Session& session, const Status& status);
  int ExitCode() const { return count_ == 0 ? 0 : 1; }

 private:
  int count_ = 0;
};

/// Objects named by arguments (TYPE NAME…, TYPE/NAME), by -f, or all of a type (-l, --all, --field-selector): what
/// verbs that change or delete existing objects work on.
struct SelectFlags {
  std::vector<std::string> files;
  bool recursive = false;
  bool all = false;
  bool all_namespaces = false;
  std::string selector;
  std::string field_selector;
  void AddFlags(FlagSet& flags);

  struct Item {
    const api::KindInfo* kind;
    client::ObjectName name;
    api::ObjectPtr object;  ///< null for those only named
  };
  /// `fetch`: objects that are only named are got, too. UsageError when nothing is named.
  Result<std::vector<Item>> Select(Session& session, const std::vector<std::string>& args, bool fetch) const;
};

}  // namespace knarr::cli
