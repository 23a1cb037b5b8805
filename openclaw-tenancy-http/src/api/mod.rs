//! The REST API: one table of routes, strict bodies, one form of error.
//!
//! ```text
//! request ─► answer (id, deadline, headers, problems) ─► own host? ─► guard (who, cross-site, how often) ─► handler
//! ```
//!
//! [`router`] is the whole of it, pages included; [`routes`] lists what it serves and who may use it.

mod answer;
pub(crate) mod audit;
mod auth;
mod body;
mod builder;
mod edge_authorize;
pub(crate) mod ended_by;
mod fields;
pub(crate) mod guard;
mod health;
mod hosts;
pub mod lang;
mod own_host;
pub(crate) mod plans;
pub mod problem;
pub(crate) mod query;
pub(crate) mod rates;
mod refusals;
mod routes;
mod state;
pub(crate) mod tenant_json;
mod tenants;
mod tenants_admin;

pub(crate) use auth::OWN_PATHS;
pub use builder::{ApiStateBuilder, InvalidState, SESSION_LIFETIME, TOKEN_LIFETIME};
pub use guard::Access;
#[cfg(feature = "server")]
pub(crate) use health::try_write;
pub use rates::Rates;
pub use routes::{RouteInfo, router, routes};
pub use state::{ApiState, ExternalProvider, Providers};
