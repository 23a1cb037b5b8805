use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::conformance::store::given::new_tenant;
use crate::container::INSTANCE_UID;
use crate::store::rules;

/// The files of one tenant under each of `overlays`.
fn under<const N: usize>(overlays: [&Overlay; N]) -> [InstanceFiles; N] {
    let tenant = rules::made(new_tenant());
    let subnet = "10.213.0.0/29".parse().unwrap();
    let origins = OriginTemplate::new("http://{slug}.localhost:8080").unwrap();
    overlays.map(|overlay| files(&tenant, subnet, &origins, &overlay.into()))
}

fn text(files: &[VolumeFile], path: &str) -> String {
    let file = files.iter().find(|file| file.path == path);
    String::from_utf8(file.unwrap().content.0.clone()).unwrap()
}

fn json(files: &[VolumeFile], path: &str) -> Value {
    serde_json::from_str(&text(files, path)).unwrap()
}

fn model(id: &str) -> Model {
    Model {
        id: id.to_owned(),
        name: id.to_owned(),
        reasoning: false,
        context_window: 128_000,
        max_tokens: 4096,
    }
}

/// Providers `corp` and `lab`, each with the models `m1` and `m2`, and a key of `corp`'s.
fn with_providers(key: Option<&str>) -> Overlay {
    let provider = |name: &str, key: Option<&str>| ModelProvider {
        base_url: format!("https://{name}.example.org/v1"),
        api: "openai-completions".to_owned(),
        key: key.map(Into::into),
        models: vec![model("m1"), model("m2")],
    };
    let providers = [("corp", key), ("lab", None)];
    Overlay {
        providers: providers
            .map(|(name, key)| (name.to_owned(), provider(name, key)))
            .into(),
        ..Overlay::default()
    }
}

fn sections(value: Value) -> BTreeMap<String, Value> {
    let Value::Object(sections) = value else {
        unreachable!("an object")
    };
    sections.into_iter().collect()
}

#[test]
fn no_part_of_an_overlay_stands_in_what_is_seeded_but_pointers() {
    let reserved = || ["messages".to_owned()].into();
    let nothing = Overlay {
        default_model: Some("elsewhere/m".to_owned()),
        reserved: reserved(),
        ..Overlay::default()
    };
    let everything = Overlay {
        default_model: Some("lab/m2".to_owned()),
        sections: sections(json!({ "messages": { "ackReaction": "x" } })),
        reserved: reserved(),
        ..with_providers(Some("one"))
    };
    let [before, after] = under([&nothing, &everything]);
    assert!(before.seed == after.seed);
    assert_ne!(before.digest, after.digest);
    let paths = |files: &InstanceFiles| -> Vec<String> {
        files
            .config()
            .iter()
            .map(|file| file.path.clone())
            .collect()
    };
    assert_eq!(paths(&before), paths(&after));
    let models = text(&after.config(), "models.json");
    assert!(models.contains("https://corp.example.org/v1"), "{models}");
    let messages = json(&after.config(), "messages.json");
    assert_eq!(messages["ackReaction"], "x");
}

#[test]
fn the_default_model_is_the_value_of_a_variable_that_its_owner_may_write_over() {
    for (default, expected) in [
        (Some("lab/m2"), "lab/m2"),
        (Some("corp/m1"), "corp/m1"),
        (None, "corp/m1"),
    ] {
        let overlay = Overlay {
            default_model: default.map(str::to_owned),
            sections: sections(json!({ "env": { "vars": { "REGION": "eu" } } })),
            ..with_providers(None)
        };
        let [files] = under([&overlay]);
        assert_eq!(json(&files.config(), "default-model.json"), expected);
        let seed = json(&files.seed, "openclaw.json");
        let included = &seed["env"]["vars"]["TENANCY_DEFAULT_MODEL"]["$include"];
        let primary = seed.pointer("/agents/defaults/model/primary");
        // Without one, OpenClaw asks its owner.
        if default.is_some() {
            assert_eq!(included, "./manager/default-model.json");
            assert_eq!(primary.unwrap(), "${TENANCY_DEFAULT_MODEL}");
        } else {
            assert_eq!((included, primary), (&Value::Null, None));
        }
        assert_eq!(seed["env"]["$include"], "./manager/env.json");
    }
}

