// kubectl cp: tar in the container, ours here, an exec between them.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/core_v1.h"
#include "base/path.h"
#include "base/strings.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/pod_streams.h"
#include "cli/kubectl/tar_write.h"
#include "cli/kubectl/verbs.h"
#include "image/tar.h"
#include "rt/file_system.h"

namespace knarr::cli {
namespace {

constexpr size_t kPart = 64 << 10;
constexpr Duration kLookLimit = 30s;

/// One end of a copy: [[namespace/]pod:]path.
struct FileSpec {
  std::string ns;
  std::string pod;  ///< "": here
  std::string path;
};

Result<FileSpec> ParseFileSpec(std::string_view text) {
  const Status malformed = BadRequest("filespec must match the canonical format: [[namespace/]pod:]file/path");
  FileSpec out;
  const size_t colon = text.find(':');
  if (colon == 0) return malformed;
  if (colon == std::string_view::npos) {
    out.path = text;
    return out;
  }
  out.path = text.substr(colon + 1);
  const auto parts = Split(text.substr(0, colon), '/');
  if (parts.size() > 2) return malformed;
  if (parts.size() == 2) out.ns = parts.front();
  out.pod = parts.back();
  return out;
}

/// What a command writes, as the bytes of an archive; its complaints go to the console.
class OutputSource : public image::ByteSource {
 public:
  OutputSource(Session& session, client::ExecStream& stream) : session_(session), stream_(stream) {}
  Result<size_t> Read(char* out, size_t size) override {
    while (at_ == part_.size()) {
      client::ExecStream::Chunk chunk = TRY(stream_.Read());
      if (chunk.data.empty()) return size_t{0};
      if (chunk.fd == 2) {
        TRY(session_.Print(chunk.data));
        continue;
      }
      part_ = std::move(chunk.data);
      at_ = 0;
    }
    const size_t count = part_.copy(out, size, at_);
    at_ += count;
    return count;
  }

 private:
  Session& session_;
  client::ExecStream& stream_;
  std::string part_;
  size_t at_ = 0;
};

class Copy : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    flags.String(&container_, "container", 'c', "The container to copy to or from");
    flags.Bool(&no_preserve_, "no-preserve", 0, "Do not keep owners and permissions in the container");
    flags.Int(&retries_, "retries", 0, "How often a copy from a container is begun again where it broke; -1: always");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    if (args.size() != 2) return BadRequest("source and destination are required");
    const FileSpec from = TRY(ParseFileSpec(args[0]));
    const FileSpec to = TRY(ParseFileSpec(args[1]));
    if (!from.pod.empty() && !to.pod.empty()) {
      return BadRequest("one of src or dest must be a local file specification");
    }
    if (from.path.empty() || to.path.empty()) return BadRequest("filepath can not be empty");
    if (!from.pod.empty()) return FromPod(session, from, to.path);
    if (!to.pod.empty()) return ToPod(session, from.path, to);
    return BadRequest("one of src or dest must be a remote file specification");
  }

 private:
  Result<std::unique_ptr<client::ExecStream>> Exec(Session& session, const FileSpec& where,
                                                   std::vector<std::string> command, bool with_input) {
    const std::string ns = where.ns.empty() ? session.ns() : where.ns;
    if (picked_.empty()) {
      const api::ObjectPtr pod = TRY(session.client().Get(api::core_v1::PodInfo(), {ns, where.pod}));
      const std::string_view phase = pod->tree().Get("status", "phase").AsString();
      if (phase == "Succeeded" || phase == "Failed") {
        return BadRequest(fmt::format("cannot exec into a container in a completed pod; current phase is {}", phase));
      }
      picked_ = TRY(PickContainer(session, *pod, container_, false));
    }
    return session.connection().pods().Exec(
        ns, where.pod, {.container = picked_, .command = std::move(command), .stdin_open = with_input});
  }

