//! A23: what is asked of an engine for a container, held against a list of what may be asked.

use std::collections::BTreeMap;

use openclaw_tenancy::container::{Image, VolumeRole};
use openclaw_tenancy::plan::{Limits, PlanCatalog};
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{DEPLOYMENT, bench};
use crate::common::keys;

/// A body as text, keys in order, with what is different in every run replaced by what it is.
fn settled(body: &Value, tenancy: &crate::common::Tenancy) -> String {
    let text = serde_json::to_string_pretty(&sorted(body)).unwrap();
    text.replace(&tenancy.tenant.simple(), "TENANT")
        .replace(&tenancy.tenant.to_string(), "TENANT")
        .replace(tenancy.image.digest.as_deref().unwrap(), "DIGEST")
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<_, _> = map.iter().collect();
            let pairs = ordered.into_iter().map(|(key, value)| {
                let shown = match key.as_str() {
                    "io.openclaw-tenancy.mac" => json!("MAC"),
                    "io.openclaw-tenancy.spec" => json!("SPEC"),
                    _ => sorted(value),
                };
                (key.clone(), shown)
            });
            Value::Object(pairs.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[tokio::test]
async fn a23_the_bodies_of_all_four_plans() {
    let (engine, tenancy) = bench().await;
    // Enterprise does not fit most test machines: its body is shown all the same.
    engine.world().set_host(64, 256 << 30, 0);
    tenancy.ground().await;
    for (generation, plan) in (1..).zip(PlanCatalog::default().iter()) {
        let id = tenancy
            .make(&tenancy.instance(generation, plan.limits))
            .await
            .unwrap()
            .id;
        let body = engine.world().body(&id.0).unwrap();
        insta::assert_snapshot!(format!("instance_{}", plan.name), settled(&body, &tenancy));
    }
}

#[tokio::test]
async fn the_bodies_below_an_instance() {
    let (engine, tenancy) = bench().await;
    tenancy.ground().await;
    let created = engine
        .calls()
        .into_iter()
        .filter(|call| call.method == "POST");
    for (call, name) in created.zip(["network", "data_volume", "config_volume"]) {
        insta::assert_snapshot!(name, settled(&call.body, &tenancy));
    }
}

#[tokio::test]
async fn the_swap_probe_is_hardened_too() {
    let (engine, tenancy) = bench().await;
    engine.world().set_host(2, 8 << 30, 2 << 30);
    let swap = tenancy
        .backend
        .measure_swap(&tenancy.host, &tenancy.image)
        .await
        .unwrap();
    assert_eq!(swap, Bytes::gib(2));
    let created = engine
        .calls()
        .into_iter()
        .find(|call| call.path == "/containers/create")
        .unwrap();
    insta::assert_snapshot!("swap_probe", settled(&created.body, &tenancy));
    assert!(
        engine.world().container_names().is_empty(),
        "a probe was left behind"
    );
}

/// Every field that may stand in a body, and nothing else: a field that is not here fails the test.
fn allowed_value(path: &str, value: &Value) -> bool {
    let text = || value.as_str().unwrap_or_default();
    match path {
        "User" => text() == "1000:1000",
        "Image" => text().starts_with("sha256:"),
        "Env" => *value == json!([]),
        "Env[]" => text().contains('='),
        "Healthcheck.Test" => *value == json!(["NONE"]),
        "HostConfig.CapDrop" => *value == json!(["ALL"]),
        "HostConfig.SecurityOpt" => *value == json!(["no-new-privileges"]),
        "HostConfig.ReadonlyRootfs" | "HostConfig.Init" => *value == json!(true),
        "HostConfig.Privileged" | "HostConfig.PublishAllPorts" => *value == json!(false),
        "HostConfig.IpcMode" => text() == "private",
        "HostConfig.RestartPolicy" => *value == json!({ "Name": "no" }),
        "HostConfig.LogConfig" => {
            *value
                == json!({ "Type": "json-file", "Config": { "max-file": "3", "max-size": "5m" } })
        }
        "HostConfig.Tmpfs" => {
            *value == json!({ "/tmp": "rw,noexec,nosuid,nodev,size=64m,mode=1777" })
        }
        "HostConfig.NetworkMode" => {
            text().starts_with("oct-scripted-") && text().ends_with("-network")
        }
        "HostConfig.NanoCpus"
        | "HostConfig.Memory"
        | "HostConfig.MemorySwap"
        | "HostConfig.PidsLimit" => value.as_i64().is_some_and(|amount| amount > 0),
        "HostConfig.Mounts[].Type" => text() == "volume",
        "HostConfig.Mounts[].Source" => {
            text().starts_with("oct-scripted-")
                && (text().ends_with("-data") || text().ends_with("-config"))
        }
        "HostConfig.Mounts[].Target" => {
            ["/home/node", "/home/node/.openclaw/manager"].contains(&text())
        }
        "HostConfig.Mounts[].ReadOnly" => *value == json!(false),
        "HostConfig.Mounts[].VolumeOptions.NoCopy" => *value == json!(true),
        // Refuses the container where the volume is not there, instead of making one.
        "HostConfig.Mounts[].VolumeOptions.DriverConfig.Name" => text() == "local",
        "HostConfig.Mounts[].VolumeOptions.DriverConfig.Options.openclaw-tenancy-must-exist" => {
            text().is_empty()
        }
        _ => {
            path.starts_with("Labels.io.openclaw-tenancy.")
                || (path.starts_with("NetworkingConfig.EndpointsConfig.oct-scripted-")
                    && path.ends_with("-network.IPAMConfig.IPv4Address")
                    && text().starts_with("10."))
        }
    }
}

/// Walks to the deepest values that the list names; what it does not name it goes into, down to a leaf.
fn violations(path: &str, value: &Value, found: &mut Vec<String>) {
    if allowed_value(path, value) {
        return;
    }
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                violations(&path, value, found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            items
                .iter()
                .for_each(|item| violations(&format!("{path}[]"), item, found));
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)
        | Value::Array(_) => {
            found.push(format!("{path} = {value}"));
        }
    }
}

#[test]
fn the_list_catches_what_it_should() {
    for body in [
        json!({ "HostConfig": { "Privileged": true } }),
        json!({ "HostConfig": { "Binds": ["/:/host"] } }),
        json!({ "HostConfig": { "UsernsMode": "host" } }),
        json!({ "HostConfig": { "Sysctls": {} } }),
        json!({ "HostConfig": { "Mounts": [{ "Type": "bind" }] } }),
        json!({ "HostConfig": { "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"] } }),
        json!({ "ExposedPorts": { "1/tcp": {} } }),
        json!({ "User": "0:0" }),
    ] {
        let mut found = Vec::new();
        violations("", &body, &mut found);
        assert!(!found.is_empty(), "{body}");
    }
}

