//! A16: cookies that another instance's page sets for the whole base domain.

use crate::support::{Connection, Instance, World, get};

#[tokio::test]
async fn a16_cookie_tossing_ends_in_a_clean_sign_in() {
    let world = World::new().await;
    let (alpha, evil) = (world.ready("alpha", 0).await, world.ready("evil", 1).await);
    let _alpha = Instance::echo(alpha.ip(), "alpha").await;
    let _evil = Instance::echo(evil.ip(), "evil").await;
    let (own, theirs) = (world.sign_in(&alpha).await, world.sign_in(&evil).await);
    let pair = |cookie: &str| cookie.trim_start_matches("Cookie: ").to_owned();
    let plain = pair(&theirs).replace("__Host-oct", "oct");
    for cookie in [
        format!("Cookie: {}; {}", pair(&own), pair(&theirs)),
        format!("Cookie: {}; {}", pair(&theirs), pair(&own)),
        format!("{own}\r\n{theirs}"),
        format!("Cookie: {}", pair(&theirs)),
        format!("Cookie: {plain}"),
        "Cookie: __Host-oct-instance=".into(),
        format!("Cookie: __Host-oct-instance={}", "A".repeat(43)),
        format!(
            "Cookie: __host-oct-instance={}",
            pair(&own).split_once('=').unwrap().1
        ),
        format!("Cookie: ={}", pair(&own)),
        format!(
            "Cookie: __Host-oct-instance=\"{}\"",
            pair(&own).split_once('=').unwrap().1
        ),
    ] {
        let answer = get(
            world.address,
            "/",
            &[&alpha.host(), &cookie, "Accept: text/html"],
        )
        .await;
        assert_eq!(answer.status, 303, "{cookie}: {answer:?}");
        assert!(
            answer
                .header("location")
                .unwrap()
                .starts_with("http://console.example:3000/api/edge/authorize?slug=alpha&")
        );
    }
    // Beside any number of others the right one still counts.
    let crowded = format!(
        "Cookie: {}a=1; {}; {plain}",
        "z=0; ".repeat(200),
        pair(&own)
    );
    let answer = get(world.address, "/", &[&alpha.host(), &crowded]).await;
    assert_eq!(answer.json()["instance"], "alpha");
}

#[tokio::test]
async fn a16_cookie_overflow_clears_what_was_tossed() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let tossed: Vec<String> = (0..40)
        .map(|n| format!("toss{n}={}", "x".repeat(1000)))
        .collect();
    let mut connection = Connection::open(world.address).await;
    let own = format!("__Host-oct-instance={}", "A".repeat(43));
    connection
        .send(format!(
            "GET / HTTP/1.1\r\n{}\r\nCookie: {}; {own}\r\n\r\n",
            tenant.host(),
            tossed.join("; ")
        ))
        .await;
    let answer = connection.answer().await.unwrap();
    assert_eq!(answer.status, 431);
    let ended = answer.all("set-cookie");
    assert!(
        ended
            .iter()
            .any(|cookie| cookie.starts_with("toss0=; ") && cookie.contains("Domain=inst.example")),
        "{ended:?}"
    );
    assert!(ended.len() >= 20, "{}", ended.len());
    assert!(!ended.iter().any(|cookie| cookie.starts_with("__Host-oct")));
    assert!(
        connection
            .ends_within(std::time::Duration::from_secs(5))
            .await
    );
}

/// Where a sibling set them is not known: for any domain that both are below, and for any path above the one asked for.
#[tokio::test]
async fn a16_cookie_overflow_is_a_page_and_ends_every_place() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let tossed = format!("Cookie: toss={}", "x".repeat(17_000));
    let lines = [
        &*tenant.host(),
        "Accept: text/html",
        "Accept-Language: zh-CN",
        &*tossed,
    ];
    let answer = get(world.address, "/chat/one?a=/b", &lines).await;
    assert_eq!(answer.status, 431);
    let ended = answer.all("set-cookie");
    for path in ["/", "/chat", "/chat/", "/chat/one"] {
        for domain in ["; Domain=alpha.inst.example", "; Domain=inst.example", ""] {
            let wanted = format!("toss=; Path={path}; Max-Age=0; Secure{domain}");
            assert!(ended.contains(&&*wanted), "{wanted}: {ended:?}");
        }
    }
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/html"),
        "{answer:?}"
    );
    assert!(answer.body.contains("请刷新页面"), "{}", answer.body);
}
