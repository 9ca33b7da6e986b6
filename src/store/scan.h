#pragma once

// Reading every record, past what can't be read.

#include <functional>

#include "store/format.h"
#include "store/journal_reader.h"
#include "store/log.h"

namespace knarr::store {

/// What the findings of CheckStructure begin with.
constexpr std::string_view kStructure = "the database's structure: ";

/// Calls `visit` for up to `most` more records, good or not: those of the database as the journal leaves them, then the
/// journal's own. Where pages or frames are damaged, the rows between two that can be read are told to `unreadable`
/// (last kRowMax: up to the end, however many). An error: the disk failed, or `visit` did.
Ok ScanSome(Database& database, const JournalLeft& journal, Scan& scan, size_t most,
            const std::function<Ok(const Record& record)>& visit,
            const std::function<void(int64_t first, int64_t last, const std::string& why)>& unreadable);

/// ScanSome that adds what it finds to a report.
Ok CheckSome(Database& database, const JournalLeft& journal, Scan& scan, size_t most, CheckReport& report);

/// What SQLite finds wrong with its own structure, which may hide records without an error. When nothing was
/// unreadable: that would be told a second time.
Ok CheckStructure(Database& database, CheckReport& report);

/// A record that does not match its checksum.
Damage DamageOf(const Record& record);

}  // namespace knarr::store
