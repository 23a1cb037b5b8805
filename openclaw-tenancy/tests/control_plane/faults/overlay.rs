//! A server that is started with another overlay: what the operator changed reaches the instances that there are.

use openclaw_tenancy::instance::{Model, ModelProvider, Overlay};
use openclaw_tenancy::memory::Fault;
use openclaw_tenancy::status::Phase;
use serde_json::{Value, json};

use crate::faulty::{LEASE_AND_MORE, SECOND, World};

/// A provider `corp` with the models `m1` and `m2`.
fn overlay(key: Option<&str>, default_model: &str, sections: &[(&str, Value)]) -> Overlay {
    let model = |id: &str| Model {
        id: id.to_owned(),
        name: id.to_owned(),
        reasoning: false,
        context_window: 128_000,
        max_tokens: 4096,
    };
    let provider = ModelProvider {
        base_url: "https://models.example.org/v1".to_owned(),
        api: "openai-completions".to_owned(),
        key: key.map(Into::into),
        models: vec![model("m1"), model("m2")],
    };
    let sections = sections.iter().cloned();
    Overlay {
        providers: [("corp".to_owned(), provider)].into(),
        default_model: Some(default_model.to_owned()),
        sections: sections
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        reserved: ["messages".to_owned()].into(),
    }
}

fn before() -> Overlay {
    let channels = json!({ "telegram": { "botToken": "1:token-of-before" } });
    overlay(Some("key-of-before"), "corp/m1", &[("channels", channels)])
}

fn after() -> Overlay {
    let messages = json!({ "ackReactionScope": "direct" });
    overlay(None, "corp/m2", &[("messages", messages)])
}

/// An instance that runs under [`before`].
fn running() -> World {
    let mut world = World::new();
    world.set_overlay(&before());
    world.create(0, None).unwrap().unwrap();
    world.until_running();
    world
}

fn below_config(name: &str) -> String {
    format!("{}/{name}", openclaw_tenancy::container::CONFIG_PATH)
}

fn has_what_is_after(world: &World) -> bool {
    let json =
        |name: &str| -> Value { serde_json::from_str(&world.file(&below_config(name))).unwrap() };
    json("messages.json") == json!({ "ackReactionScope": "direct" })
        && json("channels.json") == json!({})
        && json("keys.json") == json!({})
        && json("models.json")["providers"]["corp"]["models"][0]["id"] == "m2"
        && json("default-model.json") == "corp/m2"
}

#[test]
fn a_changed_overlay_reaches_an_instance_that_runs_and_leaves_it_running() {
    let mut world = running();
    let seed = world.file(openclaw_tenancy::instance::SEED_PATH);
    let keys = world.file(&below_config("keys.json"));
    assert!(keys.contains("key-of-before"), "{keys}");
    let (processes, resync) = (
        world.backend.processes(),
        world.tenancy.context().pace.resync,
    );
    world.set_overlay(&after());
    world.faults.trace();
    // From one look to the next, and no longer.
    world.rounds(2, resync);
    assert!(has_what_is_after(&world));
    let traced = world.faults.traced();
    let puts = traced.iter().filter(|call| **call == "put_files").count();
    assert_eq!(puts, 1, "{traced:?}");
    assert_eq!(world.backend.processes(), processes);
    assert_eq!(world.phase(), Phase::Running);
    assert_eq!(
        world.file(openclaw_tenancy::instance::SEED_PATH),
        seed,
        "its owner's"
    );
}

#[test]
fn a_changed_overlay_reaches_an_instance_that_was_suspended_before_it_starts() {
    let mut world = running();
    world.set_power(0, openclaw_tenancy::tenant::Power::Suspended);
    world.round_when(|phase| *phase == Phase::Suspended);
    world.set_overlay(&after());
    world.set_power(0, openclaw_tenancy::tenant::Power::Running);
    world.faults.trace();
    world.until_running();
    assert!(has_what_is_after(&world));
    let traced = world.faults.traced();
    let at = |call| traced.iter().position(|name| *name == call);
    assert!(at("put_files") < at("start"), "{traced:?}");
}

#[test]
fn f15_files_whose_putting_was_lost_are_put_again() {
    for fault in [
        Fault::HangBefore,
        Fault::HangAfter,
        Fault::LoseAnswer,
        Fault::Fail,
    ] {
        let mut world = running();
        world.set_overlay(&after());
        world.faults.next("put_files", Some(fault));
        world.rounds(10, LEASE_AND_MORE);
        assert!(has_what_is_after(&world), "{fault:?}");
        assert_eq!(world.phase(), Phase::Running);
        world.rounds(1, SECOND);
    }
}

#[test]
fn f15_files_that_a_lost_pass_put_for_another_overlay_are_written_over() {
    let mut world = running();
    world.set_overlay(&after());
    world.faults.next("put_files", Some(Fault::HangAfter));
    for _ in 0..100 {
        if has_what_is_after(&world) {
            break;
        }
        world.rounds(1, SECOND * 20);
    }
    assert!(has_what_is_after(&world), "put, and never written down");
    // The operator takes the change back before anybody else has looked.
    world.set_overlay(&before());
    world.rounds(10, LEASE_AND_MORE);
    let keys = world.file(&below_config("keys.json"));
    assert!(keys.contains("key-of-before"), "{keys}");
    assert_eq!(world.phase(), Phase::Running);
}
