//! What an engine holds of each tenant.

use std::collections::{BTreeMap, BTreeSet};

use crate::docker::{Docker, Kind};
use crate::processes;

/// What a whole instance has of each kind.
pub(crate) const WHOLE: [(Kind, usize); 3] =
    [(Kind::Container, 1), (Kind::Network, 1), (Kind::Volume, 2)];

/// How many objects of a kind each tenant has.
pub(crate) async fn count_by_tenant(docker: &Docker, kind: Kind) -> BTreeMap<String, usize> {
    let listed = docker
        .list(kind, r#"{{.Label "io.openclaw-tenancy.tenant"}}"#)
        .await;
    let mut counts = BTreeMap::new();
    // The host's marker is nobody's.
    for tenant in listed.into_iter().filter(|tenant| !tenant.is_empty()) {
        *counts.entry(tenant).or_default() += 1;
    }
    counts
}

/// The tenant of each container that runs, as often as there are such.
async fn running_tenants(docker: &Docker) -> Vec<String> {
    let format = r#"{{.State}} {{.Label "io.openclaw-tenancy.tenant"}}"#;
    let listed = docker.instances(format).await;
    let running = listed
        .iter()
        .filter_map(|line| line.strip_prefix("running "));
    running.map(str::to_owned).collect()
}

/// The tenants that have something on the engine, and not all of an instance that runs: what was being made or removed.
pub(crate) async fn under_way(docker: &Docker) -> BTreeSet<String> {
    let mut held = Vec::new();
    for (kind, each) in WHOLE {
        held.push((count_by_tenant(docker, kind).await, each));
    }
    let running = running_tenants(docker).await;
    let is_whole = |tenant: &String| {
        running.contains(tenant)
            && held
                .iter()
                .all(|(found, each)| found.get(tenant) == Some(each))
    };
    let tenants: BTreeSet<&String> = held.iter().flat_map(|(found, _)| found.keys()).collect();
    let parts = tenants.into_iter().filter(|tenant| !is_whole(tenant));
    parts.cloned().collect()
}

/// The live processes with one of these volumes, whichever engine knows of them.
///
/// # Panics
/// When one volume has processes of two containers.
pub(crate) fn processes_on(volumes: &[String]) -> Vec<processes::OnVolume> {
    let mut seen = processes::on_volumes("/volumes");
    seen.retain(|found| volumes.contains(&found.volume));
    let mut writers = BTreeMap::<&str, BTreeSet<&str>>::new();
    for found in &seen {
        let of_volume = writers.entry(&found.volume).or_default();
        of_volume.insert(&found.container);
    }
    let twins: Vec<_> = writers.iter().filter(|(_, each)| each.len() > 1).collect();
    assert!(twins.is_empty(), "two writers on one volume: {twins:?}");
    seen
}

/// At no moment does an instance have two containers that run, or processes of two.
pub(crate) async fn no_twins(docker: &Docker) {
    let volumes = docker.list(Kind::Volume, "{{.Name}}").await;
    processes_on(&volumes);
    let running = running_tenants(docker).await;
    let each: BTreeSet<_> = running.iter().collect();
    assert_eq!(each.len(), running.len(), "one runs twice: {running:?}");
}
