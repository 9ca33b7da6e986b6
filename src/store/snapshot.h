#pragma once

#include "store/tree.h"

namespace knarr::store {

/// The Snapshot over a version of the tree.
class TreeSnapshot : public Snapshot {
 public:
  TreeSnapshot(Tree tree, Revision revision) : tree_(std::move(tree)), revision_(revision) {}

  Revision revision() const override { return revision_; }
  std::optional<KeyValue> Get(std::string_view key) const override;
  RangeResult Range(std::string_view prefix, const RangeOptions& options) const override;
  void Visit(std::string_view prefix, std::string_view start_after,
             const std::function<bool(std::string_view key, const Bytes& value, Revision mod)>& visit) const override;
  void VisitEntries(std::string_view prefix, std::string_view start_after,
                    const std::function<bool(const Entry& entry)>& visit) const override;
  size_t Count(std::string_view prefix) const override { return tree_.Count(prefix); }

  const Tree& tree() const { return tree_; }

 private:
  Tree::Cursor Begin(std::string_view prefix, std::string_view start_after) const;
  const Tree tree_;
  const Revision revision_;
};

}  // namespace knarr::store
