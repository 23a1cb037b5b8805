//! The commands of the binary that need no server.

use crate::support::{run, text};

const SECRET: &str = "qvJ0w8m2Tf9sVbXn3LrKz6HdYpGc1EuRa5Ti7OoWjUA=";

#[tokio::test]
async fn help_and_mistakes_on_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let help = run(dir.path(), &["--help"], &[]).await;
    assert!(help.status.success());
    assert!(text(&help.stdout).contains("First steps:"));
    for (args, said) in [
        (&["serv"][..], "serve"),
        (&["serve", "--set", "log.level"], "KEY=VALUE"),
        (&["serve", "--lissten", "x"], "--listen"),
        (&[], "Usage:"),
    ] {
        let output = run(dir.path(), args, &[]).await;
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(said), "{args:?}: {stderr}");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_ends_every_command_with_2_and_names_the_key() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("config.toml"),
        "[server]\nlissten = \"127.0.0.1:0\"\n",
    )
    .unwrap();
    for command in ["serve", "doctor", "token", "password", "config"] {
        let output = run(dir.path(), &[command], &[]).await;
        assert_eq!(output.status.code(), Some(2), "{command}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains("server.lissten"), "{command}: {stderr}");
        assert!(
            stderr.contains("did you mean server.listen?"),
            "{command}: {stderr}"
        );
        assert!(output.stdout.is_empty(), "{command}");
    }
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing else was made");
}

#[tokio::test]
async fn a09_token_confusion_an_example_secret_ends_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(
        dir.path(),
        &["serve"],
        &[("JWT_SECRET", "your-super-secret-jwt-key-32-characters")],
    )
    .await;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("tokens.secret"),
        "{}",
        text(&output.stderr)
    );
}

#[tokio::test]
async fn settings_are_shown_with_their_origin_and_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let environment = [
        ("PORT", "4000"),
        ("JWT_SECRET", SECRET),
        ("DATABASE_URL", "postgres://openclaw:canary@db/openclaw"),
        ("OPENCLAW_TENANCY__LOG__FORMAT", "json"),
    ];
    let args = ["config", "--set", "edge.listen=127.0.0.1:5000"];
    let output = run(dir.path(), &args, &environment).await;
    assert!(output.status.success());
    let stdout = text(&output.stdout);
    for line in [
        "server.listen = \"127.0.0.1:4000\"  # environment variable PORT",
        "edge.listen = \"127.0.0.1:5000\"  # flag --set",
        "log.format = \"json\"  # environment variable OPENCLAW_TENANCY__LOG__FORMAT",
        "tokens.secret = \"[redacted]\"  # environment variable JWT_SECRET",
        "store.url = \"[redacted]\"  # environment variable DATABASE_URL",
        "image.floor = \"1 GiB\"  # default",
    ] {
        assert!(stdout.contains(line), "{line} in {stdout}");
    }
    assert!(!stdout.contains("canary") && !stdout.contains(SECRET));

    let json = run(dir.path(), &["config", "--json"], &environment).await;
    let settings: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).unwrap();
    assert!(
        settings
            .iter()
            .any(|setting| setting["key"] == "tokens.secret"
                && setting["value"] == "[redacted]"
                && setting["origin"] == "environment variable JWT_SECRET")
    );
}

#[tokio::test]
async fn the_printed_example_is_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let example = run(dir.path(), &["config", "--example"], &[]).await;
    let file = dir.path().join("mine.toml");
    std::fs::write(&file, &example.stdout).unwrap();
    let output = run(
        dir.path(),
        &["config", "--config", file.to_str().unwrap()],
        &[],
    )
    .await;
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[tokio::test]
async fn commands_for_an_existing_deployment_do_not_make_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("none");
    for command in [&["token"][..], &["password"], &["account", "add", "ann"]] {
        let output = run(&data, command, &[]).await;
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(
            text(&output.stderr).contains("openclaw-tenancy serve"),
            "{}",
            text(&output.stderr)
        );
    }
    assert!(!data.exists());
}
