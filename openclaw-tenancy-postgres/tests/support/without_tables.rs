//! Tables that nobody made are no outage: every port says what to call.

use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::store::TenantStore;

use crate::given::new_tenant;

/// Holds where the store's database is there, and empty.
pub(crate) async fn says_what_to_call(store: &(impl TenantStore + AccessStore)) {
    let errors = [
        store.create(new_tenant()).await.unwrap_err(),
        store.hosts().await.unwrap_err(),
        store.has_admin().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(
            error.to_string(),
            "the database is unavailable: its tables are not there: run `migrate()` of the store first"
        );
    }
}
