#include "api/codec.h"

#include <gtest/gtest.h>

#include "api/convert.h"
#include "doc/json.h"
#include "doc/proto.h"

namespace knarr::api {
namespace {

std::string Canonical(std::string_view text) {
  const Result<Decoded> decoded = DecodeJson(text);
  return decoded.ok() ? doc::ToJson(decoded->document.root) : "error: " + decoded.status().message();
}

TEST(CanonicalTest, MembersComeInGosOrderWithGosPresence) {
  EXPECT_EQ(Canonical(R"({"spec":{"nodeName":"","hostNetwork":false,"containers":[{"image":"i","name":"c"}]},)"
                      R"("metadata":{"labels":{"b":"1","a":"2"},"name":"p","creationTimestamp":null,)"
                      R"("annotations":{}},"kind":"Pod","apiVersion":"v1"})"),
            R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","labels":{"a":"2","b":"1"}},)"
            R"("spec":{"containers":[{"name":"c","image":"i","resources":{}}]},"status":{}})");
  // Pointers keep their zero values, lists without omitempty their null.
  EXPECT_EQ(Canonical(R"({"apiVersion":"apps/v1","kind":"ReplicaSet","spec":{"replicas":0}})"),
            R"({"kind":"ReplicaSet","apiVersion":"apps/v1","metadata":{},"spec":{"replicas":0,"selector":null,)"
            R"("template":{"metadata":{},"spec":{"containers":null}}},"status":{"replicas":0}})");
}

TEST(CanonicalTest, ValuesBecomeCanonical) {
  EXPECT_EQ(Canonical(R"({"apiVersion":"v1","kind":"LimitRange","spec":{"limits":[{"type":"Pod",)"
                      R"("max":{"cpu":1,"memory":"1024Mi","x":"0.5"}}]}})"),
            R"({"kind":"LimitRange","apiVersion":"v1","metadata":{},"spec":{"limits":[{"type":"Pod",)"
            R"("max":{"cpu":"1","memory":"1Gi","x":"500m"}}]}})");
  EXPECT_EQ(
      Canonical(R"({"apiVersion":"v1","kind":"Event","metadata":{"creationTimestamp":"2026-01-01T01:00:00+01:00"},)"
                R"("involvedObject":{},"firstTimestamp":"0001-01-01T00:00:00Z"})"),
      R"({"kind":"Event","apiVersion":"v1","metadata":{"creationTimestamp":"2026-01-01T00:00:00Z"},)"
      R"("involvedObject":{},"source":{},"firstTimestamp":null,"lastTimestamp":null,"eventTime":null,)"
      R"("reportingComponent":"","reportingInstance":""})");
}

TEST(CanonicalTest, IsAFixedPoint) {
  const std::string once = Canonical(
      R"({"apiVersion":"v1","kind":"Service","spec":{"ports":[{"port":80,"targetPort":"web"}],"selector":{"a":"b"}}})");
  EXPECT_EQ(Canonical(once), once);
}

// What stands in order is not taken apart: what is left out goes all the same, and what must be there comes.
TEST(CanonicalTest, MembersInOrderLoseWhatIsLeftOut) {
  EXPECT_EQ(Canonical(R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","labels":{},"annotations":null},)"
                      R"("spec":{"containers":[{"name":"c","image":"","resources":{"limits":{"cpu":"1000m"}}}],)"
                      R"("nodeName":"","priority":null},"status":{}})"),
            R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},)"
            R"("spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"1"}}}]},"status":{}})");
  EXPECT_EQ(Canonical(R"({"kind":"Pod","apiVersion":"v1","metadata":{},"spec":{"containers":[{"name":"c"}]}})"),
            R"({"kind":"Pod","apiVersion":"v1","metadata":{},"spec":{"containers":[{"name":"c","resources":{}}]},)"
            R"("status":{}})");
}

