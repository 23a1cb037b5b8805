//! A11: nobody reaches what is another's, by any route, wherever an id stands.

use std::time::Duration;

use http::{Method, header};
use openclaw_tenancy::access::Account;
use openclaw_tenancy_http::api::{Access, routes};

use crate::support::{Answer, App, Browser};

/// Who may use what. The router's own list has to be this: a route that is missing here fails the matrix.
const EXPECTED: &[(&str, &str, Access)] = &[
    ("POST", "/api/tenants", Access::Account),
    ("GET", "/api/tenants/me", Access::Account),
    ("DELETE", "/api/tenants/me", Access::Account),
    ("POST", "/api/tenants/me/suspend", Access::Account),
    ("POST", "/api/tenants/me/resume", Access::Account),
    ("POST", "/api/tenants/me/restart", Access::Account),
    ("GET", "/api/plans", Access::Account),
    ("GET", "/api/tenants", Access::Administrator),
    ("GET", "/api/tenants/{id}", Access::AdministratorHidden),
    ("DELETE", "/api/tenants/{id}", Access::AdministratorHidden),
    (
        "POST",
        "/api/tenants/{id}/release",
        Access::AdministratorHidden,
    ),
    ("GET", "/api/hosts", Access::Administrator),
    ("DELETE", "/api/hosts/{id}", Access::Administrator),
    ("POST", "/api/hosts/{id}/cordon", Access::Administrator),
    ("POST", "/api/hosts/{id}/uncordon", Access::Administrator),
    ("POST", "/api/hosts/{id}/release", Access::Administrator),
    ("GET", "/api/auth/login", Access::Public),
    ("GET", "/api/auth/callback/{provider}", Access::Public),
    ("POST", "/api/auth/password", Access::Public),
    ("POST", "/api/auth/token", Access::Public),
    ("POST", "/api/auth/logout", Access::SignOut),
    ("GET", "/api/auth/me", Access::Account),
    ("GET", "/api/edge/authorize", Access::Browser),
    ("GET", "/api/health", Access::Public),
    ("GET", "/", Access::Browser),
    ("GET", "/instance", Access::Browser),
    ("GET", "/login", Access::Public),
    ("GET", "/continue", Access::Public),
    ("GET", "/claim", Access::Public),
    ("GET", "/assets/{name}", Access::Public),
];

/// An id that never existed.
const NEVER: &str = "0198c6a2-7c3e-7000-8000-00000000dead";

struct World {
    app: App,
    alice: Account,
    mallory: Account,
    root: Account,
    /// Alice's instance.
    id: String,
}

