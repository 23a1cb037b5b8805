//! What the operator gives every instance, and what becomes of a change of it: the real OpenClaw that runs goes on with
//! it, and its owner chats on.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::json;

use crate::browser::Browser;
use crate::docker::Docker;
use crate::model::{self, ModelServer};
use crate::{COMPOSER, OPENCLAW};

/// How OpenClaw sees what is on the config volume.
const MANAGER: &str = "/home/node/.openclaw/manager";

/// One provider with two models, the first of which is everybody's.
pub(crate) fn before(model: SocketAddr) -> String {
    of(model, model::KEYS[0], "m1")
}

/// Another default model, another key, and a section that there was not.
pub(crate) fn after(model: SocketAddr) -> String {
    let section = "[overlay.sections.messages]\nackReactionScope = \"direct\"\n";
    of(model, model::KEYS[1], "m2") + section
}

fn of(address: SocketAddr, key: &str, default_model: &str) -> String {
    let models: String = ["m1", "m2"]
        .map(|id| {
            format!(
                "[[overlay.providers.corp.models]]\nid = \"{id}\"\nname = \"Model {id}\"\n\
                 context_window = 128000\nmax_tokens = 4096\n"
            )
        })
        .concat();
    format!(
        "[overlay]\ndefault_model = \"corp/{default_model}\"\n[overlay.providers.corp]\n\
         base_url = \"http://{address}/v1\"\nkey = \"{key}\"\n{models}"
    )
}

/// Waits until OpenClaw has taken the change, and chats on the page that is open: the other model is asked, with the
/// other key, and the old one is nowhere on the volume.
pub(crate) async fn reaches(browser: &mut Browser, model: &ModelServer, docker: &Docker) {
    let began = Instant::now();
    let found = docker.instances("{{.ID}}").await;
    let [container] = found.as_slice() else {
        panic!("not one container: {found:?}")
    };
    // OpenClaw tells which of its settings it found changed, and starts itself anew for the variable that names the
    // default model, once nobody waits for an answer.
    let detected = "[reload] config change detected";
    loop {
        let log = docker.run(&["logs", container]).await;
        let mut changes = log.lines().filter(|line| line.contains(detected));
        let taken = changes.any(|line| line.contains("messages.ackReactionScope"));
        if taken && log.matches("[gateway] ready").count() == 2 {
            break;
        }
        assert!(began.elapsed() < OPENCLAW, "not taken: {log}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    println!("overlay changed to taken {:.1?}", began.elapsed());

    let file = async |name: &str| {
        let path = format!("{MANAGER}/{name}");
        docker.run(&["exec", container, "cat", &path]).await
    };
    let keys: serde_json::Value = serde_json::from_str(&file("keys.json").await).unwrap();
    assert_eq!(keys, json!({ "corp": model::KEYS[1] }));
    let search = [
        "exec",
        container,
        "sh",
        "-c",
        "grep -rlF \"$1\" \"$2\" || test $? = 1",
        "sh",
        model::KEYS[0],
        MANAGER,
    ];
    assert_eq!(docker.run(&search).await, "", "the old key is gone");

    let composer = browser.shown(COMPOSER, OPENCLAW).await;
    composer.type_in("ping again\u{e007}").await;
    let asked = Instant::now();
    let wanted = Some((model::KEYS[1], "m2".to_owned()));
    while model.asked_last() != wanted {
        let last = model.asked_last();
        assert!(asked.elapsed() < OPENCLAW, "asked last: {last:?}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    browser.picture("answered-by-another").await;
}
