//! The rules of [`ContainerBackend`].

mod act;
mod copies;
mod create;
mod files;
mod given;
mod look;
mod remove;
mod silence;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ipnet::Ipv4Net;

use act::*;
use copies::*;
use create::*;
use files::*;
use look::*;
use remove::*;
use silence::*;

use super::Rule;
use crate::backend::ContainerBackend;
use crate::container::{EngineId, Image, ObjectRef, ObjectSpec};
use crate::id::{DeploymentId, HostId};
use crate::labels::Role;
use crate::quantity::Bytes;
use crate::reconcile::Pace;

/// A file or a directory in a container's volumes, as it was found beside the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Its user.
    pub owner: u32,
    /// Its group.
    pub group: u32,
    /// The permission bits.
    pub mode: u32,
    /// What is in it; a directory has none.
    pub content: Option<Vec<u8>>,
}

/// A backend with one host to try the rules on, without anything of its deployment's there.
///
/// Rules that run side by side may share an engine; then each has a deployment and a subnet of its own.
#[async_trait]
pub trait BackendFixture: fmt::Debug + Send + Sync + 'static {
    /// The backend.
    fn backend(&self) -> Arc<dyn ContainerBackend>;

    /// The host.
    fn host(&self) -> HostId;

    /// Whose objects the backend makes.
    fn deployment(&self) -> DeploymentId;

    /// An image on the host, its digest set. A container of it runs until it is told to end, and then ends.
    fn image(&self) -> Image;

    /// A reference that is not on the host and not to be had.
    fn missing_image(&self) -> String;

    /// A `/29` that no network of the host has.
    fn subnet(&self) -> Ipv4Net;

    /// Makes a volume ([`Role::Data`]), a network or a container of this name beside the backend, without
    /// labels of the deployment's.
    async fn plant(&self, role: Role, name: &str) -> ObjectRef;

    /// Makes what `ours` is of this name beside the backend, as [`plant`](Self::plant) does, with the labels to the
    /// letter that the backend gives `ours`: its MAC too.
    async fn plant_copy(&self, name: &str, ours: &ObjectSpec) -> ObjectRef;

    /// Makes a container beside the backend, as [`plant`](Self::plant) does, with this volume of ours mounted.
    async fn plant_on(&self, volume: &str) -> ObjectRef;

    /// Whether something planted is there and as it was made; a container, whether it was never started.
    async fn untouched(&self, planted: &ObjectRef) -> bool;

    /// A reference whose image is on its way to the host for as long as the fixture lives. `None` where that cannot be
    /// had; then the rule about it is skipped, and says so. So it is with those below.
    async fn image_on_its_way(&self) -> Option<String> {
        None
    }

    /// Makes a volume with this deployment's own labels for `spec`, and with options that the backend never asks for.
    /// Answers whether it could.
    async fn volume_with_other_options(&self, _spec: &ObjectSpec) -> bool {
        false
    }

    /// Makes a running container use this much memory from now on. Answers whether it could.
    async fn fill_memory(&self, _container: &EngineId, _used: Bytes) -> bool {
        false
    }

    /// Has the kernel kill a process of a running container for memory, but not the one that it was started with.
    /// Answers whether it could.
    async fn kill_child_for_memory(&self, _container: &EngineId) -> bool {
        false
    }

    /// What stands at a path in a container's volumes, whether or not the container ever ran: looked at beside the
    /// backend. `None` where the fixture cannot look.
    async fn found(&self, _container: &EngineId, _path: &str) -> Option<FoundFile> {
        None
    }

    /// Another host, which takes connections and never says anything, and the backend that has it, with the limits that
    /// an operator has.
    fn silent_host(&self) -> Option<(Arc<dyn ContainerBackend>, HostId)> {
        None
    }

    /// The lease of the claims under which calls are made: each ends before it does.
    fn lease(&self) -> Duration {
        Pace::default().lease
    }

    /// Cleans up after a rule that held.
    async fn finish(&self);
}

/// Every rule.
pub const RULES: &[Rule<dyn BackendFixture>] = crate::conformance_backend!(@list table []);

/// Expands to one `#[tokio::test]` for each rule of
/// [`ContainerBackend`](crate::backend::ContainerBackend).
///
/// The argument is an expression that is evaluated anew for each test: a future of `Option<impl`
/// [`BackendFixture`](crate::conformance::backend::BackendFixture)`>`. `None` skips the test; say why when giving it.
#[macro_export]
macro_rules! conformance_backend {
    (@list $how:ident [$($with:tt)*]) => {
        $crate::conformance_backend! { @$how [$($with)*]
            hosts_lists_the_host
            host_says_what_it_has
            a_host_that_is_not_configured_is_named
            measure_swap_leaves_nothing_behind
            list_shows_everything_of_ours
            list_of_a_tenant_shows_only_its_own
            list_shows_only_ours
            list_shows_no_copies
            inspect_of_what_is_not_there_is_none
            inspect_of_what_is_foreign_is_none
            inspect_shows_what_was_asked_for
            prepare_pins_the_digest
            prepare_again_gives_the_same
            prepare_refuses_an_image_that_is_not_to_be_had
            prepare_refuses_another_digest
            prepare_says_that_an_image_is_on_its_way
            create_starts_nothing
            create_adopts_the_same_spec
            create_adopts_no_other_spec
            create_is_busy_where_another_of_ours_stands
            create_conflicts_with_what_is_foreign
            create_of_a_container_needs_its_volumes
            create_of_a_container_needs_its_network
            create_makes_no_container_beside_a_stranger_on_its_data
            create_refuses_an_image_that_is_not_there
            create_refuses_a_subnet_in_use
            create_marks_the_host
            create_refuses_a_volume_with_other_options
            concurrent_creates_make_one_container
            dropped_create_is_adopted_by_the_next
            remove_again_is_success
            remove_refuses_what_is_foreign
            remove_of_a_container_keeps_its_volumes
            remove_ends_what_runs
            remove_refuses_a_volume_in_use
            start_runs_it_at_its_fixed_address
            start_again_is_success
            start_after_its_end_runs_it_anew
            signal_ends_what_runs
            signal_to_what_does_not_run_is_success
            dropped_start_is_finished_by_the_next
            update_shows_in_inspect
            update_refuses_less_memory_than_is_used
            inspect_tells_of_a_child_killed_for_memory
            calls_to_what_is_foreign_change_nothing
            calls_to_a_copy_change_nothing
            calls_to_what_is_not_there_say_so
            calls_end_when_the_host_says_nothing
            put_files_writes_before_the_first_start
            put_files_again_replaces
            put_files_gives_content_owner_and_mode
            files_outlive_the_container
            logs_are_bounded
        }
    };
    (@test [$fixture:expr] $($rule:ident)*) => {
        $crate::conformance_tests! { backend BackendFixture [$fixture] $($rule)* }
    };
    (@table [] $($rule:ident)*) => {
        &[$($crate::conformance::Rule {
            name: stringify!($rule),
            check: |fixture| Box::pin($rule(fixture)),
        }),*]
    };
    ($fixture:expr) => {
        $crate::conformance_backend! { @list test [$fixture] }
    };
}
