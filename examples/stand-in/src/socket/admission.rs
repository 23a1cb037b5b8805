//! Whether a `connect` is admitted, and with which scopes.

use serde_json::{Value, json};

use super::Opening;
use super::frame::{self, Connect, PROTOCOL, Request};
use crate::app::{App, BUILD_ID, Phase, VERSION};
use crate::attribution::{Ingress, header};
use crate::auth::{self, Identity, Secret};
use crate::clock;
use crate::config::Config;
use crate::origin;
use crate::random;

/// An answer to the client, then a close.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Not sent when the client could not be understood at all.
    pub(super) frame: Option<String>,
    pub(super) code: u16,
    pub(super) reason: String,
}

impl Refusal {
    /// The usual refusal: an `INVALID_REQUEST` answer, then 1008 with the same words.
    fn invalid(id: &str, message: &str, details: Option<Value>) -> Self {
        Self::coded(id, "INVALID_REQUEST", message, details)
    }

    fn coded(id: &str, code: &str, message: &str, details: Option<Value>) -> Self {
        let extra = details.map_or(json!({}), |details| json!({ "details": details }));
        Self {
            frame: Some(frame::error(id, code, message, extra)),
            code: 1008,
            reason: message.to_owned(),
        }
    }

    pub(super) fn silent(code: u16, reason: &str) -> Self {
        Self {
            frame: None,
            code,
            reason: reason.to_owned(),
        }
    }
}

/// An admitted client.
#[derive(Debug)]
pub(super) struct Admitted {
    /// The `hello-ok` answer.
    pub(super) hello: String,
    /// Whether the origin decides, and so may end the connection later.
    pub(super) by_origin: bool,
    /// The policy that admitted it.
    pub(super) policy: Value,
}

/// Judges the first text of a socket, in OpenClaw's order.
pub(super) fn judge(app: &App, opening: &Opening, text: &str) -> Result<Admitted, Refusal> {
    let value: Value = serde_json::from_str(text).map_err(|_| Refusal::silent(1000, ""))?;
    let request =
        Request::read(value).ok_or_else(|| Refusal::silent(1008, "invalid request frame"))?;
    let id = request.id.as_str();
    if request.method != "connect" {
        let message = "invalid handshake: first request must be connect";
        return Err(Refusal::invalid(id, message, None));
    }
    let connect = Connect::read(request.params)
        .map_err(|why| Refusal::invalid(id, &format!("invalid connect params: {why}"), None))?;
    if app.phase() == Phase::Starting {
        return Err(still_starting(id));
    }
    if connect.max_protocol < PROTOCOL || PROTOCOL < connect.min_protocol {
        let details = json!({
            "code": "PROTOCOL_MISMATCH",
            "clientMinProtocol": connect.min_protocol,
            "clientMaxProtocol": connect.max_protocol,
            "expectedProtocol": PROTOCOL,
        });
        let refusal = Refusal::invalid(id, "protocol mismatch", Some(details));
        return Err(Refusal {
            code: 1002,
            ..refusal
        });
    }
    let role = connect.role.as_deref().unwrap_or("operator");
    if !matches!(role, "operator" | "node") {
        return Err(Refusal::invalid(id, "invalid role", None));
    }
    let config = app.config();
    let by_origin = origin_decides(opening, &connect);
    if by_origin && let Err(reason) = check_origin(opening, &config) {
        let message = "origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)";
        let details = json!({ "code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": reason });
        return Err(Refusal::invalid(id, message, Some(details)));
    }
    let identity = identify(opening, &config, &connect, id)?;
    if is_of_another_build(opening, &connect) {
        return Err(must_reload(id));
    }
    let scopes = scopes(opening, &config, &connect, &identity, role);
    Ok(Admitted {
        hello: hello(app, id, &identity, role, &scopes),
        by_origin,
        policy: config.policy.clone(),
    })
}

fn still_starting(id: &str) -> Refusal {
    let extra = json!({
        "retryable": true,
        "retryAfterMs": 500,
        "details": { "reason": "startup-sidecars" },
    });
    Refusal {
        frame: Some(frame::error(
            id,
            "UNAVAILABLE",
            "gateway starting; retry shortly",
            extra,
        )),
        code: 1013,
        reason: "gateway starting".to_owned(),
    }
}

/// The page is served by the instance itself, so after an upgrade an open one is out of date.
fn is_of_another_build(opening: &Opening, connect: &Connect) -> bool {
    let build = connect.client.build_id.as_deref().unwrap_or_default();
    let own_page = origin::is_of_host(
        header(&opening.headers, "origin").as_deref(),
        header(&opening.headers, "host").as_deref(),
    );
    connect.client.id == "openclaw-control-ui" && own_page && !matches!(build, BUILD_ID | "dev")
}

fn must_reload(id: &str) -> Refusal {
    let message = "protocol mismatch: Control UI updated; reload this page to continue";
    let extra = json!({
        "retryable": false,
        "details": {
            "code": "PROTOCOL_MISMATCH",
            "gatewayBuildId": BUILD_ID,
            "reloadRequired": true,
        },
    });
    Refusal {
        frame: Some(frame::error(id, "UNAVAILABLE", message, extra)),
        code: 1008,
        reason: message.to_owned(),
    }
}

