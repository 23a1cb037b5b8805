//! Whatever an engine answers, what counts as ours is what we signed, and what we signed is found.
//!
//! An input is an answer: a list of containers, of volumes or of networks, or what a container is.

use std::collections::BTreeMap;

use bollard::models::VolumeListResponse;
use fuzzing::Verdict;
use openclaw_tenancy::id::{DeploymentId, Generation, TenantId};
use openclaw_tenancy::labels::Role;
use proptest::{prop_assert, prop_assert_eq};
use serde_json::Value;

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
    let ours = |name: &str, labels: &ObjectLabels| {
        let known = signed.iter().any(|(of, what)| of == name && what == labels);
        prop_assert!(known, "{name} with {labels:?} is taken for ours");
        Ok(())
    };
    let must_be_seen = |name: Option<&str>, labels: &Value| {
        let Some(name) = name.map(|name| name.trim_start_matches('/')) else {
            return false;
        };
        let has = |map: &BTreeMap<String, String>| {
            map.iter()
                .all(|(label, value)| labels[label.as_str()] == value.as_str())
        };
        let theirs = signed.iter().filter(|(of, _)| of == name);
        theirs
            .map(|(of, what)| keys.sign(of, what))
            .any(|map| has(&map))
    };
    let plain: Value = serde_json::from_slice(input).unwrap_or_default();

    if let Ok(listed) = serde_json::from_slice::<VolumeListResponse>(input) {
        let plain = plain["Volumes"].as_array().cloned().unwrap_or_default();
        for (volume, plain) in listed.volumes.unwrap_or_default().into_iter().zip(&plain) {
            let seen = own_volume(keys, volume);
            if let Some(seen) = &seen {
                ours(&seen.name, &seen.labels)?;
            }
            let must = must_be_seen(plain["Name"].as_str(), &plain["Labels"]);
            prop_assert!(seen.is_some() || !must, "a volume of ours is not seen");
        }
    }
    if let Ok(listed) = serde_json::from_slice::<Vec<Network>>(input) {
        let plain = plain.as_array().cloned().unwrap_or_default();
        for (network, plain) in listed.into_iter().zip(&plain) {
            let seen = own_network(keys, network);
            if let Some(seen) = &seen {
                ours(&seen.name, &seen.labels)?;
                whole(&seen.id, &plain["Id"])?;
            }
            let must =
                must_be_seen(plain["Name"].as_str(), &plain["Labels"]) && is_whole(&plain["Id"]);
            prop_assert!(seen.is_some() || !must, "a network of ours is not seen");
        }
    }
    if let Ok(listed) = serde_json::from_slice::<Vec<ContainerSummary>>(input) {
        let plain = plain.as_array().cloned().unwrap_or_default();
        for (container, plain) in listed.into_iter().zip(&plain) {
            if let Some(seen) = own_container(keys, container) {
                ours(&seen.name, &seen.labels)?;
                whole(&seen.id, &plain["Id"])?;
                let runs = ["running", "restarting", "stopping"]
                    .contains(&plain["State"].as_str().unwrap_or_default());
                prop_assert_eq!(seen.running, runs);
                let mode = plain["HostConfig"]["NetworkMode"].as_str();
                in_its_network(seen.address, mode, &plain["NetworkSettings"])?;
            }
        }
    }
    let Ok(raw) = serde_json::from_slice::<ContainerInspectResponse>(input) else {
        return Ok(());
    };
    let id = raw.id.clone().unwrap_or_default();
    let name = raw.name.clone().unwrap_or_default();
    let name = name.trim_start_matches('/');
    for asked in [&*id, name, id.get(..12).unwrap_or("f"), "another"] {
        match found(keys, asked, raw.clone()) {
            Ok(Found::Ours(container)) => {
                let seen = &container.detail.seen;
                ours(&seen.name, &seen.labels)?;
                whole(&seen.id, &plain["Id"])?;
                prop_assert!(
                    asked == seen.id.0 || asked == seen.name,
                    "{asked} is another"
                );
                let mode = plain["HostConfig"]["NetworkMode"].as_str();
                in_its_network(seen.address, mode, &plain["NetworkSettings"])?;
                let memory = plain["HostConfig"]["Memory"].as_u64().unwrap_or(0);
                prop_assert_eq!(container.detail.limits.memory, Bytes(memory));
            }
            Ok(Found::Foreign(_)) => {
                let must = must_be_seen(Some(name), &plain["Config"]["Labels"]);
                prop_assert!(!must, "a container of ours is foreign");
            }
            Ok(Found::Absent) | Err(_) => {}
        }
    }
    Ok(())
}

fn is_whole(id: &Value) -> bool {
    let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    id.as_str()
        .is_some_and(|id| id.len() == 64 && id.bytes().all(hexadecimal))
}

/// An object is acted on by its full id alone.
fn whole(id: &EngineId, said: &Value) -> Verdict {
    prop_assert!(is_whole(said), "{said}");
    prop_assert_eq!(said.as_str(), Some(&*id.0));
    Ok(())
}

/// An address is that of the one network that the container was made for.
fn in_its_network(address: Option<Ipv4Addr>, mode: Option<&str>, settings: &Value) -> Verdict {
    if let Some(address) = address {
        let said = &settings["Networks"][mode.unwrap_or_default()]["IPAddress"];
        prop_assert_eq!(said.as_str(), Some(&*address.to_string()));
    }
    Ok(())
}
