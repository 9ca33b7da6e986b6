#pragma once

// The constructor of every verb, each in the file of its name; verbs.cc lists them.

#include <memory>

#include "cli/kubectl/session.h"

namespace knarr::cli {

std::unique_ptr<Command> MakeGet();
std::unique_ptr<Command> MakeCreate();
std::unique_ptr<Command> MakeApply();
std::unique_ptr<Command> MakeDelete();

}  // namespace knarr::cli
