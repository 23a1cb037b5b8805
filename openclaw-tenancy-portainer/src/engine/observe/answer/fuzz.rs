//! Whatever an engine answers, what counts as ours is what we signed, and what we signed is found.
//!
//! An input is an answer: a list of containers, of volumes or of networks, or what a container is.

use bollard::models::VolumeListResponse;
use fuzzing::Verdict;
use openclaw_tenancy::id::{DeploymentId, Generation, TenantId};
use openclaw_tenancy::labels::{PREFIX, Role};
use proptest::{prop_assert, prop_assert_eq};

use super::*;

#[test]
fn fuzz_engine_takes_for_ours_what_we_signed() {
    let keys = keys();
    let signed = signed();
    fuzzing::run(
        concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/engine"),
        |input| check(input, &keys, &signed),
    );
}

/// The objects of the corpus have these keys' labels: of now, and of before a rotation.
fn keys() -> LabelKeys {
    LabelKeys::new(deployment(), "k2", [7; 32]).accepting("k1", [6; 32])
}

fn earlier() -> LabelKeys {
    LabelKeys::new(deployment(), "k1", [6; 32])
}

fn deployment() -> DeploymentId {
    DeploymentId::new("d1").expect("a label")
}

/// Everything that was ever signed with them.
fn signed() -> Vec<(String, ObjectLabels)> {
    let tenant: TenantId = "0198c6a2-7c3e-7000-8000-000000000001"
        .parse()
        .expect("an id");
    let name = |role, generation| {
        openclaw_tenancy::labels::object_name(&deployment(), tenant, role, generation)
    };
    let of_a_tenant = |role, generation: u64, spec: &str| {
        let generation = Generation(generation);
        let labels = ObjectLabels {
            role,
            tenant: Some(tenant),
            generation,
            spec: spec.to_owned(),
        };
        (name(role, generation), labels)
    };
    let marker = ObjectLabels {
        role: Role::HostMarker,
        tenant: None,
        generation: Generation(0),
        spec: String::new(),
    };
    vec![
        of_a_tenant(Role::Instance, 3, "abc"),
        of_a_tenant(Role::Instance, 4, "abd"),
        of_a_tenant(Role::Data, 0, "data"),
        of_a_tenant(Role::Config, 0, "config"),
        of_a_tenant(Role::Network, 0, "net"),
        ("oct-d1-host-marker-0198c6a2".to_owned(), marker),
    ]
}

