//! Ending all that lets somebody in.

use openclaw_tenancy::access::{AccessStore, GrantKind};
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::store::StoreError;

/// Ends every session of `account`: browsers, bearers of ours, and sessions at instances with what is on its way there.
///
/// What is at instances goes first: should that fail, its owner still has a session to sign out with. It goes once
/// more after the sessions, since what was handed over meanwhile has to end too.
///
/// # Errors
/// [`StoreError::Unavailable`]; calling again is safe.
pub(crate) async fn end_everywhere(
    store: &dyn AccessStore,
    account: AccountId,
) -> Result<(), StoreError> {
    end_at_instances(store, account).await?;
    store.revoke_grants(GrantKind::Session, account).await?;
    end_at_instances(store, account).await
}

/// Ends the sessions of `account` at instances, and what is on its way there.
///
/// # Errors
/// [`StoreError::Unavailable`]; calling again is safe.
pub(crate) async fn end_at_instances(
    store: &dyn AccessStore,
    account: AccountId,
) -> Result<(), StoreError> {
    for kind in [GrantKind::HandOver, GrantKind::InstanceSession] {
        store.revoke_grants(kind, account).await?;
    }
    Ok(())
}
