//! The whole product, with a network to its PostgreSQL that can be held up.

use tempfile::TempDir;
use test_support::postgres::Server as Postgres;
use test_support::proxy::Proxy;

use crate::instances::Engine;
use crate::server::Server;
use crate::services;

/// An engine, a PostgreSQL and the network to it, for servers that come one after the other.
pub(crate) struct Behind {
    pub(crate) engine: Engine,
    pub(crate) postgres: Postgres,
    pub(crate) proxy: Proxy,
    pub(crate) dir: TempDir,
    subnets: &'static str,
    url: String,
}

impl Behind {
    /// With a pool of subnets that no other test uses; `None` where the test may be skipped.
    pub(crate) async fn given(subnets: &'static str) -> Option<Self> {
        let (engine, postgres) = (Engine::given()?, Postgres::start()?);
        let proxy = Proxy::start(postgres.address()).await.unwrap();
        Some(Self {
            url: postgres.url(proxy.address()),
            engine,
            postgres,
            proxy,
            dir: tempfile::tempdir().unwrap(),
            subnets,
        })
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        let mut environment = self.engine.environment(self.subnets).to_vec();
        environment.push(("DATABASE_URL", &self.url));
        environment
    }

    /// The first server, or the one after a kill.
    pub(crate) async fn start(&self) -> Server {
        Server::start(self.dir.path(), &self.environment()).await
    }

    /// The administrator's bearer.
    pub(crate) async fn token(&self) -> String {
        services::token(self.dir.path(), &self.environment()).await
    }
}
