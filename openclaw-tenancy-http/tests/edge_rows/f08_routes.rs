//! F8 and I9: a route leads to the instance that is there now, and to nobody else's.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use openclaw_tenancy::clock::SystemClock;
use openclaw_tenancy::id::Generation;
use openclaw_tenancy::memory::Faults;
use openclaw_tenancy::tenant::Power;
use tokio::task::JoinSet;

use crate::support::{Connection, Instance, World, get};

#[tokio::test]
async fn f08_ready_before_the_route_is_published_after_a_restart() {
    let mut world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    world.stop();
    // A new edge on the same stores: what was ready before it began is a route.
    let again = crate::support::World::over(&world).await;
    assert_eq!(
        get(again.address, "/", &[&tenant.host(), &cookie])
            .await
            .json()["instance"],
        "alpha"
    );
}

/// From the moment the store says running, no request is answered with 502.
#[tokio::test]
async fn f08_no_502_once_running_is_shown() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    for round in 1..=5 {
        world
            .observe(&tenant, |observed| {
                observed.locations[0].container.as_mut().unwrap().ready_at = None
            })
            .await;
        let waiting = get(world.address, "/", &[&tenant.host(), &cookie]).await;
        assert_eq!(waiting.status, 503, "{round}");
        let instance = Instance::echo(tenant.ip(), "alpha").await;
        world
            .observe(&tenant, |observed| {
                let container = observed.locations[0].container.as_mut().unwrap();
                container.ready_at = container.started_at;
            })
            .await;
        for _ in 0..20 {
            assert_eq!(
                get(world.address, "/", &[&tenant.host(), &cookie])
                    .await
                    .status,
                200,
                "{round}"
            );
        }
        // Killed and not noticed yet: it says so and asks again, without a 502.
        instance.kill().await;
        let gone = get(world.address, "/", &[&tenant.host(), &cookie]).await;
        assert_eq!(
            (gone.status, gone.header("retry-after")),
            (503, Some("2")),
            "{round}"
        );
    }
}

/// What the store says is what the edge does, also where nobody has told it: no hint comes and no poll is due.
#[tokio::test]
async fn f08_no_waiting_page_once_running_is_shown() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let asked = [&*tenant.host(), &cookie];
    for round in 0..100 {
        world
            .observe(&tenant, |observed| {
                observed.locations[0].container.as_mut().unwrap().ready_at = None
            })
            .await;
        assert_eq!(get(world.address, "/", &asked).await.status, 503, "{round}");
        world.set_ready_unheard(&tenant, true).await;
        assert_eq!(get(world.address, "/", &asked).await.status, 200, "{round}");
    }
}

/// The page that waits asks the same way.
#[tokio::test]
async fn f08_a_waiting_page_hears_at_once_that_it_is_over() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    let asked = [&*tenant.host(), &cookie];
    let status = "/__openclaw-tenancy/status";
    for _ in 0..10 {
        world.set_ready_unheard(&tenant, false).await;
        world.observe(&tenant, |_| {}).await;
        assert_eq!(
            get(world.address, status, &asked).await.json()["ready"],
            false
        );
        world.set_ready_unheard(&tenant, true).await;
        assert_eq!(
            get(world.address, status, &asked).await.json()["ready"],
            true
        );
    }
}

/// The console goes by the store: a session handed over is one for the making that there is now.
#[tokio::test]
async fn f08_a_hand_over_is_to_what_the_store_says() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    for generation in (2..12).map(Generation) {
        let (code, pre) = world.hand_over(&tenant, |_| {}).await;
        world
            .observe_unheard(&tenant, |observed| {
                observed.generation = generation;
                observed.locations[0].generation = generation;
            })
            .await;
        let answer = world.redeem(&tenant, &code, &pre, "/").await;
        let session = answer.cookie("__Host-oct-instance").expect("a session");
        let cookie = format!("Cookie: __Host-oct-instance={session}");
        world.observe(&tenant, |_| {}).await;
        let answer = get(world.address, "/", &[&tenant.host(), &cookie]).await;
        assert_eq!(answer.status, 200, "{generation:?}");
    }
}

