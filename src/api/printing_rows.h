#pragma once

// The cells of each kind. Internal to this folder.

#include <span>
#include <string>
#include <string_view>

#include "api/core_v1.h"
#include "api/schema.h"
#include "base/time.h"
#include "doc/value.h"

namespace knarr::api::printing {

/// Collects the cells of one row.
class Row {
 public:
  Row(WallTime now, doc::Arena& arena) : now_(now), arena_(arena), cells_(doc::Value::Array()) {}
  void Text(std::string_view text) { cells_.Append(arena_, doc::Value::String(arena_, text)); }
  /// The text, or this when it is empty.
  void TextOr(std::string_view text, std::string_view other) { Text(text.empty() ? other : text); }
  void Flag(bool flag) { cells_.Append(arena_, doc::Value::Bool(flag)); }
  void Number(int64_t number) { cells_.Append(arena_, doc::Value::Int(number)); }
  void Age(const doc::Value& timestamp);
  WallTime now() const { return now_; }
  const doc::Value& cells() const { return cells_; }

 private:
  WallTime now_;
  doc::Arena& arena_;
  doc::Value cells_;
};

using Printer = void (*)(const doc::Value& object, Row& row);

/// How a kind is printed.
struct Entry {
  std::string_view package;
  std::string_view kind;
  std::span<const Column> columns;
  Printer print;
};
std::span<const Entry> ExtensionEntries();
std::span<const Entry> WorkloadEntries();
std::span<const Entry> NetworkingEntries();
std::span<const Entry> StorageEntries();

// Cells that many kinds have.
void Name(const doc::Value& object, Row& row);
void Age(const doc::Value& object, Row& row);
/// The names and the images of the containers.
void TemplateContainers(const doc::Value& pod_template, Row& row);
/// One member of each element, with commas between.
std::string JoinMembers(const doc::Value& list, std::string_view member);

void PrintPod(const doc::Value& object, Row& row);
void PrintPodTemplate(const doc::Value& object, Row& row);
void PrintReplicationController(const doc::Value& object, Row& row);
void PrintReplicaSet(const doc::Value& object, Row& row);
void PrintDeployment(const doc::Value& object, Row& row);
void PrintStatefulSet(const doc::Value& object, Row& row);
void PrintDaemonSet(const doc::Value& object, Row& row);
void PrintControllerRevision(const doc::Value& object, Row& row);
void PrintService(const doc::Value& object, Row& row);
void PrintEndpoints(const doc::Value& object, Row& row);
void PrintEndpointSlice(const doc::Value& object, Row& row);
void PrintNode(const doc::Value& object, Row& row);
void PrintNamespace(const doc::Value& object, Row& row);
void PrintSecret(const doc::Value& object, Row& row);
void PrintConfigMap(const doc::Value& object, Row& row);
void PrintNameAndAge(const doc::Value& object, Row& row);
void PrintPersistentVolume(const doc::Value& object, Row& row);
void PrintPersistentVolumeClaim(const doc::Value& object, Row& row);
void PrintCoreEvent(const doc::Value& object, Row& row);
void PrintEventsEvent(const doc::Value& object, Row& row);
void PrintResourceQuota(const doc::Value& object, Row& row);
void PrintComponentStatus(const doc::Value& object, Row& row);
void PrintLease(const doc::Value& object, Row& row);
void PrintDefault(const doc::Value& object, Row& row);

}  // namespace knarr::api::printing
