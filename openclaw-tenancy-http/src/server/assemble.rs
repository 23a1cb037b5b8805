//! Puts every part together.

use std::sync::Arc;

use anyhow::Context as _;
use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::host::Overcommit;
use openclaw_tenancy::id::HostId;
use openclaw_tenancy::reconcile::Pace;
use openclaw_tenancy::scheduler::{BinPack, HostScheduler, Spread};
use openclaw_tenancy::status::Deadlines;
use openclaw_tenancy::store::TenantStore;
use openclaw_tenancy::tenancy::Tenancy;
use openclaw_tenancy_portainer::docker::DockerBackend;

use super::config::{Config, Loaded, Placement};
use super::descriptors::Share;
use super::foundation::Foundation;
use super::identity;
use super::metrics::MeteredStore;
use crate::api::ApiState;
use crate::edge::{Edge, EdgeConfig, EdgeLimits, EdgePorts, HttpProbe};
use crate::identity::local::LocalAccounts;

/// The ports that are listened on: they stand in links, and may have been chosen by the system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    /// The API and the pages.
    pub(crate) api: u16,
    /// The edge.
    pub(crate) edge: u16,
}

/// A server, put together and not running yet.
#[derive(Debug)]
pub(crate) struct Assembly {
    /// The deployment.
    pub(crate) tenancy: Tenancy,
    /// What the API works with.
    pub(crate) api: ApiState,
    /// The edge.
    pub(crate) edge: Edge,
    /// Local accounts, where there are any.
    pub(crate) local: Option<Arc<LocalAccounts>>,
    /// Accounts and grants.
    pub(crate) access: Arc<dyn AccessStore>,
}

/// Puts together what `loaded` describes, with an edge of `edge` connections. Makes the hosts known to the store, and
/// asks no engine anything.
///
/// # Errors
/// Whatever does not fit, with the setting where there is one.
pub(crate) async fn assemble(
    loaded: &Loaded,
    foundation: &Foundation,
    ports: Ports,
    edge: Share,
) -> anyhow::Result<Assembly> {
    let config = &loaded.config;
    let store: Arc<dyn TenantStore> = Arc::new(MeteredStore::new(foundation.database.tenants()));
    let access = foundation.database.access();
    let tenancy = tenancy(config, foundation, &store, ports)?;
    tenancy
        .register_hosts()
        .await
        .context("the hosts cannot be made known to the database")?;

    let (clock, entropy) = (&foundation.clock, &foundation.entropy);
    let public_url = config.public_url(ports.api)?;
    let proxies = config.trusted_proxies();
    let edge_config = EdgeConfig {
        trusted_proxies: proxies.clone(),
        deadlines: deadlines(config),
        limits: edge_limits(edge),
        ..EdgeConfig::new(public_url.clone(), config.origins(ports.edge)?)
    };
    let edge_ports = EdgePorts {
        store,
        access: Arc::clone(&access),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
    };
    let edge = Edge::new(edge_config, edge_ports)?;
    let own = Arc::new(foundation.own_tokens(loaded)?);
    let gate = edge.clone();
    let mut api = ApiState::builder(
        tenancy.clone(),
        Arc::clone(&access),
        own,
        public_url.clone(),
    )
    .rights(identity::rights(&config.identity, tenancy.plans())?)
    .trusted_proxies(proxies)
    .on_sign_out(move |account| gate.signed_out(account))
    .host_names(config.host_names()?)
    .session_lifetime(config.server.session_lifetime)
    .token_lifetime(config.tokens.expires_in);
    let mut local = None;
    if config.identity.has_local() {
        let accounts =
            LocalAccounts::new(Arc::clone(&access), Arc::clone(clock), Arc::clone(entropy))?;
        let accounts = Arc::new(accounts);
        api = api.local_accounts(Arc::clone(&accounts) as _);
        local = Some(accounts);
    }
    for section in &config.identity.oidc {
        let provider = identity::provider(
            section,
            &public_url,
            Arc::clone(&access),
            Arc::clone(clock),
            Arc::clone(entropy),
        )?;
        let label = section.label.as_ref().unwrap_or(&section.id);
        api = api.provider(&section.id, label, Arc::new(provider));
    }
    let api = api.build().context("the API cannot be put together")?;

    Ok(Assembly {
        tenancy,
        api,
        edge,
        local,
        access,
    })
}

