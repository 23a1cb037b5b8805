//! What is left on an engine when everything has come to its end.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::docker::{Docker, Kind};
use crate::holdings::{WHOLE, count_by_tenant, processes_on};

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(250);

/// Waits until the engine holds exactly one container, one network and two volumes of each of these tenants, beside
/// what is the host's.
///
/// # Panics
/// When that takes longer than `within`.
pub(crate) async fn until_left(docker: &Docker, tenants: &BTreeSet<&str>, within: Duration) {
    let end = Instant::now() + within;
    loop {
        let mut wrong = Vec::new();
        for (kind, each) in WHOLE {
            let found = count_by_tenant(docker, kind).await;
            let right = found.keys().map(String::as_str).collect::<BTreeSet<_>>() == *tenants
                && found.values().all(|count| *count == each);
            if !right {
                wrong.push(format!("{kind:?}: {found:?}"));
            }
        }
        if wrong.is_empty() {
            return;
        }
        assert!(
            Instant::now() < end,
            "the engine holds {wrong:?}, wanted {tenants:?}"
        );
        sleep(LOOK).await;
    }
}

/// This many containers of the deployment run, and nothing else has its volumes, by the kernel's own account.
pub(crate) async fn only_these_run(docker: &Docker, count: usize) {
    let listed = docker.instances("{{.State}} {{.ID}}").await;
    let running: BTreeSet<&str> = listed
        .iter()
        .filter_map(|line| line.strip_prefix("running "))
        .collect();
    assert_eq!(running.len(), count, "what is said to run runs");
    let volumes = docker.list(Kind::Volume, "{{.Name}}").await;
    let seen = processes_on(&volumes);
    let containers: BTreeSet<&str> = seen.iter().map(|found| &*found.container).collect();
    assert_eq!(containers, running, "{seen:?}");
    for container in running {
        let inspect = ["inspect", "--format", "{{.State.Pid}}", container];
        let first = docker.run(&inspect).await;
        let is_seen = seen
            .iter()
            .any(|found| found.container == container && found.pid.to_string() == first.trim());
        assert!(is_seen, "process {first} of {container}: {seen:?}");
    }
}