/// A26: however many ask for an instance that is not ready, the store is asked as often as it would be for one who
/// asks without pause.
#[tokio::test]
async fn f08_a_flood_at_a_starting_instance_does_not_reach_the_store() {
    let faults = Faults::new(Arc::new(SystemClock));
    let world = World::with_faults(&faults).await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    world.set_ready_unheard(&tenant, false).await;
    world.observe(&tenant, |_| {}).await;
    let request = format!("GET / HTTP/1.1\r\n{}\r\n{cookie}\r\n\r\n", tenant.host());
    let (calls, began) = (faults.calls(), Instant::now());
    let mut flood = JoinSet::new();
    for _ in 0..100 {
        let (address, request) = (world.address, request.clone());
        flood.spawn(async move {
            let mut connection = Connection::open(address).await;
            for _ in 0..50 {
                connection.send(&request).await;
                assert_eq!(connection.answer().await.unwrap().status, 503);
            }
        });
    }
    flood.join_all().await;
    let (calls, took) = (faults.calls() - calls, began.elapsed());
    println!("5000 requests in {took:.1?}: {calls} calls of the store");
    // One look is one call where nothing has changed, and 20 ms lie between two.
    assert!(
        u128::from(calls) <= took.as_millis() / 20 + 2,
        "{calls} in {took:?}"
    );
}

#[tokio::test]
async fn f08_routes_follow_an_address_that_changes() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let cookie = world.sign_in(&tenant).await;
    let old = Instance::echo(tenant.ip(), "old").await;
    let mut kept = Connection::open(world.address).await;
    let request = format!("GET / HTTP/1.1\r\n{}\r\n{cookie}\r\n\r\n", tenant.host());
    kept.send(&request).await;
    assert_eq!(kept.answer().await.unwrap().json()["instance"], "old");
    let subnet = world.subnet(9);
    let new_ip = openclaw_tenancy::container::instance_address(subnet);
    let _new = Instance::echo(new_ip, "new").await;
    world
        .observe(&tenant, |observed| observed.locations[0].subnet = subnet)
        .await;
    let before = old.connections.load(Ordering::SeqCst);
    kept.send(&request).await;
    assert_eq!(
        kept.answer().await.unwrap().json()["instance"],
        "new",
        "the same browser connection"
    );
    assert_eq!(old.connections.load(Ordering::SeqCst), before);
}

/// I9: two instances swap their addresses, as an engine may do at a restart; each name still leads to its own.
#[tokio::test]
async fn i09_a_route_leads_to_the_right_tenant_when_addresses_swap() {
    let world = World::new().await;
    let (alpha, beta) = (world.ready("alpha", 0).await, world.ready("beta", 1).await);
    let (alpha_cookie, beta_cookie) = (world.sign_in(&alpha).await, world.sign_in(&beta).await);
    let (one, two) = (
        Instance::echo(alpha.ip(), "alpha").await,
        Instance::echo(beta.ip(), "beta").await,
    );
    let ask = async |tenant: &crate::support::Tenant, cookie: &str| {
        get(world.address, "/", &[&tenant.host(), cookie])
            .await
            .json()["instance"]
            .clone()
    };
    assert_eq!(ask(&alpha, &alpha_cookie).await, "alpha");
    assert_eq!(ask(&beta, &beta_cookie).await, "beta");
    one.kill().await;
    two.kill().await;
    let _two = Instance::echo(alpha.ip(), "beta").await;
    let _one = Instance::echo(beta.ip(), "alpha").await;
    let (first, second) = (world.subnet(0), world.subnet(1));
    world
        .observe(&alpha, |observed| observed.locations[0].subnet = second)
        .await;
    world
        .observe(&beta, |observed| observed.locations[0].subnet = first)
        .await;
    for _ in 0..10 {
        assert_eq!(ask(&alpha, &alpha_cookie).await, "alpha");
        assert_eq!(ask(&beta, &beta_cookie).await, "beta");
    }
}

#[tokio::test]
async fn i09_a_tenant_that_is_gone_has_no_route() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    world.power(&tenant, Power::Deleted).await;
    assert_eq!(
        get(world.address, "/", &[&tenant.host(), &cookie])
            .await
            .status,
        503
    );
    world.gone(&tenant).await;
    assert_eq!(
        get(world.address, "/", &[&tenant.host(), &cookie])
            .await
            .status,
        401
    );
}

/// Many changes at once, none missed.
#[tokio::test]
async fn i09_no_change_is_missed() {
    let world = World::new().await;
    let mut tenants = Vec::new();
    for n in 0..30 {
        tenants.push(world.queued(&format!("t{n}"), n).await);
    }
    let instance = Instance::echo(tenants[7].ip(), "seven").await;
    let cookie = world.sign_in(&tenants[7]).await;
    for round in 2..12 {
        for tenant in &tenants {
            world.place(tenant, Generation(round)).await;
        }
    }
    // Its session is of an earlier making.
    assert_eq!(
        get(world.address, "/", &[&tenants[7].host(), &cookie])
            .await
            .status,
        401
    );
    let cookie = world.sign_in(&tenants[7]).await;
    assert_eq!(
        get(world.address, "/", &[&tenants[7].host(), &cookie])
            .await
            .json()["instance"],
        "seven"
    );
    drop(instance);
}
