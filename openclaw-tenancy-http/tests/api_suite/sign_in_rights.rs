//! What a sign-in gives beyond an account: groups, a provider's bearer, the first administrator's link.

use http::{Method, header};
use openclaw_tenancy::access::AccessStore as _;
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::memory::Fault;
use secrecy::{ExposeSecret as _, SecretString};
use test_support::provider::{SUBJECT, set};

use crate::sign_in::{CALLBACK, call_back, me, to_provider_and_back, with_provider};
use crate::support::request;

#[tokio::test]
async fn what_groups_give_holds_for_the_session_that_brought_it() {
    let (app, provider) = with_provider().await;
    provider.bend(|bends| bends.claims = set("groups", serde_json::json!(["staff", "ops"])));
    let (query, cookie) = to_provider_and_back(&app, &provider, "/").await;
    let session = call_back(&app, CALLBACK, &query, &cookie)
        .await
        .cookie("__Host-oct-session")
        .unwrap();
    let seen = me(&app, &session).await.json();
    assert_eq!(
        (&seen["admin"], &seen["plan"]),
        (&true.into(), &"pro".into())
    );
    // Nothing of it is the account's.
    let id = seen["account"]["id"].as_str().unwrap().parse().unwrap();
    let account = app.access.account(id).await.unwrap().unwrap();
    assert_eq!((account.rights.admin, account.rights.plan), (false, None));
    // Whoever has left the group has nothing at the next sign-in.
    provider.straighten();
    let (query, cookie) = to_provider_and_back(&app, &provider, "/").await;
    let session = call_back(&app, CALLBACK, &query, &cookie)
        .await
        .cookie("__Host-oct-session")
        .unwrap();
    let seen = me(&app, &session).await.json();
    assert_eq!(
        (&seen["admin"], &seen["plan"]),
        (&false.into(), &serde_json::Value::Null)
    );
}

#[tokio::test]
async fn a_providers_bearer_is_taken_and_an_id_token_is_not() {
    let (app, provider) = with_provider().await;
    let mut claims = provider.good_claims("n");
    let bearer = |claims: &serde_json::Value| {
        let token = provider
            .key()
            .token(&serde_json::json!({"typ": "at+jwt"}), claims);
        let request = request(Method::GET, "/api/auth/me")
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        app.send(request.body(String::new().into()).unwrap())
    };
    bearer(&claims).await.problem(401, "bearer-refused");
    claims["aud"] = "urn:test:api".into();
    claims.as_object_mut().unwrap().remove("nonce");
    let answer = bearer(&claims).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["account"]["subject"], SUBJECT);
    assert_eq!(answer.json()["csrf_token"], serde_json::Value::Null);
}

#[tokio::test]
async fn the_first_administrators_link_binds_the_next_sign_in_once() {
    let (app, provider) = with_provider().await;
    let claims = app.state.claims();
    let (code, spare) = (
        claims.issue().await.unwrap().unwrap(),
        claims.issue().await.unwrap().unwrap(),
    );
    let open = |code: &SecretString| app.get_owned(format!("/claim?code={}", code.expose_secret()));
    // Looking at the link redeems nothing.
    for _ in 0..2 {
        let answer = open(&code).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (303, "/login")
        );
    }
    let claim = format!(
        "__Host-oct-claim={}",
        open(&code).await.cookie("__Host-oct-claim").unwrap()
    );
    let page = app
        .send(
            request(Method::GET, "/login")
                .header(header::COOKIE, &claim)
                .body(String::new().into())
                .unwrap(),
        )
        .await;
    assert!(
        page.body.contains("becomes the administrator"),
        "{}",
        page.body
    );

    let (query, login) = to_provider_and_back(&app, &provider, "/").await;
    let answer = call_back(&app, CALLBACK, &query, &format!("{login}; {claim}")).await;
    assert_eq!(answer.cookie("__Host-oct-claim").unwrap(), "");
    let session = answer.cookie("__Host-oct-session").unwrap();
    assert_eq!(me(&app, &session).await.json()["admin"], true);
    assert!(app.access.has_admin().await.unwrap());

    // Used, and with the first administrator every other link is void, and none is made any more.
    for code in [&code, &spare] {
        open(code).await.problem(400, "claim-refused");
    }
    assert!(claims.issue().await.unwrap().is_none());
    for wrong in ["", "x", "%00"] {
        app.get(&format!("/claim?code={wrong}"))
            .await
            .problem(400, "claim-refused");
    }
}

