#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace knarr::apiserver {

/// Who asks.
struct UserInfo {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
  /// What the authenticator knows besides (authentication/v1 UserInfo.extra): keys, each with its values.
  std::vector<std::pair<std::string, std::vector<std::string>>> extra = {};

  bool operator==(const UserInfo&) const = default;
};

// The users and groups that the system itself knows.
inline constexpr std::string_view kAnonymous = "system:anonymous";
inline constexpr std::string_view kAllUnauthenticated = "system:unauthenticated";
inline constexpr std::string_view kAllAuthenticated = "system:authenticated";
inline constexpr std::string_view kMasters = "system:masters";
inline constexpr std::string_view kNodes = "system:nodes";
inline constexpr std::string_view kNodePrefix = "system:node:";
inline constexpr std::string_view kServiceAccountPrefix = "system:serviceaccount:";
inline constexpr std::string_view kServiceAccounts = "system:serviceaccounts";

/// Whether the user is a member of the group.
bool IsMember(const UserInfo& user, std::string_view group);
/// "system:serviceaccount:NAMESPACE:NAME", its groups, and system:authenticated.
UserInfo ServiceAccountUser(std::string_view ns, std::string_view name);

}  // namespace knarr::apiserver
