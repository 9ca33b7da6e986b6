#pragma once

#include <string>
#include <string_view>

namespace knarr::runtime {

/// What an OCI runtime wrote into its log (JSON lines, or plain text), in the words people know from runc: `exec:
/// "nope": executable file not found in $PATH`. `program` is the container's first argument, for messages of crun that
/// don't name it.
std::string TranslateOciError(std::string_view log, std::string_view program);

/// The whole message of a container that could not be started, as the kubelet shows it of containerd; `runtime` is the
/// program's name ("crun").
std::string StartErrorMessage(std::string_view runtime, std::string_view reason);
/// The same of an exec.
std::string ExecErrorMessage(std::string_view exec_id, std::string_view reason);

}  // namespace knarr::runtime
