//! A15: a session is for one instance, and a hand-over works once, here, in the browser that asked for it.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::{Grant, GrantKind};
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::id::Generation;

use crate::support::{Answer, Instance, Outage, World, get};

#[tokio::test]
async fn a15_a_cookie_of_one_instance_opens_no_other() {
    let world = World::new().await;
    let (alpha, beta) = (world.ready("alpha", 0).await, world.ready("beta", 1).await);
    let _alpha = Instance::echo(alpha.ip(), "alpha").await;
    let _beta = Instance::echo(beta.ip(), "beta").await;
    let cookie = world.sign_in(&alpha).await;
    assert_eq!(
        get(world.address, "/", &[&alpha.host(), &cookie])
            .await
            .status,
        200
    );
    let theirs = get(world.address, "/", &[&beta.host(), &cookie]).await;
    assert_eq!(theirs.status, 401);
    // To a stranger an instance that is there and one that never was look the same.
    for headers in [
        vec!["Accept: text/html"],
        vec![&*cookie, "Accept: text/html"],
        vec![&*cookie],
        vec![],
    ] {
        let pre = format!("Cookie: __Host-oct-pre={}", "p".repeat(43));
        let ask = async |host: &str| -> Answer {
            let lines: Vec<&str> = [host, &pre]
                .into_iter()
                .chain(headers.iter().copied())
                .collect();
            get(world.address, "/a?b", &lines).await.normalised()
        };
        let (there, never) = (
            ask(&beta.host()).await,
            ask("Host: nobody.inst.example:8080").await,
        );
        let there = format!("{there:?}").replace("beta", "SLUG");
        assert_eq!(there, format!("{never:?}").replace("nobody", "SLUG"));
    }
}

#[tokio::test]
async fn a15_a_session_is_for_one_making_of_an_instance() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    world
        .observe(&tenant, |observed| {
            observed.generation = Generation(2);
            observed.locations[0].generation = Generation(2);
        })
        .await;
    assert_eq!(
        get(world.address, "/", &[&tenant.host(), &cookie])
            .await
            .status,
        401
    );
    // A person notices nothing: the console hands over anew.
    let again = get(
        world.address,
        "/",
        &[&tenant.host(), &cookie, "Accept: text/html"],
    )
    .await;
    assert_eq!(again.status, 303);
}

#[tokio::test]
async fn a15_a_code_works_once_even_at_the_same_time() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let (code, pre) = world.hand_over(&tenant, |_| {}).await;
    let tries = (0..32).map(|_| world.redeem(&tenant, &code, &pre, "/"));
    let answers = futures::future::join_all(tries).await;
    let won = answers.iter().filter(|answer| answer.status == 303).count();
    assert_eq!(won, 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 303 || answer.status == 400)
    );
}

