//! An engine that was killed has returned: everything runs or is held, what runs unseen is named, and no volume ever has
//! two writers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use crate::world::{INSTANCES, LOOK, World, brief, field, is_ghost_hold};
use crate::{pids, processes};

/// Converged or in a named hold within 15 s after the engine answers again; five times that on a busy machine.
const CONVERGED: Duration = Duration::from_secs(75);

impl World<'_> {
    /// The engine has returned: everything runs or is held, whoever is held is released, and everything runs.
    pub(crate) async fn recover(&mut self) {
        let returned = Instant::now();
        let held = self.converge().await;
        self.figures
            .converged_ms
            .push(returned.elapsed().as_millis());
        self.every_ghost_is_named(&held).await;
        self.release(&held).await;
        self.until_all("running").await;
        self.one_writer_each();
        self.what_runs_is_seen();
    }

    /// Waits until each instance runs or is held; answers who is held. All the while no volume has two writers.
    async fn converge(&self) -> BTreeMap<String, Value> {
        self.until_run_or(is_ghost_hold).await
    }

    /// Waits until each instance runs or is `held`; answers who is. All the while no volume has two writers.
    pub(crate) async fn until_run_or(
        &self,
        held: impl Fn(&Value) -> bool + Send + Sync,
    ) -> BTreeMap<String, Value> {
        let end = Instant::now() + CONVERGED;
        loop {
            self.one_writer_each();
            let now = self.look().await;
            if now
                .values()
                .all(|answer| answer["phase"] == "running" || held(answer))
            {
                return now.into_iter().filter(|(_, answer)| held(answer)).collect();
            }
            assert!(
                Instant::now() < end,
                "neither running nor held: {}",
                brief(&now)
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whoever lives without being listed by the engine has a tenant that is held.
    async fn every_ghost_is_named(&mut self, held: &BTreeMap<String, Value>) {
        self.figures.held += held.len();
        let named: BTreeSet<String> = held
            .values()
            .map(|answer| field(answer, "id").replace('-', ""))
            .collect();
        let listed = self.engine.running();
        let mut ghosts = BTreeSet::new();
        for process in self.processes() {
            if !listed.contains(&process.container) {
                assert!(
                    named.iter().any(|tenant| process.volume.contains(tenant)),
                    "nobody names {process:?}"
                );
                ghosts.insert(process.container);
            }
        }
        self.figures.ghosts += ghosts.len();
        // Also one that has no mount yet, or none any more, is in its control group.
        let told: BTreeSet<&str> = held
            .values()
            .filter_map(|answer| processes::container_id(field(&answer["status"], "message")))
            .collect();
        let groups = self.engine.control_groups();
        let unlisted = groups.keys().filter(|id| !listed.contains(id));
        for container in unlisted {
            assert!(
                told.contains(container.as_str()),
                "nobody names {container}, in whose control group are {:?}",
                groups[container]
            );
            self.figures.unlisted_groups += 1;
        }
    }

    /// What an operator does about a hold: ends what runs on the volume and the shim that keeps it, which names the
    /// container; then releases.
    async fn release(&self, held: &BTreeMap<String, Value>) {
        for answer in held.values() {
            let id = field(answer, "id");
            let tenant = id.replace('-', "");
            let told = field(&answer["status"], "message");
            let container = processes::container_id(told).expect("the hold names the container");
            let shims = test_support::processes::naming(container)
                .into_iter()
                .map(|(_, pid)| pid);
            let on_volume = self.processes().into_iter();
            let on_volume = on_volume
                .filter(|process| process.volume.contains(&tenant))
                .map(|process| process.pid);
            let pids: Vec<u32> = on_volume.chain(shims).collect();
            pids::kill(&pids);
            self.let_go(id).await;
        }
    }

    /// An administrator releases the hold of the instance of this id.
    pub(crate) async fn let_go(&self, id: &str) {
        let path = format!("/api/tenants/{id}/release");
        let (status, answer) = self.admin.ask(Method::POST, &path, None).await.unwrap();
        assert!((200..300).contains(&status), "{status} {answer}");
    }

    fn one_writer_each(&self) {
        let mut writers = BTreeMap::<String, BTreeSet<String>>::new();
        for process in self.processes() {
            let of_volume = writers.entry(process.volume).or_default();
            of_volume.insert(process.container);
        }
        let twins: Vec<_> = writers.iter().filter(|(_, each)| each.len() > 1).collect();
        assert!(twins.is_empty(), "two writers on one volume: {twins:?}");
    }

    /// The evidence sees what there is: a writer for each instance, in the container that the engine lists.
    fn what_runs_is_seen(&self) {
        let seen: BTreeSet<String> = self
            .processes()
            .into_iter()
            .map(|found| found.container)
            .collect();
        let listed: BTreeSet<String> = self.engine.running().into_iter().collect();
        assert_eq!(seen.len(), INSTANCES);
        assert_eq!(seen, listed);
        let groups: BTreeSet<String> = self.engine.control_groups().into_keys().collect();
        assert_eq!(groups, listed, "control groups with processes");
    }

    fn processes(&self) -> Vec<processes::OnVolume> {
        processes::on_volumes(self.engine.volumes().to_str().unwrap())
    }
}
