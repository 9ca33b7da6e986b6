#include "cli/kubectl/verbs.h"

namespace knarr::cli {

std::span<const Verb> AllVerbs() {
  static constexpr Verb kVerbs[] = {
      {"annotate", "annotate (-f FILE | TYPE NAME) KEY=VALUE… KEY-…", "Set or remove annotations", MakeAnnotate},
      {"api-resources", "api-resources", "List the kinds the server knows", MakeApiResources},
      {"api-versions", "api-versions", "List the API versions the server speaks", MakeApiVersions},
      {"apply", "apply -f FILE", "Make objects be as the files say", MakeApply},
      {"attach", "attach (POD | TYPE/NAME) [-c CONTAINER]", "Join what runs in a container", MakeAttach},
      {"auth", "auth (can-i VERB [TYPE | TYPE/NAME | URL] | whoami)", "Tell what one may do, and who one is", MakeAuth},
      {"cluster-info", "cluster-info", "Tell where the cluster is", MakeClusterInfo},
      {"config", "config VERB", "Read and change kubeconfig files", MakeConfig},
      {"cp", "cp [[NAMESPACE/]POD:]PATH [[NAMESPACE/]POD:]PATH", "Copy files to and from containers", MakeCopy},
      {"create", "create -f FILE | create KIND NAME", "Create objects", MakeCreate},
      {"delete", "delete (-f FILE | TYPE NAME | TYPE -l SELECTOR)", "Delete objects", MakeDelete},
      {"describe", "describe (TYPE [NAME|PREFIX] | TYPE/NAME | -f FILE)", "Tell everything about objects",
       MakeDescribe},
      {"exec", "exec POD [-c CONTAINER] -- COMMAND", "Run a command in a container", MakeExec},
      {"explain", "explain TYPE[.FIELD…]", "Tell what kinds and their fields are", MakeExplain},
      {"expose", "expose TYPE NAME --port PORT", "Make a service for a workload", MakeExpose},
      {"get", "get (TYPE [NAME] | TYPE/NAME | -f FILE)", "Show objects", MakeGet},
      {"label", "label (-f FILE | TYPE NAME) KEY=VALUE… KEY-…", "Set or remove labels", MakeLabel},
      {"logs", "logs (POD | TYPE/NAME) [-c CONTAINER]", "Print a container's log", MakeLogs},
      {"port-forward", "port-forward TYPE/NAME [LOCAL:]REMOTE…", "Make ports of a pod ports of this machine",
       MakePortForward},
      {"run", "run NAME --image IMAGE [-- COMMAND]", "Run an image in a pod", MakeRun},
      {"scale", "scale (-f FILE | TYPE NAME) --replicas COUNT", "Set the number of replicas", MakeScale},
      {"wait", "wait (TYPE NAME | TYPE/NAME) --for=CONDITION", "Wait until objects are in a condition", MakeWait},
      {"version", "version", "Print the client's and the server's version", MakeVersion},
  };
  return kVerbs;
}

}  // namespace knarr::cli
