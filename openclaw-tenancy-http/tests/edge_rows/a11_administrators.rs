//! A11: an instance is its owner's alone. Whoever administers the deployment is a stranger at somebody else's host name.

use std::collections::BTreeSet;
use std::time::Duration;

use openclaw_tenancy::access::{GrantKind, Rights, SecretHash};
use openclaw_tenancy::clock::{Clock as _, SystemClock, SystemEntropy};
use openclaw_tenancy::id::{AccountId, Generation};
use openclaw_tenancy::identity::{Identity, Subject};
use openclaw_tenancy::plan::PlanName;

use crate::support::{Answer, Instance, Tenant, World, get, secret};

const HOUR: Duration = Duration::from_secs(3600);

impl World {
    /// Somebody who administers, by an account's own rights and by what their session was granted.
    async fn administrator(&self) -> (AccountId, String) {
        let root = Identity {
            who: Subject {
                issuer: "https://id.example".to_owned(),
                subject: "root".to_owned(),
            },
            email: None,
            email_verified: false,
            name: None,
            groups: BTreeSet::new(),
        };
        let id = AccountId::generate(&SystemClock, &SystemEntropy);
        let root = self.access.sign_in(root, id, SystemClock.now()).await;
        let rights = Rights {
            admin: true,
            plan: Some(PlanName::new("pro").unwrap()),
        };
        let root = self
            .access
            .set_account_rights(root.unwrap().id, rights)
            .await
            .unwrap();
        assert!(root.rights.admin);
        let session = secret();
        let granted = serde_json::json!({ "granted": root.rights });
        self.put(
            GrantKind::Session,
            &session,
            Some(root.id),
            granted.to_string(),
            HOUR,
        )
        .await;
        (root.id, session)
    }

    /// The status of an instance for whoever has a session of this account's, made for that very instance.
    async fn status_with_session_of(&self, tenant: &Tenant, account: AccountId) -> u16 {
        let session = secret();
        let audience = serde_json::json!({ "tenant": tenant.id, "generation": Generation(1) });
        self.put(
            GrantKind::InstanceSession,
            &session,
            Some(account),
            audience.to_string(),
            HOUR,
        )
        .await;
        let cookie = format!("Cookie: __Host-oct-instance={session}");
        get(self.address, "/", &[&tenant.host(), &cookie])
            .await
            .status
    }
}

#[tokio::test]
async fn a11_idor_an_administrator_is_not_handed_over_to_anothers_instance() {
    let world = World::new().await;
    let alpha = world.ready("alpha", 0).await;
    let _instance = Instance::echo(alpha.ip(), "alpha").await;
    let (root, console) = world.administrator().await;
    // A whole hand-over but for whose it is: as a console would write it that lets administrators in everywhere.
    let (code, pre) = world
        .hand_over(&alpha, |grant| {
            grant.account = Some(root);
            let mut data: serde_json::Value = serde_json::from_str(&grant.data).unwrap();
            data["session"] = hex::encode(SecretHash::of(&console).0).into();
            grant.data = data.to_string();
        })
        .await;
    let redeemed = world.redeem(&alpha, &code, &pre, "/").await;
    assert_eq!(redeemed.status, 400, "{redeemed:?}");
    assert_eq!(redeemed.cookie("__Host-oct-instance"), None);
    let written = world.access.revoke_grants(GrantKind::InstanceSession, root);
    assert_eq!(written.await.unwrap(), 0, "no session was written");
}

#[tokio::test]
async fn a11_idor_an_administrators_session_opens_no_instance_of_anothers() {
    let world = World::new().await;
    let alpha = world.ready("alpha", 0).await;
    let _instance = Instance::echo(alpha.ip(), "alpha").await;
    let (root, console) = world.administrator().await;
    assert_eq!(world.status_with_session_of(&alpha, root).await, 401);
    let owners = world.status_with_session_of(&alpha, alpha.owner).await;
    assert_eq!(owners, 200, "it is for its owner");

    // And to them as to anybody it looks as if it never was, whatever cookie of theirs they show.
    for cookie in ["__Host-oct-instance", "__Host-oct-session"] {
        let cookie = format!("Cookie: {cookie}={console}");
        let ask = async |slug: &str| -> String {
            let host = format!("Host: {slug}.inst.example:8080");
            let headers = [&*host, &cookie, "Accept: application/json"];
            let answer: Answer = get(world.address, "/a?b", &headers).await.normalised();
            assert_eq!(answer.status, 401, "{answer:?}");
            format!("{answer:?}").replace(slug, "SLUG")
        };
        assert_eq!(ask("alpha").await, ask("nobody").await);
    }
}
