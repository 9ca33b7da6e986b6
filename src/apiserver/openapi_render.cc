#include "apiserver/openapi_render.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kForms[] = {"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"};
constexpr std::string_view kWatchForms[] = {"application/json;stream=watch",
                                            "application/vnd.kubernetes.protobuf;stream=watch"};
constexpr std::string_view kPatchForms[] = {"application/apply-patch+yaml", "application/json-patch+json",
                                            "application/merge-patch+json", "application/strategic-merge-patch+json"};

std::vector<std::string_view> FormsOf(OpenApiContent content) {
  std::vector<std::string_view> out(std::begin(kForms), std::end(kForms));
  if (content == OpenApiContent::kText) out = {"*/*"};
  if (content == OpenApiContent::kStream) out.insert(out.end(), std::begin(kWatchForms), std::end(kWatchForms));
  if (content == OpenApiContent::kLog) out.push_back("text/plain");
  return out;
}

std::string_view CodeText(int code) { return code == 200 ? "OK" : code == 201 ? "Created" : "Accepted"; }

class Renderer {
 public:
  Renderer(OpenApiDialect dialect, doc::Arena& arena, std::set<const api::Type*>& types)
      : v2_(dialect == OpenApiDialect::kV2), dialect_(dialect), arena_(arena), types_(types) {}

  Value Item(const OpenApiPath& path) {
    const std::vector<OpenApiParameter> common = CommonParameters(path);
    Value item = Value::Object();
    for (const OpenApiOperation& operation : path.operations) {
      item.AddMember(arena_, operation.method, Operation(path, operation, common));
    }
    if (!common.empty()) item.AddMember(arena_, "parameters", Parameters(common));
    return item;
  }

 private:
  Value Text(std::string_view text) { return Value::String(arena_, text); }
  Value Texts(std::span<const std::string_view> texts) {
    Value out = Value::Array();
    for (const std::string_view text : texts) out.Append(arena_, Value::Borrow(text));
    return out;
  }

  static bool Has(const std::vector<OpenApiParameter>& list, const OpenApiParameter& wanted) {
    return std::ranges::any_of(
        list, [&](const OpenApiParameter& one) { return one.name == wanted.name && one.in_path == wanted.in_path; });
  }
  static std::vector<OpenApiParameter> Sorted(std::vector<OpenApiParameter> list) {
    std::ranges::sort(list, {}, [](const OpenApiParameter& one) { return std::pair(one.name, !one.in_path); });
    return list;
  }
  static std::vector<OpenApiParameter> CommonParameters(const OpenApiPath& path) {
    std::vector<OpenApiParameter> out;
    for (const OpenApiParameter& parameter : path.operations.front().parameters) {
      const bool everywhere = std::ranges::all_of(
          path.operations, [&](const OpenApiOperation& other) { return Has(other.parameters, parameter); });
      if (everywhere) out.push_back(parameter);
    }
    return Sorted(std::move(out));
  }

  Value Parameters(const std::vector<OpenApiParameter>& list) {
    Value out = Value::Array();
    for (const OpenApiParameter& parameter : list) out.Append(arena_, Parameter(parameter));
    return out;
  }

  Value Parameter(const OpenApiParameter& parameter) {
    Value out = Value::Object();
    out.AddMember(arena_, "name", Text(parameter.name));
    out.AddMember(arena_, "in", Value::Borrow(parameter.in_path ? "path" : "query"));
    if (!parameter.doc.empty()) out.AddMember(arena_, "description", Value::Borrow(parameter.doc));
    if (parameter.in_path) out.AddMember(arena_, "required", Value::Bool(true));
    Value schema = Value::Object();
    Value& at = v2_ ? out : schema;
    at.AddMember(arena_, "type", Value::Borrow(parameter.type));
    at.AddMember(arena_, "uniqueItems", Value::Bool(true));
    if (!v2_) out.AddMember(arena_, "schema", schema);
    return out;
  }

  Value Schema(OpenApiContent content, const api::Type* type) {
    if (content == OpenApiContent::kPatch) return SchemaReference(dialect_, kPatchSchema, arena_);
    if (content == OpenApiContent::kText || content == OpenApiContent::kLog) {
      Value out = Value::Object();
      out.AddMember(arena_, "type", Value::Borrow("string"));
      return out;
    }
    types_.insert(type);
    return SchemaReference(dialect_, type->openapi, arena_);
  }