/// Who had a session of the account's before had it without these rights, and may be somebody else.
#[tokio::test]
async fn a01_fixation_the_first_administrators_link_ends_every_session_before_it() {
    let (app, provider) = with_provider().await;
    let sign_in = async |cookies: &str| {
        let (query, login) = to_provider_and_back(&app, &provider, "/").await;
        let answer = call_back(&app, CALLBACK, &query, &format!("{login}{cookies}")).await;
        answer.cookie("__Host-oct-session").unwrap()
    };
    // In the browser that opens the link, and in another one.
    let (here, elsewhere) = (sign_in("").await, sign_in("").await);
    let mut account = None;
    for session in [&here, &elsewhere] {
        let answer = me(&app, session).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let seen = answer.json();
        assert_eq!(seen["admin"], false);
        account = Some(seen["account"]["id"].clone());
    }

    let code = app.state.claims().issue().await.unwrap().unwrap();
    let open = request(
        Method::GET,
        &format!("/claim?code={}", code.expose_secret()),
    )
    .header(header::COOKIE, format!("__Host-oct-session={here}"));
    let opened = app.send(open.body(String::new().into()).unwrap()).await;
    let claim = opened.cookie("__Host-oct-claim").unwrap();
    // The link alone gives nothing: only the sign-in after it does.
    let before = me(&app, &here).await;
    assert_eq!(before.status, 200, "{}", before.body);
    assert_eq!(before.json()["admin"], false);

    let cookies = format!("; __Host-oct-session={here}; __Host-oct-claim={claim}");
    let fresh = sign_in(&cookies).await;
    let after = me(&app, &fresh).await;
    assert_eq!(after.status, 200, "{}", after.body);
    let seen = after.json();
    assert_eq!(seen["admin"], true);
    assert_eq!(
        Some(seen["account"]["id"].clone()),
        account,
        "the same account"
    );
    for (which, before) in [("this browser's", &here), ("another browser's", &elsewhere)] {
        assert_ne!(*before, fresh);
        let answer = me(&app, before).await;
        assert_eq!(answer.status, 401, "{which}: {}", answer.body);
    }
}

/// Whatever call of the store fails, and whether or not it took effect: no session from before is an administrator's.
#[tokio::test]
async fn a01_fixation_no_session_survives_into_the_first_administrators_rights() {
    let (mut call, mut granted, mut refused) = (0, 0, 0);
    loop {
        let faults = [Fault::Fail, Fault::LoseAnswer];
        let mut reached = 0;
        for fault in faults {
            let (app, provider) = with_provider().await;
            let (query, login) = to_provider_and_back(&app, &provider, "/").await;
            let before = call_back(&app, CALLBACK, &query, &login).await;
            let before = before.cookie("__Host-oct-session").unwrap();
            let seen = me(&app, &before).await.json();
            let account: AccountId = seen["account"]["id"].as_str().unwrap().parse().unwrap();
            let code = app.state.claims().issue().await.unwrap().unwrap();
            let claim = format!("__Host-oct-claim={}", code.expose_secret());
            let (query, login) = to_provider_and_back(&app, &provider, "/").await;

            let first = app.faults.calls();
            app.faults.at(first + call, fault);
            let answer = call_back(&app, CALLBACK, &query, &format!("{login}; {claim}")).await;
            reached += u64::from(app.faults.calls() > first + call);
            app.faults.stop();
            refused += u64::from(answer.status.is_server_error());
            let rights = app.access.account(account).await.unwrap().unwrap().rights;
            granted += u64::from(rights.admin);
            if rights.admin {
                let answer = me(&app, &before).await;
                assert_eq!(
                    answer.status, 401,
                    "{fault:?} at call {call}: {}",
                    answer.body
                );
            }
        }
        if reached < 2 {
            break;
        }
        call += 1;
    }
    assert!(
        call > 5 && granted > 2 && refused > 5,
        "{call} {granted} {refused}"
    );
}