TEST(CanonicalTest, WrongTypesAreNamedAsGoNamesThem) {
  struct Case {
    const char* object;
    const char* message;
  };
  for (const Case& c : {
           Case{R"({"apiVersion":"v1","kind":"Pod","spec":[]})",
                "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec"},
           Case{R"({"apiVersion":"v1","kind":"Pod","spec":{"containers":{}}})",
                "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container"},
           Case{R"({"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"env":[{"value":1}]}]}})",
                "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string"},
           Case{R"({"apiVersion":"apps/v1","kind":"ReplicaSet","spec":{"replicas":"3"}})",
                "json: cannot unmarshal string into Go struct field ReplicaSetSpec.spec.replicas of type int32"},
           Case{R"({"apiVersion":"apps/v1","kind":"ReplicaSet","spec":{"replicas":1.5}})",
                "json: cannot unmarshal number 1.5 into Go struct field ReplicaSetSpec.spec.replicas of type int32"},
           Case{R"({"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"a":true}}})",
                "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string"},
           Case{R"({"apiVersion":"v1","kind":"Pod","spec":{"restartPolicy":4}})",
                "json: cannot unmarshal number into Go struct field PodSpec.spec.restartPolicy of type "
                "v1.RestartPolicy"},
           Case{R"({"apiVersion":"v1","kind":"Secret","data":{"a":"?"}})", "illegal base64 data at input byte 0"},
           Case{R"({"apiVersion":"v1","kind":"Pood"})", "no kind \"Pood\" is registered for version \"v1\""},
           Case{R"({"apiVersion":"v1"})", "Object 'Kind' is missing in '{\"apiVersion\":\"v1\"}'"},
       }) {
    EXPECT_EQ(Canonical(c.object), std::string("error: ") + c.message);
  }
}

TEST(CanonicalTest, UnknownAndDuplicateFieldsAreReported) {
  const Result<Decoded> decoded =
      DecodeJson(R"({"apiVersion":"v1","kind":"Pod","foo":1,"spec":{"containers":[{"name":"a","bar":2},)"
                 R"({"name":"b","name":"c"}],"volumes":[{"emptyDir":{"x":1}}]}})");
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(StrictErrorText(decoded->strict),
            "strict decoding error: duplicate field \"spec.containers[1].name\", unknown field "
            "\"foo\", unknown field \"spec.volumes[0].emptyDir.x\", unknown field \"spec.containers[0].bar\"");
}

TEST(ConvertTest, ErrorsSayWhere) {
  struct Case {
    WireFormat format;
    std::string input;
    const char* message;
  };
  for (const Case& c : {
           Case{WireFormat::kYaml, "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    image: 3\n",
                "line 6, column 5: spec.containers[0].image: json: cannot unmarshal number into Go struct field "
                "Container.spec.containers.image of type string"},
           Case{WireFormat::kYaml, "apiVersion: v1\nkind: Podd\n",
                "line 2, column 1: kind: no kind \"Podd\" is registered for version \"v1\""},
           Case{WireFormat::kJson,
                "{\"apiVersion\":\"v1\",\n\"kind\":\"Service\",\"spec\":{\"ports\":[{\"port\":99999999999}]}}",
                "line 2, column 36: spec.ports[0].port: json: cannot unmarshal number 99999999999 into Go struct field "
                "ServicePort.spec.ports.port of type int32"},
           Case{WireFormat::kProtobuf, std::string("k8s\0\nfoo", 8),
                "protobuf: unexpected end of field of 102 bytes at byte 6"},
           Case{WireFormat::kProtobuf, "{}",
                "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"},
       }) {
    const Result<Converted> got = ConvertObject(c.input, c.format, WireFormat::kJson);
    ASSERT_FALSE(got.ok()) << c.input;
    EXPECT_EQ(got.status().message(), c.message);
  }
}

TEST(ProtobufTest, CutOffMessagesAreErrorsAndNeverMore) {
  const Result<Converted> whole = ConvertObject(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"b":"c"}},"spec":{"containers":)"
      R"([{"name":"c","resources":{"limits":{"cpu":"1"}},"ports":[{"containerPort":80}]}]}})",
      WireFormat::kJson, WireFormat::kProtobuf);
  ASSERT_TRUE(whole.ok());
  for (size_t size = 0; size < whole->bytes.size(); ++size) {
    const Result<Decoded> got = DecodeProtobuf(std::string_view(whole->bytes).substr(0, size));
    // At a member's end nothing is missing of the envelope itself, but then the object is whole or not there at all.
    if (got.ok()) {
      const size_t containers = got->document.root.Get("spec", "containers").size();
      EXPECT_EQ(containers, size < whole->bytes.size() - 4 ? 0 : 1) << size;
    }
  }
  for (size_t i = 4; i < whole->bytes.size(); ++i) {
    for (const char flip : {'\x01', '\x80', '\x7f'}) {
      std::string bytes = whole->bytes;
      bytes[i] = static_cast<char>(bytes[i] ^ flip);
      const Result<Decoded> got = DecodeProtobuf(bytes);
      if (got.ok()) {
        EXPECT_TRUE(EncodeProtobuf(*got->type, got->document.root).ok());
      }
    }
  }
}

