//! A10: cookies that cannot be read or set from elsewhere, and no request of another site's passes.

use crate::support::{Connection, Instance, World, get};

#[tokio::test]
async fn a10_cookie_theft_every_cookie_is_host_only_and_hidden() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let begun = get(world.address, "/", &[&tenant.host(), "Accept: text/html"]).await;
    let (code, pre) = world.hand_over(&tenant, |_| {}).await;
    let redeemed = world.redeem(&tenant, &code, &pre, "/").await;
    let cookies: Vec<_> = [&begun, &redeemed]
        .into_iter()
        .flat_map(|answer| answer.all("set-cookie"))
        .collect();
    assert_eq!(cookies.len(), 2);
    for cookie in cookies {
        assert!(cookie.starts_with("__Host-oct-"), "{cookie}");
        for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
            assert!(cookie.split("; ").any(|part| part == attribute), "{cookie}");
        }
        assert!(!cookie.to_ascii_lowercase().contains("domain"), "{cookie}");
        let value = cookie.split(['=', ';']).nth(1).unwrap();
        assert_eq!(value.len(), 43, "256 bits: {cookie}");
    }
    for answer in [&begun, &redeemed] {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
}

/// Method x `Origin` x Fetch Metadata: what passes is decided by these alone.
#[tokio::test]
async fn a10_csrf_matrix() {
    let world = World::new().await;
    let tenant = world.ready("alpha", 0).await;
    let _instance = Instance::echo(tenant.ip(), "alpha").await;
    let cookie = world.sign_in(&tenant).await;
    let own = tenant.origin();
    let origins = [
        None,
        Some(own.clone()),
        Some("null".into()),
        Some("http://beta.inst.example:8080".into()),
        Some("http://alpha.inst.example".into()),
        Some("https://alpha.inst.example:8080".into()),
        Some(format!("{own}.evil.example")),
        Some(format!("{own}/")),
        Some(own.to_uppercase()),
    ];
    let sites = [
        None,
        Some("same-origin"),
        Some("none"),
        Some("same-site"),
        Some("cross-site"),
        Some("odd"),
    ];
    let kinds = [
        None,
        Some(("navigate", "document")),
        Some(("navigate", "iframe")),
        Some(("no-cors", "image")),
        Some(("cors", "empty")),
    ];
    let mut tried = 0;
    for method in [
        "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND",
    ] {
        let reads = matches!(method, "GET" | "HEAD" | "OPTIONS");
        for origin in &origins {
            for site in sites {
                for kind in kinds {
                    let mut request = format!(
                        "{method} /x HTTP/1.1\r\n{}\r\n{cookie}\r\nConnection: close\r\n",
                        tenant.host()
                    );
                    for (name, value) in [
                        ("Origin", origin.as_deref()),
                        ("Sec-Fetch-Site", site),
                        ("Sec-Fetch-Mode", kind.map(|kind| kind.0)),
                        ("Sec-Fetch-Dest", kind.map(|kind| kind.1)),
                        // Nothing else excuses a request.
                        ("X-Requested-With", Some("XMLHttpRequest")),
                    ] {
                        if let Some(value) = value {
                            request.push_str(&format!("{name}: {value}\r\n"));
                        }
                    }
                    request.push_str("\r\n");
                    let mut connection = Connection::open(world.address).await;
                    connection.send(&request).await;
                    let status = connection.answer().await.unwrap().status;
                    let origin_fits = match origin {
                        None => reads,
                        Some(origin) => *origin == own,
                    };
                    let site_fits = match site {
                        None | Some("same-origin" | "none") => true,
                        Some("same-site" | "cross-site") => {
                            matches!(method, "GET" | "HEAD")
                                && kind == Some(("navigate", "document"))
                        }
                        Some(_) => false,
                    };
                    let expected = if origin_fits && site_fits { 200 } else { 403 };
                    assert_eq!(status, expected, "{request}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried >= 2000, "{tried}");
}
