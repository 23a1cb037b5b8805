//! The engines: whether each answers, limits what plans promise, and has the image.

use std::collections::BTreeSet;

use openclaw_tenancy::clock::{Clock, Timestamp};
use openclaw_tenancy_portainer::docker::TlsRefusal;

use super::Check;
use super::pool_checks::overlap_check;
use super::reach::reach_note;
use super::room_checks::{capacity_check, image_check, swap_check};
use crate::server::config::{HostSection, Loaded};
use crate::server::keys::REMEMBERED;
use crate::server::survey::{Info, Surveyed, Version, some_of};

/// The oldest API that has everything we use: Docker Engine 20.10.
const OLDEST_API: (u32, u32) = (1, 41);

/// Clocks further apart than this make tokens and deadlines wrong, in milliseconds.
const APART: i64 = 5_000;

pub(super) async fn examine(loaded: &Loaded, clock: &dyn Clock) -> Vec<Check> {
    let config = &loaded.config;
    let each = config
        .hosts
        .iter()
        .enumerate()
        .map(|(at, host)| host_checks(loaded, at, host, clock));
    futures::future::join_all(each)
        .await
        .into_iter()
        .flatten()
        .collect()
}

async fn host_checks(
    loaded: &Loaded,
    at: usize,
    host: &HostSection,
    clock: &dyn Clock,
) -> Vec<Check> {
    let config = &loaded.config;
    let subject = format!("engine {}", host.id);
    let unreachable = |error: &anyhow::Error| unreachable_check(&subject, host, error);
    let endpoint = match host.endpoint(at) {
        Ok(endpoint) => endpoint,
        Err(problem) => return vec![Check::fail(&subject, problem.what, problem.fix)],
    };
    let engine = match Surveyed::new(&endpoint).await {
        Ok(engine) => engine,
        Err(error) => return vec![unreachable(&error)],
    };
    let (version, info) = match tokio::try_join!(engine.version(), engine.info()) {
        Ok(found) => found,
        Err(error) => return vec![unreachable(&error)],
    };
    let mut checks = vec![version_check(&subject, host, &version)];
    checks.push(limits_check(&subject, &info));
    checks.push(storage_check(&subject, &info));
    checks.push(reach_note(&subject, config.reconcile.subnet_pool));
    checks.push(swap_check(&subject, host, config, &info));
    checks.extend(clock_check(&subject, &info, clock.now()));
    checks.extend(capacity_check(&subject, config, &info));
    let warnings = info.warnings.iter().flatten().filter(|text| matters(text));
    checks.extend(warnings.map(|text| {
        Check::warn(
            &subject,
            format!("the engine warns: {text}"),
            "see the engine's documentation",
        )
    }));
    checks.push(image_check(&subject, config, &engine).await);
    let networks = engine.networks().await.unwrap_or_default();
    checks.extend(overlap_check(
        &subject,
        config.reconcile.subnet_pool,
        &networks,
        &own_deployment(loaded),
    ));
    let deployments = engine.deployments().await.unwrap_or_default();
    checks.extend(strangers_check(&subject, loaded, &deployments));
    checks
}

fn unreachable_check(subject: &str, host: &HostSection, error: &anyhow::Error) -> Check {
    let text = format!("{error:#}");
    let (found, fix) = match TlsRefusal::find(error.as_ref()) {
        Some(refusal) => (format!("{refusal}: {text}"), refusal.fix().to_owned()),
        None => (text.clone(), reach_fix(host, &text)),
    };
    Check::fail(
        subject,
        format!("{} does not answer: {found}", host.address),
        fix,
    )
}

/// Containers of other deployments: another server's, or one's own whose database was lost.
fn strangers_check(subject: &str, loaded: &Loaded, found: &BTreeSet<String>) -> Option<Check> {
    let ours = own_deployment(loaded);
    let others: Vec<_> = found
        .iter()
        .map(String::as_str)
        .filter(|deployment| *deployment != ours)
        .collect();
    (!others.is_empty()).then(|| {
        Check::warn(
            subject,
            format!("it holds containers of other deployments: {}", some_of(&others)),
            "nothing is to be done if other servers manage them; if the database of one was lost, restore it or \
             remove them by their label io.openclaw-tenancy.deployment",
        )
    })
}

