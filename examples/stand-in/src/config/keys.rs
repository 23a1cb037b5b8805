//! The keys that OpenClaw 2026.9.6 knows where our manager writes.
//!
//! OpenClaw refuses an unknown key with exit 78; a misspelt setting must fail here as it would there.

use serde_json::Value;

const ROOT: &[&str] = &[
    "$schema",
    "meta",
    "env",
    "wizard",
    "diagnostics",
    "logging",
    "update",
    "telemetry",
    "browser",
    "ui",
    "secrets",
    "auth",
    "accessGroups",
    "acp",
    "models",
    "nodeHost",
    "agents",
    "worktreeRoot",
    "worktreeAcceleration",
    "tools",
    "security",
    "bindings",
    "broadcast",
    "attachments",
    "messages",
    "tts",
    "commands",
    "approvals",
    "session",
    "cron",
    "transcripts",
    "hooks",
    "channels",
    "discovery",
    "talk",
    "gateway",
    "cloudWorkers",
    "desktop",
    "memory",
    "mcp",
    "skills",
    "plugins",
    "surfaces",
    "proxy",
];
const GATEWAY: &[&str] = &[
    "port",
    "mode",
    "bind",
    "customBindHost",
    "publicOrigin",
    "portals",
    "controlUi",
    "cliAgents",
    "terminal",
    "auth",
    "roles",
    "trustedProxies",
    "allowRealIpFallback",
    "tools",
    "tailscale",
    "remote",
    "reload",
    "tls",
    "http",
    "push",
    "nodes",
];
const AUTH: &[&str] = &[
    "mode",
    "token",
    "password",
    "allowTailscale",
    "identityScopes",
    "rateLimit",
    "trustedProxy",
];
const TRUSTED_PROXY: &[&str] = &[
    "userHeader",
    "requiredHeaders",
    "allowUsers",
    "allowLoopback",
    "cloudflareAccessOidc",
    "deviceAutoApprove",
];
const DEVICE_AUTO_APPROVE: &[&str] = &["enabled", "scopes"];
const CONTROL_UI: &[&str] = &[
    "dangerouslyDisableDeviceAuth",
    "enabled",
    "basePath",
    "experimental",
    "root",
    "environment",
    "communityInvite",
    "github",
    "sessionObserver",
    "embedSandbox",
    "allowExternalEmbedUrls",
    "automaticallyFetchFavicons",
    "allowedOrigins",
    "dangerouslyAllowHostHeaderOriginFallback",
];
const TERMINAL: &[&str] = &["enabled", "shell", "detachedSessionTimeoutSeconds"];

/// Names the first key that OpenClaw does not know.
pub(super) fn check(merged: &Value) -> Result<(), String> {
    let sections: [(&str, &[&str]); 7] = [
        ("", ROOT),
        ("/gateway", GATEWAY),
        ("/gateway/auth", AUTH),
        ("/gateway/auth/trustedProxy", TRUSTED_PROXY),
        (
            "/gateway/auth/trustedProxy/deviceAutoApprove",
            DEVICE_AUTO_APPROVE,
        ),
        ("/gateway/controlUi", CONTROL_UI),
        ("/gateway/terminal", TERMINAL),
    ];
    for (pointer, known) in sections {
        let place = match pointer {
            "" => "<root>".to_owned(),
            pointer => pointer.trim_start_matches('/').replace('/', "."),
        };
        match merged.pointer(pointer) {
            None => {}
            Some(Value::Object(object)) => {
                if let Some(unknown) = object.keys().find(|key| !known.contains(&key.as_str())) {
                    return Err(format!("{place}: Unrecognized key: \"{unknown}\""));
                }
            }
            Some(other) => {
                return Err(format!(
                    "{place}: Invalid input: expected object, received {other}"
                ));
            }
        }
    }
    Ok(())
}
