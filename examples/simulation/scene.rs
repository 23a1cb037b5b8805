//! What the invariants look at, and when.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use openclaw_tenancy::Tenancy;
use openclaw_tenancy::container::ObjectRef;
use openclaw_tenancy::id::{HostId, TenantId};
use openclaw_tenancy::memory::{MemoryBackend, MemoryStore};
use openclaw_tenancy::routes::Route;
use openclaw_tenancy::tenant::Tenant;

use crate::bugs::Bug;
use crate::invariants::{Memory, check_step};

thread_local! {
    /// The scene of the story that this thread plays.
    static SCENE: RefCell<Option<Rc<Scene>>> = const { RefCell::new(None) };
}

/// Calls that change nothing which an invariant looks at: after one of them there is nothing new to see. What a claim
/// makes its holder doubt is seen after its first step.
const READS: &[&str] = &[
    "backend.host",
    "backend.hosts",
    "backend.inspect",
    "backend.list",
    "backend.logs",
    "backend.measure_swap",
    "backend.path_exists",
    "backend.prepare",
    "backend.put_files",
    "probe.probe",
    "store.change_seq",
    "store.changed_since",
    "store.claim_hosts",
    "store.claim_tenants",
    "store.events",
    "store.find_by_owner",
    "store.get",
    "store.hosts",
    "store.list",
    "store.ping",
    "store.queue_position",
    "store.renew",
    "store.tenants_on",
];

/// Something on a host that is not ours.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) host: HostId,
    pub(crate) name: String,
    pub(crate) object: ObjectRef,
}

#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) bug: Option<Bug>,
    pub(crate) backend: MemoryBackend,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) tenancy: Tenancy,
    pub(crate) hosts: [HostId; 2],
    pub(crate) foreign: RefCell<Vec<Foreign>>,
    /// How many passes have begun and neither ended nor go on now.
    pub(crate) asleep: Cell<usize>,
    /// Whether a pass went on after its process had been stopped: a call of it may have landed late.
    pub(crate) late: Cell<bool>,
    pub(crate) memory: RefCell<Memory>,
    /// Routes as they were when an instance was first ready, for a bug.
    pub(crate) cached: RefCell<BTreeMap<TenantId, Route>>,
    /// The call since which nothing has been looked at.
    pub(crate) since: Cell<Option<&'static str>>,
    /// What was found between two steps.
    pub(crate) found: RefCell<Option<String>>,
}

impl Scene {
    /// Makes this the scene of the thread's story.
    pub(crate) fn begins(self: &Rc<Self>) {
        SCENE.set(Some(Rc::clone(self)));
    }

    /// The route that the edge takes to a tenant.
    pub(crate) fn route(&self, row: &Tenant) -> Route {
        let route = self.tenancy.route(row);
        if self.bug != Some(Bug::RouteIsCached) || route.upstream.is_none() {
            return route;
        }
        self.cached
            .borrow_mut()
            .entry(row.id)
            .or_insert(route)
            .clone()
    }
}

/// Ends the thread's scene.
pub(crate) fn ends() {
    SCENE.set(None);
}

/// Looks before a call at what the call before it left.
pub(crate) fn before(call: &'static str) {
    let Some(scene) = SCENE.with_borrow(Option::clone) else {
        return;
    };
    if scene.found.borrow().is_some() {
        return;
    }
    if let Some(since) = scene.since.get()
        && let Err(violation) = check_step(&scene)
    {
        let violation = format!("{violation} (after {since})");
        scene.found.replace(Some(violation));
    }
    if !READS.contains(&call) {
        scene.since.set(Some(call));
    }
}