/// The deployment that this data directory remembers; empty before the first start.
fn own_deployment(loaded: &Loaded) -> String {
    let ours = std::fs::read_to_string(loaded.data_dir.join(REMEMBERED)).unwrap_or_default();
    ours.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn reach_fix(host: &HostSection, error: &str) -> String {
    let unix = host.address.starts_with("unix://");
    if unix && error.contains("Permission denied") {
        "run as root, or put this user into the group docker (which makes it root on the machine)"
            .to_owned()
    } else if unix {
        "install and start Docker Engine (`apt install docker.io`, `systemctl start docker`), or \
         correct hosts.address"
            .to_owned()
    } else if error.contains("400 Bad Request") {
        // What an engine with TLS answers to plain HTTP.
        "if the engine runs with --tlsverify, write tls:// and set ca_file, cert_file and key_file"
            .to_owned()
    } else if host.address.starts_with("tls://") {
        "see that the engine runs with --tlsverify and that ca_file, cert_file and key_file fit it"
            .to_owned()
    } else {
        "see that the engine listens there, and that nothing between refuses the connection"
            .to_owned()
    }
}

fn version_check(subject: &str, host: &HostSection, version: &Version) -> Check {
    let api = version.api_version.split_once('.');
    let api = api.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    let found = format!(
        "{} answers: {}, API {}",
        host.address, version.version, version.api_version
    );
    if api.is_some_and(|api: (u32, u32)| api >= OLDEST_API) {
        Check::ok(subject, found)
    } else {
        Check::fail(
            subject,
            found,
            "use Docker Engine 20.10 or newer (API 1.41)",
        )
    }
}

/// A limit that the kernel does not enforce is a promise that a plan does not keep.
fn limits_check(subject: &str, info: &Info) -> Check {
    let missing: Vec<&str> = [
        ("memory", info.memory_limit),
        ("CPU", info.cpu_cfs_quota),
        ("processes", info.pids_limit),
    ]
    .into_iter()
    .filter_map(|(name, there)| (!there).then_some(name))
    .collect();
    let cgroups = match info.cgroup_version.as_str() {
        "" => "cgroups".to_owned(),
        version => format!("cgroups v{version}"),
    };
    if missing.is_empty() {
        Check::ok(
            subject,
            format!("{cgroups}: memory, CPU and processes are limited"),
        )
    } else {
        Check::fail(
            subject,
            format!("{cgroups}: no limit of {}", missing.join(", ")),
            "enable the controllers (cgroup_enable=memory at boot), or use another host",
        )
    }
}

fn storage_check(subject: &str, info: &Info) -> Check {
    let live = if info.live_restore_enabled {
        "on"
    } else {
        "off"
    };
    Check::ok(
        subject,
        format!(
            "storage driver {}, live restore {live}, {}; storage is not limited in this version",
            info.driver, info.operating_system
        ),
    )
}

fn clock_check(subject: &str, info: &Info, now: Timestamp) -> Option<Check> {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    let there = OffsetDateTime::parse(&info.system_time, &Rfc3339).ok()?;
    let there = i64::try_from(there.unix_timestamp_nanos() / 1_000_000).ok()?;
    let apart = there.saturating_sub(now.as_millis());
    Some(if apart.abs() <= APART {
        Check::ok(subject, "its clock agrees with ours")
    } else {
        Check::warn(
            subject,
            format!("its clock is {} s apart from ours", apart / 1000),
            "run a time service on both machines (`apt install chrony`)",
        )
    })
}

/// What engines warn of that has to do with us: filters of bridged traffic, and not what is said above already.
fn matters(warning: &str) -> bool {
    ![
        "swap limit",
        "blkio",
        "memory limit",
        "cpu cfs",
        "pids limit",
        "API is accessible",
    ]
    .iter()
    .any(|known| {
        warning
            .to_ascii_lowercase()
            .contains(&known.to_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use openclaw_tenancy::clock::Timestamp;

    use super::super::Outcome;
    use super::*;

    #[test]
    fn what_an_engine_with_tls_answers_to_plain_http_is_told_with_tls() {
        let host = HostSection {
            address: "tcp://127.0.0.1:2376".to_owned(),
            ..HostSection::default()
        };
        let fix = reach_fix(&host, "the engine answered 400 Bad Request");
        assert!(fix.contains("write tls://"), "{fix}");
        let fix = reach_fix(&host, "connection refused");
        assert!(!fix.contains("tls://"), "{fix}");
    }

    fn info() -> Info {
        Info {
            ncpu: 2,
            mem_total: 8 << 30,
            cgroup_version: "2".to_owned(),
            memory_limit: true,
            cpu_cfs_quota: true,
            pids_limit: true,
            swap_limit: true,
            ..Info::default()
        }
    }

    #[test]
    fn a_limit_that_is_not_kept_is_a_failure() {
        assert_eq!(limits_check("e", &info()).outcome, Outcome::Ok);
        let check = limits_check(
            "e",
            &Info {
                pids_limit: false,
                memory_limit: false,
                ..info()
            },
        );
        assert_eq!(
            (check.outcome, &*check.found),
            (Outcome::Fail, "cgroups v2: no limit of memory, processes")
        );
    }

    #[test]
    fn an_engine_that_is_too_old_is_a_failure() {
        let check = |api: &str| {
            let version = Version {
                version: "x".to_owned(),
                api_version: api.to_owned(),
            };
            version_check("e", &HostSection::default(), &version).outcome
        };
        assert_eq!(check("1.41"), Outcome::Ok);
        assert_eq!(check("1.51"), Outcome::Ok);
        assert_eq!(check("1.40"), Outcome::Fail);
        assert_eq!(check("podman"), Outcome::Fail);
    }

    #[test]
    fn clocks_that_disagree_are_told() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let at = |text: &str| {
            let info = Info {
                system_time: text.to_owned(),
                ..info()
            };
            clock_check("e", &info, now).map(|check| check.outcome)
        };
        assert_eq!(at("2027-01-15T08:00:01.5Z"), Some(Outcome::Ok));
        assert_eq!(at("2027-01-15T09:01:00+01:00"), Some(Outcome::Warn));
        assert_eq!(at(""), None);
    }
}
