#include "api/persistent_volumes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <vector>

#include "doc/json.h"

namespace knarr::api {
namespace {

using core_v1::PersistentVolume;
using core_v1::PersistentVolumeClaim;

ObjectPtr Object(const std::string& json) { return Object::FromDocument(MUST(doc::ParseJson(json))); }

struct VolumeText {
  const char* name;
  const char* size = "1Gi";
  const char* modes = R"(["ReadWriteOnce"])";
  const char* more = "";  // of its spec
  const char* phase = "Available";
  const char* metadata = "";
};

ObjectPtr Volume(const VolumeText& text) {
  return Object(fmt::format(
      R"({{"metadata":{{"name":"{}"{}}},"spec":{{"capacity":{{"storage":"{}"}},"accessModes":{}{}}},"status":)"
      R"({{"phase":"{}"}}}})",
      text.name, text.metadata, text.size, text.modes, text.more, text.phase));
}

ObjectPtr Claim(const char* size, const char* more = "", const char* modes = R"(["ReadWriteOnce"])") {
  return Object(fmt::format(R"({{"metadata":{{"name":"c","namespace":"d","uid":"u"}},"spec":{{"accessModes":{},)"
                            R"("resources":{{"requests":{{"storage":"{}"}}}}{}}}}})",
                            modes, size, more));
}

TEST(PersistentVolumesTest, TheSmallestThatFitsIsFound) {
  constexpr const char* kMeant = R"(,"claimRef":{"namespace":"d","name":"c"})";
  constexpr const char* kOther = R"(,"claimRef":{"namespace":"d","name":"other"})";
  constexpr const char* kFast = R"(,"storageClassName":"fast")";
  constexpr const char* kManyModes = R"(["ReadOnlyMany","ReadWriteOnce"])";
  struct Case {
    const char* what;
    std::vector<VolumeText> volumes;
    ObjectPtr claim;
    const char* found;
    bool only_meant = false;
  };
  const Case cases[] = {
      {"none", {}, Claim("1Gi"), ""},
      {"too small", {{"a", "1Gi"}}, Claim("2Gi"), ""},
      {"the smallest", {{"a", "9Gi"}, {"b", "3Gi"}, {"c", "5Gi"}}, Claim("2Gi"), "b"},
      {"fewer modes before smaller", {{"a", "2Gi", kManyModes}, {"b", "9Gi"}}, Claim("2Gi"), "b"},
      {"more modes than asked for", {{"a", "2Gi", kManyModes}}, Claim("2Gi"), "a"},
      {"fewer than asked for", {{"a"}}, Claim("1Gi", "", kManyModes), ""},
      {"another class", {{"a", "1Gi", R"(["ReadWriteOnce"])", kFast}}, Claim("1Gi"), ""},
      {"its class", {{"a", "1Gi", R"(["ReadWriteOnce"])", kFast}}, Claim("1Gi", kFast), "a"},
      {"the old way to name it",
       {{"a", "1Gi", R"(["ReadWriteOnce"])", "", "Available",
         R"(,"annotations":{"volume.beta.kubernetes.io/storage-class":"fast"})"}},
       Claim("1Gi", kFast),
       "a"},
      {"not available", {{"a", "1Gi", R"(["ReadWriteOnce"])", "", "Released"}}, Claim("1Gi"), ""},
      {"being deleted",
       {{"a", "1Gi", R"(["ReadWriteOnce"])", "", "Available", R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")"}},
       Claim("1Gi"),
       ""},
      {"being deleted, and its own already",
       {{"a", "1Gi", R"(["ReadWriteOnce"])", R"(,"claimRef":{"namespace":"d","name":"c","uid":"u"})", "Bound",
         R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")"}},
       Claim("1Gi"),
       "a"},
      {"being deleted, and only meant for it",
       {{"a", "1Gi", R"(["ReadWriteOnce"])", kMeant, "Available", R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")"}},
       Claim("1Gi"),
       ""},
      {"meant for it before smaller", {{"a"}, {"b", "9Gi", R"(["ReadWriteOnce"])", kMeant, ""}}, Claim("1Gi"), "b"},
      {"meant for another", {{"a", "1Gi", R"(["ReadWriteOnce"])", kOther}}, Claim("1Gi"), ""},
      {"meant for it, but too small", {{"a", "1Gi", R"(["ReadWriteOnce"])", kMeant}}, Claim("2Gi"), ""},
      {"only what is meant", {{"a"}}, Claim("1Gi"), "", true},
      {"what is meant", {{"a"}, {"b", "9Gi", R"(["ReadWriteOnce"])", kMeant}}, Claim("1Gi"), "b", true},
      {"another mode", {{"a", "1Gi", R"(["ReadWriteOnce"])", R"(,"volumeMode":"Block")"}}, Claim("1Gi"), ""},
      {"selected",
       {{"a"}, {"b", "9Gi", R"(["ReadWriteOnce"])", "", "Available", R"(,"labels":{"k":"v"})"}},
       Claim("1Gi", R"(,"selector":{"matchLabels":{"k":"v"}})"),
       "b"},
  };
  for (const Case& c : cases) {
    std::vector<ObjectPtr> volumes;
    for (const VolumeText& text : c.volumes) volumes.push_back(Volume(text));
    const auto found = FindVolume(PersistentVolumeClaim(c.claim->tree()), volumes, {.only_meant = c.only_meant});
    ASSERT_TRUE(found.ok()) << c.what;
    EXPECT_EQ(*found == nullptr ? "" : (*found)->name(), c.found) << c.what;
  }
}

TEST(PersistentVolumesTest, WhatCantBeHadSaysWhy) {
  struct Case {
    VolumeText volume;
    ObjectPtr claim;
    const char* why;
  };
  const Case cases[] = {
      {{"a"}, Claim("1Gi"), ""},
      {{"a"}, Claim("2Gi"), "requested PV is too small"},
      {{"a"}, Claim("1Gi", R"(,"storageClassName":"x")"), "storageClassName does not match"},
      {{"a"}, Claim("1Gi", R"(,"volumeMode":"Block")"), "incompatible volumeMode"},
      {{"a"}, Claim("1Gi", "", R"(["ReadWriteMany"])"), "incompatible accessMode"},
      {{"a"}, Claim("1Gi", R"(,"volumeAttributesClassName":"x")"), "volumeAttributesClassName does not match"},
      {{"a", "1Gi", R"(["ReadWriteOnce"])", "", "", R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")"},
       Claim("1Gi"),
       "the volume is marked for deletion \"a\""},
  };
  for (const Case& c : cases) {
    const ObjectPtr volume = Volume(c.volume);
    EXPECT_EQ(WhyUnfit(PersistentVolume(volume->tree()), PersistentVolumeClaim(c.claim->tree())), c.why);
  }
}

TEST(PersistentVolumesTest, AVolumeRefersToItsClaim) {
  const ObjectPtr claim = Claim("1Gi");
  const PersistentVolumeClaim view(claim->tree());
  doc::Document fresh = doc::Document::Copy(Volume({"a"})->tree());
  EXPECT_TRUE(ReferToClaim(fresh, view));
  EXPECT_FALSE(ReferToClaim(fresh, view));
  EXPECT_EQ(fresh.root.Get("spec", "claimRef", "uid").AsString(), "u");
  EXPECT_EQ(fresh.root.Get("metadata", "annotations").At(kBoundByController).AsString(), "yes");
  // What a user said stays said by the user.
  doc::Document meant = doc::Document::Copy(
      Volume({"a", "1Gi", R"(["ReadWriteOnce"])", R"(,"claimRef":{"namespace":"d","name":"c"})"})->tree());
  EXPECT_TRUE(ReferToClaim(meant, view));
  EXPECT_EQ(meant.root.Get("spec", "claimRef", "uid").AsString(), "u");
  EXPECT_TRUE(meant.root.Get("metadata", "annotations").At(kBoundByController).is_null());
}

TEST(PersistentVolumesTest, TheYoungestDefaultClassCounts) {
  const auto named = [](const char* name, const char* made, const char* is_default) {
    return Object(fmt::format(R"({{"metadata":{{"name":"{}","creationTimestamp":"{}","annotations":)"
                              R"({{"storageclass.kubernetes.io/is-default-class":"{}"}}}}}})",
                              name, made, is_default));
  };
  const ObjectPtr classes[] = {named("a", "2026-01-01T00:00:00Z", "true"), named("c", "2026-01-02T00:00:00Z", "true"),
                               named("b", "2026-01-02T00:00:00Z", "true"), named("d", "2026-01-03T00:00:00Z", "no")};
  EXPECT_EQ(DefaultStorageClass(classes)->name(), "b");
  EXPECT_EQ(DefaultStorageClass(std::span(classes).last(1)), nullptr);
}

}  // namespace
}  // namespace knarr::api
