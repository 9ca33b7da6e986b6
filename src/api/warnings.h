#pragma once

// Things about objects that are worth a Warning header and are no errors, in upstream's words. Which kind warns of what
// is its Strategy's affair (apiserver/strategies).

#include <string>
#include <string_view>
#include <vector>

#include "api/meta_v1.h"
#include "doc/value.h"

namespace knarr::api {

/// An address, or a CIDR, in a form that not everybody reads alike or that is not the canonical one; of values that the
/// rules for old fields let in.
std::vector<std::string> WarningsOfIp(const std::string& path, std::string_view value);
std::vector<std::string> WarningsOfCidr(const std::string& path, std::string_view value);

/// What to use instead of a node's label that is no more; "" of any other.
std::string_view DeprecatedNodeLabel(std::string_view label);
/// The same of all labels in a selector.
std::vector<std::string> WarningsOfNodeSelector(const std::string& path, const meta_v1::LabelSelector& selector);

/// Of a pod, or of a template for pods that stands at `path` in its object ("" for a pod itself): things with metadata
/// and spec.
std::vector<std::string> WarningsOfPod(std::string_view path, const doc::Value& pod);
/// Of the name of a pod, or of something whose pods' names begin with its own. `use` says which: "Pod names and
/// hostnames".
std::vector<std::string> WarningsOfHostName(std::string_view name, std::string_view use);
/// Of the spec of a claim for a volume.
std::vector<std::string> WarningsOfClaimSpec(const std::string& path, const doc::Value& spec);

/// Of the spec of a claim, and of annotations that came before its fields.
std::vector<std::string> WarningsOfClaim(const doc::Value& claim);
std::vector<std::string> WarningsOfVolume(const doc::Value& volume);
std::vector<std::string> WarningsOfService(const doc::Value& service);
/// The addresses in the status of a Service or an Ingress.
std::vector<std::string> WarningsOfLoadBalancer(const doc::Value& object);
std::vector<std::string> WarningsOfNode(const doc::Value& node);
std::vector<std::string> WarningsOfEndpoints(const doc::Value& endpoints);
/// Requests that allow more than the limits do.
std::vector<std::string> WarningsOfQuota(const doc::Value& quota);

/// The formats in a custom resource definition's schemas that nothing checks; of an update (`old`) the new ones.
std::vector<std::string> WarningsOfDefinition(const doc::Value& definition, const doc::Value* old);

}  // namespace knarr::api
