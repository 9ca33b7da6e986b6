#pragma once

#include "apiserver/strategy.h"

namespace knarr::apiserver {

/// Kinds that are mostly data: what PUT and DELETE may do with them stands in lists of plurals (record.cc). The base of
/// the strategies of the groups other than core and apps.
class RecordStrategy : public Strategy {
 public:
  using Strategy::Strategy;

  bool allow_create_on_update() const override;
  bool allow_unconditional_update() const override;
  bool returns_deleted_object() const override;
};

}  // namespace knarr::apiserver
