//! The provider's endpoints.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::bend::{Endpoint, Fault, Signature};
use super::{CLIENT_ID, CLIENT_SECRET, Request, SUBJECT, Shared, TokenRequest, keys, lock};

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(jwks))
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .route("/userinfo", get(userinfo))
        .route("/elsewhere", get(|| async { "{}" }))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&shared),
            misbehave,
        ))
        .with_state(shared)
}

/// Counts the request, and answers it itself when the endpoint is to misbehave.
async fn misbehave(
    State(shared): State<Arc<Shared>>,
    request: HttpRequest,
    next: Next,
) -> Response {
    let endpoint = match request.uri().path() {
        "/.well-known/openid-configuration" => Endpoint::Discovery,
        "/jwks" => Endpoint::Jwks,
        "/authorize" => Endpoint::Authorize,
        "/token" => Endpoint::Token,
        "/userinfo" => Endpoint::Userinfo,
        _ => Endpoint::Elsewhere,
    };
    *lock(&shared.counts).entry(endpoint).or_default() += 1;
    let fault = lock(&shared.bends).faults.get(&endpoint).cloned();
    let json = [(header::CONTENT_TYPE, "application/json")];
    match fault {
        None => next.run(request).await,
        Some(Fault::Redirect) => Redirect::to("/elsewhere").into_response(),
        Some(Fault::Drip) => (
            json,
            endless(
                shared,
                Bytes::from_static(b" "),
                Duration::from_millis(100),
                None,
            ),
        )
            .into_response(),
        Some(Fault::Huge) => {
            let chunk = Bytes::from(vec![b' '; 100_000]);
            (json, endless(shared, chunk, Duration::ZERO, Some(1000))).into_response()
        }
        Some(Fault::Silent) => std::future::pending().await,
        Some(Fault::Status(status, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
            (status, json, body).into_response()
        }
        Some(Fault::Body(body)) => (json, body).into_response(),
    }
}

/// `chunk` again and again, with a pause before each, `times` or for ever.
fn endless(shared: Arc<Shared>, chunk: Bytes, pause: Duration, times: Option<usize>) -> Body {
    let chunks = futures::stream::unfold(0_usize, move |sent| {
        let (shared, chunk) = (Arc::clone(&shared), chunk.clone());
        async move {
            if times.is_some_and(|times| sent >= times) {
                return None;
            }
            tokio::time::sleep(pause).await;
            shared.sent.fetch_add(chunk.len() as u64, Ordering::SeqCst);
            Some((Ok::<_, Infallible>(chunk), sent + 1))
        }
    });
    Body::from_stream(chunks)
}

fn json_response(document: &Value) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        document.to_string(),
    )
        .into_response()
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, json_response(&json!({ "error": error }))).into_response()
}

async fn discovery(State(shared): State<Arc<Shared>>) -> Response {
    let issuer = &shared.issuer;
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    (lock(&shared.bends).discovery)(&mut document);
    json_response(&document)
}

async fn jwks(State(shared): State<Arc<Shared>>) -> Response {
    let keys: Vec<Value> = lock(&shared.keys)
        .published
        .iter()
        .map(|key| key.jwk())
        .collect();
    let mut document = json!({ "keys": keys });
    (lock(&shared.bends).jwks)(&mut document);
    json_response(&document)
}

/// The person agrees at once. What the client got wrong is an error page, never a redirect.
async fn authorize(State(shared): State<Arc<Shared>>, request: HttpRequest) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let query: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let value = |name: &str| query.get(name).cloned().unwrap_or_default();
    let redirect_uri = lock(&shared.redirect_uri).clone();
    for (name, wanted) in [
        ("client_id", CLIENT_ID),
        ("redirect_uri", &redirect_uri),
        ("response_type", "code"),
        ("code_challenge_method", "S256"),
    ] {
        if value(name) != wanted {
            return refuse(StatusCode::BAD_REQUEST, name);
        }
    }
    let scope = value("scope");
    if !scope.split(' ').any(|scope| scope == "openid") || value("code_challenge").len() != 43 {
        return refuse(StatusCode::BAD_REQUEST, "scope or code_challenge");
    }
    let code = format!("code-{}", lock(&shared.codes).len() + 1);
    let pending = Request {
        redirect_uri: value("redirect_uri"),
        nonce: query.get("nonce").cloned(),
        challenge: value("code_challenge"),
        scope,
    };
    lock(&shared.codes).insert(code.clone(), pending);
    let mut pairs = vec![
        ("code".to_owned(), code),
        ("state".to_owned(), value("state")),
        ("iss".to_owned(), shared.issuer.clone()),
    ];
    (lock(&shared.bends).redirect)(&mut pairs);
    match Url::parse(&redirect_uri) {
        Ok(mut back) => {
            back.query_pairs_mut().extend_pairs(pairs);
            Redirect::to(back.as_str()).into_response()
        }
        Err(_) => refuse(StatusCode::BAD_REQUEST, "redirect_uri"),
    }
}