fn tenancy(
    config: &Config,
    foundation: &Foundation,
    store: &Arc<dyn TenantStore>,
    ports: Ports,
) -> anyhow::Result<Tenancy> {
    let pace = Pace {
        concurrency: config.reconcile.concurrency,
        resync: config.reconcile.resync,
        ..Pace::default()
    };
    let mut backend = DockerBackend::builder(Arc::clone(&foundation.keys.labels))
        .call_limit(pace.call)
        .clock(Arc::clone(&foundation.clock));
    for (at, host) in config.hosts.iter().enumerate() {
        let endpoint = host
            .endpoint(at)
            .map_err(|problem| anyhow::anyhow!("{problem}"))?;
        backend = backend.host(HostId::new(&host.id)?, endpoint);
    }
    let scheduler: Arc<dyn HostScheduler> = match config.reconcile.placement {
        Placement::Spread => Arc::new(Spread),
        Placement::BinPack => Arc::new(BinPack),
    };
    let overcommit = Overcommit {
        cpu_percent: config.reconcile.cpu_percent,
        memory_percent: config.reconcile.memory_percent,
        memory_reserve: config.reconcile.memory_reserve,
    };
    let tenancy = Tenancy::builder()
        .backend(Arc::new(backend.build()?))
        .store(Arc::clone(store))
        .probe(Arc::new(HttpProbe))
        .scheduler(scheduler)
        .clock(Arc::clone(&foundation.clock))
        .entropy(Arc::clone(&foundation.entropy))
        .deployment(foundation.keys.deployment.clone())
        .origins(config.origins(ports.edge)?)
        .overlay(config.overlay.overlay())
        .plans(config.catalog()?)
        .policy(config.plan_policy()?)
        .overcommit(overcommit)
        .subnets(config.reconcile.subnet_pool)
        .deadlines(deadlines(config))
        .pace(pace)
        .image(&config.image.reference, config.image.floor);
    let mut hosts = config.hosts.iter();
    let tenancy = hosts.try_fold(tenancy, |tenancy, host| {
        Ok::<_, anyhow::Error>(tenancy.host_labels(HostId::new(&host.id)?, host.labels.clone()))
    })?;
    Ok(tenancy.build()?)
}

pub(super) fn deadlines(config: &Config) -> Deadlines {
    Deadlines {
        start: config.reconcile.start_deadline,
        stop: config.reconcile.stop_deadline,
        provision: config.reconcile.provision_deadline,
    }
}

/// One instance has no more requests under way than one address has connections: whoever has few places at the edge
/// would else give all of them to one tenant (safety row A26).
fn edge_limits(edge: Share) -> EdgeLimits {
    let mut limits = EdgeLimits {
        connections: edge.in_all,
        connections_per_address: edge.per_address,
        ..EdgeLimits::default()
    };
    limits.upstream.requests = limits.upstream.requests.min(edge.per_address);
    limits
}

#[cfg(test)]
mod tests {
    use super::super::descriptors::Shares;
    use super::*;

    #[test]
    fn a26_exhaustion_no_instance_has_most_places_of_the_edge() {
        for files in [
            None,
            Some(30_000),
            Some(4_096),
            Some(1_024),
            Some(600),
            Some(0),
        ] {
            let limits = edge_limits(Shares::of(files).edge);
            let (requests, places) = (limits.upstream.requests, limits.connections);
            assert!(requests >= 1, "{files:?}: {limits:?}");
            assert!(requests * 2 <= places, "{files:?}: {limits:?}");
        }
        let all = edge_limits(Shares::of(None).edge);
        assert_eq!(
            all.upstream.requests,
            EdgeLimits::default().upstream.requests
        );
    }
}
