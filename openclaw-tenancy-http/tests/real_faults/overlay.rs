//! A server that is started with another overlay, and the instance that runs: what it reads, and what is left on its
//! volume. What OpenClaw itself makes of these files, the end-to-end test shows.

use openclaw_tenancy::container::CONFIG_PATH;
use openclaw_tenancy::instance::{Model, ModelProvider, Overlay, SEED_PATH};
use serde_json::{Value, json};

use crate::instance::{Instance, PATIENCE};
use crate::world::{brisk, with_world};

const KEY_BEFORE: &str = "sk-of-before-4711";
const TOKEN_BEFORE: &str = "1:token-of-before-0815";

fn overlay(key: Option<&str>, default_model: &str, section: (&str, Value)) -> Overlay {
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
    Overlay {
        providers: [("corp".to_owned(), provider)].into(),
        default_model: Some(default_model.to_owned()),
        sections: [(section.0.to_owned(), section.1)].into(),
        reserved: ["messages".to_owned()].into(),
    }
}

#[tokio::test]
async fn a_changed_overlay_is_read_by_an_instance_that_runs_and_its_old_key_is_gone() {
    with_world(|world| async move {
        let channels = json!({ "telegram": { "botToken": TOKEN_BEFORE } });
        let before = overlay(Some(KEY_BEFORE), "corp/m1", ("channels", channels));
        let server = world.server_with(brisk(), before).await;
        let instance = Instance::running(&world, &server.tenancy).await;
        let seen = instance.knob("config").await;
        let pointer = |config: &Value, at: &str| config["merged"].pointer(at).cloned();
        assert_eq!(seen["degradedSecrets"], json!([]), "the key is readable");
        assert_eq!(
            pointer(&seen, "/channels/telegram/botToken"),
            Some(json!(TOKEN_BEFORE))
        );
        let on_volume = async || {
            let from = format!("{}:{CONFIG_PATH}", instance.container().await);
            world.docker.run(&["cp", &from, "-"]).await
        };
        let files = on_volume().await;
        assert!(files.contains(KEY_BEFORE) && files.contains(TOKEN_BEFORE));
        let own = async || {
            let from = format!("{}:{SEED_PATH}", instance.container().await);
            world.docker.run(&["cp", &from, "-"]).await
        };
        let (seeded, starts) = (own().await, instance.starts().await);
        server.stop().await;

        let messages = json!({ "ackReactionScope": "direct" });
        let after = overlay(None, "corp/m2", ("messages", messages));
        let server = world.server_with(brisk(), after).await;
        // The engine writes one file after the other, and the instance may be asked in between.
        let expected = [
            ("/messages/ackReactionScope", Some(json!("direct"))),
            ("/models/providers/corp/models/0/id", Some(json!("m2"))),
            ("/models/providers/corp/apiKey", None),
            ("/env/vars/TENANCY_DEFAULT_MODEL", Some(json!("corp/m2"))),
            ("/secrets/providers", Some(json!({}))),
            ("/channels", Some(json!({}))),
        ];
        let mut seen = Value::Null;
        let reached = async {
            while expected
                .iter()
                .any(|(at, value)| pointer(&seen, at) != *value)
            {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                seen = instance.knob("config").await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "it reaches the instance: {seen}");
        let files = on_volume().await;
        assert!(!files.contains(KEY_BEFORE), "the old key is on the volume");
        assert!(!files.contains(TOKEN_BEFORE));
        assert!(files.contains("ackReactionScope"));
        assert_eq!(own().await, seeded, "its owner's");
        assert_eq!(instance.starts().await, starts, "it was not restarted");
        server.stop().await;
    })
    .await;
}
