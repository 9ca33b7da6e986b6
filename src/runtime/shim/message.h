#pragma once

// What the engine and a shim say to each other: datagrams on a SOCK_SEQPACKET socket, each a row of fields that end in
// NUL. A request is "<id> <operation> <argument>…", its answer "<id> ok …" or "<id> error <text>"; an event has id 0.
//
//   hello                                                      → ok <infra pid, 0 when dead>; from now on events
//   list                                                       → item <container> <state> <pid> <code> <started> …, ok
//   start <container> <flags> <log> <oom file> <procs file>    → ok <pid> <started>
//   kill <container> <signal>                                  → ok
//   resize <container> <columns> <rows>                        → ok
//   reopen <container>                                         → ok
//   forget <container>                                         → ok
//   exec <exec> <container> <flags>, with stdio descriptors    → ok <pid>, with the terminal's descriptor
//   kill-exec <exec> <signal>                                  → ok
//   attach <container> <flags>, with descriptors to write to   → ok <terminal> <stdin>, with its input's descriptor
//   close-stdin <container>                                    → ok
//   stop                                                       → ok, once everything has ended; then the shim ends
//
//   0 exit <container> <code> <finished> <oom>      0 exec-exit <exec> <code>      0 infra-exit
//
// Times are nanoseconds since 1970. Flags are letters: t a terminal, i standard input stays open, p a PID namespace of
// its own; for an exec, i: the first descriptor is its standard input; for attach, o and e: the next descriptor gets
// its stdout or stderr. The shim is built without the C++ standard library, so nothing here needs it.

#include <stddef.h>
#include <stdint.h>

namespace knarr::shim {

inline constexpr size_t kMessageMax = 12288;
inline constexpr size_t kFieldsMax = 12;
inline constexpr size_t kIdMax = 64;

struct Fields {
  const char* at[kFieldsMax];
  size_t count = 0;
};

/// False for a message that is empty, has too many fields or does not end in NUL. The fields point into `data`.
bool ParseMessage(const char* data, size_t size, Fields& out);

/// A decimal number with an optional minus, as a whole; false on anything else or overflow.
bool ParseNumber(const char* text, int64_t& out);

/// Whether the text can be a container's or exec's name: 1 to 64 of a-z, 0-9, '-': it becomes part of a path.
bool ValidId(const char* text);

class MessageBuilder {
 public:
  MessageBuilder& Add(const char* field);
  MessageBuilder& AddNumber(int64_t number);
  const char* data() const { return data_; }
  size_t size() const { return size_; }
  /// False when it did not fit; then the message must not be sent.
  bool ok() const { return !overflow_; }

 private:
  char data_[kMessageMax];
  size_t size_ = 0;
  bool overflow_ = false;
};

}  // namespace knarr::shim