/// Text that tries to get out of its field.
fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,40}",
        Just("\",\"HostConfig\":{\"Privileged\":true},\"x\":\"".to_owned()),
        Just("--privileged".to_owned()),
        Just("../../../etc".to_owned()),
        Just("/var/run/docker.sock:/var/run/docker.sock".to_owned()),
        "\\PC{0,20}",
    ]
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (
        10_u64..64_000,
        6_u64..1 << 20,
        0_u64..1 << 20,
        any::<u64>(),
        1_u32..100_000,
    )
        .prop_map(|(cpu, memory, swap, storage, pids)| Limits {
            cpu: MilliCpus(cpu),
            memory: Bytes::mib(memory),
            swap: Bytes::mib(swap),
            storage: Bytes(storage),
            pids,
        })
}

#[test]
fn a23_no_spec_makes_a_body_with_anything_that_is_not_allowed() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (engine, base) = runtime.block_on(bench());
    engine.world().set_host(1024, u64::MAX, 0);
    runtime.block_on(base.ground());
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let generation = std::cell::Cell::new(0);
    let specs = (
        any_limits(),
        proptest::collection::btree_map(hostile_text(), hostile_text(), 0..6),
        hostile_text(),
    );
    let outcome = runner.run(
        &specs,
        |(limits, env, reference): (Limits, BTreeMap<String, String>, String)| {
            generation.set(generation.get() + 1);
            let mut spec = base.instance_spec(generation.get(), limits);
            spec.env = env;
            spec.image = Image {
                reference,
                digest: base.image.digest.clone(),
            };
            let spec = openclaw_tenancy::container::ObjectSpec::Instance(Box::new(spec));
            let made = runtime
                .block_on(base.make(&spec))
                .map_err(|e| TestCaseError::fail(e.to_string()))?;
            let body = engine.world().body(&made.id.0).unwrap();
            let mut found = Vec::new();
            violations("", &body, &mut found);
            prop_assert!(found.is_empty(), "not allowed: {found:?}");
            prop_assert_eq!(&body["HostConfig"]["Memory"], &json!(limits.memory.0));
            prop_assert_eq!(
                &body["HostConfig"]["MemorySwap"],
                &json!(limits.memory.0 + limits.swap.0)
            );
            Ok(())
        },
    );
    outcome.unwrap();
}

#[tokio::test]
async fn labels_of_every_object_carry_a_valid_mac() {
    let (engine, tenancy) = bench().await;
    let id = tenancy.created(crate::common::plan("free")).await;
    let keys = keys(DEPLOYMENT);
    let body = engine.world().body(&id.0).unwrap();
    let labels: BTreeMap<String, String> = serde_json::from_value(body["Labels"].clone()).unwrap();
    let spec = tenancy.instance(1, crate::common::plan("free"));
    assert_eq!(
        keys.read(&tenancy.name(&spec), &labels),
        Some(spec.labels())
    );
    for role in [VolumeRole::Data, VolumeRole::Config] {
        let spec = tenancy.volume(role);
        let name = tenancy.name(&spec);
        let made = engine
            .calls()
            .into_iter()
            .find(|call| call.path == "/volumes/create" && call.body["Name"] == *name);
        let labels: BTreeMap<String, String> =
            serde_json::from_value(made.unwrap().body["Labels"].clone()).unwrap();
        assert_eq!(keys.read(&name, &labels), Some(spec.labels()));
    }
    // The same engine, another tenant: nothing of the first one's.
    let other = super::tenancy(&engine);
    let scope = openclaw_tenancy::backend::Scope::Tenant(other.tenant);
    assert_eq!(
        other.backend.list(&other.host, scope).await.unwrap(),
        Default::default()
    );
}
