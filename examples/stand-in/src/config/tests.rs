//! What is read, what is refused, and with which exit code.

use std::fs;
use std::path::Path;

use super::*;

const GATEWAY: &str = r#"{"mode":"local","bind":"lan","trustedProxies":["10.89.0.9","10.90.0.0/29","nonsense"],
    "auth":{"mode":"trusted-proxy","identityScopes":{"u-1":["operator.admin"]},
            "trustedProxy":{"userHeader":"x-claw-user","allowUsers":["u-1"]}},
    "controlUi":{"allowedOrigins":["http://a1.localhost:8080"]},"terminal":{"enabled":false}}"#;

/// A configuration whose `gateway` holds `parts` beside what the mode needs, for other modules' tests.
pub(crate) fn sample(parts: &str) -> Config {
    let mut gateway: Value = serde_json::from_str(parts).unwrap();
    gateway["mode"] = "local".into();
    let merged = serde_json::json!({ "gateway": gateway });
    let arguments = ["--bind".to_owned(), "loopback".to_owned()].into_iter();
    let settings = Settings::read(arguments, |_| None).unwrap();
    Config::accept(merged, Vec::new(), &settings).unwrap()
}

fn load_at(path: &Path, token: Option<&str>) -> Result<Config, ConfigError> {
    let environment = |name: &str| match name {
        "OPENCLAW_CONFIG_PATH" => Some(path.display().to_string()),
        "OPENCLAW_GATEWAY_TOKEN" => token.map(ToOwned::to_owned),
        _ => None,
    };
    let arguments = ["--bind".to_owned(), "lan".to_owned()].into_iter();
    Config::load(&Settings::read(arguments, environment).unwrap())
}

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn load(files: &[(&str, &str)], token: Option<&str>) -> Result<Config, ConfigError> {
    let directory = directory(files);
    load_at(&directory.path().join("openclaw.json"), token)
}

fn exit_code(main: &str, token: Option<&str>) -> u8 {
    Exit::from(load(&[("openclaw.json", main)], token).unwrap_err()).code()
}

#[test]
fn the_manager_s_layout_is_read() {
    let config = load(
        &[
            (
                "openclaw.json",
                r#"{"gateway":{"$include":"./manager/gateway.json"},"models":{"$include":"./manager/models.json"}}"#,
            ),
            ("manager/gateway.json", GATEWAY),
            ("manager/models.json", r#"{"mode":"merge","providers":{}}"#),
        ],
        None,
    )
    .unwrap();
    assert_eq!(config.auth_mode, AuthMode::TrustedProxy);
    assert!(config.trusts("10.89.0.9".parse().unwrap()));
    assert!(config.trusts("10.90.0.7".parse().unwrap()));
    assert!(!config.trusts("10.90.0.8".parse().unwrap()));
    assert!(!config.gateway.terminal.enabled);
    assert_eq!(config.merged["models"]["mode"], "merge");
    assert_eq!(config.files.len(), 3);
}

#[test]
fn several_includes_merge_and_siblings_override() {
    let config = load(
        &[
            (
                "openclaw.json",
                r#"{"gateway":{"$include":["./a.json","./b.json"],"port":3,"trustedProxies":["10.0.0.3"]}}"#,
            ),
            ("a.json", r#"{"mode":"local","bind":"loopback","port":1,"trustedProxies":["10.0.0.1"]}"#),
            ("b.json", r#"{"port":2,"trustedProxies":["10.0.0.2"]}"#),
        ],
        Some("secret"),
    )
    .unwrap();
    assert_eq!(config.merged["gateway"]["port"], 3);
    assert_eq!(
        config.merged["gateway"]["trustedProxies"],
        serde_json::json!(["10.0.0.1", "10.0.0.2", "10.0.0.3"])
    );
}

#[test]
fn an_include_stays_inside_the_directory() {
    let directory = directory(&[
        ("outside.json", r#"{"mode":"local"}"#),
        (
            "home/openclaw.json",
            r#"{"gateway":{"$include":"../outside.json"}}"#,
        ),
        (
            "home2/openclaw.json",
            r#"{"gateway":{"$include":"./link.json"}}"#,
        ),
    ]);
    std::os::unix::fs::symlink("../outside.json", directory.path().join("home2/link.json"))
        .unwrap();
    for home in ["home", "home2"] {
        let error = load_at(&directory.path().join(home).join("openclaw.json"), None).unwrap_err();
        assert!(
            error.why().contains("escapes config directory"),
            "{}",
            error.why()
        );
    }
}

#[test]
fn a_circle_of_includes_is_refused() {
    let error = load(
        &[
            ("openclaw.json", r#"{"gateway":{"$include":"./a.json"}}"#),
            ("a.json", r#"{"auth":{"$include":"./a.json"}}"#),
        ],
        None,
    )
    .unwrap_err();
    assert!(error.why().contains("Circular include"), "{}", error.why());
}

#[test]
fn what_openclaw_refuses_with_78_is_refused_with_78() {
    let error = load(&[], None).unwrap_err();
    assert_eq!(Exit::from(error).code(), 78);
    let proxy = r#""trustedProxies":["10.0.0.1"],"auth":{"mode":"trusted-proxy","trustedProxy":{"userHeader":"x-u"}}"#;
    for main in [
        "{nope".to_owned(),
        r#"{"gateway":{}}"#.to_owned(),
        r#"{"gateway":{"mode":"remote"}}"#.to_owned(),
        r#"{"gateway":{"mode":"local","auth":{"mode":"none"}}}"#.to_owned(),
        r#"{"gateway":{"$include":"./absent.json"}}"#.to_owned(),
        r#"{"gateway":{"mode":"local","auth":{"mode":"trusted-proxy","trustedProxy":{"userHeader":"x-u"}}}}"#.to_owned(),
        format!(r#"{{"gateway":{{"mode":"local",{proxy},"nonsense":1}}}}"#),
        format!(r#"{{"wat":1,"gateway":{{"mode":"local",{proxy}}}}}"#),
        format!(r#"{{"gateway":{{"mode":"local",{proxy},"terminal":false}}}}"#),
    ] {
        assert_eq!(exit_code(&main, None), 78, "{main}");
    }
}

#[test]
fn what_openclaw_refuses_with_1_is_refused_with_1() {
    let with = |header: &str| {
        format!(
            r#"{{"gateway":{{"mode":"local","trustedProxies":["10.0.0.1"],"auth":{{"mode":"trusted-proxy","trustedProxy":{{"userHeader":"{header}"}}}}}}}}"#
        )
    };
    assert_eq!(exit_code(&with("x-u"), Some("a-shared-token")), 1);
    assert_eq!(exit_code(&with(" "), None), 1);
}
