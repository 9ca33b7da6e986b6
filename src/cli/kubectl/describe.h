#pragma once

// `kubectl describe`: each kind is told in its own layout, written by one function a kind (describe_*.cc), in text
// whose columns are set apart by tabs. All of it is upstream's, to the space.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/schema.h"
#include "base/quantity.h"
#include "cli/kubectl/session.h"
#include "doc/value.h"

namespace knarr::cli {

/// Cells end at tabs; the cells of neighbouring lines that stand under each other get one width: the widest and two
/// spaces (Go's text/tabwriter).
std::string AlignTabs(std::string_view text);

/// One object's description as it grows.
class Description {
 public:
  Description(Session& session, bool show_events) : session_(session), show_events_(show_events) {}

  Session& session() { return session_; }
  client::Client& client() { return session_.client(); }

  /// Text, indented by two spaces a level. Lines end with their own line break.
  void Add(int level, std::string_view text);
  /// "Name:" and "Namespace:", the latter also for kinds without one when `always`.
  void Name(const api::Object& object);
  void NameAndNamespace(const api::Object& object);
  /// A line for each label, sorted by key; "<none>" without any.
  void Labels(std::string_view title, const doc::Value& labels);
  /// The same for annotations: long ones are cut, and those that only tools read are left out.
  void Annotations(const doc::Value& annotations, std::string_view title = "Annotations");
  void Tolerations(std::string_view title, const doc::Value& tolerations);
  /// The table of events about the object, if they are wanted.
  void Events(const api::Object& object);
  /// Also about `other_uid`: a node's agent writes events about the node's name.
  void Events(const api::Object& object, std::string_view kind, std::string_view other_uid);

  /// "3m" since the time, "<unknown>" without one.
  std::string Since(const doc::Value& time) const;
  /// All further text is indented by this many levels more.
  void set_nesting(int levels) { nesting_ = levels; }
  /// What was written, aligned.
  std::string Take();

 private:
  void AddEvents(std::vector<api::ObjectPtr> events);

  Session& session_;
  const bool show_events_;
  int nesting_ = 0;
  std::string done_;
  std::string text_;
};

using DescribeFunction = Ok (*)(Description& out, const api::Object& object);

Ok DescribePod(Description& out, const api::Object& object);
Ok DescribeNode(Description& out, const api::Object& object);
Ok DescribeReplicationController(Description& out, const api::Object& object);
Ok DescribeReplicaSet(Description& out, const api::Object& object);
Ok DescribeDeployment(Description& out, const api::Object& object);
Ok DescribeStatefulSet(Description& out, const api::Object& object);
Ok DescribeDaemonSet(Description& out, const api::Object& object);
Ok DescribeService(Description& out, const api::Object& object);
Ok DescribeEndpoints(Description& out, const api::Object& object);
Ok DescribeEndpointSlice(Description& out, const api::Object& object);
Ok DescribeNamespace(Description& out, const api::Object& object);
Ok DescribeConfigMap(Description& out, const api::Object& object);
Ok DescribeSecret(Description& out, const api::Object& object);
Ok DescribeServiceAccount(Description& out, const api::Object& object);
Ok DescribeResourceQuota(Description& out, const api::Object& object);
Ok DescribeLimitRange(Description& out, const api::Object& object);
Ok DescribePersistentVolume(Description& out, const api::Object& object);
Ok DescribePersistentVolumeClaim(Description& out, const api::Object& object);
Ok DescribePodDisruptionBudget(Description& out, const api::Object& object);
/// Every member of the object, for kinds without a layout of their own.
Ok DescribeAnything(Description& out, const api::Object& object);

// Parts that several kinds have.

/// `pod` resolves environment variables and may be null (templates); `statuses` may be null, too. `space` is the indent
/// of a pod template's parts.
void AddContainers(Description& out, std::string_view title, const doc::Value& containers, const doc::Value& statuses,
                   const doc::Value* pod, std::string_view space);
void AddVolumes(Description& out, const doc::Value& volumes, std::string_view space);
void AddPodTemplate(Description& out, const doc::Value& pod_template);
void AddTopologySpread(Description& out, const doc::Value& constraints, std::string_view space);
void AddResources(Description& out, const doc::Value& resources, int level);
/// A volume's kind and settings: PersistentVolumes and pods' volumes. False when the source is unknown.
bool AddVolumeSource(Description& out, const doc::Value& source, bool persistent);
/// A claim, or the template of one inside a pod (`whole` false).
void AddClaim(Description& out, const doc::Value& claim, bool whole);

/// "Kind/name" of the owner that controls the object; "".
std::string ControllerText(const doc::Value& object);
/// "Mon, 02 Jan 2006 15:04:05 -0700", in the local time zone.
std::string LongTime(const doc::Value& time);
std::string YesNo(bool value);
/// The value as Go prints it with %v: lists as "[a b]", maps as "map[a:b]", null as "<nil>".
std::string GoText(const doc::Value& value);
/// The strings of a list.
std::vector<std::string> Strings(const doc::Value& list);
/// A scalar as text, or `other` when it is absent.
std::string TextOr(const doc::Value& value, std::string_view other);
std::vector<std::string> SortedKeys(const doc::Value& map);
/// The quantity in canonical form; "0" when absent.
Quantity QuantityOf(const doc::Value& value);
/// "RWO,ROX".
std::string AccessModes(const doc::Value& modes);
/// "a=b,c=d", "<none>".
std::string SelectorText(const doc::Value& labels);
/// metav1.LabelSelector.
std::string LabelSelectorText(const doc::Value& selector);

}  // namespace knarr::cli
