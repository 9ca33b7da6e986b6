#include "node/manifest.h"

#include <gtest/gtest.h>

#include "node/pressure.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

Result<api::ObjectPtr> Parse(const std::string& spec, const std::string& metadata = "name: web",
                             const std::string& path = "/m/web.yaml") {
  const std::string text = "apiVersion: v1\nkind: Pod\nmetadata: {" + metadata + "}\nspec:\n" + spec;
  return ParseManifest(text, {.path = path, .node_name = "node-1", .seen = {}});
}

const std::string kContainer = "  containers: [{name: a, image: i}]\n";

TEST(Manifest, BecomesAPodOfThisNode) {
  const api::ObjectPtr object = MUST(Parse(kContainer));
  const Pod pod(object->tree());
  EXPECT_EQ(pod.metadata().name(), "web-node-1");
  EXPECT_EQ(pod.metadata().ns(), "default");
  EXPECT_EQ(pod.spec().node_name(), "node-1");
  EXPECT_EQ(pod.status().phase(), "Pending");
  EXPECT_EQ(pod.status().qos_class(), "BestEffort");
  EXPECT_EQ(pod.metadata().annotations().Find(kConfigHash), pod.metadata().uid());
  EXPECT_EQ(pod.metadata().annotations().Find(kConfigSource), "file");
  ASSERT_EQ(pod.spec().tolerations().size(), 1U);
  EXPECT_EQ(pod.spec().tolerations()[0].operator_(), "Exists");
  EXPECT_EQ(pod.spec().tolerations()[0].effect(), "NoExecute");
  EXPECT_EQ(pod.spec().termination_grace_period_seconds(), 30);
  EXPECT_TRUE(IsStaticPod(pod));
  EXPECT_FALSE(IsMirrorPod(*object));
  EXPECT_TRUE(IsCritical(pod));
  const api::ObjectPtr versioned = MUST(Parse(kContainer, "name: web, resourceVersion: \"7\""));
  EXPECT_TRUE(IsStaticPod(Pod(versioned->tree())));
  // Who writes into the API makes none.
  doc::Document known = doc::Document::Copy(object->tree());
  known.root.Ensure(known.arena, "metadata").Set(known.arena, "resourceVersion", doc::Value::Borrow("7"));
  EXPECT_FALSE(IsStaticPod(Pod(known.root)));
}

TEST(Manifest, IsKnownByWhatItSaysAndWhereItLies) {
  const std::string uid(MUST(Parse(kContainer))->uid());
  EXPECT_EQ(MUST(Parse(kContainer))->uid(), uid);
  EXPECT_NE(MUST(Parse(kContainer, "name: web", "/m/other.yaml"))->uid(), uid);
  EXPECT_NE(MUST(Parse("  containers: [{name: a, image: j}]\n"))->uid(), uid);
  EXPECT_EQ(MUST(Parse(kContainer, "name: web, uid: own-1"))->uid(), "own-1");
}

TEST(Manifest, RefusesWhatNoNodeCanRunByItself) {
  struct Case {
    std::string spec;
    const char* message;
  };
  const auto volume = [](const std::string& source) { return kContainer + "  volumes: [{name: v, " + source + "}]\n"; };
  const Case cases[] = {
      {kContainer + "  serviceAccountName: s\n", "static pods may not reference serviceaccounts"},
      {kContainer + "  imagePullSecrets: [{name: s}]\n", "static pods may not reference secrets"},
      {"  containers: [{name: a, image: i, envFrom: [{configMapRef: {name: c}}]}]\n",
       "static pods may not reference configmaps"},
      {"  containers: [{name: a, image: i, env: [{name: E, valueFrom: {secretKeyRef: {name: s, key: k}}}]}]\n",
       "static pods may not reference secrets"},
      {volume("configMap: {name: c}"), "static pods may not reference configmaps"},
      {volume("secret: {secretName: s}"), "static pods may not reference secrets"},
      {volume("persistentVolumeClaim: {claimName: c}"), "static pods may not reference persistentvolumeclaims"},
      {volume("projected: {sources: [{secret: {name: s}}]}"), "static pods may not reference secrets"},
      {volume("csi: {driver: d.example}"), "static pods may not reference csidrivers (via CSI volumes)"},
      {"  containers: []\n", "invalid pod: spec.containers: Required value"},
      {"  containers: [{name: A_B, image: i}]\n", "invalid pod: spec.containers[0].name: Invalid value: \"A_B\": "},
  };
  for (const Case& c : cases) {
    const auto parsed = Parse(c.spec);
    EXPECT_TRUE(!parsed.ok() && parsed.status().message().starts_with(c.message))
        << c.spec << parsed.status().message();
  }
  EXPECT_TRUE(Parse(volume("emptyDir: {}")).ok());
  EXPECT_TRUE(Parse(volume("hostPath: {path: /etc}")).ok());
  EXPECT_TRUE(Parse(volume("projected: {sources: [{downwardAPI: {items: []}}]}")).ok());
  EXPECT_FALSE(Parse(kContainer, "name: web, uid: ../x").ok());
  EXPECT_FALSE(ParseManifest("kind: Pod", {}).ok());
  EXPECT_EQ(ParseManifest("apiVersion: v1\nkind: Pod", {}).status().message(),
            "invalid pod: name is needed for the pod");
}

}  // namespace
}  // namespace knarr::node