#[test]
fn the_default_model_is_the_first_of_the_first_provider_as_openclaw_reads_them() {
    for (default, expected) in [
        (None, ["corp", "m1", "m2", "lab", "m1", "m2"]),
        (Some("corp/m2"), ["corp", "m2", "m1", "lab", "m1", "m2"]),
        (Some("lab/m1"), ["lab", "m1", "m2", "corp", "m1", "m2"]),
        (Some("lab/m2"), ["lab", "m2", "m1", "corp", "m1", "m2"]),
    ] {
        let overlay = Overlay {
            default_model: default.map(str::to_owned),
            ..with_providers(None)
        };
        let [files] = under([&overlay]);
        let models = text(&files.config(), "models.json");
        // As they stand in the text: a parsed object may have another order.
        let names = models.lines().filter_map(|line| {
            let (key, value) = line.trim().split_once(": ")?;
            let key = key.trim_matches('"');
            match key {
                "corp" | "lab" => Some(key.to_owned()),
                "id" => Some(value.trim_matches(['"', ',']).to_owned()),
                _ => None,
            }
        });
        assert_eq!(names.collect::<Vec<_>>(), expected, "{default:?}");
    }
}

#[test]
fn a_changed_key_changes_the_configuration_and_one_that_is_not_given_is_in_no_file() {
    let overlays = [Some("key-one"), Some("key-two"), None].map(with_providers);
    let [one, two, none] = under([&overlays[0], &overlays[1], &overlays[2]]);
    for (files, key) in [(&one, "key-one"), (&two, "key-two")] {
        assert_eq!(json(&files.config(), "keys.json"), json!({ "corp": key }));
        let models = json(&files.config(), "models.json");
        let secrets = json(&files.config(), "secrets.json");
        let named = models["providers"]["corp"]["apiKey"].clone();
        assert_eq!(named["id"], "/corp");
        let store = &secrets["providers"][named["provider"].as_str().unwrap()];
        assert_eq!(store["path"], "/home/node/.openclaw/manager/keys.json");
        assert!(models["providers"]["lab"].get("apiKey").is_none());
    }
    // OpenClaw watches what it includes, and not the keys.
    assert_ne!(
        text(&one.config(), "models.json"),
        text(&two.config(), "models.json")
    );
    assert_eq!(json(&none.config(), "keys.json"), json!({}));
    assert_eq!(
        json(&none.config(), "secrets.json"),
        json!({ "providers": {} })
    );
    let keys = |files: &InstanceFiles| {
        let file = files
            .config()
            .into_iter()
            .find(|file| file.path == "keys.json");
        file.map(|file| (file.owner, file.mode)).unwrap()
    };
    assert_eq!(keys(&one), (INSTANCE_UID, 0o600));
}

#[test]
fn a_section_is_included_whole_none_replaces_ours_and_one_that_is_no_longer_given_is_empty() {
    let given = Overlay {
        sections: sections(
            json!({ "channels": { "telegram": { "botToken": "1:x" } }, "gateway": {} }),
        ),
        ..Overlay::default()
    };
    let [files, without] = under([&given, &Overlay::default()]);
    let seed = json(&files.seed, "openclaw.json");
    assert_eq!(seed["channels"]["$include"], "./manager/channels.json");
    let channels = json(&files.config(), "channels.json");
    assert_eq!(channels["telegram"]["botToken"], "1:x");
    let gateway = text(&files.config(), "gateway.json");
    assert!(gateway.contains("trusted-proxy"), "{gateway}");

    assert_eq!(json(&without.config(), "channels.json"), json!({}));
    let seed = json(&without.seed, "openclaw.json");
    assert_eq!(seed.get("channels"), None, "its owner's");
}

#[test]
fn the_gateway_lets_its_owner_in_through_the_edge_alone() {
    let tenant = rules::made(new_tenant());
    let user = user_name(tenant.owner);
    let origin = format!("http://{}.localhost:8080", tenant.slug);
    let origins = OriginTemplate::new("http://{slug}.localhost:8080").unwrap();
    let subnet = "10.213.0.0/29".parse().unwrap();
    let files = files(&tenant, subnet, &origins, &(&Overlay::default()).into());
    let wanted = json!({
        "mode": "local",
        "bind": "lan",
        "port": 18789,
        "trustedProxies": ["10.213.0.1"],
        "auth": {
            "mode": "trusted-proxy",
            "identityScopes": { &user: ["operator.admin"] },
            "trustedProxy": {
                "userHeader": "x-openclaw-tenancy-user",
                "requiredHeaders": ["x-openclaw-tenancy-proxy", "x-forwarded-proto"],
                "allowUsers": [&user],
                "deviceAutoApprove": {
                    "enabled": true,
                    "scopes": ["operator.read", "operator.write", "operator.approvals"],
                },
            },
        },
        "controlUi": { "allowedOrigins": [origin] },
        "terminal": { "enabled": false },
    });
    // To the byte: another text would be written to every instance that there is.
    let written = text(&files.config(), "gateway.json");
    assert_eq!(written, format!("{wanted:#}\n"));
}
