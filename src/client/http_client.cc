#include "client/http_client.h"

#include <algorithm>

#include "base/strings.h"
#include "client/http_trace.h"
#include "client/http_watch.h"
#include "doc/json.h"

namespace knarr::client {
namespace {

constexpr size_t kBodyMax = size_t{1} << 30;
constexpr size_t kErrorMax = 1 << 20;
/// client-go's: how often a server that says Retry-After is asked.
constexpr int kTriesMax = 10;
constexpr int64_t kRetryAfterMax = 60;

std::string_view ContentType(PatchType type) {
  switch (type) {
    case PatchType::kJson:
      return "application/json-patch+json";
    case PatchType::kMerge:
      return "application/merge-patch+json";
    case PatchType::kStrategicMerge:
      return "application/strategic-merge-patch+json";
    case PatchType::kApply:
      return "application/apply-patch+yaml";
  }
  return {};
}

void AddText(QueryList& query, std::string_view name, std::string_view value) {
  if (!value.empty()) query.emplace_back(name, value);
}

QueryList ListQuery(const ListOptions& options) {
  QueryList query;
  AddText(query, "labelSelector", options.label_selector);
  AddText(query, "fieldSelector", options.field_selector);
  if (options.limit > 0) query.emplace_back("limit", std::to_string(options.limit));
  AddText(query, "continue", options.continue_token);
  AddText(query, "resourceVersion", options.resource_version);
  AddText(query, "resourceVersionMatch", options.resource_version_match);
  return query;
}

QueryList WriteQuery(const WriteOptions& options) {
  QueryList query;
  if (options.dry_run) query.emplace_back("dryRun", "All");
  AddText(query, "fieldManager", options.field_manager);
  AddText(query, "fieldValidation", options.field_validation);
  if (options.force) query.emplace_back("force", "true");
  return query;
}

QueryList WatchQuery(const WatchOptions& options) {
  QueryList query = {{"watch", "true"}};
  AddText(query, "labelSelector", options.label_selector);
  AddText(query, "fieldSelector", options.field_selector);
  AddText(query, "resourceVersion", options.resource_version);
  if (options.bookmarks) query.emplace_back("allowWatchBookmarks", "true");
  auto seconds = std::chrono::ceil<std::chrono::seconds>(options.timeout).count();
  if (seconds > 0) query.emplace_back("timeoutSeconds", std::to_string(seconds));
  return query;
}

std::string DeleteBody(const DeleteOptions& options) {
  doc::Document document;
  doc::Arena& arena = document.arena;
  doc::Value& root = document.root;
  root.Set(arena, "kind", doc::Value::Borrow("DeleteOptions"));
  root.Set(arena, "apiVersion", doc::Value::Borrow("v1"));
  if (options.grace_seconds.has_value()) root.Set(arena, "gracePeriodSeconds", doc::Value::Int(*options.grace_seconds));
  if (!options.uid.empty() || !options.resource_version.empty()) {
    doc::Value& conditions = root.Ensure(arena, "preconditions");
    if (!options.uid.empty()) conditions.Set(arena, "uid", doc::Value::Borrow(options.uid));
    if (!options.resource_version.empty()) {
      conditions.Set(arena, "resourceVersion", doc::Value::Borrow(options.resource_version));
    }
  }
  constexpr std::string_view kPolicies[] = {"", "Orphan", "Background", "Foreground"};
  if (auto policy = kPolicies[static_cast<size_t>(options.propagation)]; !policy.empty()) {
    root.Set(arena, "propagationPolicy", doc::Value::Borrow(policy));
  }
  if (options.dry_run) root.Ensure(arena, "dryRun").Append(arena, doc::Value::Borrow("All"));
  return doc::ToJson(root);
}

/// The text of `299 - "text"`.
std::string WarningText(std::string_view header) {
  size_t first = header.find('"');
  size_t last = header.rfind('"');
  if (!header.starts_with("299 ") || first == std::string_view::npos || first == last) return {};
  std::string out;
  for (size_t i = first + 1; i < last; ++i) {
    if (header[i] == '\\' && i + 1 < last) ++i;
    out += header[i];
  }
  return out;
}

Result<ObjectPtr> ReadObject(std::string_view body) {
  doc::Arena arena;
  auto parsed = doc::ParseJsonBorrowing(body, arena);
  if (!parsed.ok()) return Internal("the server's answer is not JSON: " + parsed.status().message());
  if (!parsed->is_object()) return Internal("the server's answer is no object");
  return ObjectFromWire(*parsed, {}, {});
}

/// A name that is one segment of a path: it must not lead anywhere else.
Ok CheckSegment(std::string_view what, std::string_view name) {
  const char* wrong = name == "." || name == ".."                ? "may not be '.' or '..'"
                      : name.find('/') != std::string_view::npos ? "may not contain '/'"
                      : name.find('%') != std::string_view::npos ? "may not contain '%'"
                                                                 : nullptr;
  if (wrong == nullptr) return {};
  return BadRequest("invalid " + std::string(what) + " " + GoQuote(name) + ": [" + wrong + "]");
}

Result<std::string> CollectionPath(const KindInfo& kind, std::string_view ns) {
  TRY(CheckSegment("namespace", ns));
  return ResourcePath(kind, ns);
}

Result<std::string> ObjectPath(const KindInfo& kind, const ObjectName& name, std::string_view subresource = {}) {
  if (name.name.empty()) return BadRequest("resource name may not be empty");
  TRY(CheckSegment("namespace", name.ns));
  TRY(CheckSegment("resource name", name.name));
  return ResourcePath(kind, name.ns, name.name, subresource);
}

/// An answer that has to be there, body and all, by a moment. The words are Go's.
class TimedResponse : public net::ClientResponse {
 public:
  TimedResponse(rt::Runtime& runtime, std::unique_ptr<net::ClientResponse> inner, MonoTime until)
      : runtime_(runtime), inner_(std::move(inner)), until_(until) {}
  int code() const override { return inner_->code(); }
  const net::Headers& headers() const override { return inner_->headers(); }
  Result<size_t> Read(char* out, size_t size) override {
    Result<size_t> got = size_t{0};
    {
      rt::CancelScope scope(runtime_, until_ - runtime_.Mono());
      got = inner_->Read(out, size);
    }
    if (!got.Failed(Reason::kTimeout) || !runtime_.CheckCancelled().ok()) return got;
    return Timeout("context deadline exceeded (Client.Timeout or context cancellation while reading body)");
  }