TEST(ProtobufTest, OfEqualKeysTheLastIsTheValue) {
  const auto entry = [](std::string_view key, std::string_view value) {
    std::string out;
    doc::ProtoWriter writer(out);
    writer.Bytes(1, key);
    writer.Bytes(2, value);
    return out;
  };
  const Type& type = *FindType("core/v1", "ConfigMap");
  std::string bytes;
  doc::ProtoWriter writer(bytes);
  writer.Bytes(2, entry("b", "1"));
  writer.Bytes(2, entry("a", "2"));
  writer.Bytes(2, entry("b", "3"));
  const Result<doc::Document> few = DecodeProtobufMessage(type, bytes);
  ASSERT_TRUE(few.ok()) << few.status().message();
  EXPECT_EQ(doc::ToJson(few->root), R"({"metadata":{},"data":{"a":"2","b":"3"}})");

  // As many as fit into a request: a matter of milliseconds.
  for (int i = 0; i < 300000; ++i) writer.Bytes(2, entry(std::to_string(i), ""));
  const Result<doc::Document> many = DecodeProtobufMessage(type, bytes);
  ASSERT_TRUE(many.ok());
  EXPECT_EQ(many->root.At("data").size(), 300002U);
}

std::string SchemaOf(std::string_view schema) {
  const std::string text = Canonical(
      R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","spec":{"versions":[{"schema":)"
      R"({"openAPIV3Schema":)" +
      std::string(schema) + "}}]}}");
  const size_t begin = text.find("\"openAPIV3Schema\":");
  return begin == std::string::npos ? text : text.substr(begin + 18, text.find("}}]") - begin - 18);
}

TEST(UnionTest, SchemasInTwoForms) {
  struct Case {
    const char* schema;
    const char* canonical;
  };
  for (const Case& c : {
           Case{R"({"items":{"type":"string","foo":1}})", R"({"items":{"type":"string"}})"},
           Case{R"({"items":[{"type":"string"},{}]})", R"({"items":[{"type":"string"},{}]})"},
           Case{R"({"items":[]})", "{}"},
           Case{R"({"items":"x"})", "{}"},
           Case{R"({"additionalProperties":false})", R"({"additionalProperties":false})"},
           Case{R"({"additionalProperties":{"maxLength":3}})", R"({"additionalProperties":{"maxLength":3}})"},
           Case{R"({"additionalProperties":1})", "error: boolean or JSON schema expected"},
           Case{R"({"additionalProperties":{"maxLength":"3"}})",
                "error: json: cannot unmarshal string into Go struct field JSONSchemaProps.maxLength of type int64"},
           Case{R"({"dependencies":{"a":["b"],"c":{"type":"string"},"d":3}})",
                R"({"dependencies":{"a":["b"],"c":{"type":"string"},"d":null}})"},
       }) {
    EXPECT_EQ(SchemaOf(c.schema), c.canonical) << c.schema;
  }
}

TEST(ProtobufTest, SchemasInSchemasAreBounded) {
  const auto nested = [](int levels) {
    std::string bytes;
    for (int i = 0; i < levels; ++i) {
      std::string outer;
      doc::ProtoWriter(outer).Bytes(28, bytes);  // not
      bytes = outer;
    }
    return bytes;
  };
  const Type& type = *FindType("apiextensions/v1", "JSONSchemaProps");
  EXPECT_TRUE(DecodeProtobufMessage(type, nested(100)).ok());
  for (const int levels : {200, 5000}) {
    const Result<doc::Document> got = DecodeProtobufMessage(type, nested(levels));
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.status().message(), "protobuf: objects nested too deep");
  }
}

}  // namespace
}  // namespace knarr::api
