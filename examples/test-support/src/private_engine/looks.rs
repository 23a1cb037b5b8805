//! What is on a private engine, asked by the command line over its socket: apart from what the test tests.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use super::{PrivateEngine, ground};

impl PrivateEngine {
    /// Copies an image from another engine.
    ///
    /// # Panics
    /// When it is not there, or cannot be copied.
    pub fn load(&self, from: &str, image: &str) {
        let mut save = Command::new("docker")
            .args(["--host", from, "save", image])
            .stdout(Stdio::piped())
            .spawn()
            .expect("docker's command line is installed");
        let load = Command::new("docker")
            .args(["--host", &self.host(), "load", "--quiet"])
            .stdin(save.stdout.take().unwrap())
            .output()
            .unwrap();
        assert!(save.wait().unwrap().success() && load.status.success());
    }

    /// The full ids of the containers that the engine believes to run.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        self.docker(&["ps", "--no-trunc", "--quiet"])
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// How many objects of a kind (`container`, `volume`, `network`) each tenant has, by the tenant's label.
    #[must_use]
    pub fn of_tenants(&self, kind: &str) -> BTreeMap<String, usize> {
        let all: &[&str] = if kind == "container" { &["--all"] } else { &[] };
        let label = "io.openclaw-tenancy.tenant";
        let (filter, format) = (
            format!("label={label}"),
            format!("{{{{.Label \"{label}\"}}}}"),
        );
        let list = [kind, "ls", "--filter", &filter, "--format", &format];
        let mut counts = BTreeMap::new();
        for tenant in self.docker(&[&list, all].concat()).lines() {
            *counts.entry(tenant.to_owned()).or_default() += 1;
        }
        counts
    }

    /// Removes the bridges in its networks' addresses that are of no network it lists; answers how many there were.
    ///
    /// # Panics
    /// When its network is its own.
    #[must_use]
    pub fn remove_stray_bridges(&self) -> usize {
        let listed = self.docker(&["network", "ls", "--quiet", "--no-trunc"]);
        let is_listed = |id: &str| listed.lines().any(|network| network.starts_with(id));
        let mut strays = self.ground().bridges();
        strays.retain(|name| !name.strip_prefix("br-").is_some_and(is_listed));
        for name in &strays {
            ground::remove_bridge(name);
        }
        strays.len()
    }

    /// Removes a volume that has no labels and that nobody ever wrote to.
    ///
    /// # Panics
    /// When it has, or somebody did.
    pub fn remove_half_made(&self, volume: &str) {
        let labels = self.docker(&["volume", "inspect", "--format", "{{json .Labels}}", volume]);
        assert!(matches!(labels.trim(), "null" | "{}"), "{volume}: {labels}");
        let files = fs::read_dir(self.volumes().join(volume).join("_data")).unwrap();
        assert_eq!(files.count(), 0, "{volume}");
        self.docker(&["volume", "rm", volume]);
    }

    /// What a command of docker's command line prints.
    ///
    /// # Panics
    /// When it fails; with the engine's last words.
    pub fn docker(&self, args: &[&str]) -> String {
        let (well, output) = self.try_docker(args);
        assert!(well, "docker {args:?}: {}", self.last_words());
        output
    }

    pub(super) fn try_docker(&self, args: &[&str]) -> (bool, String) {
        let done = Command::new("docker")
            .args(["--host", &self.host()])
            .args(args)
            .output()
            .expect("docker's command line is installed");
        let output = String::from_utf8_lossy(&done.stdout).into_owned();
        (done.status.success(), output)
    }
}
