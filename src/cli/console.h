#pragma once

// Where a command reads and writes: the terminal or pipes of the process, or memory in tests.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "rt/runtime.h"

namespace knarr::cli {

struct WindowSize {
  uint16_t columns = 0;
  uint16_t rows = 0;
};

class Console {
 public:
  virtual ~Console() = default;
  /// Buffered; Unavailable once the reader has gone (EPIPE).
  virtual Ok Out(std::string_view text) = 0;
  virtual Ok Err(std::string_view text) = 0;
  virtual Ok Flush() = 0;
  /// Some bytes of standard input, "" at its end. Suspends.
  virtual Result<std::string> Read() = 0;
  virtual bool InIsTerminal() const = 0;
  virtual bool OutIsTerminal() const = 0;
  virtual WindowSize Size() const = 0;
  /// Suspends until the window's size changes.
  virtual Ok WaitResize() = 0;
  /// Keys go through as they are typed, until RestoreMode. No effect without a terminal.
  virtual Ok SetRawMode() = 0;
  virtual void RestoreMode() = 0;

  /// The rest of standard input; RequestEntityTooLarge beyond `limit`.
  Result<std::string> ReadAll(size_t limit);
};

/// On the process's descriptors 0, 1 and 2.
std::unique_ptr<Console> MakeProcessConsole(rt::Runtime& runtime);

/// For tests: input given, output kept.
class MemoryConsole : public Console {
 public:
  std::string input;
  std::string out;
  std::string err;
  bool terminal = false;  ///< `out` is one
  Ok Out(std::string_view text) override;
  Ok Err(std::string_view text) override;
  Ok Flush() override { return {}; }
  Result<std::string> Read() override;
  bool InIsTerminal() const override { return false; }
  bool OutIsTerminal() const override { return terminal; }
  WindowSize Size() const override { return {}; }
  Ok WaitResize() override { return Cancelled("no terminal"); }
  Ok SetRawMode() override { return {}; }
  void RestoreMode() override {}
};

}  // namespace knarr::cli