  static Result<int> Told(Session& session, Result<int> code) {
    if (code.ok() && *code != 0) {
      TRY(session.console().Flush());
      TRY(session.Warn(fmt::format("command terminated with exit code {}\n", *code)));
    }
    return code;
  }

  // --- to a container

  Result<int> ToPod(Session& session, const std::string& source, const FileSpec& to) {
    if (!session.runtime().files().Stat(source).ok()) {
      return BadRequest(fmt::format("{} doesn't exist in local filesystem", source));
    }
    std::string target = to.path;
    if (TRY(IsDirectoryThere(session, to))) target = JoinPaths(target, BaseName(CleanPath(source)));
    std::vector<std::string> command = {"tar", "-xmf", "-"};
    if (no_preserve_) command = {"tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-"};
    command.insert(command.end(), {"-C", DirName(target)});
    const auto stream = TRY(Exec(session, to, std::move(command), true));
    rt::TaskGroup group(session.runtime(), "tar");
    Ok written;
    group.Spawn("write", [&] {
      written = AddTree(session.runtime().files(), source, BaseName(CleanPath(target)), *stream);
      if (written.ok()) written = stream->WriteStdin(TarEnd());
      stream->CloseStdin();
    });
    const Result<int> code = CopyOutput(session.console(), *stream);
    group.StopAndJoin();
    stream->Close();
    // What the command says of its end says more than that it reads no more.
    if (code.ok() && *code == 0 && !written.ok() && !written.Failed(Reason::kCancelled)) return written.status();
    return Told(session, code);
  }

  Result<bool> IsDirectoryThere(Session& session, const FileSpec& to) {
    const rt::CancelScope limit(session.runtime(), kLookLimit);
    const auto stream = TRY(Exec(session, to, {"test", "-d", to.path}, false));
    for (;;) {
      const client::ExecStream::Chunk chunk = TRY(stream->Read());
      if (chunk.data.empty()) break;
    }
    const Result<int> code = stream->Wait();
    stream->Close();
    return code.ok() && *code == 0;
  }

  Ok AddTree(rt::FileSystem& files, const std::string& path, const std::string& name, client::ExecStream& out) {
    const rt::FileInfo info = TRY(files.LinkStat(path));
    image::TarEntry entry;
    entry.path = name;
    entry.mode = info.mode;
    entry.uid = info.uid;
    entry.gid = info.gid;
    entry.mtime_seconds = std::chrono::duration_cast<std::chrono::seconds>(info.modified.time_since_epoch()).count();
    if (info.type == rt::FileType::kDirectory) {
      const auto children = TRY(files.List(path));
      if (children.empty()) {
        entry.type = image::TarType::kDirectory;
        return out.WriteStdin(TarHeader(entry));
      }
      for (const rt::DirectoryEntry& child : children) {
        TRY(AddTree(files, path + "/" + child.name, name + "/" + child.name, out));
      }
      return {};
    }
    if (info.type == rt::FileType::kSymlink) {
      entry.type = image::TarType::kSymlink;
      entry.link = TRY(files.ReadLink(path));
      return out.WriteStdin(TarHeader(entry));
    }
    if (info.type != rt::FileType::kFile) return BadRequest(fmt::format("{} is no file that can be copied", path));
    entry.size = info.size;
    const auto file = TRY(files.Open(path, rt::OpenMode::kRead));
    TRY(out.WriteStdin(TarHeader(entry)));
    for (int64_t at = 0; at < info.size;) {
      const std::string part =
          TRY(file->ReadAt(at, static_cast<size_t>(std::min<int64_t>(kPart, info.size - at))));
      if (part.empty()) return BadRequest(fmt::format("{} became shorter while it was copied", path));
      TRY(out.WriteStdin(part));
      at += static_cast<int64_t>(part.size());
    }
    return out.WriteStdin(TarPadding(info.size));
  }

  // --- from a container

