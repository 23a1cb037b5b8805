//! The whole URL map, with who may use what. The router is built from it, and so is the test of who may.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post};
use http::Method;

use super::guard::{Access, guard};
use super::own_host::own_host;
use super::problem::{Kind, Missing, Problem};
use super::state::ApiState;
use super::{answer, auth, edge_authorize, health, hosts, plans, tenants, tenants_admin};
use crate::pages;

/// A route as a reader of the table sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RouteInfo {
    /// The method.
    pub method: Method,
    /// The path, in axum's notation.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
}

struct Entry {
    info: RouteInfo,
    handler: MethodRouter<ApiState>,
}

fn table() -> Vec<Entry> {
    use Access::{Account, Administrator, AdministratorHidden, Browser, Public, SignOut};
    let entry = |method, path, access, handler| Entry {
        info: RouteInfo {
            method,
            path,
            access,
        },
        handler,
    };
    let (g, p, d) = (Method::GET, Method::POST, Method::DELETE);
    vec![
        // The instance of the caller.
        entry(p.clone(), "/api/tenants", Account, post(tenants::create)),
        entry(g.clone(), "/api/tenants/me", Account, get(tenants::mine)),
        entry(
            d.clone(),
            "/api/tenants/me",
            Account,
            delete(tenants::remove),
        ),
        entry(
            p.clone(),
            "/api/tenants/me/suspend",
            Account,
            post(tenants::suspend),
        ),
        entry(
            p.clone(),
            "/api/tenants/me/resume",
            Account,
            post(tenants::resume),
        ),
        entry(
            p.clone(),
            "/api/tenants/me/restart",
            Account,
            post(tenants::restart),
        ),
        entry(g.clone(), "/api/plans", Account, get(plans::list)),
        // Every instance and host, for administrators.
        entry(
            g.clone(),
            "/api/tenants",
            Administrator,
            get(tenants_admin::list),
        ),
        entry(
            g.clone(),
            "/api/tenants/{id}",
            AdministratorHidden,
            get(tenants_admin::show),
        ),
        entry(
            d.clone(),
            "/api/tenants/{id}",
            AdministratorHidden,
            delete(tenants_admin::remove),
        ),
        entry(
            p.clone(),
            "/api/tenants/{id}/release",
            AdministratorHidden,
            post(tenants_admin::release),
        ),
        entry(g.clone(), "/api/hosts", Administrator, get(hosts::list)),
        entry(d, "/api/hosts/{id}", Administrator, delete(hosts::remove)),
        entry(
            p.clone(),
            "/api/hosts/{id}/cordon",
            Administrator,
            post(hosts::cordon),
        ),
        entry(
            p.clone(),
            "/api/hosts/{id}/uncordon",
            Administrator,
            post(hosts::uncordon),
        ),
        entry(
            p.clone(),
            "/api/hosts/{id}/release",
            Administrator,
            post(hosts::release),
        ),
        // Signing in and out.
        entry(
            g.clone(),
            "/api/auth/login",
            Public,
            get(auth::login::begin),
        ),
        entry(
            g.clone(),
            "/api/auth/callback/{provider}",
            Public,
            get(auth::callback::finish),
        ),
        entry(
            p.clone(),
            "/api/auth/password",
            Public,
            post(auth::password::sign_in),
        ),
        entry(
            p.clone(),
            "/api/auth/token",
            Public,
            post(auth::token::issue),
        ),
        entry(p, "/api/auth/logout", SignOut, post(auth::logout::sign_out)),
        entry(g.clone(), "/api/auth/me", Account, get(auth::me::show)),
        // For the edge, and for whoever watches.
        entry(
            g.clone(),
            "/api/edge/authorize",
            Browser,
            get(edge_authorize::hand_over),
        ),
        entry(g.clone(), "/api/health", Public, get(health::show)),
        // Pages.
        entry(g.clone(), "/", Browser, get(pages::home::show)),
        entry(g.clone(), "/instance", Browser, get(pages::home::instance)),
        entry(g.clone(), "/login", Public, get(pages::login::show)),
        entry(g.clone(), "/continue", Public, get(pages::login::onward)),
        entry(g.clone(), "/claim", Public, get(pages::claim::show)),
        entry(g, "/assets/{name}", Public, get(pages::assets::serve)),
    ]
}

/// Every route there is.
#[must_use]
pub fn routes() -> Vec<RouteInfo> {
    table().into_iter().map(|entry| entry.info).collect()
}

/// The API and the pages.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: limits by address need the peer's. It answers
/// for loopback, the host of the public URL and [`host_names`](super::ApiStateBuilder::host_names); a request for
/// another host gets 421.
#[must_use = "serve it"]
pub fn router(state: ApiState) -> Router {
    table()
        .into_iter()
        .fold(Router::new(), |router, Entry { info, handler }| {
            let who = (state.clone(), info.access);
            router.route(
                info.path,
                handler.route_layer(from_fn_with_state(who, guard)),
            )
        })
        .fallback(async || Problem::new(Kind::NotFound(Missing::Path)))
        .method_not_allowed_fallback(async || Problem::new(Kind::MethodNotAllowed))
        .layer(from_fn_with_state(state.clone(), own_host))
        .layer(from_fn_with_state(state.clone(), answer::answer))
        .with_state(state)
}
