//! `[[hosts]]` as the Docker backend takes them.

use openclaw_tenancy::id::HostId;
use openclaw_tenancy_portainer::docker::{Endpoint, EndpointError, Plaintext};
use url::Url;

use super::error::Problem;
use super::sections::HostSection;

impl HostSection {
    /// The way to the engine.
    ///
    /// # Errors
    /// The problem, under the key `hosts[at]`.
    pub(in super::super) fn endpoint(&self, at: usize) -> Result<Endpoint, Problem> {
        let key = |field: &str| format!("hosts[{at}].{field}");
        let malformed = |fix: &str| {
            Problem::new(key("address"), "is no address of an engine", fix)
                .value(format_args!("{:?}", self.address))
        };
        let forms = "write unix:///var/run/docker.sock, tcp://127.0.0.1:2375 or tls://worker:2376";
        let Some(("tls", _)) = self.address.split_once("://") else {
            let files = [&self.ca_file, &self.cert_file, &self.key_file];
            if files.iter().any(|file| file.is_some()) {
                return Err(malformed(
                    "write it as tls://HOST:PORT, since files for TLS are given",
                ));
            }
            return match self.address.split_once("://") {
                Some(("tcp", _)) if self.plaintext_anywhere => {
                    let (host, port) = host_and_port(&self.address).ok_or_else(|| malformed(forms))?;
                    Ok(Endpoint::Tcp { host, port, plaintext: Plaintext::Anywhere })
                }
                _ => self.address.parse::<Endpoint>().map_err(|error| match error {
                    EndpointError::PlaintextOffLoopback { .. } => Problem::new(
                        key("address"),
                        "is not on this machine, and plain HTTP would give its root away",
                        "use tls://, or set plaintext_anywhere if you vouch for the network between",
                    )
                    .value(format_args!("{:?}", self.address)),
                    _ => malformed(forms),
                }),
            };
        };
        let (host, port) = host_and_port(&self.address).ok_or_else(|| malformed(forms))?;
        let needed = |field: &str, file: &Option<std::path::PathBuf>| {
            file.clone().ok_or_else(|| {
                Problem::new(
                    key(field),
                    "is missing",
                    "mutual TLS needs ca_file, cert_file and key_file",
                )
            })
        };
        Ok(Endpoint::Tls {
            host,
            port,
            ca: needed("ca_file", &self.ca_file)?,
            cert: needed("cert_file", &self.cert_file)?,
            key: needed("key_file", &self.key_file)?,
            server_name: self.server_name.clone(),
        })
    }
}

fn host_and_port(address: &str) -> Option<(String, u16)> {
    let url = Url::parse(address).ok()?;
    let bare = url.username().is_empty() && matches!(url.path(), "" | "/") && url.query().is_none();
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    bare.then_some((host, url.port()?))
}

pub(super) fn check(hosts: &[HostSection]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if hosts.is_empty() {
        problems.push(Problem::new(
            "hosts",
            "is empty",
            "name at least one engine, or leave it out for this machine's",
        ));
    }
    for (at, host) in hosts.iter().enumerate() {
        let key = format!("hosts[{at}].id");
        if let Err(error) = HostId::new(host.id.clone()) {
            problems.push(
                Problem::new(
                    &key,
                    "is no name for a host",
                    format!("write {}", error.rule),
                )
                .value(format_args!("{:?}", host.id)),
            );
        }
        for earlier in &hosts[..at] {
            if earlier.id == host.id {
                problems.push(
                    Problem::new(
                        &key,
                        "names another host too",
                        "give each host a name of its own",
                    )
                    .value(format_args!("{:?}", host.id)),
                );
            } else if earlier.address == host.address {
                problems.push(
                    Problem::new(
                        format!("hosts[{at}].address"),
                        format!("is the engine of {} too", earlier.id),
                        "name each engine once, or its room is counted twice",
                    )
                    .value(format_args!("{:?}", host.address)),
                );
            }
        }
        if let Err(problem) = host.endpoint(at) {
            problems.push(problem);
        }
    }
    problems
}