 private:
  rt::Runtime& runtime_;
  const std::unique_ptr<net::ClientResponse> inner_;
  const MonoTime until_;
};

class HttpClientImpl : public HttpClient {
 public:
  HttpClientImpl(rt::Runtime& runtime, const RestConfig& config, net::Url base)
      : runtime_(runtime),
        base_(std::move(base)),
        timeout_(config.request_timeout),
        trace_(config.trace_level, config.on_trace),
        on_warning_(config.on_warning) {
    while (base_.path.ends_with('/')) base_.path.pop_back();
    base_.raw_path.clear();
    base_.query.clear();
    server_ = base_.ToString();
    while (server_.ends_with('/')) server_.pop_back();
    headers_.Add("Accept", "application/json");
    headers_.Add("User-Agent", config.user_agent.empty() ? "knarr/" KNARR_VERSION : config.user_agent);
    if (!config.token.empty()) {
      headers_.Add("Authorization", "Bearer " + config.token);
    } else if (!config.username.empty()) {
      headers_.Add("Authorization", "Basic " + Base64Encode(config.username + ":" + config.password));
    }
    if (!config.impersonate_user.empty()) headers_.Add("Impersonate-User", config.impersonate_user);
    for (const std::string& group : config.impersonate_groups) headers_.Add("Impersonate-Group", group);
  }

  Ok Connect(const RestConfig& config) {
    net::HttpClientOptions options;
    if (base_.scheme == "https") {
      net::TlsClientOptions tls;
      tls.ca_pem = config.ca_pem;
      tls.insecure = config.insecure;
      tls.server_name = config.tls_server_name;
      if (!config.client_certificate_pem.empty()) {
        tls.identity = net::KeyPair{config.client_certificate_pem, config.client_key_pem};
      }
      options.tls = TRY(net::TlsClientContext::Create(tls));
    }
    transport_ = net::HttpClient::Create(runtime_, std::move(options));
    return {};
  }

  const std::string& server() const override { return server_; }

  net::ClientRequest MakeRequest(std::string_view method, std::string_view path,
                                 const QueryList& query) const override {
    net::ClientRequest request;
    request.method = method;
    request.url = base_;
    request.url.path += path;
    request.url.query = query;
    if (timeout_ > Duration::zero()) request.url.query.emplace_back("timeout", FormatDuration(timeout_));
    request.headers = headers_;
    return request;
  }

