//! The kit has teeth: each rule fails a store that breaks it.

use crate::broken::access::Bug as AccessBug;
use crate::broken::store::Bug;
use crate::caught::missed;
use openclaw_tenancy::conformance::access::AccessFixture;
use openclaw_tenancy::conformance::store::StoreFixture;
use openclaw_tenancy::conformance::{access, store};

/// Each rule with a bug that it must find.
const STORE: &[(&str, Bug)] = &[
    ("create_writes_what_was_asked_for", Bug::LosesSettings),
    ("create_makes_the_tenant_due_at_once", Bug::MadeButNotDue),
    (
        "create_refuses_an_owner_who_has_one",
        Bug::SecondTenantOfAnOwner,
    ),
    ("create_refuses_a_slug_in_use", Bug::SecondTenantOfASlug),
    (
        "create_refuses_a_slug_for_30_days_after_it_was_freed",
        Bug::SlugFreeAtOnce,
    ),
    (
        "create_refuses_more_than_the_seats_of_the_plan",
        Bug::NoSeats,
    ),
    ("create_refuses_an_id_in_use", Bug::SecondTenantOfAnId),
    (
        "concurrent_creates_give_an_owner_one_tenant",
        Bug::RacyOwner,
    ),
    ("concurrent_creates_give_a_slug_once", Bug::RacySlug),
    ("concurrent_creates_never_exceed_the_seats", Bug::RacySeats),
    ("create_replays_the_same_request_by_its_key", Bug::NoKeys),
    (
        "create_refuses_a_key_of_another_request",
        Bug::AnyRequestOfAKey,
    ),
    ("create_scopes_a_key_to_its_owner", Bug::KeysOfEverybody),
    ("create_forgets_a_key_after_24_hours", Bug::KeysForEver),
    (
        "create_replays_even_after_the_tenant_is_gone",
        Bug::KeysEndWithTheTenant,
    ),
    (
        "create_uses_up_nothing_when_it_refuses",
        Bug::RefusalsUseUpKeys,
    ),
    (
        "concurrent_creates_with_one_key_have_one_effect",
        Bug::RacyKey,
    ),
    (
        "concurrent_creates_of_two_requests_with_one_key_have_one_effect",
        Bug::AnyRequestOfAKey,
    ),
    ("get_finds_only_what_is_there", Bug::GetsAnother),
    ("find_by_owner_finds_the_live_tenant", Bug::FindsAnother),
    ("list_pages_by_id", Bug::EndlessPages),
    (
        "queue_position_counts_those_made_before",
        Bug::AlwaysFirstInTheQueue,
    ),
    ("change_writes_what_is_wanted", Bug::ForgetsSettingsChange),
    ("change_makes_the_tenant_due_at_once", Bug::ChangedButNotDue),
    ("change_refuses_a_stale_revision", Bug::TakesStaleRevisions),
    (
        "change_to_the_wanted_power_changes_nothing",
        Bug::SamePowerIsAChange,
    ),
    ("change_restarts_once_each_time", Bug::OneRestart),
    (
        "change_refuses_what_is_to_be_deleted",
        Bug::TakesBackDeletion,
    ),
    (
        "change_refuses_what_is_not_there",
        Bug::ChangesWhatIsNotThere,
    ),
    ("change_ends_the_owners_waits", Bug::ChangeKeepsWaits),
    (
        "change_survives_the_settle_of_a_claim_before_it",
        Bug::LastSettleWins,
    ),
    (
        "concurrent_changes_on_one_revision_have_one_winner",
        Bug::RacyRevision,
    ),
    ("release_ends_a_hold", Bug::ReleasesNothing),
    (
        "release_without_a_hold_changes_nothing",
        Bug::ReleaseIsAlwaysAChange,
    ),
    (
        "release_survives_the_settle_of_a_claim_before_it",
        Bug::LastSettleWins,
    ),
    ("claim_takes_the_longest_due_first", Bug::LongestDueLast),
    (
        "claim_takes_what_a_clock_set_back_left_behind",
        Bug::WaitsForTheClock,
    ),
    ("claim_leaves_what_is_not_due", Bug::EverythingIsDue),
    ("claim_excludes_a_second_holder", Bug::NoLease),
    ("claim_passes_on_when_its_lease_ends", Bug::EndlessLease),
    (
        "claim_marks_places_unknown_and_answers_what_was_before",
        Bug::AnswersAsMarked,
    ),
    ("concurrent_claims_share_nothing", Bug::NoLease),
    ("renew_begins_the_lease_anew", Bug::RenewsNothing),
    (
        "renew_is_fenced_when_the_claim_has_passed_on",
        Bug::RenewsForAnybody,
    ),
    ("place_reserves_on_the_host", Bug::PlacesAsKnown),
    (
        "place_again_gives_the_same_place",
        Bug::AnotherPlaceEachTime,
    ),
    ("place_refuses_a_host_without_room", Bug::NoCapacity),
    (
        "place_refuses_a_host_that_takes_nothing",
        Bug::PlacesOnCordonedHosts,
    ),
    ("place_grants_no_more_swap_than_is_left", Bug::GrantsAllSwap),
    (
        "place_is_fenced_when_the_claim_has_passed_on",
        Bug::PlacesForAnybody,
    ),
    (
        "place_gives_no_subnet_that_the_host_has",
        Bug::ForgetsTheHostsSubnets,
    ),
    (
        "place_gives_subnets_until_the_pool_is_empty",
        Bug::SubnetsOfNoPool,
    ),
    (
        "concurrent_places_never_exceed_the_capacity",
        Bug::RacyCapacity,
    ),
    ("concurrent_places_share_no_subnet", Bug::OneSubnet),
    ("settle_writes_what_was_seen", Bug::LosesFailures),
    (
        "settle_makes_the_tenant_due_when_it_says",
        Bug::DueAtOnceAlways,
    ),
    ("settle_again_is_fenced", Bug::SettlesTwice),
    (
        "settle_is_fenced_when_the_claim_has_passed_on",
        Bug::SettlesForAnybody,
    ),
    ("settle_frees_the_places_it_left", Bug::KeepsLeftPlaces),
    ("settle_pins_a_digest_once", Bug::NeverPins),
    ("settle_never_lowers_the_generation", Bug::LosesGenerations),
    ("settle_removes_what_is_gone", Bug::KeepsWhatIsGone),
    (
        "settle_removes_only_what_was_to_be_deleted",
        Bug::RemovesAnything,
    ),
    ("put_host_makes_a_host_known_and_due", Bug::CordonsNewHosts),
    ("put_host_again_changes_only_labels", Bug::PutOpensHosts),
    ("cordon_closes_and_opens_a_host", Bug::CordonsForEver),
    (
        "release_host_makes_a_quarantined_host_new_and_due",
        Bug::ReleasesNoHost,
    ),
    (
        "release_host_without_a_quarantine_changes_nothing",
        Bug::ReleaseForgetsLabels,
    ),
    (
        "release_host_survives_the_settle_of_a_claim_before_it",
        Bug::SettlesHostsTwice,
    ),
    ("remove_host_forgets_an_empty_host", Bug::ForgetsNoHost),
    (
        "remove_host_keeps_a_host_that_holds_a_tenant",
        Bug::ForgetsHostsInUse,
    ),
    (
        "remove_host_fences_a_claim_of_before",
        Bug::SettlesHostsTwice,
    ),
    (
        "concurrent_remove_and_place_lose_no_host",
        Bug::PlacesOnForgottenHosts,
    ),
    ("hosts_are_listed_by_id", Bug::HostsInReverse),
    ("claim_hosts_excludes_a_second_holder", Bug::NoHostLease),
    (
        "claim_hosts_passes_on_when_the_lease_ends",
        Bug::EndlessHostLease,
    ),
    ("concurrent_host_claims_share_nothing", Bug::NoHostLease),
    ("settle_host_writes_what_was_seen", Bug::LosesMarkers),
    (
        "settle_host_is_fenced_when_the_claim_has_passed_on",
        Bug::SettlesHostsTwice,
    ),
    ("settle_host_makes_stirred_tenants_due", Bug::StirsNobody),
    (
        "settle_host_stirs_a_tenant_that_is_claimed",
        Bug::StirsNobody,
    ),
    (
        "tenants_on_lists_those_with_a_place_there",
        Bug::EverybodyIsEverywhere,
    ),
    ("events_come_in_order_and_in_pages", Bug::EventsInReverse),
    ("events_tell_what_was_asked_for", Bug::TellsNoChanges),
    ("events_of_one_tenant_are_bounded", Bug::FewEvents),
    ("change_seq_grows_with_each_change", Bug::OneChange),
    (
        "changed_since_tells_what_changed_and_what_is_gone",
        Bug::NobodyGoes,
    ),
    ("changed_since_never_misses_a_change", Bug::SkipsChanges),
    ("ping_answers", Bug::NeverAnswers),
    ("histories_are_linearizable", Bug::SettlesForAnybody),
];

