//! The kit of engines, probes and schedulers has teeth: each rule fails an implementation that breaks it.

use std::sync::Arc;

use crate::bench::Bench;
use crate::broken::backend::{Broken, Bug};
use crate::broken::identity::{Bug as IdentityBug, People};
use crate::broken::probe::Bug as ProbeBug;
use crate::broken::scheduler::Bug as SchedulerBug;
use crate::caught::missed;
use openclaw_tenancy::conformance::backend::BackendFixture;
use openclaw_tenancy::conformance::identity::IdentityFixture;
use openclaw_tenancy::conformance::probe::ProbeFixture;
use openclaw_tenancy::conformance::{backend, identity, probe, scheduler};
use openclaw_tenancy::scheduler::HostScheduler;

/// Each rule with a bug that it must find.
const BACKEND: &[(&str, Bug)] = &[
    ("hosts_lists_the_host", Bug::ForgetsItsHosts),
    ("host_says_what_it_has", Bug::KnowsNoVersion),
    (
        "a_host_that_is_not_configured_is_named",
        Bug::AnswersForAnyHost,
    ),
    ("measure_swap_leaves_nothing_behind", Bug::LeavesTheProbe),
    ("list_shows_everything_of_ours", Bug::ListsNoNetworks),
    ("list_of_a_tenant_shows_only_its_own", Bug::ListsEverybodys),
    ("list_shows_only_ours", Bug::ListsForeign),
    ("list_shows_no_copies", Bug::TakesCopies),
    ("inspect_of_what_is_not_there_is_none", Bug::AbsentIsAnError),
    ("inspect_of_what_is_foreign_is_none", Bug::ShowsForeign),
    ("inspect_shows_what_was_asked_for", Bug::ShowsNoLimits),
    ("prepare_pins_the_digest", Bug::PinsNothing),
    ("prepare_again_gives_the_same", Bug::OtherAnswerEachTime),
    (
        "prepare_refuses_an_image_that_is_not_to_be_had",
        Bug::HasEveryImage,
    ),
    ("prepare_refuses_another_digest", Bug::AnyDigest),
    (
        "prepare_says_that_an_image_is_on_its_way",
        Bug::TakesComingForMissing,
    ),
    (
        "create_refuses_a_volume_with_other_options",
        Bug::TakesAnyOptions,
    ),
    (
        "update_refuses_less_memory_than_is_used",
        Bug::UpdatesAllButMemory,
    ),
    (
        "inspect_tells_of_a_child_killed_for_memory",
        Bug::TakesAKilledChildForTheEnd,
    ),
    ("create_starts_nothing", Bug::StartsWhatItMakes),
    ("create_adopts_the_same_spec", Bug::NeverAdopts),
    ("create_adopts_no_other_spec", Bug::AdoptsAnything),
    (
        "create_is_busy_where_another_of_ours_stands",
        Bug::TakesItsOwnForForeign,
    ),
    (
        "create_conflicts_with_what_is_foreign",
        Bug::TakesOverForeign,
    ),
    (
        "create_of_a_container_needs_its_volumes",
        Bug::MakesVolumesOnTheWay,
    ),
    (
        "create_of_a_container_needs_its_network",
        Bug::MakesTheNetworkOnTheWay,
    ),
    (
        "create_makes_no_container_beside_a_stranger_on_its_data",
        Bug::WritesBesideStrangers,
    ),
    (
        "create_refuses_an_image_that_is_not_there",
        Bug::RunsAnotherImage,
    ),
    ("create_refuses_a_subnet_in_use", Bug::NamesNoSubnets),
    ("create_marks_the_host", Bug::ForgetsMarkers),
    (
        "concurrent_creates_make_one_container",
        Bug::NeverSaysAdopted,
    ),
    (
        "dropped_create_is_adopted_by_the_next",
        Bug::HalfMadeWhenDropped,
    ),
    ("remove_again_is_success", Bug::RemovedTwiceIsAnError),
    ("remove_refuses_what_is_foreign", Bug::RemovesForeign),
    (
        "remove_of_a_container_keeps_its_volumes",
        Bug::RemovesVolumesToo,
    ),
    ("remove_ends_what_runs", Bug::RefusesWhatRuns),
    ("remove_refuses_a_volume_in_use", Bug::RemovesUsedVolumes),
    ("start_runs_it_at_its_fixed_address", Bug::AnyAddress),
    ("start_again_is_success", Bug::RunningIsAnError),
    ("start_after_its_end_runs_it_anew", Bug::StartsOnce),
    ("signal_ends_what_runs", Bug::KeepsTheAddress),
    (
        "signal_to_what_does_not_run_is_success",
        Bug::SignalsOnlyWhatRuns,
    ),
    (
        "dropped_start_is_finished_by_the_next",
        Bug::HalfStartedWhenDropped,
    ),
    ("update_shows_in_inspect", Bug::UpdatesNothing),
    (
        "calls_to_what_is_foreign_change_nothing",
        Bug::TouchesForeign,
    ),
    ("calls_to_a_copy_change_nothing", Bug::TakesCopies),
    ("calls_to_what_is_not_there_say_so", Bug::AbsentIsSuccess),
    ("calls_end_when_the_host_says_nothing", Bug::WaitsForEver),
    (
        "put_files_writes_before_the_first_start",
        Bug::PutsOnlyWhileRunning,
    ),
    ("put_files_again_replaces", Bug::PutsOnce),
    ("put_files_gives_content_owner_and_mode", Bug::PutsAsRoot),
    ("files_outlive_the_container", Bug::FilesDieWithTheContainer),
    ("logs_are_bounded", Bug::PrintsEverything),
];