fn check(input: &[u8], keys: &LabelKeys, signed: &[(String, ObjectLabels)]) -> Verdict {
    let mac_of = |labels: Option<&HashMap<String, String>>| {
        let mac = labels.and_then(|labels| labels.get(&format!("{PREFIX}.mac")));
        mac.map(|mac| mac.to_ascii_lowercase())
    };
    // By its labels, and by the whole MAC of one of the keys: a part of one is soon guessed.
    let ours = |name: &str, labels: &ObjectLabels, mac: Option<String>| {
        let signed_so = |(of, what): &(String, ObjectLabels)| {
            let macs = [keys.sign(of, what), earlier().sign(of, what)];
            let macs = macs.map(|made| mac_of(Some(&made.into_iter().collect())));
            of == name && what == labels && macs.contains(&mac)
        };
        let known = signed.iter().any(signed_so);
        prop_assert!(known, "{name} with {labels:?}, {mac:?}, is taken for ours");
        Ok(())
    };
    // Whether it is just as we make it now.
    let is_ours = |name: Option<&str>, labels: Option<&HashMap<String, String>>| {
        let (Some(name), Some(labels)) = (name, labels) else {
            return false;
        };
        let name = name.trim_start_matches('/');
        let mut made = signed.iter().filter(|(of, _)| of == name);
        made.any(|(of, what)| {
            let mut ours = keys.sign(of, what).into_iter();
            ours.all(|(label, value)| labels.get(&label) == Some(&value))
        })
    };

    if let Ok(listed) = serde_json::from_slice::<VolumeListResponse>(input) {
        for volume in listed.volumes.unwrap_or_default() {
            let must = is_ours(Some(&volume.name), Some(&volume.labels));
            let mac = mac_of(Some(&volume.labels));
            let seen = own_volume(keys, volume);
            prop_assert!(seen.is_some() || !must, "a volume of ours is not seen");
            if let Some(seen) = seen {
                ours(&seen.name, &seen.labels, mac)?;
            }
        }
    }
    if let Ok(listed) = serde_json::from_slice::<Vec<Network>>(input) {
        for network in listed {
            let must = is_ours(network.name.as_deref(), network.labels.as_ref())
                && network.id.as_deref().is_some_and(is_whole);
            let mac = mac_of(network.labels.as_ref());
            let seen = own_network(keys, network);
            prop_assert!(seen.is_some() || !must, "a network of ours is not seen");
            if let Some(seen) = seen {
                ours(&seen.name, &seen.labels, mac)?;
                prop_assert!(is_whole(&seen.id.0), "{}", seen.id);
            }
        }
    }
    if let Ok(listed) = serde_json::from_slice::<Vec<ContainerSummary>>(input) {
        for container in listed {
            let Some(seen) = own_container(keys, container.clone()) else {
                continue;
            };
            ours(&seen.name, &seen.labels, mac_of(container.labels.as_ref()))?;
            prop_assert!(is_whole(&seen.id.0), "{}", seen.id);
            let state = container.state.map(|state| state.to_string());
            let runs = ["running", "restarting", "stopping"];
            let runs = state.is_some_and(|state| runs.contains(&&*state));
            prop_assert_eq!(seen.running, runs);
            let mode = container.host_config.and_then(|host| host.network_mode);
            let networks = container.network_settings.and_then(|all| all.networks);
            is_in_its_network(seen.address, mode, networks)?;
        }
    }
    if let Ok(raw) = serde_json::from_slice::<ContainerInspectResponse>(input) {
        let id = raw.id.clone().unwrap_or_default();
        let name = raw.name.clone().unwrap_or_default();
        let name = name.trim_start_matches('/');
        let labels = raw
            .config
            .as_ref()
            .and_then(|config| config.labels.as_ref());
        for asked in [&*id, name, id.get(..12).unwrap_or("f"), "another"] {
            match found(keys, asked, raw.clone()) {
                Ok(Found::Ours(container)) => {
                    let seen = &container.detail.seen;
                    ours(&seen.name, &seen.labels, mac_of(labels))?;
                    prop_assert!(is_whole(&seen.id.0), "{}", seen.id);
                    let one = asked == seen.id.0 || asked == seen.name;
                    prop_assert!(one, "{asked} is another");
                    let host = raw.host_config.clone().unwrap_or_default();
                    let networks = raw.network_settings.clone().and_then(|all| all.networks);
                    is_in_its_network(seen.address, host.network_mode, networks)?;
                    let memory = host.memory.unwrap_or(0).max(0);
                    prop_assert_eq!(i64::try_from(container.detail.limits.memory.0), Ok(memory));
                }
                Ok(Found::Foreign(_)) => {
                    prop_assert!(!is_ours(Some(name), labels), "ours is foreign");
                }
                Ok(Found::Absent) | Err(_) => {}
            }
        }
    }
    Ok(())
}

/// An object is acted on by its full id alone.
fn is_whole(id: &str) -> bool {
    let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    id.len() == 64 && id.bytes().all(hexadecimal)
}

/// An address is that of the one network that the container was made for.
fn is_in_its_network(
    address: Option<Ipv4Addr>,
    mode: Option<String>,
    networks: Option<HashMap<String, EndpointSettings>>,
) -> Verdict {
    if let Some(address) = address {
        let network = networks
            .zip(mode)
            .and_then(|(all, mode)| all.get(&mode).cloned());
        let said = network.and_then(|network| network.ip_address);
        prop_assert_eq!(said, Some(address.to_string()));
    }
    Ok(())
}
