//! A host that has left the configuration.

use std::collections::BTreeMap;

use http::Method;
use openclaw_tenancy::id::HostId;
use serde_json::Value;

use crate::logs::Logs;
use crate::support::{App, request};

#[tokio::test]
async fn an_administrator_forgets_a_host_that_is_not_configured_and_empty() {
    let app = App::new().await;
    let (ada, root) = (app.account("ada").await, app.administrator("root").await);
    let (ada, root) = (app.program(&ada).await, app.program(&root).await);
    // As an earlier configuration made it known.
    let old = HostId::new("old").unwrap();
    let put = app.tenancy.store().put_host(old, BTreeMap::new());
    put.await.unwrap();
    app.reconcile().await;
    let shown = async || {
        let hosts = root.get("/api/hosts").await.json();
        let hosts = hosts["hosts"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        hosts
            .map(|host| (text(&host["id"]), text(&host["state"])))
            .collect::<Vec<_>>()
    };
    let both = [("h1", "ready"), ("old", "unreachable")];
    let both = both.map(|(id, state)| (id.to_owned(), state.to_owned()));
    assert_eq!(shown().await, both);

    let nobody = request(Method::DELETE, "/api/hosts/old")
        .body(String::new().into())
        .unwrap();
    app.send(nobody).await.problem(401, "unauthenticated");
    let refused = ada.delete("/api/hosts/old").await;
    refused.problem(403, "administrators-only");
    let refused = root.delete("/api/hosts/h1").await;
    let refused = refused.problem(409, "host-configured");
    assert_eq!(
        (&refused["field"], &refused["value"]),
        (&"id".into(), &"h1".into())
    );
    assert_eq!(shown().await, both);

    let logs = Logs::capture();
    assert_eq!(root.delete("/api/hosts/old").await.status, 204);
    let lines = logs.lines();
    let audit = lines.iter().find(|line| line.contains("host.remove"));
    let audit = audit.unwrap_or_else(|| panic!("{lines:?}"));
    assert!(audit.contains("object=old"), "{audit}");
    assert_eq!(shown().await, both[..1]);
    let gone = root.delete("/api/hosts/old").await;
    gone.problem(404, "not-found");
}
