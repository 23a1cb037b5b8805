//! Tables as a release before left them, and as nobody of ours did.

use openclaw_tenancy_postgres::PendingMigration;

/// Undoes the second migration.
pub(crate) const TO_THE_RELEASE_BEFORE: &str =
    "DELETE FROM openclaw_tenancy_migrations WHERE version = 2; DROP TABLE gone_hosts";

/// The first migration is not the one that we know by its number.
pub(crate) const ANOTHERS: &str =
    "UPDATE openclaw_tenancy_migrations SET checksum = '' WHERE version = 1";

pub(crate) fn versions(pending: &[PendingMigration]) -> Vec<i64> {
    pending.iter().map(|migration| migration.version).collect()
}
