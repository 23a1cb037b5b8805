//! An instance as the edge knows it.

use std::sync::Arc;

use http::HeaderValue;
use openclaw_tenancy::instance::{OriginTemplate, user_name};
use openclaw_tenancy::routes::{Route, route};
use openclaw_tenancy::status::{Deadlines, Status, status};
use openclaw_tenancy::tenant::Tenant;

use crate::edge::host::HostRule;
use crate::edge::upstream::Backend;

/// One row of the route table, with what is the same for each of its requests made once.
#[derive(Debug)]
pub(in crate::edge) struct Site {
    pub(in crate::edge) route: Route,
    /// What a waiting page says.
    pub(in crate::edge) status: Status,
    /// There while requests may pass.
    pub(in crate::edge) backend: Option<Arc<Backend>>,
    /// As a browser writes it in `Origin`.
    pub(in crate::edge) origin: String,
    /// `Host` towards the instance.
    pub(in crate::edge) host: HeaderValue,
    /// The owner's name there.
    pub(in crate::edge) user: HeaderValue,
}

impl Site {
    /// The site of a tenant as it is now. What passes through goes on where `before` had the same instance.
    pub(super) fn of(tenant: &Tenant, before: Option<&Self>, rules: &SiteRules) -> Option<Self> {
        let status = status(tenant, &rules.deadlines);
        let route = route(tenant, &rules.deadlines);
        let host = rules.hosts.canonical(route.slug.as_str());
        let kept = before
            .filter(|before| {
                before.route.tenant == route.tenant && before.route.generation == route.generation
            })
            .and_then(|before| before.backend.clone())
            .filter(|backend| Some(backend.upstream()) == route.upstream);
        Some(Self {
            status,
            backend: kept.or_else(|| route.upstream.map(Backend::new)),
            origin: rules.origin.origin(&route.slug),
            host: HeaderValue::try_from(host).ok()?,
            user: HeaderValue::try_from(user_name(route.owner)).ok()?,
            route,
        })
    }
}

impl SiteRules {
    /// The origin of whatever has this label.
    pub(in crate::edge) fn origin_of(&self, label: &str) -> String {
        format!("{}://{}", self.hosts.scheme(), self.hosts.canonical(label))
    }
}

/// What every site is made by.
#[derive(Debug)]
pub(in crate::edge) struct SiteRules {
    pub(in crate::edge) hosts: HostRule,
    pub(in crate::edge) origin: OriginTemplate,
    pub(in crate::edge) deadlines: Deadlines,
}