  Result<int> FromPod(Session& session, const FileSpec& from, const std::string& target) {
    int64_t tries = 0;
    for (;;) {
      const Result<int> code = TryFromPod(session, from, target);
      if (code.ok() || (retries_ >= 0 && tries >= retries_) || code.Failed(Reason::kBadRequest)) {
        return Told(session, code);
      }
      ++tries;
      TRY(session.Print(fmt::format("Resuming copy, retry {}/{}\n", tries, retries_)));
    }
  }

  Result<int> TryFromPod(Session& session, const FileSpec& from, const std::string& target) {
    const auto stream = TRY(Exec(session, from, {"tar", "cf", "-", from.path}, false));
    OutputSource source(session, *stream);
    const Ok unpacked = Unpack(session, source, from, target);
    const Result<int> code = unpacked.ok() ? stream->Wait() : Result<int>(unpacked.status());
    stream->Close();
    return code;
  }

  Ok Unpack(Session& session, OutputSource& source, const FileSpec& from, const std::string& target) {
    rt::FileSystem& files = session.runtime().files();
    // Where the names in the archive begin: the path without what leads out of the root.
    std::string prefix = CleanPath(std::string(TrimLeft(from.path)));
    while (prefix.starts_with("../")) prefix.erase(0, 3);
    if (prefix == "." || prefix == "..") prefix.clear();
    image::TarReader reader(source);
    bool link_told = false;
    for (;;) {
      const auto entry = TRY(reader.Next());
      if (!entry.has_value()) break;
      std::string_view name = entry->path;
      if (!name.starts_with(prefix)) return BadRequest("tar contents corrupted");
      name.remove_prefix(prefix.size());
      const std::string base = CleanPath(target);
      const std::string path = JoinPaths(target, CleanPath("/" + std::string(name)));
      const bool inside = path == base || base == "." || path.starts_with(base.ends_with('/') ? base : base + "/");
      if (!inside || path.starts_with("../")) {
        TRY(session.Warn(fmt::format("warning: file {} is outside target destination, skipping\n", GoQuote(path))));
        continue;
      }
      TRY(files.MakeDirectories(DirName(path)));
      if (entry->type == image::TarType::kDirectory) {
        TRY(files.MakeDirectories(path));
      } else if (entry->type == image::TarType::kSymlink || entry->type == image::TarType::kHardLink) {
        TRY(TellOfLink(session, *entry, from, path, link_told));
      } else {
        TRY(WriteOut(files, reader, path));
      }
    }
    // What tar writes behind the archive's end is read, too, for it to end.
    char rest[4096];
    while (TRY(source.Read(rest, sizeof rest)) > 0) {
    }
    return {};
  }

  static std::string_view TrimLeft(std::string_view path) {
    while (path.starts_with('/')) path.remove_prefix(1);
    return path;
  }

  Ok TellOfLink(Session& session, const image::TarEntry& entry, const FileSpec& from, const std::string& path,
                bool& told) const {
    std::string text = fmt::format("warning: skipping symlink: {} -> {}", GoQuote(path), GoQuote(entry.link));
    if (!std::exchange(told, true)) {
      text += fmt::format(R"( (consider using "kubectl exec -n {} {} -- tar cf - {} | tar xf -"))", GoQuote(from.ns),
                          GoQuote(from.pod), GoQuote(from.path));
    }
    return session.Warn(text + "\n");
  }

  static Ok WriteOut(rt::FileSystem& files, image::TarReader& reader, const std::string& path) {
    const auto file = TRY(files.Open(path, rt::OpenMode::kTruncate, 0644));
    std::string part(kPart, '\0');
    for (int64_t at = 0;;) {
      const size_t count = TRY(reader.Read(part.data(), part.size()));
      if (count == 0) return {};
      TRY(file->WriteAt(at, std::string_view(part).substr(0, count)));
      at += static_cast<int64_t>(count);
    }
  }

  std::string container_;
  std::string picked_;
  bool no_preserve_ = false;
  int64_t retries_ = 0;
};

}  // namespace

std::unique_ptr<Command> MakeCopy() { return std::make_unique<Copy>(); }

}  // namespace knarr::cli
