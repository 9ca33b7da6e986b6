// Kinds that are little more than what is written in them, and every kind without a layout of its own.

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "api/core_v1.h"
#include "base/strings.h"
#include "cli/kubectl/describe.h"

namespace knarr::cli {
namespace {

void AddHead(Description& out, const api::Object& object) {
  out.NameAndNamespace(object);
  out.Labels("Labels", object.tree().Get("metadata", "labels"));
  out.Annotations(object.tree().Get("metadata", "annotations"));
}

std::vector<std::string> Scopes(const doc::Value& quota) {
  std::vector<std::string> scopes = Strings(quota.Get("spec", "scopes"));
  std::ranges::sort(scopes);
  return scopes;
}

std::string_view ScopeHelp(std::string_view scope) {
  if (scope == "Terminating") {
    return "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being "
           "actively terminated by the system.";
  }
  if (scope == "NotTerminating") {
    return "Matches all pods that do not have an active deadline. These pods usually include long running pods whose "
           "container command is not expected to terminate.";
  }
  if (scope == "BestEffort") {
    return "Matches all pods that do not have resource requirements set. These pods have a best effort quality of "
           "service.";
  }
  if (scope == "NotBestEffort") {
    return "Matches all pods that have at least one resource requirement set. These pods have a burstable or "
           "guaranteed quality of service.";
  }
  return "";
}

/// Names are as deep as `level`, the hints at scopes begin with `bullet`.
void AddQuota(Description& out, const doc::Value& quota, int level, std::string_view bullet, std::string_view rule) {
  const std::vector<std::string> scopes = Scopes(quota);
  if (!scopes.empty()) out.Add(level, fmt::format("Scopes:\t{}\n", Join(scopes, ", ")));
  for (const std::string& scope : scopes) {
    const std::string_view help = ScopeHelp(scope);
    if (!help.empty()) out.Add(level, fmt::format("{}{}\n", bullet, help));
  }
  out.Add(level, "Resource\tUsed\tHard\n");
  out.Add(level, fmt::format("--------\t{}\t{}\n", rule, rule));
  const doc::Value& hard = quota.Get("status", "hard");
  const doc::Value& used = quota.Get("status", "used");
  for (const std::string& name : SortedKeys(hard)) {
    const Quantity limit = QuantityOf(hard.At(name));
    Quantity now = QuantityOf(used.At(name));
    if (level == 0 && now.format() != limit.format()) now = Quantity(now.Value(), limit.format());
    out.Add(level, fmt::format("{}\t{}\t{}\n", name, now.ToString(), limit.ToString()));
  }
}

void AddLimits(Description& out, const doc::Value& limit_range, std::string_view prefix) {
  for (const doc::Value& item : limit_range.Get("spec", "limits").items()) {
    std::vector<std::string> names;
    constexpr std::string_view kMembers[] = {"min", "max", "defaultRequest", "default", "maxLimitRequestRatio"};
    for (std::string_view member : kMembers) {
      for (std::string& name : SortedKeys(item.At(member))) names.push_back(std::move(name));
    }
    std::ranges::sort(names);
    const auto repeated = std::ranges::unique(names);
    names.erase(repeated.begin(), repeated.end());
    for (const std::string& name : names) {
      std::string line = fmt::format("{}{}\t{}", prefix, item.At("type").AsString(), name);
      for (std::string_view member : kMembers) {
        const doc::Value& amount = item.At(member).At(name);
        line += "\t" + (amount.is_null() ? "-" : QuantityOf(amount).ToString());
      }
      out.Add(0, line + "\n");
    }
  }
}

constexpr std::string_view kLimitHeader =
    "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio\n";
constexpr std::string_view kLimitRule =
    "----\t--------\t---\t---\t---------------\t-------------\t-----------------------\n";

/// "creationTimestamp" → "Creation Timestamp", "podCIDR" → "Pod CIDR", "uid" → "UID".
std::string Title(std::string_view field) {
  const bool plain =
      std::ranges::all_of(field, [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '-'; });
  if (!plain) return std::string(field);
  auto type = [](char c) { return c == '-' ? 0 : std::isupper(static_cast<unsigned char>(c)) != 0 ? 1 : 2; };
  std::vector<std::string> parts;
  for (size_t i = 0; i < field.size(); ++i) {
    if (i == 0 || type(field[i]) != type(field[i - 1])) parts.emplace_back();
    parts.back() += field[i];
  }
  // The last capital of a run begins the word behind it.
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    if (type(parts[i][0]) != 1 || type(parts[i + 1][0]) != 2) continue;
    parts[i + 1].insert(parts[i + 1].begin(), parts[i].back());
    parts[i].pop_back();
  }
  std::erase(parts, "");
  for (std::string& part : parts) {
    constexpr std::string_view kAcronyms[] = {"API", "URL", "UID", "OSB", "GUID"};
    const std::string upper = ToUpper(part);
    if (std::ranges::find(kAcronyms, upper) != std::end(kAcronyms)) {
      part = upper;
    } else {
      part[0] = upper[0];
    }
  }
  return Join(parts, " ");
}

void AddMembers(Description& out, const doc::Value& object, int level, const std::string& path) {
  constexpr std::string_view kShown[] = {".metadata.managedFields", ".metadata.name", ".metadata.namespace",
                                         ".metadata.labels", ".metadata.annotations"};
  for (const std::string& key : SortedKeys(object)) {
    const std::string here = path + "." + key;
    if (std::ranges::find(kShown, here) != std::end(kShown)) continue;
    const doc::Value& value = object.At(key);
    if (!value.is_object() && !value.is_array()) {
      out.Add(level, fmt::format("{}:\t{}\n", Title(key), GoText(value)));
      continue;
    }
    out.Add(level, fmt::format("{}:\n", Title(key)));
    if (value.is_object()) AddMembers(out, value, level + 1, here);
    for (const doc::Value& item : value.items()) {
      if (item.is_object()) {
        AddMembers(out, item, level + 1, here);
      } else {
        out.Add(level + 1, fmt::format("{}\n", GoText(item)));
      }
    }
  }
}

}  // namespace

