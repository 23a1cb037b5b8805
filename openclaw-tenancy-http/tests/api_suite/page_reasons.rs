//! Why an instance is not running: the page's own words in the reader's language, and the engine's beneath.

use http::{Method, header};
use openclaw_tenancy::memory::{Behavior, Reachable};
use openclaw_tenancy::reconcile::Pace;

use crate::support::{App, Browser, request};

/// An app with one instance that somebody has asked for, and their browser.
async fn asked() -> (App, Browser, openclaw_tenancy::id::TenantId) {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let browser = app.browser(&ada).await;
    let program = app.program(&ada).await;
    let made = program.post("/api/tenants", r#"{"plan":"free"}"#).await;
    assert_eq!(made.status, 202, "{}", made.body);
    let id = made.json()["id"].as_str().unwrap().parse().unwrap();
    (app, browser, id)
}

async fn stage(app: &App, browser: &Browser, language: &str) -> String {
    let request = request(Method::GET, "/instance")
        .header(header::COOKIE, &browser.cookie)
        .header(header::ACCEPT_LANGUAGE, language);
    let answer = app.send(request.body(String::new().into()).unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

/// Every one of `texts` stands in the page in this language, and the raw words are marked as such.
async fn says(app: &App, browser: &Browser, language: &str, texts: &[&str], raw: &str) {
    let page = stage(app, browser, language).await;
    for text in texts {
        assert!(page.contains(text), "{language}: {text}: {page}");
    }
    let label = match language {
        "en" => "Technical detail",
        _ => "技术详情（英文原文）",
    };
    let marked = format!("<h3>{label}</h3><p lang=\"en\">");
    let (_, detail) = page.split_once(&marked).unwrap();
    let detail = detail.split("</p>").next().unwrap();
    assert!(detail.contains(raw), "{language}: {raw}: {detail}");
}

#[tokio::test]
async fn a_failure_is_told_by_its_reason_with_its_figures() {
    let (app, browser, id) = asked().await;
    let oom = Behavior {
        runs_out_of_memory: true,
        ..Behavior::default()
    };
    app.backend.set_behavior(&app.host, id, oom);
    for _ in 0..6 {
        app.reconcile().await;
    }
    let english = [
        "<h2>It ran out of memory</h2>",
        "more than the 512 MiB of its plan",
        "It is tried again by itself.",
        "Failed attempts in a row: ",
        "data-action=\"restart\">Try again now",
    ];
    says(&app, &browser, "en", &english, "memory").await;
    let chinese = [
        "<h2>内存不足</h2>",
        "超出了套餐的 512 MiB",
        "系统会自动重试。",
        "连续失败次数：",
    ];
    says(&app, &browser, "zh-CN", &chinese, "memory").await;
}

#[tokio::test]
async fn f07_a_child_killed_for_memory_is_told_while_the_instance_runs_on() {
    let (app, browser, id) = asked().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let mine = async || program.get("/api/tenants/me").await.json();
    for _ in 0..3 {
        app.reconcile().await;
    }
    let before = mine().await;
    assert_eq!(before["phase"], "running", "{before}");
    assert_eq!(before["status"]["message"], serde_json::Value::Null);
    let page = stage(&app, &browser, "en").await;
    assert!(!page.contains("Technical detail"), "{page}");

    app.backend.kill_child(&app.host, id);
    app.clock.advance(Pace::default().resync);
    app.reconcile().await;
    let after = mine().await;
    assert_eq!(after["phase"], "running", "{after}");
    assert_eq!(
        after["status"]["message"],
        "a process of the instance was killed for memory; a larger plan helps"
    );
    let english = ["needed more memory than the 512 MiB of its plan leaves"];
    says(&app, &browser, "en", &english, "killed for memory").await;
    let chinese = ["一个进程因内存不足（套餐上限 512 MiB）被终止"];
    says(&app, &browser, "zh-CN", &chinese, "killed for memory").await;

    // It is about what runs now.
    let again = program.post("/api/tenants/me/restart", "").await;
    assert_eq!(again.status, 202, "{}", again.body);
    for _ in 0..3 {
        app.reconcile().await;
    }
    let restarted = mine().await;
    assert_eq!(restarted["phase"], "running", "{restarted}");
    assert_eq!(restarted["status"]["message"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_hold_is_told_by_its_reason() {
    let (app, browser, id) = asked().await;
    let broken = Behavior {
        exits: Some(78),
        ..Behavior::default()
    };
    app.backend.set_behavior(&app.host, id, broken);
    for _ in 0..3 {
        app.reconcile().await;
    }
    let english = [
        "<h2>OpenClaw does not accept its configuration</h2>",
        "Change the configuration",
    ];
    says(&app, &browser, "en", &english, "78").await;
    let chinese = ["<h2>OpenClaw 不接受当前配置</h2>", "请修改配置"];
    says(&app, &browser, "zh-CN", &chinese, "78").await;
}

#[tokio::test]
async fn a_queue_is_told_with_the_place_in_it() {
    let app = App::new().await;
    app.backend.set_reachable(&app.host, Reachable::No);
    for _ in 0..3 {
        app.reconcile().await;
    }
    let mut last = None;
    for name in ["ada", "bob", "cyd"] {
        let account = app.account(name).await;
        let program = app.program(&account).await;
        assert_eq!(program.post("/api/tenants", "{}").await.status, 202);
        app.reconcile().await;
        last = Some(app.browser(&account).await);
    }
    let browser = last.unwrap();
    let english = ["Waiting before you: 2. It starts by itself"];
    says(&app, &browser, "en", &english, "no host has room").await;
    let chinese = ["您前面还有：2。一旦有主机空出"];
    says(&app, &browser, "zh-CN", &chinese, "no host has room").await;
}
