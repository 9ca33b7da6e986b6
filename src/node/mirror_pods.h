#pragma once

// Static pods as the API shows them: for each, a pod that is a mirror of it, with its status. The mirror is made again
// when somebody removes it, and goes when the static pod has gone; the API may be away for as long as it likes.

#include <map>
#include <string>

#include "api/object.h"
#include "client/client.h"
#include "rt/runtime.h"
#include "rt/sync.h"

namespace knarr::node {

class MirrorPods {
 public:
  MirrorPods(rt::Runtime& runtime, client::Client& client, std::string node_name);
  ~MirrorPods();
  void Start();
  void Stop();

  /// There is to be a mirror of this static pod.
  void Want(const api::ObjectPtr& pod);
  /// The static pod has ended; of another by that name, nothing is changed.
  void Forget(const api::Object& pod);
  /// What the API has: a mirror, or (nullptr) none any more of `before`.
  void Changed(const api::ObjectPtr& before, const api::ObjectPtr& after);
  /// The pod as the API last knew it: with the status of its mirror.
  api::ObjectPtr WithKnownStatus(const api::ObjectPtr& pod) const;

  /// For what runs static pods: their status goes to the mirror when it can, and everything else to the API.
  client::Client& client() { return face_; }

 private:
  /// The client that workers of static pods see.
  class Face : public client::Client {
   public:
    explicit Face(MirrorPods& mirrors) : mirrors_(mirrors) {}
    Result<api::ObjectPtr> Get(const api::KindInfo& kind, const client::ObjectName& name,
                               std::string_view sub) override;
    Result<client::ObjectList> List(const api::KindInfo& kind, std::string_view ns,
                                    const client::ListOptions& options) override;
    Result<std::unique_ptr<client::WatchStream>> Watch(const api::KindInfo& kind, std::string_view ns,
                                                       const client::WatchOptions& options) override;
    Result<api::ObjectPtr> Create(const api::KindInfo& kind, std::string_view ns, const doc::Value& object,
                                  const client::WriteOptions& options) override;
    Result<api::ObjectPtr> CreateSub(const api::KindInfo& kind, const client::ObjectName& name, std::string_view sub,
                                     const doc::Value& object, const client::WriteOptions& options) override;
    Result<api::ObjectPtr> Update(const api::KindInfo& kind, const client::ObjectName& name, const doc::Value& object,
                                  std::string_view sub, const client::WriteOptions& options) override;
    Result<api::ObjectPtr> Patch(const api::KindInfo& kind, const client::ObjectName& name, client::PatchType type,
                                 std::string_view body, std::string_view sub,
                                 const client::WriteOptions& options) override;
    Result<api::ObjectPtr> Delete(const api::KindInfo& kind, const client::ObjectName& name,
                                  const client::DeleteOptions& options) override;
    Ok DeleteCollection(const api::KindInfo& kind, std::string_view ns, const client::ListOptions& list,
                        const client::DeleteOptions& options) override;

   private:
    client::Client& to() { return mirrors_.client_; }
    MirrorPods& mirrors_;
  };

  struct Entry {
    api::ObjectPtr wanted;  ///< the static pod, with its present status
    api::ObjectPtr mirror;  ///< what the API has by that name
    std::string written;    ///< the status last written to that mirror
  };
  void Run();
  Ok SyncAll();
  Ok Sync(const std::string& key);
  Ok Remove(const std::string& key);
  Ok Create(const std::string& key);
  Ok WriteStatus(const std::string& key);
  Ok Lost(const std::string& key, const api::Object& mirror);
  Result<api::ObjectPtr> Fetch(const std::string& key);

  rt::Runtime& runtime_;
  client::Client& client_;
  const std::string node_name_;
  std::map<std::string, Entry> entries_;  // by "namespace/name"
  rt::Event wake_;
  rt::TaskGroup tasks_;
  Face face_;
};

}  // namespace knarr::node
