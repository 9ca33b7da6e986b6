#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "net/http.h"

namespace knarr::apiserver {

/// What a request's answer says in Warning headers (RFC 7234, agent "-"): each text once, and as the API server of
/// Kubernetes bounds them. When they have more than 4,096 characters together, each is cut off at 256, and no more are
/// added once those that are there have 4,096.
class Warnings {
 public:
  void Add(std::string text);
  void AddAll(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) Add(text);
  }
  size_t size() const { return texts_.size(); }
  /// Forgets all but the first `size`.
  void Resize(size_t size);
  void WriteTo(net::Headers& headers) const;

 private:
  bool cut_off() const { return total_ > kTotalMax; }

  static constexpr size_t kTotalMax = 4096;
  static constexpr size_t kTextMax = 256;

  std::vector<std::string> texts_;
  std::set<std::string, std::less<>> known_;
  size_t total_ = 0;      // characters of all
  size_t cut_total_ = 0;  // the same, each cut off
};

}  // namespace knarr::apiserver
