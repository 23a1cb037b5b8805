//! A14: the API answers for its own hosts alone, so that a stranger's name that resolves to it (DNS rebinding) is
//! of no use.

use http::{Method, header};
use openclaw_tenancy_http::api::routes;

use crate::support::{Answer, App, request};

async fn at(app: &App, method: Method, path: &str, hosts: &[&str]) -> Answer {
    let mut request = request(method, path);
    for host in hosts {
        request = request.header(header::HOST, *host);
    }
    app.send(request.body(String::new().into()).unwrap()).await
}

async fn with_names() -> App {
    App::with(|_, builder| {
        let names = ["tenancy.internal", "192.0.2.7"].map(|name| name.parse().unwrap());
        builder.host_names(names.into())
    })
    .await
}

#[tokio::test]
async fn a14_host_confusion_every_route_is_for_our_own_hosts() {
    let app = with_names().await;
    for route in routes() {
        for host in [
            "evil.example",
            "evil.example:3000",
            "localhost.evil.example",
        ] {
            let answer = at(&app, route.method.clone(), route.path, &[host]).await;
            if route.method == Method::HEAD {
                assert_eq!(answer.status, 421);
                continue;
            }
            let problem = answer.problem(421, "foreign-host");
            let name = host.trim_end_matches(":3000");
            let detail = format!("This server does not answer for the host `{name}`.");
            assert_eq!(problem["detail"], detail, "{} {host}", route.path);
            let fix = problem["fix"].as_str().unwrap();
            for setting in ["server.public_url", "server.host_names"] {
                assert!(fix.contains(setting), "{fix}");
            }
        }
    }
    let nowhere = at(&app, Method::GET, "/no/such/path", &["evil.example"]).await;
    nowhere.problem(421, "foreign-host");
}

#[tokio::test]
async fn a14_host_confusion_our_own_hosts_are_answered() {
    let app = with_names().await;
    for host in [
        "localhost:3000",
        "localhost:3100",
        "LocalHost.",
        "127.0.0.1:3000",
        "[::1]:3000",
        "tenancy.internal",
        "Tenancy.Internal:3000",
        "192.0.2.7:3000",
    ] {
        let answer = at(&app, Method::GET, "/login", &[host]).await;
        assert_eq!(answer.status, 200, "{host}: {}", answer.body);
    }
    let public = app.state_at("https://tenancy.example").unwrap();
    let router = openclaw_tenancy_http::api::router(public);
    let login = request(Method::GET, "/login").header(header::HOST, "tenancy.example");
    let login = login.body(String::new().into()).unwrap();
    assert_eq!(crate::support::send(router, login).await.status, 200);
}

/// Whoever watches a pod knows its address and nothing else; a name could be a stranger's.
#[tokio::test]
async fn a14_host_confusion_health_is_told_at_any_address() {
    let app = with_names().await;
    for host in ["10.1.2.3:3000", "[fd00::7]:3000"] {
        let health = at(&app, Method::GET, "/api/health", &[host]).await;
        assert_eq!(health.status, 200, "{}", health.body);
        at(&app, Method::GET, "/login", &[host])
            .await
            .problem(421, "foreign-host");
    }
}

#[tokio::test]
async fn a14_host_confusion_malformed_and_several_hosts_are_refused() {
    let app = with_names().await;
    for hosts in [
        &[""][..],
        &["localhost", "localhost"],
        &["localhost, localhost"],
        &["user@localhost"],
        &["localhost:99999"],
        &["localhost/x"],
    ] {
        let problem = at(&app, Method::GET, "/login", hosts)
            .await
            .problem(400, "invalid-parameter");
        assert_eq!(problem["field"], "Host", "{hosts:?}");
    }
    // The target of a request to a proxy has to be the host as well.
    for (target, host, status) in [
        ("http://localhost:3000/login", "localhost:3000", 200),
        ("http://evil.example/login", "localhost:3000", 400),
        ("http://localhost:3000/login", "evil.example", 400),
    ] {
        let answer = at(&app, Method::GET, target, &[host]).await;
        assert_eq!(answer.status, status, "{target} {host}: {}", answer.body);
    }
}

/// What a forwarding header says decides nothing, whoever sent it.
#[tokio::test]
async fn a14_host_confusion_forwarded_names_are_not_read() {
    let app = with_names().await;
    for name in ["x-forwarded-host", "forwarded", "x-host", "x-original-host"] {
        let request = request(Method::GET, "/login")
            .header(header::HOST, "evil.example")
            .header(name, "localhost:3000");
        app.send(request.body(String::new().into()).unwrap())
            .await
            .problem(421, "foreign-host");
    }
}
