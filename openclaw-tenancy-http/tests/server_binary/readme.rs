//! The READMEs' lines about the API do what they say, to the letter.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::instances::Engine;
use crate::server::Server;
use crate::support::{PATIENCE, text};

const ENGLISH: &str = include_str!("../../../README.md");
const CHINESE: &str = include_str!("../../../README.zh-CN.md");

/// The fenced blocks of a README with their languages.
fn blocks(readme: &str) -> Vec<(&str, &str)> {
    let fenced = readme.split("\n```").skip(1).step_by(2);
    fenced
        .map(|block| block.split_once('\n').unwrap())
        .collect()
}

/// The commands of a block of shell, each whole and without its comment.
fn commands(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", "");
    let lines = joined.lines().map(|line| line.split(" #").next().unwrap());
    let lines = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}

#[test]
fn both_readmes_have_the_same_commands_and_code() {
    // A drawing has words in it; code has its comments in the reader's language.
    let code = |readme| -> Vec<(String, Vec<String>)> {
        let blocks = blocks(readme)
            .into_iter()
            .filter(|(language, _)| *language != "text");
        let without_comments = |(language, block): (&str, &str)| {
            let lines = match language {
                "sh" => commands(block),
                _ => {
                    let lines = block.lines().map(|line| line.split("//").next().unwrap());
                    lines.map(|line| line.trim_end().to_owned()).collect()
                }
            };
            (language.to_owned(), lines)
        };
        blocks.map(without_comments).collect()
    };
    let english = code(ENGLISH);
    assert!(english.len() >= 4, "{english:?}");
    assert_eq!(english, code(CHINESE));
}

/// Runs a line of the README in a shell; `curl` says the status in a line of its own.
async fn shell(line: &str, data: &Path, environment: &[(&str, &str)]) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_openclaw-tenancy"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", binary.parent().unwrap().display());
    let run = Command::new("sh")
        .args(["-c", line])
        .env_clear()
        .env("PATH", path)
        .env("CURL_HOME", data)
        .env("OPENCLAW_TENANCY_DATA", data)
        .envs(environment.iter().copied())
        .kill_on_drop(true)
        .output();
    timeout(PATIENCE, run).await.expect("it ends").unwrap()
}

/// Runs lines with `curl` one after the other: the path of each, the status and the body of its answer.
async fn tell(
    lines: impl Iterator<Item = String>,
    server: &Server,
    data: &Path,
    environment: &[(&str, &str)],
) -> Vec<(String, String, String)> {
    let mut told = Vec::new();
    for line in lines {
        // The ports are the test's own; nothing else is another than in the README.
        let here = line
            .replace("http://localhost:3000", &server.api)
            .replace("http://localhost:9090", &server.metrics);
        assert_ne!(here, line, "it has an address");
        let output = shell(&here, data, environment).await;
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        let answer = text(&output.stdout);
        let (body, status) = answer.rsplit_once('\n').unwrap();
        let path = line
            .split_whitespace()
            .find(|word| word.starts_with("http://localhost"));
        let path = path
            .unwrap()
            .split('/')
            .skip(3)
            .collect::<Vec<_>>()
            .join("/");
        told.push((path, status.to_owned(), body.to_owned()));
    }
    told
}

fn summary(told: &[(String, String, String)]) -> Vec<(&str, &str)> {
    told.iter()
        .map(|(path, status, _)| (&**path, &**status))
        .collect()
}

#[tokio::test]
async fn the_lines_with_curl_do_what_the_readme_says() {
    let Some(engine) = Engine::given() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let environment = engine.environment("10.234.0.0/24");
    let server = Server::start(dir.path(), &environment).await;
    let answers = async {
        while server.get("/api/health", "").await.1["status"] != "ok" {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, answers)
        .await
        .expect("the engine answers");
    let curlrc =
        "silent\nshow-error\nnoproxy = \"*\"\nmax-time = 60\nwrite-out = \"\\n%{http_code}\"\n";
    std::fs::write(dir.path().join(".curlrc"), curlrc).unwrap();

    let mut blocks = blocks(ENGLISH)
        .into_iter()
        .filter(|(_, block)| block.contains("curl "));
    let ((_, api), (_, operating)) = (blocks.next().unwrap(), blocks.next().unwrap());
    assert_eq!(blocks.next(), None);
    let mut lines = commands(api).into_iter();
    let token = lines.next().unwrap();
    assert!(token.starts_with("TOKEN="), "{token}");
    let token = shell(
        &format!("{token}\nprintf %s \"$TOKEN\""),
        dir.path(),
        &environment,
    )
    .await;
    assert!(token.status.success(), "{}", text(&token.stderr));
    let token = text(&token.stdout);
    let with_token = [&environment[..], &[("TOKEN", &*token)]].concat();

    let told = tell(lines, &server, dir.path(), &with_token).await;
    let expected = [
        ("api/tenants", "202"),
        ("api/tenants/me", "200"),
        ("api/tenants/me", "202"),
        ("api/health", "200"),
        ("api/hosts", "200"),
        ("metrics", "200"),
    ];
    assert_eq!(summary(&told), expected, "{told:?}");
    let json = |number: usize| serde_json::from_str::<Value>(&told[number].2).unwrap();
    let (made, mine, deleted) = (json(0), json(1), json(2));
    assert_eq!(
        (&made["plan"], &made["email"]),
        (&json!("basic"), &json!("user@example.com"))
    );
    assert_eq!((&mine["id"], &deleted["id"]), (&made["id"], &made["id"]));
    assert_eq!(deleted["phase"], "deleting", "{deleted}");
    assert_eq!(json(3)["status"], "ok", "{}", told[3].2);
    assert_eq!(json(4)["hosts"][0]["id"], "local", "{}", told[4].2);
    assert!(told[5].2.contains("openclaw_tenancy_build_info"));

    let gone = async {
        while server.get("/api/tenants/me", &token).await.0 != 404 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(2 * PATIENCE, gone).await.expect("it is deleted");

    let (_, made) = server.post("/api/tenants", &token, json!({})).await;
    let instance = made["id"].as_str().expect("it is made anew");
    let with_ids = [
        &with_token[..],
        &[("INSTANCE", instance), ("HOST", "local")],
    ]
    .concat();
    let lines = commands(operating).into_iter();
    let told = tell(lines, &server, dir.path(), &with_ids).await;
    let expected = [
        ("api/tenants", "200"),
        ("api/tenants/$INSTANCE/release", "202"),
        ("api/hosts/$HOST/release", "204"),
        ("api/hosts/$HOST/cordon", "204"),
        ("api/hosts/$HOST/uncordon", "204"),
        ("api/tenants/$INSTANCE", "202"),
        // It is in this server's configuration.
        ("api/hosts/$HOST", "409"),
    ];
    assert_eq!(summary(&told), expected, "{told:?}");
    assert!(told[0].2.contains(instance), "{}", told[0].2);
    let gone = async {
        while server.get("/api/tenants/me", &token).await.0 != 404 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(2 * PATIENCE, gone).await.expect("it is deleted");
    let (code, log) = server.stop().await;
    assert_eq!(code, Some(0), "{log}");
    engine.clear(dir.path()).await;
}
