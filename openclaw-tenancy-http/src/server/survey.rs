//! Asks an engine a few questions, apart from the backend that manages it: a second opinion.
//!
//! The backend shows nothing that is not this deployment's. Here it shows that others' containers are there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ipnet::Ipv4Net;
use openclaw_tenancy::id::DeploymentId;
use openclaw_tenancy_portainer::docker::Endpoint;
use reqwest::{Certificate, Client, ClientBuilder, Identity, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::config::Config;

/// The longest an answer may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// The label that names the deployment of an object.
const DEPLOYMENT: &str = "io.openclaw-tenancy.deployment";

/// An engine to ask.
#[derive(Debug)]
pub(super) struct Surveyed {
    client: Client,
    base: String,
}

/// `GET /version`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Version {
    pub(super) version: String,
    pub(super) api_version: String,
}

/// The part of `GET /info` that decides what works. Engines leave out what they do not know.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Info {
    #[serde(rename = "NCPU")]
    pub(super) ncpu: u64,
    pub(super) mem_total: u64,
    pub(super) operating_system: String,
    pub(super) driver: String,
    pub(super) cgroup_version: String,
    pub(super) memory_limit: bool,
    pub(super) swap_limit: bool,
    pub(super) pids_limit: bool,
    pub(super) cpu_cfs_quota: bool,
    pub(super) live_restore_enabled: bool,
    pub(super) system_time: String,
    pub(super) warnings: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    size: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Labelled {
    labels: Option<BTreeMap<String, String>>,
}

/// A network of an engine, whoever made it.
#[derive(Debug)]
pub(super) struct SeenNetwork {
    pub(super) name: String,
    /// The deployment that its labels name.
    pub(super) deployment: Option<String>,
    pub(super) subnets: Vec<Ipv4Net>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    name: String,
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "IPAM")]
    ipam: Option<Ipam>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    config: Option<Vec<IpamConfig>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IpamConfig {
    subnet: Option<String>,
}

impl Surveyed {
    /// The engine behind `endpoint`. Nothing is asked yet.
    pub(super) async fn new(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE);
        let (builder, base) = match endpoint {
            Endpoint::Unix { path } => (
                builder.unix_socket(path.clone()),
                "http://localhost".to_owned(),
            ),
            Endpoint::Tcp { .. } => (
                builder,
                endpoint.to_string().replacen("tcp://", "http://", 1),
            ),
            Endpoint::Tls {
                host,
                port,
                ca,
                cert,
                key,
                server_name,
            } => {
                let read = |path: &std::path::Path| {
                    std::fs::read(path)
                        .with_context(|| format!("{} cannot be read", path.display()))
                };
                let (mut identity, key) = (read(cert)?, read(key)?);
                identity.extend(key);
                let builder = builder
                    .tls_certs_only(Certificate::from_pem_bundle(&read(ca)?)?)
                    .identity(Identity::from_pem(&identity)?);
                let (builder, name) = named(builder, host, *port, server_name.as_deref()).await?;
                (builder, format!("https://{name}:{port}"))
            }
        };
        Ok(Self {
            client: builder.build()?,
            base,
        })
    }

    pub(super) async fn version(&self) -> anyhow::Result<Version> {
        self.get("/version").await?.context("there is no /version")
    }

    pub(super) async fn info(&self) -> anyhow::Result<Info> {
        self.get("/info").await?.context("there is no /info")
    }

    /// The size of an image in bytes; `None` when it is not there.
    pub(super) async fn image(&self, reference: &str) -> anyhow::Result<Option<u64>> {
        let image: Option<Image> = self.get(&format!("/images/{reference}/json")).await?;
        Ok(image.map(|image| image.size))
    }

    /// The deployments that containers on the engine say they are of.
    pub(super) async fn deployments(&self) -> anyhow::Result<BTreeSet<String>> {
        // `{"label":["…"]}`, as the engine wants filters.
        let filters = format!("%7B%22label%22%3A%5B%22{DEPLOYMENT}%22%5D%7D");
        let path = format!("/containers/json?all=1&filters={filters}");
        let containers: Option<Vec<Labelled>> = self.get(&path).await?;
        let labels = containers
            .unwrap_or_default()
            .into_iter()
            .filter_map(|found| found.labels);
        Ok(labels
            .filter_map(|mut labels| labels.remove(DEPLOYMENT))
            .collect())
    }

    /// Every network with its IPv4 subnets.
    pub(super) async fn networks(&self) -> anyhow::Result<Vec<SeenNetwork>> {
        let networks: Option<Vec<Network>> = self.get("/networks").await?;
        let seen = networks.unwrap_or_default().into_iter().map(|network| {
            let config = network.ipam.and_then(|ipam| ipam.config);
            let subnets = config.into_iter().flatten().filter_map(|c| c.subnet);
            SeenNetwork {
                name: network.name,
                deployment: network
                    .labels
                    .and_then(|mut labels| labels.remove(DEPLOYMENT)),
                subnets: subnets.filter_map(|subnet| subnet.parse().ok()).collect(),
            }
        });
        Ok(seen.collect())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Option<T>> {
        let answer = self
            .client
            .get(format!("{}{path}", self.base))
            .send()
            .await?;
        match answer.status() {
            StatusCode::OK => Ok(Some(
                answer
                    .json()
                    .await
                    .context("the answer is not an engine's")?,
            )),
            StatusCode::NOT_FOUND => Ok(None),
            status => bail!("the answer is {status}, not an engine's"),
        }
    }
}

/// Says so where engines hold containers of deployments other than `ours`.
///
/// For a deployment that was made just now: whoever lost a database has new keys, and what still runs is a
/// stranger that nothing will touch. An engine that does not answer says nothing.
pub(super) async fn warn_of_strangers(config: &Config, ours: &DeploymentId) {
    for (at, host) in config.hosts.iter().enumerate() {
        let Ok(endpoint) = host.endpoint(at) else {
            continue;
        };
        let Ok(engine) = Surveyed::new(&endpoint).await else {
            continue;
        };
        let mut found = engine.deployments().await.unwrap_or_default();
        found.retain(|other| other != ours.as_str());
        if !found.is_empty() {
            tracing::warn!(
                host = host.id,
                deployments = some_of(&found),
                "the engine holds containers of other deployments, which this server does not touch; if the \
                 database of one was lost, restore it, or remove them by their label {DEPLOYMENT}"
            );
        }
    }
}

/// The first few of many, and how many more there are: one line, whatever an engine holds.
pub(super) fn some_of(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    const FEW: usize = 5;
    let mut told = String::new();
    let mut more = 0;
    for (at, name) in names.into_iter().enumerate() {
        if at >= FEW {
            more += 1;
            continue;
        }
        told.push_str(if at == 0 { "" } else { ", " });
        told.push_str(name.as_ref());
    }
    match more {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// Dials `host` by the name that stands in its certificate.
async fn named(
    builder: ClientBuilder,
    host: &str,
    port: u16,
    server_name: Option<&str>,
) -> io::Result<(ClientBuilder, String)> {
    let Some(name) = server_name else {
        let bracketed = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        return Ok((builder, bracketed));
    };
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    Ok((builder.resolve_to_addrs(name, &addresses), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::some_of;

    #[test]
    fn of_many_names_a_few_are_told_and_the_rest_is_counted() {
        let names = |count: u32| some_of((1..=count).map(|n| n.to_string()));
        assert_eq!(names(0), "");
        assert_eq!(names(5), "1, 2, 3, 4, 5");
        assert_eq!(names(7), "1, 2, 3, 4, 5 and 2 more");
    }
}
