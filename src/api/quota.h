#pragma once

// What objects use of a ResourceQuota, by upstream's rules: which resource names of a quota an object's kind stands
// for, which objects a quota's scopes select, and how much one object uses. The API server charges with it, the
// controller counts with it.

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/resource_list.h"
#include "base/time.h"
#include "doc/value.h"

namespace knarr::api {

using ResourceNames = std::set<std::string, std::less<>>;
ResourceNames NamesOf(const ResourceList& list);

/// One condition on the objects that a quota counts (spec.scopes, spec.scopeSelector).
struct QuotaScope {
  std::string_view name;
  std::string_view op;  ///< "In", "NotIn", "Exists", "DoesNotExist"
  std::vector<std::string_view> values;
};
/// The conditions of a quota, or of anything else with such members. The views point into the tree.
std::vector<QuotaScope> ScopesOf(const doc::Value& scopes, const doc::Value& scope_selector);

/// What becomes of an object: nullptr for the side that is not there.
struct QuotaChange {
  std::string_view subresource;
  const doc::Value* object = nullptr;
  const doc::Value* old_object = nullptr;
};

class QuotaEvaluator {
 public:
  virtual ~QuotaEvaluator() = default;
  /// Whether the write (a create, when there is no old object) is charged.
  virtual bool Handles(const QuotaChange& change) const = 0;
  /// Whether objects of this kind use the resource.
  virtual bool Counts(std::string_view resource) const = 0;
  virtual bool InScope(const QuotaScope& /*scope*/, const doc::Value& /*object*/) const { return false; }
  /// Whether InScope is ever true: scopes of other kinds restrict nothing here.
  virtual bool has_scopes() const { return false; }
  virtual ResourceList Usage(const doc::Value& object, WallTime now) const = 0;
  /// What the object lacks to be charged for the resources ("must specify limits.cpu for: a"); "" for nothing.
  virtual std::string Missing(const ResourceNames& /*resources*/, const doc::Value& /*object*/) const { return {}; }
  /// Whether an update frees something, so that quotas must be counted anew.
  virtual bool Frees(const doc::Value& /*object*/, const doc::Value& /*old_object*/) const { return false; }

  ResourceNames Counted(const ResourceNames& resources) const;
  bool InScopes(const std::vector<QuotaScope>& scopes, const doc::Value& object) const;
};

/// The rules of a resource: those of pods, services, claims and device claims, and plain counting for all others.
std::unique_ptr<QuotaEvaluator> MakeQuotaEvaluator(std::string_view group, std::string_view plural);

/// "count/deployments.apps"
std::string ObjectCountName(std::string_view group, std::string_view plural);

/// For MakeQuotaEvaluator.
std::unique_ptr<QuotaEvaluator> MakePodQuota();

}  // namespace knarr::api
