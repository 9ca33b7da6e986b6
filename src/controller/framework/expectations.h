#pragma once

// Per key (the owner's uid: a name may be used again), what a controller has asked for and its informer has not shown
// yet. While anything is expected of a key, the controller neither creates nor deletes for it: a stale copy can delay,
// never cause a surplus.

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/time.h"

namespace knarr::controller {

class Expectations {
 public:
  /// Everything expected has been seen, or it was so long ago that it never will be (five minutes). Forget it then,
  /// before expecting anew.
  bool Satisfied(std::string_view key, MonoTime now) const;
  /// How long until what is expected of the key is given up: it must be looked at then, if nothing came before.
  Duration UntilGivenUp(std::string_view key, MonoTime now) const;
  void ExpectCreations(const std::string& key, int count, MonoTime now);
  void ExpectDeletion(const std::string& key, std::string uid, MonoTime now);
  /// A creation was seen, or failed.
  void CreationObserved(std::string_view key);
  /// A deletion (or the mark of one) was seen, or failed.
  void DeletionObserved(std::string_view key, std::string_view uid);
  void Forget(std::string_view key);

 private:
  struct Entry {
    int creations = 0;
    std::set<std::string, std::less<>> deletions;
    MonoTime since;
  };
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace knarr::controller
