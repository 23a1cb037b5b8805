//! From the browser to the instance.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use openclaw_tenancy::instance::{PROXY_HEADER, RESERVED_HEADER_PREFIXES, USER_HEADER};

use super::remove;
use crate::edge::cookies;
use crate::edge::routes::Site;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const USER: HeaderName = HeaderName::from_static(USER_HEADER);
const PROXY: HeaderName = HeaderName::from_static(PROXY_HEADER);
/// A gateway names itself towards what is behind it (RFC 9110 §7.6.3); requests reach it by HTTP/1.
const VIA: &str = "1.1 openclaw-tenancy";

/// Names by which proxies tell a server who somebody is or where a request comes from, by their beginnings. An
/// instance may be set to believe any of them; only the edge says such things here.
const TOLD_BY_PROXIES: [&str; 58] = [
    "forwarded",
    "x-forwarded",
    // Addresses.
    "x-real-",
    "x-client-",
    "client-ip",
    "x-cluster-",
    "true-client-",
    "x-proxyuser-",
    "x-originating-",
    "x-coming-from",
    "fastly-",
    "fly-",
    "cf-",
    "do-connecting-",
    "x-nf-",
    "x-vercel-",
    "x-azure-",
    "x-appengine-",
    "x-envoy-",
    "wl-proxy-",
    // People.
    "tailscale-",
    "x-auth-",
    "x-authenticated-",
    "x-webauth-",
    "x-remote-",
    "remote-",
    "x-goog-",
    "x-amzn-oidc-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-pomerium-",
    "x-authentik-",
    "x-ssl-",
    "ssl-client-",
    "x-arr-",
    "x-userinfo",
    "x-user-id",
    "x-user-name",
    "x-user-email",
    "x-user-group",
    "x-email",
    "x-groups",
    "x-authelia-",
    "x-vouch-",
    "x-jwt-assertion",
    "oidc-claim-",
    "oidc-access-token",
    "oidc-id-token",
    "impersonate-",
    // Hosts, paths, methods.
    "x-original-",
    "x-rewrite-",
    "x-host",
    "x-scheme",
    "x-url-scheme",
    "front-end-https",
    "x-http-",
    "x-method-override",
    // A client must not have an instance that looks for `HTTP_PROXY` among CGI variables send its own requests
    // elsewhere ("httpoxy", CVE-2016-5385); and `proxy-` is between a client and its own proxy.
    "proxy",
];

/// What the edge says of a request towards an instance.
#[derive(Debug, Clone)]
pub(in crate::edge) struct Forwarding {
    /// The client's address.
    pub(in crate::edge) client: HeaderValue,
    /// `http` or `https`, as the browser sees it.
    pub(in crate::edge) scheme: HeaderValue,
}

/// Makes a request's headers those that an instance may see.
pub(in crate::edge) fn to_instance(headers: &mut HeaderMap, site: &Site, forwarding: &Forwarding) {
    let own_cookies = headers
        .contains_key(header::COOKIE)
        .then(|| cookies::without_ours(headers))
        .flatten();
    remove(headers, is_untrusted);
    if let Some(cookies) = own_cookies {
        headers.insert(header::COOKIE, cookies);
    }
    headers.insert(header::HOST, site.host.clone());
    headers.insert(X_FORWARDED_HOST, site.host.clone());
    headers.insert(X_FORWARDED_FOR, forwarding.client.clone());
    headers.insert(X_FORWARDED_PROTO, forwarding.scheme.clone());
    headers.insert(USER, site.user.clone());
    headers.insert(PROXY, HeaderValue::from_static("1"));
    headers.insert(header::VIA, HeaderValue::from_static(VIA));
}

/// As [`to_instance`], for a request to become a WebSocket, which has been checked to be one.
pub(in crate::edge) fn upgrade_to_instance(
    headers: &mut HeaderMap,
    site: &Site,
    forwarding: &Forwarding,
) {
    to_instance(headers, site, forwarding);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

fn is_untrusted(name: &str) -> bool {
    // Credentials are ours alone, and the bridge to an instance needs none; hyper has answered `Expect`. What `Via`
    // says of the hops before is nobody's to check; ours takes its place.
    if matches!(
        name,
        "cookie" | "authorization" | "expect" | "via" | "x-user"
    ) {
        return true;
    }
    // Some servers read `_` and other signs as `-`: no spelling but the plain one passes.
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let begins = |prefix: &&str| name.starts_with(prefix);
    !plain || TOLD_BY_PROXIES.iter().any(begins) || RESERVED_HEADER_PREFIXES.iter().any(begins)
}