#[tokio::test]
async fn a15_a_code_of_anything_else_is_refused_and_used_up() {
    let world = World::new().await;
    let (alpha, beta) = (world.ready("alpha", 0).await, world.ready("beta", 1).await);
    let refused =
        |answer: &Answer| answer.status == 400 && answer.cookie("__Host-oct-instance").is_none();
    // Another browser's cookie, then the right one: too late.
    let (code, pre) = world.hand_over(&alpha, |_| {}).await;
    assert!(refused(
        &world.redeem(&alpha, &code, &"x".repeat(43), "/").await
    ));
    assert!(refused(&world.redeem(&alpha, &code, &pre, "/").await));
    // Another host.
    let (code, pre) = world.hand_over(&alpha, |_| {}).await;
    assert!(refused(&world.redeem(&beta, &code, &pre, "/").await));
    // A grant that does not fit, in each of its parts.
    let other = beta.clone();
    type Bend = Box<dyn FnOnce(&mut Grant)>;
    let bends: Vec<Bend> = vec![
        Box::new(|grant| grant.expires_at = Timestamp::from_millis(0)),
        Box::new(|grant| grant.account = None),
        Box::new(move |grant| grant.account = Some(other.owner)),
        Box::new(|grant| grant.data = grant.data.replace("alpha", "beta")),
        Box::new(|grant| grant.data = "{}".into()),
        Box::new(|grant| grant.data = "nonsense".into()),
        Box::new({
            let (from, to) = (alpha.id.to_string(), beta.id.to_string());
            move |grant| grant.data = grant.data.replace(&from, &to)
        }),
        Box::new(|grant| {
            let mut data: serde_json::Value = serde_json::from_str(&grant.data).unwrap();
            data["session"] = "00".repeat(32).into();
            grant.data = data.to_string();
        }),
        Box::new(|grant| {
            let mut data: serde_json::Value = serde_json::from_str(&grant.data).unwrap();
            data["session"] = serde_json::Value::Null;
            grant.data = data.to_string();
        }),
    ];
    for (number, bend) in bends.into_iter().enumerate() {
        let (code, pre) = world.hand_over(&alpha, bend).await;
        assert!(
            refused(&world.redeem(&alpha, &code, &pre, "/").await),
            "bend {number}"
        );
    }
    // No cookie at all.
    let (code, _pre) = world.hand_over(&alpha, |_| {}).await;
    let path = format!("/__openclaw-tenancy/handover?code={code}&return_to=/");
    assert!(refused(&get(world.address, &path, &[&alpha.host()]).await));
    // Codes in other numbers than one.
    for query in [
        format!("code={code}&code={code}"),
        "code=".into(),
        String::new(),
        format!("code={}", "a".repeat(300)),
    ] {
        let path = format!("/__openclaw-tenancy/handover?{query}");
        let cookie = format!("Cookie: __Host-oct-pre={}", "x".repeat(43));
        assert!(
            refused(&get(world.address, &path, &[&alpha.host(), &cookie]).await),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a15_a_hand_over_leads_nowhere_else() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    for to in [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/%0d%0aSet-Cookie:%20a=b",
        "/__openclaw-tenancy/handover",
        "%2F%2Fevil.example",
        "x",
    ] {
        let (code, pre) = world.hand_over(&tenant, |_| {}).await;
        let answer = world.redeem(&tenant, &code, &pre, to).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/")),
            "{to}"
        );
    }
}

#[tokio::test]
async fn a15_what_is_ours_does_not_reach_the_instance() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let more = format!(
        "{cookie}; own=1; __Host-oct-pre={}; __host-oct-x=y; theirs=2",
        "p".repeat(43)
    );
    let answer = get(
        world.address,
        "/x",
        &[
            &tenant.host(),
            &more,
            "Authorization: Bearer abc",
            "Proxy-Authorization: Basic abc",
            "Referer: http://alpha.inst.example:8080/",
        ],
    )
    .await;
    let headers = answer.json()["headers"].to_string();
    assert!(headers.contains("own=1; theirs=2"), "{headers}");
    for secret in ["oct-", "Bearer", "Basic", "uthorization"] {
        assert!(!headers.contains(secret), "{secret} in {headers}");
    }
}

#[tokio::test]
async fn a15_a_session_ends_with_the_consoles() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    assert_eq!(
        get(world.address, "/", &[&tenant.host(), &cookie])
            .await
            .status,
        200
    );
    world.sign_out(tenant.owner).await;
    crate::support::eventually("the end of the session", Duration::from_secs(4), || async {
        get(world.address, "/", &[&tenant.host(), &cookie])
            .await
            .status
            == 401
    })
    .await;
}

/// A sign-out that is over before the session is written ends it all the same.
#[tokio::test]
async fn a15_a_hand_over_during_a_sign_out_gives_nothing() {
    let signs_out = |access| Outage {
        inner: access,
        down: Arc::default(),
        signs_out: true,
        takes: Arc::default(),
    };
    let world = World::with(|_| {}, |store, access| (store, Arc::new(signs_out(access)))).await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let (code, pre) = world.hand_over(&tenant, |_| {}).await;
    let answer = world.redeem(&tenant, &code, &pre, "/").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.cookie("__Host-oct-instance"), None);
    let left = world
        .access
        .revoke_grants(GrantKind::InstanceSession, tenant.owner);
    assert_eq!(left.await.unwrap(), 0);
}