const SCHEDULER: &[(&str, SchedulerBug)] = &[
    ("place_is_deterministic", SchedulerBug::TakesTurns),
    (
        "place_never_chooses_a_host_without_room",
        SchedulerBug::Overfills,
    ),
    ("place_finds_the_only_room", SchedulerBug::AsksTwiceTheRoom),
    (
        "place_leaves_hosts_that_take_nothing",
        SchedulerBug::TakesClosedHosts,
    ),
    (
        "place_breaks_ties_by_the_least_id",
        SchedulerBug::GreatestId,
    ),
    ("place_keeps_to_the_labels", SchedulerBug::ForgetsLabels),
    (
        "place_gives_the_capacity_it_chose_by",
        SchedulerBug::InventsCapacity,
    ),
    ("refusal_names_each_host", SchedulerBug::NamesOne),
    (
        "refusal_is_hopeless_only_where_no_empty_host_would_do",
        SchedulerBug::AlwaysHopes,
    ),
];

const IDENTITY: &[(&str, IdentityBug)] = &[
    ("verify_gives_the_bearer", IdentityBug::EverybodyIsOne),
    ("verify_again_gives_the_same", IdentityBug::TokensOnce),
    (
        "verify_refuses_what_is_no_token",
        IdentityBug::EmptyIsSomebody,
    ),
    ("verify_refuses_a_changed_token", IdentityBug::Trims),
    ("finish_gives_who_signed_in", IdentityBug::EverybodyIsOne),
    (
        "finish_returns_to_where_it_began",
        IdentityBug::ReturnsToTheStart,
    ),
    ("finish_refuses_anothers_secret", IdentityBug::AnyBrowser),
    (
        "finish_refuses_a_changed_answer",
        IdentityBug::LastStateWins,
    ),
    ("finish_refuses_another_browser", IdentityBug::AnyBrowser),
    ("finish_takes_a_callback_once", IdentityBug::Replays),
];

const PROBE: &[(&str, ProbeBug)] = &[
    ("probe_tells_one_that_has_started", ProbeBug::NeverStarted),
    ("probe_waits_for_one_that_starts", ProbeBug::ReadyAtOnce),
    (
        "probe_tells_one_that_needs_repair",
        ProbeBug::WaitsForRepair,
    ),
    ("probe_decides_by_what_is_said", ProbeBug::BelievesAnything),
    (
        "probe_takes_nobody_for_starting",
        ProbeBug::NobodyNeedsRepair,
    ),
    (
        "probe_takes_silence_for_starting_and_ends",
        ProbeBug::WaitsForEver,
    ),
    ("probe_asks_anew_each_time", ProbeBug::Remembers),
];

fn bench(bug: Bug) -> Box<dyn BackendFixture> {
    let mut bench = Bench::new(|inner, _| {
        Arc::new(Broken {
            inner,
            bug,
            count: Default::default(),
        })
    });
    bench.heeds_names = bug != Bug::TakesCopies;
    Box::new(bench)
}

fn people(bug: IdentityBug) -> Box<dyn IdentityFixture> {
    Box::new(People::new(bug))
}

fn probe_of(bug: ProbeBug) -> Box<dyn ProbeFixture> {
    Box::new(crate::broken::probe::Broken::new(bug))
}

fn scheduler(bug: SchedulerBug) -> Box<dyn HostScheduler> {
    Box::new(crate::broken::scheduler::Broken::new(bug))
}

#[tokio::test]
async fn each_rule_of_the_backend_fails_one_that_breaks_it() {
    let missed = missed(BACKEND, backend::RULES, bench).await;
    assert!(missed.is_empty(), "{missed:#?}");
}

#[tokio::test]
async fn each_rule_of_the_scheduler_fails_one_that_breaks_it() {
    let missed = missed(SCHEDULER, scheduler::RULES, scheduler).await;
    assert!(missed.is_empty(), "{missed:#?}");
}

#[tokio::test]
async fn each_rule_of_identity_fails_a_provider_that_breaks_it() {
    let missed = missed(IDENTITY, identity::RULES, people).await;
    assert!(missed.is_empty(), "{missed:#?}");
}

#[tokio::test]
async fn each_rule_of_the_probe_fails_one_that_breaks_it() {
    let missed = missed(PROBE, probe::RULES, probe_of).await;
    assert!(missed.is_empty(), "{missed:#?}");
}

#[tokio::test]
async fn no_rule_fails_the_same_without_a_bug() {
    for rule in backend::RULES {
        (rule.check)(&*bench(Bug::None)).await;
    }
    for rule in scheduler::RULES {
        (rule.check)(&*scheduler(SchedulerBug::None)).await;
    }
    for rule in probe::RULES {
        (rule.check)(&*probe_of(ProbeBug::None)).await;
    }
    for rule in identity::RULES {
        (rule.check)(&*people(IdentityBug::None)).await;
    }
}
