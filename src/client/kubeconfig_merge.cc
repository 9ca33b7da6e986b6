// Writing kubeconfig files.

#include <algorithm>

#include "base/strings.h"
#include "client/kubeconfig.h"
#include "doc/yaml.h"
#include "rt/file_system.h"

namespace knarr::client {
namespace {

constexpr size_t kFileMax = 16 << 20;
constexpr int kLinksMax = 10;
constexpr int kLockTries = 20;
constexpr Duration kLockPause = 100ms;
// kubectl holds it for milliseconds: one this old is what a program left that died.
constexpr Duration kLockStale = 10s;

std::string ParentOf(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

/// Where the file really is: a link is kept, and what it points to is replaced.
Result<std::string> Resolve(rt::FileSystem& files, std::string path) {
  for (int i = 0; i < kLinksMax; ++i) {
    auto info = files.LinkStat(path);
    if (!info.ok() || info->type != rt::FileType::kSymlink) return path;
    std::string target = TRY(files.ReadLink(path));
    path = target.starts_with('/') ? target : ParentOf(path) + "/" + target;
  }
  return BadRequest(path + ": too many symbolic links");
}

/// Makes the folder; new ones belong to whoever owns the one they are made in (a server started by sudo writes into
/// the home of somebody else).
Ok MakeFolder(rt::FileSystem& files, const std::string& path) {
  if (files.Stat(path).ok()) return {};
  std::string parent = ParentOf(path);
  if (parent != path) TRY(MakeFolder(files, parent));
  rt::FileInfo owner = TRY(files.Stat(parent));
  TRY(files.MakeDirectories(path, 0750));
  rt::FileInfo made = TRY(files.Stat(path));
  if (made.uid != owner.uid || made.gid != owner.gid) TRY(files.Chown(path, owner.uid, owner.gid));
  return {};
}

/// client-go's lock: a file beside the other, made by whoever writes. Removed by LockGuard.
Ok Lock(rt::Runtime& runtime, const std::string& path, LockWait wait) {
  rt::FileSystem& files = runtime.files();
  const std::string lock = path + ".lock";
  for (int i = 0;; ++i) {
    auto file = files.Open(lock, rt::OpenMode::kCreateNew, 0600);
    if (file.ok()) return {};
    if (!file.Failed(Reason::kAlreadyExists)) return file.status();
    const auto info = files.LinkStat(lock);
    if (info.ok() && runtime.Wall() - info->modified > kLockStale) {
      TRY(files.Remove(lock));
    } else if (i == kLockTries || wait == LockWait::kNone) {
      return Conflict(lock + " is there: another program is writing the file");
    } else {
      TRY(runtime.Sleep(kLockPause));
    }
  }
}

class LockGuard {
 public:
  LockGuard(rt::Runtime& runtime, std::string path) : runtime_(runtime), path_(std::move(path)) {}
  ~LockGuard() {
    rt::Shield shield(runtime_);
    // A lock that can't be removed is found, and named, by the next writer.
    (void)runtime_.files().Remove(path_ + ".lock");
  }

 private:
  rt::Runtime& runtime_;
  std::string path_;
};

/// The value of `inner` in the entry called `name` of a list, made if it is not there.
doc::Value& EntryOf(doc::Document& config, std::string_view list, std::string_view inner, std::string_view name) {
  doc::Arena& arena = config.arena;
  doc::Value& entries = config.root.Ensure(arena, list);
  if (!entries.is_array()) entries = doc::Value::Array();
  doc::Value* found = nullptr;
  for (doc::Value& entry : entries.items()) {
    if (found == nullptr && entry.At("name").AsString() == name) found = &entry;
  }
  if (found == nullptr) {
    found = &entries.Append(arena, doc::Value::Object());
    found->Set(arena, "name", doc::Value::String(arena, name));
  }
  doc::Value& value = found->Ensure(arena, inner);
  if (!value.is_object()) value = doc::Value::Object();
  return value;
}

/// Sets the text, or removes the member when it is empty.
void SetText(doc::Arena& arena, doc::Value& object, std::string_view key, std::string_view text) {
  if (text.empty()) {
    object.Remove(key);
  } else {
    object.Set(arena, key, doc::Value::String(arena, text));
  }
}

void SetPem(doc::Arena& arena, doc::Value& object, const std::string& key, std::string_view pem) {
  object.Remove(key);  // a file's name, which would be looked at too
  std::string data_key = key + "-data";
  object.Remove(data_key);
  if (!pem.empty()) object.SetCopy(arena, data_key, doc::Value::String(arena, Base64Encode(pem)));
}

void Merge(doc::Document& config, const KubeconfigEntry& entry) {
  doc::Arena& arena = config.arena;
  if (!config.root.is_object()) config.root = doc::Value::Object();
  if (config.root.At("apiVersion").AsString().empty()) config.root.Set(arena, "apiVersion", doc::Value::Borrow("v1"));
  if (config.root.At("kind").AsString().empty()) config.root.Set(arena, "kind", doc::Value::Borrow("Config"));
  doc::Value& cluster = EntryOf(config, "clusters", "cluster", entry.name);
  SetText(arena, cluster, "server", entry.server);
  SetPem(arena, cluster, "certificate-authority", entry.ca_pem);
  doc::Value& user = EntryOf(config, "users", "user", entry.name);
  SetPem(arena, user, "client-certificate", entry.client_certificate_pem);
  SetPem(arena, user, "client-key", entry.client_key_pem);
  SetText(arena, user, "token", entry.token);
  doc::Value& context = EntryOf(config, "contexts", "context", entry.name);
  SetText(arena, context, "cluster", entry.name);
  SetText(arena, context, "user", entry.name);
  if (entry.set_current || config.root.At("current-context").AsString().empty()) {
    SetText(arena, config.root, "current-context", entry.name);
  }
}

void RemoveEntry(doc::Document& config, std::string_view list, std::string_view name) {
  doc::Value* entries = config.root.Find(list);
  if (entries == nullptr || !entries->is_array()) return;
  for (size_t i = entries->size(); i-- > 0;) {
    if ((*entries)[i].At("name").AsString() == name) entries->Erase(i);
  }
}

/// Reads, changes and replaces the file. `change` may leave it as it is.
Ok Rewrite(rt::Runtime& runtime, const std::string& path, LockWait wait,
           const std::function<void(doc::Document&)>& change) {
  rt::FileSystem& files = runtime.files();
  TRY(Lock(runtime, path, wait));
  LockGuard guard(runtime, path);
  std::string before;
  auto info = files.Stat(path);
  bool is_new = info.Failed(Reason::kNotFound);
  if (is_new) {
    info = TRY(files.Stat(ParentOf(path)));
  } else {
    before = TRY(files.ReadFile(path, kFileMax));
  }
  if (!info.ok()) return info.status();
  doc::YamlDocument config = TRY(doc::ParseYaml(before).Context(path));
  if (!config.root().is_null() && !config.root().is_object()) return BadRequest(path + ": it is no kubeconfig file");
  change(config.document);
  std::string after = doc::ToYaml(config.root());
  if (after == before) return {};
  TRY(files.WriteFileAtomic(path, after, 0600));
  rt::FileInfo written = TRY(files.Stat(path));
  if (written.uid != info->uid || written.gid != info->gid) TRY(files.Chown(path, info->uid, info->gid));
  return {};
}

}  // namespace

Ok MergeKubeconfig(rt::Runtime& runtime, const std::string& path, const KubeconfigEntry& entry, LockWait wait) {
  std::string real = TRY(Resolve(runtime.files(), path));
  TRY(MakeFolder(runtime.files(), ParentOf(real)));
  return Rewrite(runtime, real, wait, [&](doc::Document& config) { Merge(config, entry); });
}

Ok EditKubeconfig(rt::Runtime& runtime, const std::string& path, const std::function<void(doc::Document&)>& change) {
  std::string real = TRY(Resolve(runtime.files(), path));
  TRY(MakeFolder(runtime.files(), ParentOf(real)));
  return Rewrite(runtime, real, LockWait::kPatient, [&](doc::Document& config) {
    if (!config.root.is_object()) config.root = doc::Value::Object();
    change(config);
  });
}

Ok RemoveFromKubeconfig(rt::Runtime& runtime, const std::string& path, std::string_view name) {
  std::string real = TRY(Resolve(runtime.files(), path));
  if (!runtime.files().Exists(real)) return {};
  return Rewrite(runtime, real, LockWait::kPatient, [&](doc::Document& config) {
    RemoveEntry(config, "clusters", name);
    RemoveEntry(config, "users", name);
    RemoveEntry(config, "contexts", name);
    if (config.root.At("current-context").AsString() == name) {
      config.root.Set(config.arena, "current-context", doc::Value::Borrow(""));
    }
  });
}

}  // namespace knarr::client