Ok DescribeNamespace(Description& out, const api::Object& object) {
  client::Client& client = out.client();
  client::ObjectList quotas = TRY(client.List(api::core_v1::ResourceQuotaInfo(), object.name()));
  client::ObjectList limits = TRY(client.List(api::core_v1::LimitRangeInfo(), object.name()));
  out.Name(object);
  out.Labels("Labels", object.tree().Get("metadata", "labels"));
  out.Annotations(object.tree().Get("metadata", "annotations"));
  out.Add(0, fmt::format("Status:\t{}\n", object.tree().Get("status", "phase").AsString()));
  const doc::Value& conditions = object.tree().Get("status", "conditions");
  if (!conditions.empty()) {
    out.Add(0, "Conditions:\n  Type\tStatus\tLastTransitionTime\tReason\tMessage\n");
    out.Add(1, "----\t------\t------------------\t------\t-------\n");
  }
  for (const doc::Value& condition : conditions.items()) {
    out.Add(1, fmt::format("{}\t{}\t{}\t{}\t{}\n", condition.At("type").AsString(), condition.At("status").AsString(),
                           LongTime(condition.At("lastTransitionTime")), condition.At("reason").AsString(),
                           condition.At("message").AsString()));
  }
  out.Add(0, quotas.items.empty() ? "\nNo resource quota.\n" : "\nResource Quotas\n");
  std::ranges::stable_sort(quotas.items, {}, [](const api::ObjectPtr& quota) { return quota->name(); });
  for (const api::ObjectPtr& quota : quotas.items) {
    out.Add(1, fmt::format("Name:\t{}\n", quota->name()));
    AddQuota(out, quota->tree(), 1, "* ", "---");
  }
  out.Add(0, "\n");
  if (limits.items.empty()) {
    out.Add(0, "No LimitRange resource.\n");
    return {};
  }
  out.Add(0, fmt::format("Resource Limits\n {} {}", kLimitHeader, kLimitRule));
  for (const api::ObjectPtr& limit : limits.items) AddLimits(out, limit->tree(), " ");
  return {};
}