async fn token(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let form: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let authorization = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    *lock(&shared.last_token_request) = Some(TokenRequest {
        authorization: authorization.map(str::to_owned),
        form: form.clone(),
    });
    if !is_our_client(authorization, &form) {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let field = |name: &str| form.get(name).map(String::as_str);
    let Some(request) = field("code").and_then(|code| lock(&shared.codes).remove(code)) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let challenge = digest(
        &SHA256,
        field("code_verifier").unwrap_or_default().as_bytes(),
    );
    if field("grant_type") != Some("authorization_code")
        || field("redirect_uri") != Some(&request.redirect_uri)
        || URL_SAFE_NO_PAD.encode(challenge) != request.challenge
    {
        return refuse(StatusCode::BAD_REQUEST, "invalid_grant");
    }
    let mut response = json!({
        "access_token": format!("at-{}", request.scope),
        "token_type": "Bearer",
        "expires_in": 300,
        "id_token": id_token(&shared, request.nonce.as_deref()),
    });
    (lock(&shared.bends).token_response)(&mut response);
    json_response(&response)
}

/// `client_secret_basic` as RFC 6749 §2.3.1 spells it, or `client_secret_post`.
fn is_our_client(authorization: Option<&str>, form: &BTreeMap<String, String>) -> bool {
    let decode = |text: &str| {
        form_urlencoded::parse(format!("x={text}").as_bytes())
            .next()
            .map(|(_, v)| v.into_owned())
    };
    match authorization {
        Some(header) => header
            .strip_prefix("Basic ")
            .and_then(|pair| STANDARD.decode(pair).ok())
            .and_then(|pair| String::from_utf8(pair).ok())
            .and_then(|pair| {
                let (id, secret) = pair.split_once(':')?;
                Some((decode(id)?, decode(secret)?))
            })
            .is_some_and(|(id, secret)| id == CLIENT_ID && secret == CLIENT_SECRET),
        None => {
            form.get("client_id").is_some_and(|id| id == CLIENT_ID)
                && form
                    .get("client_secret")
                    .is_some_and(|secret| secret == CLIENT_SECRET)
        }
    }
}

fn id_token(shared: &Shared, nonce: Option<&str>) -> String {
    let key = shared.key();
    let bends = lock(&shared.bends);
    let mut header = json!({});
    (bends.header)(&mut header);
    let mut claims = shared.claims(nonce);
    (bends.claims)(&mut claims);
    let claims = (bends.claims_text)(claims.to_string());
    let mut full = json!({ "alg": key.alg(), "typ": "JWT" });
    if let Some(kid) = &key.kid {
        full["kid"] = json!(kid);
    }
    for (name, value) in header.as_object().into_iter().flatten() {
        full[name] = value.clone();
    }
    match bends.signature {
        Signature::Good => key.token_of_text(&full.to_string(), &claims),
        Signature::Broken => {
            let token = key.token_of_text(&full.to_string(), &claims);
            // The first character of the signature, so that no spare bits are meant.
            let dot = token.rfind('.').unwrap_or_default();
            let other = if token.as_bytes()[dot + 1] == b'A' {
                "B"
            } else {
                "A"
            };
            format!("{}{other}{}", &token[..=dot], &token[dot + 2..])
        }
        Signature::None => {
            full["alg"] = json!("none");
            format!("{}.", keys::compact(&full.to_string(), &claims))
        }
        Signature::Stranger => keys::strangers().token_of_text(&full.to_string(), &claims),
        Signature::HmacOfPublicKey => {
            full["alg"] = json!("HS256");
            keys::hs256(
                &keys::compact(&full.to_string(), &claims),
                &key.public_der(),
            )
        }
    }
}

/// What the scopes of the access token allow to be told.
async fn userinfo(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer at-"));
    let Some(scopes) = bearer else {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_token");
    };
    let mut document = json!({ "sub": SUBJECT });
    for scope in scopes.split(' ') {
        match scope {
            "email" => {
                document["email"] = json!("ann@example.com");
                document["email_verified"] = json!(true);
            }
            "profile" => document["name"] = json!("Ann Example"),
            "groups" => document["groups"] = json!(["staff"]),
            _ => {}
        }
    }
    (lock(&shared.bends).userinfo)(&mut document);
    json_response(&document)
}
