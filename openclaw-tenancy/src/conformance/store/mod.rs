//! The rules of [`TenantStore`].

mod change;
mod claim;
mod create;
mod forget;
pub(crate) mod given;
mod host;
mod keys;
mod log;
mod look;
mod place;
mod settle;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use change::*;
use claim::*;
use create::*;
use forget::*;
use host::*;
use keys::*;
use log::*;
use look::*;
use place::*;
use settle::*;

use super::Rule;
use super::history::histories_are_linearizable;
use crate::store::TenantStore;

/// A store to try the rules on, empty when it is made.
#[async_trait]
pub trait StoreFixture: fmt::Debug + Send + Sync + 'static {
    /// The store.
    fn store(&self) -> Arc<dyn TenantStore>;

    /// The same rows as another process would see them; the same store where there can be no other process.
    fn replica(&self) -> Arc<dyn TenantStore>;

    /// Makes `time` pass for the store's clock, without waiting for it.
    async fn pass(&self, time: Duration);

    /// Sets the store's clock back.
    async fn set_back(&self, time: Duration);

    /// Cleans up after a rule that held.
    async fn finish(&self);
}

/// Every rule.
pub const RULES: &[Rule<dyn StoreFixture>] = crate::conformance_store!(@list table []);

/// Expands to one `#[tokio::test]` for each rule of [`TenantStore`].
///
/// The argument is an expression that is evaluated anew for each test: a future of `Option<impl`
/// [`StoreFixture`](crate::conformance::store::StoreFixture)`>`. `None` skips the test; say why when giving it.
#[macro_export]
macro_rules! conformance_store {
    (@list $how:ident [$($with:tt)*]) => {
        $crate::conformance_store! { @$how [$($with)*]
            create_writes_what_was_asked_for
            create_makes_the_tenant_due_at_once
            create_refuses_an_owner_who_has_one
            create_refuses_a_slug_in_use
            create_refuses_a_slug_for_30_days_after_it_was_freed
            create_refuses_more_than_the_seats_of_the_plan
            create_refuses_an_id_in_use
            concurrent_creates_give_an_owner_one_tenant
            concurrent_creates_give_a_slug_once
            concurrent_creates_never_exceed_the_seats
            create_replays_the_same_request_by_its_key
            create_refuses_a_key_of_another_request
            create_scopes_a_key_to_its_owner
            create_forgets_a_key_after_24_hours
            create_replays_even_after_the_tenant_is_gone
            create_uses_up_nothing_when_it_refuses
            concurrent_creates_with_one_key_have_one_effect
            concurrent_creates_of_two_requests_with_one_key_have_one_effect
            get_finds_only_what_is_there
            find_by_owner_finds_the_live_tenant
            list_pages_by_id
            queue_position_counts_those_made_before
            change_writes_what_is_wanted
            change_makes_the_tenant_due_at_once
            change_refuses_a_stale_revision
            change_to_the_wanted_power_changes_nothing
            change_restarts_once_each_time
            change_refuses_what_is_to_be_deleted
            change_refuses_what_is_not_there
            change_ends_the_owners_waits
            change_survives_the_settle_of_a_claim_before_it
            concurrent_changes_on_one_revision_have_one_winner
            release_ends_a_hold
            release_without_a_hold_changes_nothing
            release_survives_the_settle_of_a_claim_before_it
            claim_takes_the_longest_due_first
            claim_leaves_what_is_not_due
            claim_takes_what_a_clock_set_back_left_behind
            claim_excludes_a_second_holder
            claim_passes_on_when_its_lease_ends
            claim_marks_places_unknown_and_answers_what_was_before
            concurrent_claims_share_nothing
            renew_begins_the_lease_anew
            renew_is_fenced_when_the_claim_has_passed_on
            place_reserves_on_the_host
            place_again_gives_the_same_place
            place_refuses_a_host_without_room
            place_refuses_a_host_that_takes_nothing
            place_grants_no_more_swap_than_is_left
            place_is_fenced_when_the_claim_has_passed_on
            place_gives_subnets_until_the_pool_is_empty
            place_gives_no_subnet_that_the_host_has
            concurrent_places_never_exceed_the_capacity
            concurrent_places_share_no_subnet
            settle_writes_what_was_seen
            settle_makes_the_tenant_due_when_it_says
            settle_again_is_fenced
            settle_is_fenced_when_the_claim_has_passed_on
            settle_frees_the_places_it_left
            settle_pins_a_digest_once
            settle_never_lowers_the_generation
            settle_removes_what_is_gone
            settle_removes_only_what_was_to_be_deleted
            put_host_makes_a_host_known_and_due
            put_host_again_changes_only_labels
            cordon_closes_and_opens_a_host
            release_host_makes_a_quarantined_host_new_and_due
            release_host_without_a_quarantine_changes_nothing
            release_host_survives_the_settle_of_a_claim_before_it
            remove_host_forgets_an_empty_host
            remove_host_keeps_a_host_that_holds_a_tenant
            remove_host_fences_a_claim_of_before
            concurrent_remove_and_place_lose_no_host
            hosts_are_listed_by_id
            claim_hosts_excludes_a_second_holder
            claim_hosts_passes_on_when_the_lease_ends
            concurrent_host_claims_share_nothing
            settle_host_writes_what_was_seen
            settle_host_is_fenced_when_the_claim_has_passed_on
            settle_host_makes_stirred_tenants_due
            settle_host_stirs_a_tenant_that_is_claimed
            tenants_on_lists_those_with_a_place_there
            events_come_in_order_and_in_pages
            events_tell_what_was_asked_for
            events_of_one_tenant_are_bounded
            change_seq_grows_with_each_change
            changed_since_tells_what_changed_and_what_is_gone
            changed_since_never_misses_a_change
            ping_answers
            histories_are_linearizable
        }
    };
    (@test [$fixture:expr] $($rule:ident)*) => {
        $crate::conformance_tests! { store StoreFixture [$fixture] $($rule)* }
    };
    (@table [] $($rule:ident)*) => {
        &[$($crate::conformance::Rule {
            name: stringify!($rule),
            check: |fixture| Box::pin($rule(fixture)),
        }),*]
    };
    ($fixture:expr) => {
        $crate::conformance_store! { @list test [$fixture] }
    };
}
