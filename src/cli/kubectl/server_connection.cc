// A connection whose errors say that they are the server's: everything a verb hears over it passes here.

#include "cli/kubectl/errors.h"

namespace knarr::cli {
namespace {

using client::ObjectName;

/// Marks the error of a result.
class Marker {
 public:
  explicit Marker(std::string server) : server_(std::move(server)) {}
  template <typename T>
  Result<T> operator()(Result<T> result) const {
    return result.ok() ? std::move(result) : Result<T>(MarkServerError(result.status(), server_));
  }

 private:
  const std::string server_;
};

class MarkedClient : public client::Client {
 public:
  MarkedClient(client::Client& inner, const Marker& mark) : inner_(inner), mark_(mark) {}
  Result<api::ObjectPtr> Get(const api::KindInfo& kind, const ObjectName& name, std::string_view sub) override {
    return mark_(inner_.Get(kind, name, sub));
  }
  Result<client::ObjectList> List(const api::KindInfo& kind, std::string_view ns,
                                  const client::ListOptions& options) override {
    return mark_(inner_.List(kind, ns, options));
  }
  Result<std::unique_ptr<client::WatchStream>> Watch(const api::KindInfo& kind, std::string_view ns,
                                                     const client::WatchOptions& options) override {
    return mark_(inner_.Watch(kind, ns, options));
  }
  Result<api::ObjectPtr> Create(const api::KindInfo& kind, std::string_view ns, const doc::Value& object,
                                const client::WriteOptions& options) override {
    return mark_(inner_.Create(kind, ns, object, options));
  }
  Result<api::ObjectPtr> CreateSub(const api::KindInfo& kind, const ObjectName& name, std::string_view sub,
                                   const doc::Value& object, const client::WriteOptions& options) override {
    return mark_(inner_.CreateSub(kind, name, sub, object, options));
  }
  Result<api::ObjectPtr> Update(const api::KindInfo& kind, const ObjectName& name, const doc::Value& object,
                                std::string_view sub, const client::WriteOptions& options) override {
    return mark_(inner_.Update(kind, name, object, sub, options));
  }
  Result<api::ObjectPtr> Patch(const api::KindInfo& kind, const ObjectName& name, client::PatchType type,
                               std::string_view body, std::string_view sub,
                               const client::WriteOptions& options) override {
    return mark_(inner_.Patch(kind, name, type, body, sub, options));
  }
  Result<api::ObjectPtr> Delete(const api::KindInfo& kind, const ObjectName& name,
                                const client::DeleteOptions& options) override {
    return mark_(inner_.Delete(kind, name, options));
  }
  Ok DeleteCollection(const api::KindInfo& kind, std::string_view ns, const client::ListOptions& list,
                      const client::DeleteOptions& options) override {
    return mark_(inner_.DeleteCollection(kind, ns, list, options));
  }

 private:
  client::Client& inner_;
  const Marker& mark_;
};

class MarkedPods : public client::PodAccess {
 public:
  MarkedPods(client::PodAccess& inner, const Marker& mark) : inner_(inner), mark_(mark) {}
  rt::Runtime& runtime() override { return inner_.runtime(); }
  Result<std::unique_ptr<client::LogStream>> Logs(std::string_view ns, std::string_view pod,
                                                  const client::LogOptions& options) override {
    return mark_(inner_.Logs(ns, pod, options));
  }
  Result<std::unique_ptr<client::ExecStream>> Exec(std::string_view ns, std::string_view pod,
                                                   const client::ExecOptions& options) override {
    return mark_(inner_.Exec(ns, pod, options));
  }
  Result<std::unique_ptr<client::ExecStream>> Attach(std::string_view ns, std::string_view pod,
                                                     const client::AttachOptions& options) override {
    return mark_(inner_.Attach(ns, pod, options));
  }
  Result<std::unique_ptr<net::Stream>> Dial(std::string_view ns, std::string_view pod, uint16_t port) override {
    return mark_(inner_.Dial(ns, pod, port));
  }

 private:
  client::PodAccess& inner_;
  const Marker& mark_;
};

class MarkedConnection : public Connection {
 public:
  explicit MarkedConnection(std::unique_ptr<Connection> inner)
      : inner_(std::move(inner)),
        mark_(inner_->server()),
        client_(inner_->client(), mark_),
        pods_(inner_->pods(), mark_) {}
  client::Client& client() override { return client_; }
  client::PodAccess& pods() override { return pods_; }
  Result<std::string> GetRaw(std::string_view path) override { return mark_(inner_->GetRaw(path)); }
  std::string server() const override { return inner_->server(); }
  std::string ns() const override { return inner_->ns(); }

 private:
  const std::unique_ptr<Connection> inner_;
  const Marker mark_;
  MarkedClient client_;
  MarkedPods pods_;
};

}  // namespace

std::unique_ptr<Connection> MarkErrors(std::unique_ptr<Connection> connection) {
  return std::make_unique<MarkedConnection>(std::move(connection));
}

}  // namespace knarr::cli