/// Any client that sends an origin is held to it, and a browser client also when it sends none.
fn origin_decides(opening: &Opening, connect: &Connect) -> bool {
    let sent = header(&opening.headers, "origin").is_some_and(|origin| !origin.trim().is_empty());
    sent || connect.is_browser()
}

/// The origin of an open socket against the configuration of now.
pub(super) fn check_origin(opening: &Opening, config: &Config) -> Result<(), &'static str> {
    origin::check(
        header(&opening.headers, "origin").as_deref(),
        header(&opening.headers, "host").as_deref(),
        &config.gateway.control_ui,
        opening.client.ingress == Ingress::Local,
    )
}

/// Who connects; a device counts as known only where it is approved without being asked.
fn identify(
    opening: &Opening,
    config: &Config,
    connect: &Connect,
    id: &str,
) -> Result<Identity, Refusal> {
    let secret = connect
        .auth
        .as_ref()
        .map_or_else(Secret::default, |auth| Secret {
            token: auth.token.clone().filter(|text| !text.is_empty()),
            password: auth.password.clone().filter(|text| !text.is_empty()),
        });
    let Opening {
        client,
        connection,
        headers,
    } = opening;
    let identity = auth::authorize(config, *client, *connection, headers, &secret);
    let has_device = connect.device.is_some();
    if !has_device {
        let proxied = matches!(&identity, Ok(identity) if identity.method == "trusted-proxy");
        if connect.is_control_ui() && !proxied {
            let message =
                "control ui requires device identity (use HTTPS or localhost secure context)";
            let details = json!({ "code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED" });
            return Err(Refusal::invalid(id, message, Some(details)));
        }
        let operator = connect.role.as_deref().unwrap_or("operator") == "operator";
        if !operator || (identity.is_err() && !secret.is_given()) {
            let details = json!({ "code": "DEVICE_IDENTITY_REQUIRED" });
            return Err(Refusal::coded(
                id,
                "NOT_PAIRED",
                "device identity required",
                Some(details),
            ));
        }
    }
    let identity = identity.map_err(|reason| unauthorized(id, &reason))?;
    let approved = identity.method == "trusted-proxy"
        && config.trusted_proxy.device_auto_approve.enabled
        && connect.is_browser();
    if has_device && !approved {
        let details = json!({
            "code": "PAIRING_REQUIRED",
            "reason": "not-paired",
            "requestId": random::identifier(),
        });
        let message = "pairing required: device is not approved yet";
        return Err(Refusal::coded(id, "NOT_PAIRED", message, Some(details)));
    }
    Ok(identity)
}

fn unauthorized(id: &str, reason: &str) -> Refusal {
    let message = match reason {
        "token_missing" => "unauthorized: gateway token missing",
        "token_mismatch" => "unauthorized: gateway token mismatch",
        "password_missing" => "unauthorized: gateway password missing",
        "password_mismatch" => "unauthorized: gateway password mismatch",
        _ => "unauthorized",
    };
    let details = json!({ "code": auth::code(reason), "authReason": reason });
    Refusal::invalid(id, message, Some(details))
}

/// What a device was approved for and what the identity adds, never more than the proxy lets through.
fn scopes(
    opening: &Opening,
    config: &Config,
    connect: &Connect,
    identity: &Identity,
    role: &str,
) -> Vec<String> {
    let asked = connect.scopes.as_deref().unwrap_or_default();
    let mut granted: Vec<String> = match (&connect.device, identity.method) {
        (Some(_), _) => {
            let allowed = &config.trusted_proxy.device_auto_approve.scopes;
            asked
                .iter()
                .filter(|scope| allowed.contains(scope))
                .cloned()
                .collect()
        }
        (None, "none") => asked.to_vec(),
        (None, _) => Vec::new(),
    };
    let user = identity.user.as_ref().filter(|_| role == "operator");
    for scope in user
        .and_then(|user| config.identity_scopes.get(user))
        .into_iter()
        .flatten()
    {
        if !granted.contains(scope) {
            granted.push(scope.clone());
        }
    }
    if let Some(cap) = header(&opening.headers, "x-openclaw-scopes") {
        let cap: Vec<&str> = cap.split(',').map(str::trim).collect();
        granted.retain(|scope| cap.contains(&scope.as_str()));
    }
    granted
}

fn hello(app: &App, id: &str, identity: &Identity, role: &str, scopes: &[String]) -> String {
    frame::answer(
        id,
        &json!({
            "type": "hello-ok",
            "protocol": PROTOCOL,
            "server": {
                "version": VERSION,
                "buildId": "stand-in",
                "bootId": app.boot_id,
                "connId": random::identifier(),
            },
            "features": { "methods": ["health"], "events": ["tick", "shutdown"], "capabilities": [] },
            "snapshot": {
                "presence": [],
                "health": { "ok": true, "ts": clock::unix_ms() },
                "stateVersion": { "presence": 0, "health": 0 },
                "uptimeMs": app.uptime.elapsed_ms(),
            },
            "auth": { "method": identity.method, "role": role, "scopes": scopes },
            "policy": {
                "maxPayload": super::MAX_PAYLOAD,
                "maxBufferedBytes": 52_428_800,
                "tickIntervalMs": 30_000,
            },
        }),
    )
}
