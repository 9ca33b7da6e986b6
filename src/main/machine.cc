#include "main/machine.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

#include <cerrno>

#include "base/strings.h"

namespace knarr::main {

Result<std::string> HostName() {
  char name[256];
  if (gethostname(name, sizeof name) != 0) return FromErrno(errno, "gethostname");
  name[sizeof name - 1] = '\0';
  return ToLower(name);
}

Result<std::string> HostAddress(const std::string& own_bridge) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return FromErrno(errno, "getifaddrs");
  std::string v4;
  std::string v6;
  for (ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || (at->ifa_flags & IFF_UP) == 0 || (at->ifa_flags & IFF_LOOPBACK) != 0) continue;
    if (own_bridge == at->ifa_name) continue;
    char text[INET6_ADDRSTRLEN];
    if (at->ifa_addr->sa_family == AF_INET && v4.empty()) {
      inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(at->ifa_addr)->sin_addr, text, sizeof text);
      v4 = text;
    } else if (at->ifa_addr->sa_family == AF_INET6 && v6.empty()) {
      const in6_addr& address = reinterpret_cast<sockaddr_in6*>(at->ifa_addr)->sin6_addr;
      if (IN6_IS_ADDR_LINKLOCAL(&address)) continue;
      inet_ntop(AF_INET6, &address, text, sizeof text);
      v6 = text;
    }
  }
  freeifaddrs(list);
  if (!v4.empty()) return v4;
  return v6.empty() ? "127.0.0.1" : v6;
}

}  // namespace knarr::main