impl World {
    /// Alice and Mallory have an instance each, and root administers.
    async fn new() -> Self {
        let app = App::new().await;
        let (alice, mallory) = (app.account("alice").await, app.account("mallory").await);
        let root = app.administrator("root").await;
        let made = app
            .program(&alice)
            .await
            .post("/api/tenants", r#"{"name":"alice-lab"}"#)
            .await;
        let id = made.json()["id"].as_str().unwrap().to_owned();
        app.program(&mallory)
            .await
            .post("/api/tenants", r#"{"name":"mallory-lab"}"#)
            .await;
        app.reconcile().await;
        Self {
            app,
            alice,
            mallory,
            root,
            id,
        }
    }

    async fn alices(&self) -> String {
        let row = self
            .app
            .tenancy
            .store()
            .find_by_owner(self.alice.id)
            .await
            .unwrap()
            .unwrap();
        // What the reconciler sees changes by itself; what is wanted does not.
        format!(
            "{:?} {:?} {:?} {:?}",
            row.id, row.desired, row.revision, row.settings
        )
    }

    async fn by_bearer(&self, account: &Account, method: Method, path: &str) -> Answer {
        self.app.clock.advance(Duration::from_secs(1));
        let program = self.app.program(account).await;
        let request = program
            .request(method, path)
            .body(String::new().into())
            .unwrap();
        self.app.send(request).await
    }

    async fn by_browser(&self, browser: &Browser, method: Method, path: &str) -> Answer {
        let request = browser
            .write(method, path)
            .header(header::ACCEPT, "application/json");
        self.app
            .send(request.body(String::new().into()).unwrap())
            .await
    }
}

#[tokio::test]
async fn a11_idor_the_matrix_covers_every_route() {
    let listed: Vec<_> = routes()
        .iter()
        .map(|r| (r.method.to_string(), r.path, r.access))
        .collect();
    let expected: Vec<_> = EXPECTED
        .iter()
        .map(|(m, p, a)| ((*m).to_owned(), *p, *a))
        .collect();
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn a11_idor_route_by_role() {
    let world = World::new().await;
    let before = world.alices().await;
    for route in routes() {
        let (method, access) = (route.method, route.access);
        let id = if route.path.contains("hosts") {
            "h1"
        } else {
            &*world.id
        };
        let path = route
            .path
            .replace("{id}", id)
            .replace("{provider}", "x")
            .replace("{name}", "app.css");
        let what = format!("{method} {path}");

        let nobody = crate::support::request(method.clone(), &path)
            .body(String::new().into())
            .unwrap();
        let nobody = world.app.send(nobody).await.status.as_u16();
        let stranger = world
            .by_bearer(&world.mallory, method.clone(), &path)
            .await
            .status
            .as_u16();
        let mallorys = world.app.browser(&world.mallory).await;
        let strange_browser = world
            .by_browser(&mallorys, method.clone(), &path)
            .await
            .status
            .as_u16();
        assert_eq!(world.alices().await, before, "{what}");
        match access {
            Access::Public => assert!(!matches!(nobody, 403 | 500..), "{what}: {nobody}"),
            Access::Account | Access::SignOut => {
                assert_eq!(nobody, 401, "{what}");
                assert!(matches!(stranger, 200..=299 | 409), "{what}: {stranger}");
            }
            Access::Browser => {
                assert_eq!(nobody, 303, "{what}");
                assert_eq!(stranger, 303, "{what}: a navigation carries no bearer");
                assert!(
                    matches!(strange_browser, 200 | 400),
                    "{what}: {strange_browser}"
                );
            }
            Access::Administrator => {
                assert_eq!(
                    (nobody, stranger, strange_browser),
                    (401, 403, 403),
                    "{what}"
                );
                let root = world.by_bearer(&world.root, method.clone(), &path).await;
                // Carried out, or told to an administrator why not.
                let status = root.status.as_u16();
                assert!(matches!(status, 200..=299 | 409), "{what}: {}", root.body);
            }
            Access::AdministratorHidden => {
                assert_eq!(
                    (nobody, stranger, strange_browser),
                    (401, 404, 404),
                    "{what}"
                );
            }
        }
        // Mallory's own came and went meanwhile: there has to be one for the next route.
        world.app.reconcile().await;
        world
            .app
            .program(&world.mallory)
            .await
            .post("/api/tenants", "{}")
            .await;
        world.app.reconcile().await;
    }
    // What is hidden from others is there for an administrator.
    for (method, path) in [
        (Method::GET, format!("/api/tenants/{}", world.id)),
        (Method::POST, format!("/api/tenants/{}/release", world.id)),
        (Method::DELETE, format!("/api/tenants/{}", world.id)),
    ] {
        let answer = world.by_bearer(&world.root, method, &path).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
        assert_eq!(answer.json()["id"], world.id);
    }
}

/// All of an answer that somebody could tell it from another by: status, headers in their order, body.
fn but_for_the_request_id(answer: &Answer) -> (u16, String, String) {
    let mut headers = answer.headers.clone();
    let own_id = headers.remove("x-request-id").unwrap();
    let body = answer.body.replace(own_id.to_str().unwrap(), "");
    assert_ne!(body, answer.body, "the body names its request");
    (answer.status.as_u16(), format!("{headers:?}"), body)
}

#[tokio::test]
async fn a11_idor_a_foreign_id_is_one_that_never_existed() {
    let world = World::new().await;
    for (method, path) in [
        (Method::GET, "/api/tenants/{id}"),
        (Method::DELETE, "/api/tenants/{id}"),
        (Method::POST, "/api/tenants/{id}/release"),
    ] {
        let mut answers = Vec::new();
        for id in [&*world.id, NEVER, "nonsense", "%00", "%ff", "..%2fme"] {
            let answer = world
                .by_bearer(&world.mallory, method.clone(), &path.replace("{id}", id))
                .await;
            assert_eq!(answer.status, 404, "{method} {path} {id}");
            answers.push(but_for_the_request_id(&answer));
        }
        assert!(
            answers.windows(2).all(|pair| pair[0] == pair[1]),
            "{answers:#?}"
        );
        let (status, headers, body) = &answers[0];
        assert_eq!(*status, 404);
        assert!(
            headers.contains("cache-control") && !headers.contains(&world.id),
            "{headers}"
        );
        assert!(!body.contains("alice"), "{body}");
    }
}

#[tokio::test]
async fn a11_idor_an_id_elsewhere_is_not_looked_at() {
    let world = World::new().await;
    let before = world.alices().await;
    let id = &world.id;
    let alice = world.alice.id;
    let program = world.app.program(&world.mallory).await;
    for query in [
        format!("id={id}"),
        format!("tenant={id}"),
        format!("owner={alice}"),
        format!("account={alice}"),
        format!("after={id}"),
    ] {
        let answer = program.get(&format!("/api/tenants/me?{query}")).await;
        assert_eq!(answer.json()["name"], "mallory-lab", "{query}");
    }
    for name in [
        "x-tenant-id",
        "x-account-id",
        "x-user",
        "x-openclaw-tenancy-user",
        "x-forwarded-user",
        "x-original-url",
        "x-rewrite-url",
    ] {
        for value in [id.clone(), alice.to_string(), format!("/api/tenants/{id}")] {
            let request = program
                .request(Method::GET, "/api/tenants/me")
                .header(name, value);
            let answer = world
                .app
                .send(request.body(String::new().into()).unwrap())
                .await;
            assert_eq!(answer.json()["name"], "mallory-lab", "{name}");
        }
    }
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ] {
        let request = program
            .request(Method::GET, "/api/tenants/me")
            .header(name, "DELETE");
        assert_eq!(
            world
                .app
                .send(request.body(String::new().into()).unwrap())
                .await
                .status,
            200
        );
    }
    for body in [
        format!(r#"{{"id":"{id}"}}"#),
        format!(r#"{{"tenant":"{id}"}}"#),
        format!(r#"{{"owner":"{alice}"}}"#),
    ] {
        for path in [
            "/api/tenants",
            "/api/tenants/me/suspend",
            "/api/tenants/me/restart",
        ] {
            program
                .post(path, &body)
                .await
                .problem(422, "invalid-fields");
        }
    }
    assert_eq!(world.alices().await, before);
}

#[tokio::test]
async fn a11_idor_a_foreign_host_name_is_one_that_never_existed() {
    let world = World::new().await;
    let browser = world.app.browser(&world.mallory).await;
    let challenge = "c".repeat(43);
    for accept in ["text/html", "application/json"] {
        let mut answers = Vec::new();
        for slug in [
            "alice-lab",
            "never-existed",
            "x",
            "",
            "%2e%2e",
            "MALLORY-LAB",
            "mallory-lab.",
        ] {
            let path = format!("/api/edge/authorize?slug={slug}&challenge={challenge}&return_to=/");
            let mut request = browser.open(&path);
            request
                .headers_mut()
                .insert(header::ACCEPT, accept.parse().unwrap());
            let answer = world.app.send(request).await;
            assert_eq!(answer.status, 404, "{slug}");
            answers.push(but_for_the_request_id(&answer));
        }
        assert!(
            answers.windows(2).all(|pair| pair[0] == pair[1]),
            "{answers:#?}"
        );
        assert!(!answers[0].2.contains("alice"), "{}", answers[0].2);
    }
}
