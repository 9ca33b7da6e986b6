#pragma once

// The constructor of every verb, each in the file of its name; verbs.cc lists them.

#include <memory>

#include "cli/kubectl/session.h"

namespace knarr::cli {

std::unique_ptr<Command> MakeGet();
std::unique_ptr<Command> MakeCreate();
std::unique_ptr<Command> MakeApply();
std::unique_ptr<Command> MakeDelete();
std::unique_ptr<Command> MakeAuth();
std::unique_ptr<Command> MakeLabel();
std::unique_ptr<Command> MakeAnnotate();
std::unique_ptr<Command> MakeScale();
std::unique_ptr<Command> MakeLogs();
std::unique_ptr<Command> MakeExec();
std::unique_ptr<Command> MakeAttach();
std::unique_ptr<Command> MakePortForward();
std::unique_ptr<Command> MakeCopy();
std::unique_ptr<Command> MakeRun();
std::unique_ptr<Command> MakeExpose();
std::unique_ptr<Command> MakeDescribe();
std::unique_ptr<Command> MakeConfig();
std::unique_ptr<Command> MakeWait();
std::unique_ptr<Command> MakeExplain();
std::unique_ptr<Command> MakeClusterInfo();
std::unique_ptr<Command> MakeApiResources();
std::unique_ptr<Command> MakeApiVersions();
std::unique_ptr<Command> MakeVersion();

}  // namespace knarr::cli