  Result<std::unique_ptr<net::ClientResponse>> Send(const net::ClientRequest& request) override {
    for (int i = 1;; ++i) {
      auto response = TRY(SendOnce(request));
      Warn(*response);
      int code = response->code();
      if (code < 400) return response;
      auto wait = ParseInt64(response->headers().Get("Retry-After"));
      if (i < kTriesMax && (code == 429 || code >= 500) && wait.ok() && *wait >= 0 && *wait <= kRetryAfterMax) {
        response.reset();
        TRY(runtime_.Sleep(std::chrono::seconds(*wait)));
        continue;
      }
      return net::StatusOfResponse(code, TRY(ReadBody(*response, kErrorMax)));
    }
  }

  Result<std::unique_ptr<net::WebSocket>> OpenWebSocket(const net::ClientRequest& request,
                                                        std::vector<std::string> protocols) override {
    trace_.Request(request);
    const MonoTime begin = runtime_.Mono();
    auto socket = transport_->OpenWebSocket(request, std::move(protocols));
    const int code = socket.ok() ? 101 : socket.status().code();
    trace_.Response(request, StatusLine(code), {}, runtime_.Mono() - begin);
    return socket;
  }

  Result<std::string> GetRaw(std::string_view path_and_query) override {
    net::Url url = TRY(net::Url::Parse(path_and_query));
    auto response = TRY(Send(MakeRequest("GET", url.path, url.query)));
    return ReadBody(*response, kBodyMax);
  }

  Result<ObjectPtr> Get(const KindInfo& kind, const ObjectName& name, std::string_view subresource) override {
    return Exchange("GET", TRY(ObjectPath(kind, name, subresource)), {}, {}, {});
  }

  Result<ObjectList> List(const KindInfo& kind, std::string_view ns, const ListOptions& options) override {
    std::string path = TRY(CollectionPath(kind, ns));
    auto response = TRY(Send(MakeRequest("GET", path, ListQuery(options))));
    std::string body = TRY(ReadBody(*response, kBodyMax));
    doc::Arena arena;
    auto parsed = doc::ParseJsonBorrowing(body, arena);
    if (!parsed.ok()) return Internal("the server's list is not JSON: " + parsed.status().message());
    ObjectList list;
    list.resource_version = parsed->Get("metadata", "resourceVersion").AsString();
    list.continue_token = parsed->Get("metadata", "continue").AsString();
    const doc::Value& items = parsed->At("items");
    list.items.reserve(items.size());
    for (const doc::Value& item : items.items()) {
      list.items.push_back(ObjectFromWire(item, kind.api_version, kind.kind));
    }
    return list;
  }

  Result<std::unique_ptr<WatchStream>> Watch(const KindInfo& kind, std::string_view ns,
                                             const WatchOptions& options) override {
    std::string path = TRY(CollectionPath(kind, ns));
    auto response = Send(MakeRequest("GET", path, WatchQuery(options)));
    if (response.ok()) return MakeHttpWatch(std::move(*response));
    return response.status().code() == 410 ? Expired(response.status().message()) : response.status();
  }

  Result<ObjectPtr> Create(const KindInfo& kind, std::string_view ns, const doc::Value& object,
                           const WriteOptions& options) override {
    return Exchange("POST", TRY(CollectionPath(kind, ns)), WriteQuery(options), "application/json",
                    doc::ToJson(object));
  }

  Result<ObjectPtr> CreateSub(const KindInfo& kind, const ObjectName& name, std::string_view subresource,
                              const doc::Value& object, const WriteOptions& options) override {
    return Exchange("POST", TRY(ObjectPath(kind, name, subresource)), WriteQuery(options), "application/json",
                    doc::ToJson(object));
  }

  Result<ObjectPtr> Update(const KindInfo& kind, const ObjectName& name, const doc::Value& object,
                           std::string_view subresource, const WriteOptions& options) override {
    return Exchange("PUT", TRY(ObjectPath(kind, name, subresource)), WriteQuery(options), "application/json",
                    doc::ToJson(object));
  }

  Result<ObjectPtr> Patch(const KindInfo& kind, const ObjectName& name, PatchType type, std::string_view body,
                          std::string_view subresource, const WriteOptions& options) override {
    return Exchange("PATCH", TRY(ObjectPath(kind, name, subresource)), WriteQuery(options), ContentType(type),
                    std::string(body));
  }

  Result<ObjectPtr> Delete(const KindInfo& kind, const ObjectName& name, const DeleteOptions& options) override {
    return Exchange("DELETE", TRY(ObjectPath(kind, name)), {}, "application/json", DeleteBody(options));
  }

