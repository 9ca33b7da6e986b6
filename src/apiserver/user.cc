#include "apiserver/user.h"

#include <algorithm>

#include "base/strings.h"

namespace knarr::apiserver {

bool IsMember(const UserInfo& user, std::string_view group) {
  return std::ranges::find(user.groups, group) != user.groups.end();
}

UserInfo ServiceAccountUser(std::string_view ns, std::string_view name) {
  const std::string all(kServiceAccounts);
  UserInfo user;
  user.name.append(kServiceAccountPrefix).append(ns).append(":").append(name);
  user.groups = {all, all + ":" + std::string(ns), std::string(kAllAuthenticated)};
  return user;
}

}  // namespace knarr::apiserver
