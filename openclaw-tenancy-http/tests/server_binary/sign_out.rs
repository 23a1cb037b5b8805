//! A sign-out at the API and the edge of the same process.

use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::server::{Server, client};

/// The value that an answer sets for a cookie.
fn cookie(answer: &Response, name: &str) -> String {
    let lines = answer.headers().get_all("set-cookie").iter();
    let mut pairs = lines.filter_map(|line| line.to_str().unwrap().split(';').next());
    let pair = pairs.find(|pair| pair.starts_with(&format!("{name}=")));
    pair.unwrap_or_else(|| panic!("no {name}: {answer:?}"))
        .to_owned()
}

fn location(answer: &Response) -> String {
    answer.headers()["location"].to_str().unwrap().to_owned()
}

/// The instance's cookie has passed a moment ago, and passes no more.
#[tokio::test]
async fn a20_cross_site_websocket_a_sign_out_holds_at_the_edge_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (name, password) = server.first_administrator().unwrap();
    // So that there is a crypto provider.
    drop(client());
    let browser = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .build()
        .unwrap();
    let signed_in = browser
        .post(format!("{}/api/auth/password", server.api))
        .json(&json!({ "username": name, "password": password }))
        .send()
        .await
        .unwrap();
    let session = cookie(&signed_in, "__Host-oct-session");
    let signed_in: Value = signed_in.json().await.unwrap();
    let origin = server.api.replace("//127.0.0.1:", "//localhost:");
    let write = |path: &str| {
        browser
            .post(format!("{}{path}", server.api))
            .header("cookie", &session)
            .header("origin", &origin)
            .header("x-csrf-token", signed_in["csrf_token"].as_str().unwrap())
    };
    // The engine does not answer: whoever may pass is told to wait, and nobody else.
    let made = write("/api/tenants").json(&json!({ "name": "signed-out" }));
    assert_eq!(made.send().await.unwrap().status(), 202);
    let port = server.edge.rsplit_once(':').unwrap().1;
    let edge = |path: &str, cookie: &str| {
        browser
            .get(format!("{}{path}", server.edge))
            .header("host", format!("signed-out.localhost:{port}"))
            .header("cookie", cookie)
    };
    let begun = edge("/", "").header("accept", "text/html");
    let begun = begun.send().await.unwrap();
    let pre = cookie(&begun, "__Host-oct-pre");
    let authorize = location(&begun).replace("//localhost:", "//127.0.0.1:");
    let authorized = browser.get(authorize).header("cookie", &session);
    let hand_over = location(&authorized.send().await.unwrap());
    let (_, hand_over) = hand_over.split_once(&format!(":{port}")).unwrap();
    let handed_over = edge(hand_over, &pre).send().await.unwrap();
    let instance = cookie(&handed_over, "__Host-oct-instance");
    for _ in 0..2 {
        let waiting = edge("/", &instance).send().await.unwrap();
        assert_eq!(waiting.status(), 503);
    }
    let out = write("/api/auth/logout").send().await.unwrap();
    assert_eq!(out.status(), 204);
    let refused = edge("/", &instance).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(server.stop().await.0, Some(0));
}