  Ok DeleteCollection(const KindInfo& kind, std::string_view ns, const ListOptions& list,
                      const DeleteOptions& options) override {
    std::string path = TRY(CollectionPath(kind, ns));
    TRY(Exchange("DELETE", path, ListQuery(list), "application/json", DeleteBody(options)));
    return {};
  }

 private:
  Result<ObjectPtr> Exchange(std::string_view method, std::string_view path, const QueryList& query,
                             std::string_view content_type, std::string body) {
    net::ClientRequest request = MakeRequest(method, path, query);
    if (!content_type.empty()) request.headers.Add("Content-Type", std::string(content_type));
    request.body = std::move(body);
    if (!request.body.empty()) trace_.Body("Request Body", request.body);
    auto response = TRY(Send(request));
    return ReadObject(TRY(ReadBody(*response, kBodyMax)));
  }

  static std::string StatusLine(int code) {
    return std::to_string(code) + " " + std::string(net::HttpStatusText(code));
  }

  /// One try, within the time for it.
  Result<std::unique_ptr<net::ClientResponse>> SendOnce(const net::ClientRequest& request) {
    trace_.Request(request);
    const MonoTime begin = runtime_.Mono();
    Result<std::unique_ptr<net::ClientResponse>> response = Internal("not sent");
    if (timeout_ > Duration::zero()) {
      rt::CancelScope scope(runtime_, timeout_);
      response = transport_->Send(request);
    } else {
      response = transport_->Send(request);
    }
    const Duration took = runtime_.Mono() - begin;
    if (response.ok()) {
      trace_.Response(request, StatusLine((*response)->code()), (*response)->headers(), took);
      if (timeout_ <= Duration::zero()) return response;
      return std::unique_ptr<net::ClientResponse>(
          std::make_unique<TimedResponse>(runtime_, std::move(*response), begin + timeout_));
    }
    trace_.Response(request, "", {}, took);
    if (timeout_ <= Duration::zero() || !response.Failed(Reason::kTimeout)) return response;
    TRY(runtime_.CheckCancelled());
    return Timeout("context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
  }

  Result<std::string> ReadBody(net::ClientResponse& response, size_t limit) const {
    Result<std::string> body = response.ReadAll(limit);
    if (body.ok()) {
      trace_.Body("Response Body", *body);
    } else if (body.Failed(Reason::kTimeout) && timeout_ > Duration::zero()) {
      return body.status().WithContext("unexpected error when reading response body. Please retry. Original error");
    }
    return body;
  }

  void Warn(const net::ClientResponse& response) const {
    if (!on_warning_) return;
    for (std::string_view header : response.headers().GetAll("Warning")) {
      if (std::string text = WarningText(header); !text.empty()) on_warning_(text);
    }
  }

  rt::Runtime& runtime_;
  net::Url base_;
  std::string server_;
  net::Headers headers_;
  const Duration timeout_;
  const HttpTrace trace_;
  std::function<void(std::string_view)> on_warning_;
  std::unique_ptr<net::HttpClient> transport_;
};

}  // namespace

std::string ResourcePath(const KindInfo& kind, std::string_view ns, std::string_view name,
                         std::string_view subresource) {
  // Decoded: a request's URL is escaped as a whole when it is written.
  std::string path = kind.group.empty() ? "/api/" : "/apis/" + std::string(kind.group) + "/";
  path += kind.version;
  if (kind.namespaced && !ns.empty()) {
    path += "/namespaces/";
    path += ns;
  }
  for (std::string_view part : {kind.plural, name, subresource}) {
    if (part.empty()) continue;
    path += '/';
    path += part;
  }
  return path;
}

Result<std::unique_ptr<HttpClient>> HttpClient::Create(rt::Runtime& runtime, const RestConfig& config) {
  net::Url base = TRY(net::Url::Parse(config.server).Context("the server's address"));
  if (base.host.empty()) return BadRequest("the server's address \"" + config.server + "\" has no host");
  auto client = std::make_unique<HttpClientImpl>(runtime, config, std::move(base));
  TRY(client->Connect(config));
  return std::unique_ptr<HttpClient>(std::move(client));
}

Result<std::unique_ptr<Client>> MakeHttpClient(rt::Runtime& runtime, const RestConfig& config) {
  return std::unique_ptr<Client>(TRY(HttpClient::Create(runtime, config)));
}

}  // namespace knarr::client