const ACCESS: &[(&str, AccessBug)] = &[
    (
        "put_grant_refuses_a_secret_in_use",
        AccessBug::OverwritesGrants,
    ),
    (
        "put_grant_keeps_the_newest_of_an_account_and_kind",
        AccessBug::KeepsEveryGrant,
    ),
    ("grant_is_read_any_number_of_times", AccessBug::ReadsOnce),
    ("grant_ends_when_it_expires", AccessBug::NothingExpires),
    (
        "grants_of_one_kind_never_stand_in_for_another",
        AccessBug::AnyKind,
    ),
    ("take_grant_gives_it_once", AccessBug::TakesAgain),
    ("concurrent_takes_give_it_once", AccessBug::RacyTake),
    (
        "revoke_grants_ends_those_of_the_kind_and_account",
        AccessBug::RevokesOfEverybody,
    ),
    (
        "sweep_grants_removes_what_has_expired",
        AccessBug::SweepsAll,
    ),
    (
        "sign_in_makes_an_account_once",
        AccessBug::NewAccountEachTime,
    ),
    (
        "sign_in_brings_contact_text_up_to_date",
        AccessBug::KeepsOldContact,
    ),
    (
        "sign_in_keeps_contact_text_that_is_not_sent",
        AccessBug::ForgetsContact,
    ),
    (
        "sign_in_binds_to_issuer_and_subject_alone",
        AccessBug::JoinsByEmail,
    ),
    ("sign_in_refuses_an_id_in_use", AccessBug::TakesOverIds),
    (
        "concurrent_sign_ins_give_one_account",
        AccessBug::RacySignIn,
    ),
    ("account_finds_only_what_is_there", AccessBug::FindsAnother),
    (
        "accounts_are_listed_once_each_in_pages",
        AccessBug::ListsTheLastAgain,
    ),
    (
        "accounts_are_listed_once_each_in_pages",
        AccessBug::ListsMore,
    ),
    (
        "accounts_are_listed_once_each_in_pages",
        AccessBug::ListsByTime,
    ),
    ("set_account_rights_keeps_them", AccessBug::LosesPlans),
    (
        "set_account_rights_refuses_what_is_not_there",
        AccessBug::RightsOfNobody,
    ),
    (
        "has_admin_tells_whether_one_administers",
        AccessBug::AlwaysAdmin,
    ),
    (
        "put_password_keeps_the_first_unless_told_otherwise",
        AccessBug::ReplacesPasswords,
    ),
    (
        "concurrent_first_passwords_have_one_winner",
        AccessBug::RacyPassword,
    ),
    ("password_finds_only_what_is_there", AccessBug::AnyCase),
    ("meta_keeps_the_first_value", AccessBug::LastValueWins),
    (
        "concurrent_meta_gives_everybody_one_value",
        AccessBug::RacyValue,
    ),
];

#[tokio::test]
async fn each_rule_of_the_tenant_store_fails_a_store_that_breaks_it() {
    let missed = missed(STORE, store::RULES, |bug| {
        Box::new(crate::broken::store::Fixture::new(bug)) as Box<dyn StoreFixture>
    });
    let missed = missed.await;
    assert!(missed.is_empty(), "{missed:#?}");
}

#[tokio::test]
async fn each_rule_of_the_access_store_fails_a_store_that_breaks_it() {
    let missed = missed(ACCESS, access::RULES, |bug| {
        Box::new(crate::broken::access::Fixture::new(bug)) as Box<dyn AccessFixture>
    });
    let missed = missed.await;
    assert!(missed.is_empty(), "{missed:#?}");
}

#[tokio::test]
async fn no_rule_fails_the_same_store_without_a_bug() {
    for rule in store::RULES {
        (rule.check)(&crate::broken::store::Fixture::new(Bug::None)).await;
    }
    for rule in access::RULES {
        (rule.check)(&crate::broken::access::Fixture::new(AccessBug::None)).await;
    }
}
