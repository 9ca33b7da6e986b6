// Objects as large as a request may be, made to cost the square of that: they are told what is wrong, in time and in
// words that end. (A rule that compares everything with everything would not come back.)

#include <gtest/gtest.h>

#include <string>

#include "api/core_v1.h"
#include "api/validation.h"
#include "api/validation/errors.h"
#include "api/validation/go_form.h"

namespace knarr::api {
namespace {

using doc::Value;

constexpr size_t kMany = 60'000;

size_t BytesOf(const ErrorList& errors) {
  size_t bytes = 0;
  for (const FieldError& error : errors) bytes += error.field.size() + error.body.size();
  return bytes;
}

void ExpectCutOff(const ErrorList& errors) {
  ASSERT_FALSE(errors.empty());
  EXPECT_EQ(errors.back().body, "Too many errors: the rest is not shown");
  EXPECT_LT(BytesOf(errors), 2 * validation::Errors::kBytesMax);
}

std::string Name(size_t number) { return "n" + std::to_string(number); }

Value Names(size_t count, std::string_view prefix, doc::Arena& arena) {
  Value out = Value::Array();
  for (size_t i = 0; i < count; ++i) out.Append(arena, Value::String(arena, std::string(prefix) + std::to_string(i)));
  return out;
}

Value Named(size_t count, doc::Arena& arena) {
  Value out = Value::Array();
  for (size_t i = 0; i < count; ++i) {
    Value item = Value::Object();
    item.Set(arena, "name", Value::String(arena, Name(i)));
    out.Append(arena, item);
  }
  return out;
}

TEST(HostileTest, ErrorsThatShowEverythingAreCutOff) {
  doc::Document quota;
  quota.root.Ensure(quota.arena, "metadata").Set(quota.arena, "name", Value::Borrow("q"));
  quota.root.Ensure(quota.arena, "spec").Set(quota.arena, "scopes", Names(kMany, "s", quota.arena));
  ExpectCutOff(ValidateCreate(*FindKind("v1", "ResourceQuota"), quota.root));
}

TEST(HostileTest, WhatWasLeftOutCounts) {
  validation::Errors errors;
  const std::string text(validation::Errors::kBytesMax / 2, 'x');
  for (int i = 0; i < 2; ++i) errors.Forbidden(validation::Path("a"), text);
  EXPECT_TRUE(errors.full());
  validation::Errors more;
  more.Required(validation::Path("b"));
  errors.Append(std::move(more));
  EXPECT_EQ(errors.size(), 3u);
  const ErrorList list = std::move(errors).Take();
  ASSERT_EQ(list.size(), 3u);
  ExpectCutOff(list);
  EXPECT_EQ(InvalidObject(*FindKind("v1", "Pod"), "p", list).details().causes.back().type, "FieldValueTooMany");
}

Value Pod(doc::Arena& arena) {
  Value pod = Value::Object();
  pod.Ensure(arena, "metadata").Set(arena, "name", Value::Borrow("p"));
  Value containers = Named(1, arena);
  pod.Ensure(arena, "spec").Set(arena, "containers", containers);
  return pod;
}

TEST(HostileTest, ClaimsOfContainersArePairedInTime) {
  doc::Arena arena;
  Value pod = Pod(arena);
  Value& spec = *pod.Find("spec");
  spec.Set(arena, "resourceClaims", Named(kMany / 2, arena));
  (*spec.Find("containers"))[0].Ensure(arena, "resources").Set(arena, "claims", Named(kMany, arena));
  ExpectCutOff(ValidateCreate(*FindKind("v1", "Pod"), pod));
}

TEST(HostileTest, StatusesArePairedInTime) {
  doc::Arena arena;
  Value pod = Pod(arena);
  pod.Find("spec")->Set(arena, "resourceClaims", Named(kMany, arena));
  pod.Find("spec")->Set(arena, "containers", Named(kMany, arena));
  const Value old = pod.Clone(arena);
  Value& status = pod.Ensure(arena, "status");
  status.Set(arena, "resourceClaimStatuses", Named(kMany, arena));
  Value mappings = Value::Array();
  for (size_t i = 0; i < kMany; ++i) {
    Value mapping = Value::Object();
    mapping.Set(arena, "containerName", Value::String(arena, Name(kMany - i)));
    mappings.Append(arena, mapping);
  }
  status.Ensure(arena, "extendedResourceClaimStatus").Set(arena, "requestMappings", mappings);
  EXPECT_FALSE(ValidateStatusUpdate(*FindKind("v1", "Pod"), pod, old).empty());
}

TEST(HostileTest, FileKeysAndLabelKeysArePairedInTime) {
  doc::Arena arena;
  Value pod = Pod(arena);
  Value& spec = *pod.Find("spec");
  spec.Set(arena, "volumes", Named(kMany, arena));
  Value variables = Named(kMany, arena);
  for (Value& variable : variables.items()) {
    variable.Ensure(arena, "valueFrom").Ensure(arena, "fileKeyRef").Set(arena, "volumeName", Value::Borrow("n1"));
  }
  (*spec.Find("containers"))[0].Set(arena, "env", variables);
  Value term = Value::Object();
  Value requirements = Value::Array();
  for (size_t i = 0; i < kMany; ++i) {
    Value requirement = Value::Object();
    requirement.Set(arena, "key", Value::Borrow("again"));
    requirements.Append(arena, requirement);
  }
  term.Ensure(arena, "labelSelector").Set(arena, "matchExpressions", requirements);
  term.Set(arena, "matchLabelKeys", Names(kMany, "a", arena));
  term.Set(arena, "mismatchLabelKeys", Names(kMany, "b", arena));
  Value terms = Value::Array();
  terms.Append(arena, term);
  spec.Ensure(arena, "affinity")
      .Ensure(arena, "podAffinity")
      .Set(arena, "requiredDuringSchedulingIgnoredDuringExecution", terms);
  EXPECT_FALSE(ValidateCreate(*FindKind("v1", "Pod"), pod).empty());
}

Value Rbd(const Value& monitors, doc::Arena& arena) {
  Value source = Value::Object();
  source.Ensure(arena, "rbd").Set(arena, "monitors", monitors);
  return source;
}

std::string Difference(const Value& before, const Value& after) {
  return validation::GoDifference(core_v1::PersistentVolumeSource::SchemaType(), before, after);
}

constexpr std::string_view kNotAll = "(too long to compare in full: some of these lines may be in both)\n";

// Each second line is another: as many blocks as half the lines, each of which is looked for among all.
TEST(HostileTest, DifferencesOfManyLinesEnd) {
  doc::Arena arena;
  const Value before = Names(kMany, "m", arena);
  Value after = before.Clone(arena);
  for (size_t i = 0; i < kMany; i += 2) after[i] = Value::String(arena, "other" + std::to_string(i));
  const std::string text = Difference(Rbd(before, arena), Rbd(after, arena));
  EXPECT_TRUE(text.ends_with(kNotAll));
  EXPECT_NE(text.find("\n-   \"m0\",\n"), std::string::npos);
  EXPECT_NE(text.find("\n+   \"other0\",\n"), std::string::npos);
  // Few lines that are everywhere.
  Value cycle = Value::Array();
  Value back = Value::Array();
  for (size_t i = 0; i < kMany; ++i) {
    cycle.Append(arena, Value::String(arena, Name(i % 101)));
    back.Append(arena, Value::String(arena, Name(i * 7 % 101)));
  }
  EXPECT_TRUE(Difference(Rbd(cycle, arena), Rbd(back, arena)).ends_with(kNotAll));
}

TEST(HostileTest, DifferencesOfOrdinaryLengthAreWhole) {
  doc::Arena arena;
  const Value before = Names(1000, "m", arena);
  Value after = before.Clone(arena);
  for (size_t i = 0; i < 1000; i += 10) after[i] = Value::Borrow("other");
  const std::string text = Difference(Rbd(before, arena), Rbd(after, arena));
  EXPECT_FALSE(text.ends_with(kNotAll));
  size_t changed = 0;
  for (size_t at = text.find("\n+   \"other\""); at != std::string::npos; at = text.find("\n+   \"other\"", at + 1)) {
    ++changed;
  }
  EXPECT_EQ(changed, 100u);
}

}  // namespace
}  // namespace knarr::api
