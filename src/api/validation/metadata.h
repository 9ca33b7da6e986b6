#pragma once

// Names, labels, selectors and the rest of what every kind has. Internal to api/validation.

#include <string_view>
#include <vector>

#include "api/meta_v1.h"
#include "api/validation/errors.h"

namespace knarr::api::validation {

using Problems = std::vector<std::string>;

/// Upstream's naming rules; `prefix` for a generateName, whose trailing hyphen is fine.
using NameRule = Problems (*)(std::string_view name, bool prefix);
Problems NameIsSubdomain(std::string_view name, bool prefix);
Problems NameIsLabel(std::string_view name, bool prefix);
Problems NameIsDns1035Label(std::string_view name, bool prefix);
Problems NameIsPathSegment(std::string_view name, bool prefix);
/// An address in its canonical form; there is no generating such a name.
Problems NameIsCanonicalIp(std::string_view name, bool prefix);
NameRule NameRuleOf(const KindInfo& kind);

void ValidateMetadata(const doc::Value& metadata, bool namespaced, NameRule rule, const Path& path, Errors& errors);
void ValidateMetadataUpdate(const doc::Value& metadata, const doc::Value& old, const Path& path, Errors& errors);
/// The same but for finalizers of other forms than core's.
void ValidateAnyMetadata(const doc::Value& metadata, bool namespaced, NameRule rule, const Path& path, Errors& errors);
void ValidateAnyMetadataUpdate(const doc::Value& metadata, const doc::Value& old, const Path& path, Errors& errors);

/// Of what objects are made from: labels and annotations, nothing else.
void ValidateTemplateMetadata(const meta_v1::ObjectMeta& metadata, const Path& path, Errors& errors);

/// Qualified, or one of the three that are not.
bool IsFinalizerName(std::string_view name);

void ValidateLabelName(std::string_view name, const Path& path, Errors& errors);
void ValidateQualifiedName(std::string_view name, const Path& path, Errors& errors);
void ValidateLabels(const StringMap& labels, const Path& path, Errors& errors);
void ValidateAnnotations(const StringMap& annotations, const Path& path, Errors& errors);
/// `strict_values`: the values must be label values too.
void ValidateLabelSelector(const meta_v1::LabelSelector& selector, bool strict_values, const Path& path,
                           Errors& errors);
/// Whether some value in the selector's expressions can't be a label's: old objects may keep such a selector.
bool HasInvalidLabelValue(const meta_v1::LabelSelector& selector);
void ValidateDns1123Label(std::string_view value, const Path& path, Errors& errors);
void ValidateDns1123Subdomain(std::string_view value, const Path& path, Errors& errors);
/// Something that can be a part of a URL's path; Required when it is empty.
void ValidatePathSegment(std::string_view value, const Path& path, Errors& errors);
/// "example.com/some/path"; Required when it is empty.
void ValidateDomainPrefixedPath(std::string_view value, const Path& path, Errors& errors);
/// A status' list of meta/v1 conditions.
void ValidateConditions(const doc::Value& conditions, const Path& path, Errors& errors);
/// Reports "field is immutable" when the two differ.
void ValidateImmutable(const doc::Value& value, const doc::Value& old, const Path& path, Errors& errors);

}  // namespace knarr::api::validation