  Value Content(std::span<const std::string_view> forms, const Value& schema) {
    Value media = Value::Object();
    media.AddMember(arena_, "schema", schema);
    Value out = Value::Object();
    for (const std::string_view form : forms) out.AddMember(arena_, form, media);
    return out;
  }

  void AddBody(const OpenApiOperation& operation, Value& parameters, Value& out) {
    if (operation.body == OpenApiContent::kNothing) return;
    const Value schema = Schema(operation.body, operation.body_type);
    Value body = Value::Object();
    if (v2_) {
      body.AddMember(arena_, "name", Value::Borrow("body"));
      body.AddMember(arena_, "in", Value::Borrow("body"));
    } else {
      static constexpr std::string_view kAny[] = {"*/*"};
      const bool patch = operation.body == OpenApiContent::kPatch;
      body.AddMember(arena_, "content", Content(patch ? std::span<const std::string_view>(kPatchForms) : kAny, schema));
    }
    if (operation.body_required) body.AddMember(arena_, "required", Value::Bool(true));
    if (v2_) {
      body.AddMember(arena_, "schema", schema);
      parameters.Append(arena_, body);
    } else {
      out.AddMember(arena_, "requestBody", body);
    }
  }

  Value Responses(const OpenApiOperation& operation) {
    Value out = Value::Object();
    const std::vector<std::string_view> forms = FormsOf(operation.answer);
    for (const int code : operation.codes) {
      Value one = Value::Object();
      one.AddMember(arena_, "description", Value::Borrow(CodeText(code)));
      const Value schema = Schema(operation.answer, operation.answer_type);
      if (v2_) {
        one.AddMember(arena_, "schema", schema);
      } else {
        one.AddMember(arena_, "content", Content(forms, schema));
      }
      out.AddMember(arena_, arena_.Copy(std::to_string(code)), one);
    }
    Value refused = Value::Object();
    refused.AddMember(arena_, "description", Value::Borrow("Unauthorized"));
    out.AddMember(arena_, "401", refused);
    return out;
  }

  Value Operation(const OpenApiPath& path, const OpenApiOperation& operation,
                  const std::vector<OpenApiParameter>& common) {
    Value out = Value::Object();
    const Value tag = Text(path.tag);
    out.AddMember(arena_, "tags", Value::ArrayOf(arena_, {&tag, 1}));
    out.AddMember(arena_, "description", Text(operation.doc));
    out.AddMember(arena_, "operationId", Text(operation.id));
    if (v2_) {
      static constexpr std::string_view kAny[] = {"*/*"};
      static constexpr std::string_view kSchemes[] = {"https"};
      const bool patch = operation.body == OpenApiContent::kPatch;
      out.AddMember(arena_, "consumes", patch ? Texts(kPatchForms) : Texts(kAny));
      out.AddMember(arena_, "produces", Texts(FormsOf(operation.answer)));
      out.AddMember(arena_, "schemes", Texts(kSchemes));
    }
    Value parameters = Value::Array();
    AddBody(operation, parameters, out);
    for (const OpenApiParameter& parameter : Sorted(operation.parameters)) {
      if (!Has(common, parameter)) parameters.Append(arena_, Parameter(parameter));
    }
    if (!parameters.empty()) out.AddMember(arena_, "parameters", parameters);
    out.AddMember(arena_, "responses", Responses(operation));
    if (!operation.action.empty()) {
      out.AddMember(arena_, "x-kubernetes-action", Value::Borrow(operation.action));
      out.AddMember(arena_, "x-kubernetes-group-version-kind", GroupVersionKind(*operation.kind, arena_));
    }
    return out;
  }

  const bool v2_;
  const OpenApiDialect dialect_;
  doc::Arena& arena_;
  std::set<const api::Type*>& types_;
};

}  // namespace

Value RenderPaths(OpenApiDialect dialect, const std::vector<OpenApiPath>& paths, doc::Arena& arena,
                  std::set<const api::Type*>& types) {
  Renderer renderer(dialect, arena, types);
  Value out = Value::Object();
  for (const OpenApiPath& path : paths) out.AddMember(arena, arena.Copy(path.path), renderer.Item(path));
  return out;
}

}  // namespace knarr::apiserver
