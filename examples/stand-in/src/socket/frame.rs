//! The frames of OpenClaw's protocol 4 that the stand-in reads and writes.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// The protocol that is spoken.
pub(super) const PROTOCOL: u64 = 4;

/// A request; events and answers only go the other way.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    #[serde(rename = "type")]
    kind: String,
    pub(super) id: String,
    pub(super) method: String,
    #[serde(default)]
    pub(super) params: Value,
}

impl Request {
    /// Reads a request out of parsed JSON.
    pub(super) fn read(value: Value) -> Option<Self> {
        serde_json::from_value(value)
            .ok()
            .filter(|request: &Self| request.kind == "req")
    }
}

/// `params` of `connect`; an unknown key is refused, as OpenClaw's closed schema refuses it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "some keys are only named so that they are not unknown"
)]
pub(super) struct Connect {
    pub(super) min_protocol: u64,
    pub(super) max_protocol: u64,
    pub(super) client: ClientInfo,
    pub(super) role: Option<String>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) device: Option<Device>,
    pub(super) auth: Option<Credentials>,
    caps: Option<Vec<String>>,
    commands: Option<Vec<String>>,
    computer_use: Option<IgnoredAny>,
    worker_runs: Option<IgnoredAny>,
    permissions: Option<IgnoredAny>,
    path_env: Option<String>,
    model_catalog: Option<IgnoredAny>,
    locale: Option<String>,
    user_agent: Option<String>,
}

/// `client` of `connect`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "some keys are only named so that they are not unknown"
)]
pub(super) struct ClientInfo {
    pub(super) id: String,
    pub(super) mode: String,
    version: String,
    platform: String,
    display_name: Option<String>,
    pub(super) build_id: Option<String>,
    device_family: Option<String>,
    model_identifier: Option<String>,
    time_zone: Option<String>,
    instance_id: Option<String>,
}

/// A device identity; its signature is not verified here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "the keys must be there, their values are not checked"
)]
pub(super) struct Device {
    id: String,
    public_key: String,
    signature: String,
    signed_at: u64,
    nonce: String,
}

/// `auth` of `connect`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "some keys are only named so that they are not unknown"
)]
pub(super) struct Credentials {
    pub(super) token: Option<String>,
    pub(super) password: Option<String>,
    bootstrap_token: Option<String>,
    device_token: Option<String>,
    approval_runtime_token: Option<String>,
    agent_runtime_identity_token: Option<String>,
}

const CLIENT_IDS: &[&str] = &[
    "webchat-ui",
    "openclaw-control-ui",
    "openclaw-browser-copilot",
    "openclaw-tui",
    "webchat",
    "cli",
    "gateway-client",
    "openclaw-macos",
    "openclaw-linux",
    "openclaw-ios",
    "openclaw-watchos",
    "openclaw-android",
    "node-host",
    "openclaw-worker",
    "test",
    "fingerprint",
    "openclaw-probe",
];
const CLIENT_MODES: &[&str] = &[
    "webchat", "cli", "ui", "backend", "node", "worker", "probe", "test",
];

impl Connect {
    /// Reads and checks the parameters.
    ///
    /// # Errors
    ///
    /// What is wrong, as it follows `invalid connect params: `.
    pub(super) fn read(params: Value) -> Result<Self, String> {
        let connect: Self = serde_json::from_value(params).map_err(|error| error.to_string())?;
        if !CLIENT_IDS.contains(&connect.client.id.as_str()) {
            return Err(format!(
                "at /client/id: `{}` is not a known client",
                connect.client.id
            ));
        }
        if !CLIENT_MODES.contains(&connect.client.mode.as_str()) {
            return Err(format!(
                "at /client/mode: `{}` is not a known mode",
                connect.client.mode
            ));
        }
        Ok(connect)
    }

    /// The browser page itself.
    pub(super) fn is_control_ui(&self) -> bool {
        matches!(
            self.client.id.as_str(),
            "openclaw-control-ui" | "openclaw-tui"
        )
    }

    /// A client that runs in a browser, so that its origin counts even when it sends none.
    pub(super) fn is_browser(&self) -> bool {
        matches!(
            self.client.id.as_str(),
            "openclaw-control-ui" | "openclaw-browser-copilot" | "webchat-ui"
        ) || self.client.mode == "webchat"
    }
}

pub(super) fn event(name: &str, payload: &Value) -> String {
    json!({ "type": "event", "event": name, "payload": payload }).to_string()
}

pub(super) fn answer(id: &str, payload: &Value) -> String {
    json!({ "type": "res", "id": id, "ok": true, "payload": payload }).to_string()
}

/// `extra` is merged into `error`: details, or that a retry may help.
pub(super) fn error(id: &str, code: &str, message: &str, extra: Value) -> String {
    let mut error = json!({ "code": code, "message": message });
    if let (Value::Object(error), Value::Object(extra)) = (&mut error, extra) {
        error.extend(extra);
    }
    json!({ "type": "res", "id": id, "ok": false, "error": error }).to_string()
}