Ok DescribeResourceQuota(Description& out, const api::Object& object) {
  out.NameAndNamespace(object);
  AddQuota(out, object.tree(), 0, " * ", "----");
  return {};
}

Ok DescribeLimitRange(Description& out, const api::Object& object) {
  out.NameAndNamespace(object);
  out.Add(0, kLimitHeader);
  out.Add(0, kLimitRule);
  AddLimits(out, object.tree(), "");
  return {};
}

Ok DescribeConfigMap(Description& out, const api::Object& object) {
  AddHead(out, object);
  out.Add(0, "\nData\n====\n");
  const doc::Value& data = object.tree().At("data");
  for (const std::string& key : SortedKeys(data)) {
    out.Add(0, fmt::format("{}:\n----\n", key));
    out.Add(0, fmt::format("{}\n", data.At(key).AsString()));
    out.Add(0, "\n");
  }
  out.Add(0, "\nBinaryData\n====\n");
  const doc::Value& binary = object.tree().At("binaryData");
  for (const std::string& key : SortedKeys(binary)) {
    const Result<std::string> bytes = Base64Decode(binary.At(key).AsString());
    out.Add(0, fmt::format("{}: {} bytes\n", key, bytes.ok() ? bytes->size() : 0));
  }
  out.Add(0, "\n");
  out.Events(object);
  return {};
}

Ok DescribeSecret(Description& out, const api::Object& object) {
  AddHead(out, object);
  const std::string_view type = object.tree().At("type").AsString();
  out.Add(0, fmt::format("\nType:\t{}\n", type));
  out.Add(0, "\nData\n====\n");
  const doc::Value& data = object.tree().At("data");
  for (const std::string& key : SortedKeys(data)) {
    const std::string bytes = Base64Decode(data.At(key).AsString()).value_or("");
    if (key == "token" && type == "kubernetes.io/service-account-token") {
      out.Add(0, fmt::format("{}:\t{}\n", key, bytes));
    } else {
      out.Add(0, fmt::format("{}:\t{} bytes\n", key, bytes.size()));
    }
  }
  return {};
}

Ok DescribeServiceAccount(Description& out, const api::Object& object) {
  AddHead(out, object);
  std::string_view title = "Image pull secrets:";
  const doc::Value& secrets = object.tree().At("imagePullSecrets");
  if (secrets.empty()) out.Add(0, fmt::format("{}\t<none>\n", title));
  for (const doc::Value& secret : secrets.items()) {
    out.Add(0, fmt::format("{}\t{}\n", title, secret.At("name").AsString()));
    title = "                   ";
  }
  out.Events(object);
  return {};
}

Ok DescribePodDisruptionBudget(Description& out, const api::Object& object) {
  const doc::Value& spec = object.tree().At("spec");
  const doc::Value& status = object.tree().At("status");
  out.NameAndNamespace(object);
  if (!spec.At("minAvailable").is_null()) {
    out.Add(0, fmt::format("Min available:\t{}\n", GoText(spec.At("minAvailable"))));
  } else if (!spec.At("maxUnavailable").is_null()) {
    out.Add(0, fmt::format("Max unavailable:\t{}\n", GoText(spec.At("maxUnavailable"))));
  }
  const doc::Value& selector = spec.At("selector");
  out.Add(0, fmt::format("Selector:\t{}\n", selector.is_null() ? "<unset>" : LabelSelectorText(selector)));
  out.Add(0, "Status:\n");
  out.Add(2, fmt::format("Allowed disruptions:\t{}\n", status.At("disruptionsAllowed").AsInt()));
  out.Add(2, fmt::format("Current:\t{}\n", status.At("currentHealthy").AsInt()));
  out.Add(2, fmt::format("Desired:\t{}\n", status.At("desiredHealthy").AsInt()));
  out.Add(2, fmt::format("Total:\t{}\n", status.At("expectedPods").AsInt()));
  out.Events(object);
  return {};
}

Ok DescribeAnything(Description& out, const api::Object& object) {
  AddHead(out, object);
  AddMembers(out, object.tree(), 0, "");
  out.Events(object);
  return {};
}

}  // namespace knarr::cli
