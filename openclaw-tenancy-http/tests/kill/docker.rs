//! An engine, asked by its own command line: what the product says about itself is no evidence.

use tokio::process::Command;

/// Every object of a deployment carries it, with the deployment's id.
const LABEL: &str = "io.openclaw-tenancy.deployment";

/// Filters what is somebody's instance: beside them stand, for a moment, those that the product asks a host with.
pub(crate) const INSTANCE: &str = "label=io.openclaw-tenancy.role=instance";

/// One deployment's objects on one engine.
#[derive(Debug, Clone)]
pub(crate) struct Docker {
    host: String,
    deployment: String,
}

/// A kind of object on an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Container,
    Volume,
    Network,
}

impl Docker {
    /// The objects of `deployment` on the engine at `host`.
    pub(crate) fn new(host: &str, deployment: &str) -> Self {
        Self {
            host: host.to_owned(),
            deployment: deployment.to_owned(),
        }
    }

    /// Runs the command line and answers its output.
    pub(crate) async fn run(&self, args: &[&str]) -> String {
        let done = Command::new("docker")
            .args(["--host", &self.host])
            .args(args)
            .output()
            .await
            .expect("docker's command line is installed");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            done.status.success(),
            "docker {args:?}: {}",
            text(&done.stderr)
        );
        text(&done.stdout)
    }

    /// The deployment's objects of a kind, each as its id or name and the template's output for it.
    pub(crate) async fn list(&self, kind: Kind, format: &str) -> Vec<String> {
        self.listed(kind, &[], format).await
    }

    /// The same of the containers that are instances.
    pub(crate) async fn instances(&self, format: &str) -> Vec<String> {
        let role = ["--filter", INSTANCE];
        self.listed(Kind::Container, &role, format).await
    }

    async fn listed(&self, kind: Kind, more: &[&str], format: &str) -> Vec<String> {
        let filter = format!("label={LABEL}={}", self.deployment);
        let args: &[&str] = match kind {
            Kind::Container => &["ps", "--all", "--no-trunc"],
            Kind::Volume => &["volume", "ls"],
            Kind::Network => &["network", "ls", "--no-trunc"],
        };
        let listed = [args, &["--filter", &filter, "--format", format], more].concat();
        let listed = self.run(&listed).await;
        listed.lines().map(str::to_owned).collect()
    }

    /// Removes whatever the deployment has on the engine, the host's marker too: the end of every test.
    pub(crate) async fn clear(&self) {
        let removals: [(Kind, &str, &[&str]); 3] = [
            (
                Kind::Container,
                "{{.ID}}",
                &["rm", "--force", "--volumes=false"],
            ),
            (Kind::Volume, "{{.Name}}", &["volume", "rm"]),
            (Kind::Network, "{{.ID}}", &["network", "rm"]),
        ];
        for (kind, format, remove) in removals {
            let found = self.list(kind, format).await;
            let found: Vec<&str> = found.iter().map(String::as_str).collect();
            if !found.is_empty() {
                self.run(&[remove, &found].concat()).await;
            }
        }
    }
}
