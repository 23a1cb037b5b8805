//! What an engine holds of each tenant.

use std::collections::{BTreeMap, BTreeSet};

use crate::docker::{Docker, Kind};

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

/// How many tenants have something on the engine, and not all of an instance that runs: what was being made or removed.
pub(crate) async fn under_way(docker: &Docker) -> usize {
    let mut held = Vec::new();
    for (kind, each) in WHOLE {
        held.push((count_by_tenant(docker, kind).await, each));
    }
    let format = r#"{{.State}} {{.Label "io.openclaw-tenancy.tenant"}}"#;
    let listed = docker.list(Kind::Container, format).await;
    let running: BTreeSet<&str> = listed
        .iter()
        .filter_map(|line| line.strip_prefix("running "))
        .collect();
    let tenants: BTreeSet<&String> = held.iter().flat_map(|(found, _)| found.keys()).collect();
    let is_whole = |tenant: &String| {
        running.contains(tenant.as_str())
            && held
                .iter()
                .all(|(found, each)| found.get(tenant) == Some(each))
    };
    tenants
        .into_iter()
        .filter(|tenant| !is_whole(tenant))
        .count()
}
