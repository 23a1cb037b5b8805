//! The edge before the stand-in of `OpenClaw`: identity by trusted proxy, with no token and no pairing.
//!
//! Runs where `TENANCY_TEST_STAND_IN` names the stand-in's binary; its absence is a failure where
//! `TENANCY_TEST_REQUIRE` names `stand-in` or `all`.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use openclaw_tenancy::container::INSTANCE_PORT;
use openclaw_tenancy::instance::{PROXY_HEADER, USER_HEADER, user_name};
use openclaw_tenancy::probe::{InstanceProbe as _, Readiness};
use openclaw_tenancy::routes::Upstream;
use openclaw_tenancy_http::edge::HttpProbe;
use test_support::services::given;

use crate::support::{Connection, Tenant, World, eventually, get};

struct StandIn {
    child: Child,
    _state: tempfile::TempDir,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(binary: &str, tenant: &Tenant) -> StandIn {
    let state = tempfile::tempdir().unwrap();
    let user = user_name(tenant.owner);
    let config = serde_json::json!({"gateway": {
        "mode": "local",
        "bind": "custom",
        "customBindHost": tenant.ip().to_string(),
        "trustedProxies": ["127.0.0.0/8"],
        "auth": {
            "mode": "trusted-proxy",
            "identityScopes": { user.clone(): ["operator.admin"] },
            "trustedProxy": {
                "userHeader": USER_HEADER,
                "requiredHeaders": [PROXY_HEADER, "x-forwarded-proto"],
                "allowUsers": [user],
                "allowLoopback": true,
                "deviceAutoApprove": { "enabled": true, "scopes": ["operator.read", "operator.write"] },
            },
        },
        "controlUi": { "allowedOrigins": [tenant.origin()] },
    }});
    let path = state.path().join("openclaw.json");
    std::fs::write(&path, config.to_string()).unwrap();
    let child = Command::new(binary)
        .env("OPENCLAW_STATE_DIR", state.path())
        .env("OPENCLAW_CONFIG_PATH", &path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    StandIn {
        child,
        _state: state,
    }
}

#[tokio::test]
async fn the_stand_in_believes_the_edge_and_its_page_connects() {
    let Some(binary) = given("stand-in", "TENANCY_TEST_STAND_IN") else {
        return;
    };
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _stand_in = start(&binary, &tenant);
    let upstream = Upstream::Direct(SocketAddr::from((tenant.ip(), INSTANCE_PORT)));
    eventually(
        "a stand-in that is started",
        Duration::from_secs(10),
        || async { HttpProbe.probe(&upstream).await == Readiness::Started },
    )
    .await;
    let cookie = world.sign_in(&tenant).await;
    let page = get(world.address, "/", &[&tenant.host(), &cookie]).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("OpenClaw"), "{}", page.body);
    let identity = get(
        world.address,
        "/control-ui-config.json",
        &[&tenant.host(), &cookie],
    )
    .await;
    assert_eq!(
        identity.status, 200,
        "the instance knows who it is: {identity:?}"
    );
    let mut socket = Connection::open(world.address).await;
    let upgrade =
        crate::a20_cross_site_websocket::upgrade(&tenant, &cookie, Some(&tenant.origin()));
    socket.send(upgrade).await;
    assert_eq!(socket.answer().await.unwrap().status, 101);
    // A frame's head of two bytes, then its text.
    let first = socket.exactly(40).await;
    assert!(first.contains("connect.challenge"), "{first:?}");
}
