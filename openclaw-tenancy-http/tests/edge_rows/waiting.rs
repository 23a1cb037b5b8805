//! What a person sees while an instance is not ready.

use openclaw_tenancy::clock::{Clock as _, SystemClock};
use openclaw_tenancy::tenant::{Failure, FailureReason, Hold, HoldReason, Power};

use crate::support::{World, get};

const PAGE: &str = "Accept: text/html";

#[tokio::test]
async fn a_waiting_page_says_what_happens_in_the_readers_language() {
    let world = World::new().await;
    let tenant = world.queued("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    let english = get(
        world.address,
        "/",
        &[&tenant.host(), &cookie, PAGE, "Accept-Language: en"],
    )
    .await;
    let chinese = get(
        world.address,
        "/",
        &[
            &tenant.host(),
            &cookie,
            PAGE,
            "Accept-Language: zh-CN,zh;q=0.9",
        ],
    )
    .await;
    for (answer, lang, title) in [
        (&english, "en", "Finding a place"),
        (&chinese, "zh-CN", "正在为您的实例寻找主机"),
    ] {
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("2"))
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(
            answer.body.contains(&format!("<html lang=\"{lang}\">")) && answer.body.contains(title),
            "{}",
            answer.body
        );
        // Self-contained, and allowed to be nothing else.
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(
            !answer.body.contains("http://")
                || answer.body.matches("http://").count()
                    == answer.body.matches("http://console.example:3000/").count()
        );
        assert!(
            answer.body.contains("http-equiv=\"refresh\""),
            "also without scripts"
        );
    }
    let program = get(world.address, "/", &[&tenant.host(), &cookie]).await;
    assert_eq!(
        program.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(
        program.json()["type"],
        "urn:openclaw-tenancy:problem:instance-not-ready"
    );
}

#[tokio::test]
async fn a_page_asks_how_it_stands() {
    let world = World::new().await;
    let tenant = world.queued("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    let status = "/__openclaw-tenancy/status";
    let report = get(world.address, status, &[&tenant.host(), &cookie]).await;
    assert_eq!(report.status, 200);
    let report = report.json();
    assert_eq!(
        (&report["ready"], &report["phase"], &report["mood"]),
        (&false.into(), &"queued".into(), &"working".into())
    );
    assert!(
        report["detail"]
            .as_str()
            .unwrap()
            .contains("next in the queue"),
        "{report}"
    );
    assert_eq!(
        get(world.address, status, &[&tenant.host()]).await.status,
        401
    );
    // Each phase has words of its own, and says whether it goes on by itself.
    let now = SystemClock.now();
    let failure = |reason| Failure {
        reason,
        message: "exit code 137 <b>".into(),
        attempts: 3,
        since: now,
        retry_at: now,
    };
    world
        .observe(&tenant, |observed| {
            observed.failure = Some(failure(FailureReason::OutOfMemory))
        })
        .await;
    let failed = get(world.address, status, &[&tenant.host(), &cookie])
        .await
        .json();
    assert_eq!(
        (&failed["phase"], &failed["mood"], &failed["step"]),
        (
            &"failed".into(),
            &"trouble".into(),
            &serde_json::Value::Null
        )
    );
    let page = get(world.address, "/", &[&tenant.host(), &cookie, PAGE]).await;
    assert!(
        page.body.contains("more memory than its plan")
            && page.body.contains("exit code 137 &#60;b&#62;"),
        "{}",
        page.body
    );
    world
        .observe(&tenant, |observed| {
            observed.hold = Some(Hold {
                reason: HoldReason::GhostSuspected,
                message: "host h1".into(),
                since: now,
            });
        })
        .await;
    let held = get(world.address, status, &[&tenant.host(), &cookie])
        .await
        .json();
    assert_eq!(
        (&held["phase"], &held["message"]),
        (&"held".into(), &"host h1".into())
    );
    world
        .observe(&tenant, |observed| {
            (observed.hold, observed.failure) = (None, None)
        })
        .await;
    world.power(&tenant, Power::Suspended).await;
    let stopping = get(world.address, status, &[&tenant.host(), &cookie])
        .await
        .json();
    assert_eq!(
        stopping["phase"], "stopping",
        "until it was seen to be stopped"
    );
    let asked = world.store.get(tenant.id).await.unwrap().unwrap();
    world
        .observe(&tenant, |observed| {
            observed.converged = Some(asked.revision.next());
        })
        .await;
    let suspended = get(world.address, status, &[&tenant.host(), &cookie])
        .await
        .json();
    assert_eq!(
        (&suspended["phase"], &suspended["mood"]),
        (&"suspended".into(), &"resting".into())
    );
}
