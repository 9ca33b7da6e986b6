#include <fmt/format.h>

#include <algorithm>

#include "api/autoscaling_v1.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"
#include "cli/kubectl/write.h"
#include "doc/json.h"

namespace knarr::cli {
namespace {

class Scale : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    select_.AddFlags(flags);
    flags.Int(&replicas_, "replicas", 0, "The new number of replicas");
    flags.Int(&current_, "current-replicas", 0, "Only when there are this many now; -1: in any case");
    flags.String(&resource_version_, "resource-version", 0, "Only when the object is still at this version");
    write_.AddFlags(flags, "kubectl-scale");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    TRY(write_.Check());
    if (replicas_ < 0)
      return BadRequest("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
    Result<std::vector<SelectFlags::Item>> selected = select_.Select(session, args, true);
    if (selected.Failed(Reason::kNotFound)) {
      return BadRequest("no objects passed to scale " + selected.status().message());
    }
    const std::vector<SelectFlags::Item> items = TRY(std::move(selected));
    if (items.empty()) return BadRequest("no objects passed to scale");
    Failures failures;
    for (const SelectFlags::Item& item : items) {
      Ok scaled = ScaleOne(session, item);
      if (!scaled.ok()) TRY(failures.Add(session, scaled.status()));
    }
    return failures.ExitCode();
  }

 private:
  Ok ScaleOne(Session& session, const SelectFlags::Item& item) {
    if (std::ranges::find(item.kind->subresources, "scale") == item.kind->subresources.end()) {
      return PlainError("Error from server (NotFound): the server could not find the requested resource");
    }
    client::Client& client = session.client();
    api::ObjectPtr scale = TRY(client.Get(*item.kind, item.name, "scale"));
    const int64_t now = api::autoscaling_v1::Scale(scale->tree()).spec().replicas();
    if (current_ >= 0 && now != current_) {
      return BadRequest(fmt::format("Expected replicas to be {}, was {}", current_, now));
    }
    if (!resource_version_.empty() && scale->resource_version() != resource_version_) {
      return BadRequest(
          fmt::format("Expected resource version to be {}, was {}", resource_version_, scale->resource_version()));
    }
    if (write_.dry_run() != DryRun::kClient) {
      const std::string patch = fmt::format(R"({{"spec":{{"replicas":{}}}}})", replicas_);
      TRY(client.Patch(*item.kind, item.name, client::PatchType::kMerge, patch, "scale", write_.Options()));
    }
    return write_.PrintResult(session, *item.kind, *item.object, "scaled");
  }

  SelectFlags select_;
  WriteFlags write_;
  int64_t replicas_ = -1;
  int64_t current_ = -1;
  std::string resource_version_;
};

}  // namespace

std::unique_ptr<Command> MakeScale() { return std::make_unique<Scale>(); }

}  // namespace knarr::cli
