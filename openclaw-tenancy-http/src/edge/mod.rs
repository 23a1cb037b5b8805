//! The edge: each instance on its own host name, for its signed-in owner alone.
//!
//! ```text
//! browser ─► strict stream (wire) ─► hyper ─► host ─► gate ─► headers ─► instance
//!                                      │       │       └ no session: to the console and back (handover)
//!                                      │       └ not ready: a page that says what happens (answer)
//!                                      └ every 2 s: is whoever is served still allowed? (connection, tunnel)
//! ```
//!
//! [`Edge::serve`] is the whole of it for a listener; [`Edge::serve_connection`] and [`Edge::follow`] are its parts,
//! for those who accept connections themselves, such as with TLS. [`HttpProbe`] asks instances whether they are
//! ready over the same way.
//!
//! **Architecture invariants.** Which instance a request is for is decided by `host` alone, for routing and for
//! authorisation. Nothing reaches an instance that did not pass `gate`: no path, method or agent is exempt. What
//! `headers` takes off is taken off before ours is set. No body is collected. A request reaches an instance once, and a
//! second time only where that is the same as once.

mod answer;
mod client;
mod config;
mod connection;
mod cookies;
mod gate;
mod handover;
mod headers;
mod host;
mod ids;
mod metrics;
mod origin;
mod probe;
mod proxy;
mod routes;
mod serve;
mod signed_out;
mod tunnel;
mod upstream;
pub(crate) mod wire;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderValue};
use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::clock::{Clock, Entropy};
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::store::TenantStore;
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::{EdgeConfig, EdgeLimits};
pub use self::probe::HttpProbe;
pub use self::upstream::UpstreamLimits;
pub use self::wire::Patience;

use self::answer::{Answers, Notice};
use self::connection::Client;
use self::gate::Gate;
use self::headers::Forwarding;
use self::host::HostRule;
use self::ids::RequestIds;
use self::metrics::EdgeMetrics;
use self::routes::{Follower, Looks, RouteTable, SiteRules};
use self::upstream::DialError;
use crate::access::address::subscriber;
use crate::access::missed::Missed;
use crate::identity::secret;

/// Where an instance's host is the edge's and not the instance's.
const OWN_PATHS: &str = "/__openclaw-tenancy";

/// Why there is no edge with this configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEdge {
    /// The origin's host is not one that a browser would write like this.
    #[error(
        "edge origin `{value}` is not valid: give scheme and host as a browser writes them, such as http://{{slug}}.example.org:8080"
    )]
    Origin {
        /// What was given.
        value: String,
    },
}

/// What the edge works with.
#[derive(Debug, Clone)]
pub struct EdgePorts {
    /// Which instances there are.
    pub store: Arc<dyn TenantStore>,
    /// Who is signed in.
    pub access: Arc<dyn AccessStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Secrets of sessions.
    pub entropy: Arc<dyn Entropy>,
}

/// The edge of a deployment. Clones are the same edge.
#[derive(Debug, Clone)]
pub struct Edge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: EdgeConfig,
    rules: Arc<SiteRules>,
    table: Arc<RouteTable>,
    gate: Gate,
    /// Codes of a hand-over that are nobody's.
    codes: Missed,
    answers: Answers,
    store: Arc<dyn TenantStore>,
    access: Arc<dyn AccessStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    ids: RequestIds,
    metrics: EdgeMetrics,
    looks: Arc<Looks>,
    /// The number of the last change that the table shows; `None` before it shows all there is.
    reached: watch::Sender<Option<u64>>,
    /// The table has one writer: whoever holds this.
    following: tokio::sync::Mutex<()>,
    tunnels: TaskTracker,
    closing: CancellationToken,
}

impl Edge {
    /// An edge that knows no instance yet; [`follow`](Self::follow) or [`serve`](Self::serve) makes it.
    ///
    /// # Errors
    /// [`InvalidEdge`] when the configuration cannot be served.
    pub fn new(config: EdgeConfig, ports: EdgePorts) -> Result<Self, InvalidEdge> {
        let rules = SiteRules {
            hosts: HostRule::new(&config.origin)?,
            origin: config.origin.clone(),
            deadlines: config.deadlines,
        };
        Ok(Self(Arc::new(Inner {
            rules: Arc::new(rules),
            table: Arc::new(RouteTable::new()),
            gate: Gate::new(
                Arc::clone(&ports.access),
                Arc::clone(&ports.clock),
                config.limits.missed,
            ),
            codes: Missed::new(config.limits.missed, Arc::clone(&ports.clock)),
            answers: Answers::new(config.public_url.to_string()),
            ids: RequestIds::new(&*ports.entropy),
            metrics: EdgeMetrics::new(),
            looks: Arc::new(Looks::new()),
            reached: watch::Sender::new(None),
            following: tokio::sync::Mutex::default(),
            tunnels: TaskTracker::new(),
            closing: CancellationToken::new(),
            store: ports.store,
            access: ports.access,
            clock: ports.clock,
            entropy: ports.entropy,
            config,
        })))
    }

    /// Something may have changed: routes are brought up to date now and not a moment later. Any number of hints
    /// within 20 ms come to one look at the store.
    pub fn hint(&self) {
        self.0.looks.ask();
    }

    /// Sessions of `account` have ended, and the store knows: none of them passes here any more, and what they hold
    /// open is closed within 5 seconds. Without being told, as of a sign-out at another replica, an edge lets an ended
    /// session pass for 1.5 seconds more.
    pub fn signed_out(&self, account: AccountId) {
        self.0.gate.signed_out(account);
    }

    /// Resolves once the routes show every change of the store up to this number
    /// ([`TenantStore::change_seq`]); with 0, once they show what there is.
    pub async fn reached(&self, change: u64) {
        let mut reached = self.0.reached.subscribe();
        // Its sender lives as long as this edge.
        let _ = reached
            .wait_for(|reached| reached.is_some_and(|reached| reached >= change))
            .await;
    }

    /// Keeps the routes what the store says; never ends by itself. [`serve`](Self::serve) does this too; of several
    /// callers one works and the others wait.
    pub async fn follow(&self) {
        let _one = self.0.following.lock().await;
        let follower = Follower::new(
            Arc::clone(&self.0.table),
            Arc::clone(&self.0.store),
            Arc::clone(&self.0.clock),
            Arc::clone(&self.0.rules),
            Arc::clone(&self.0.looks),
            self.0.reached.clone(),
        );
        follower.run().await;
    }

    /// Serves one connection until it ends. After `stop` it takes no further request.
    ///
    /// `listener` is the port that the client dialled, which it may name in `Host`; nobody counts these
    /// connections.
    pub async fn serve_connection<IO>(
        &self,
        io: IO,
        peer: SocketAddr,
        listener: Option<u16>,
        stop: CancellationToken,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let client = Client {
            peer,
            peer_header: client::header(peer.ip().to_canonical()),
            listener,
            link: Arc::default(),
            pass: Mutex::default(),
        };
        let _open = self.0.metrics.connection();
        connection::serve(Arc::clone(&self.0), io, client, stop).await;
    }
}

impl Inner {
    fn forwarding(&self, client: &Client, headers: &HeaderMap) -> Forwarding {
        let trusted = &self.config.trusted_proxies;
        Forwarding {
            client: if trusted.0.is_empty() {
                client.peer_header.clone()
            } else {
                client::header(client::address(client.peer.ip(), headers, trusted))
            },
            scheme: HeaderValue::from_static(self.rules.hosts.scheme()),
        }
    }

    /// Whose tries a request's are: its client's address, or network.
    fn counted_for(&self, client: &Client, headers: &HeaderMap) -> IpAddr {
        let trusted = &self.config.trusted_proxies;
        subscriber(client::address(client.peer.ip(), headers, trusted))
    }

    fn dial_notice(&self, error: DialError) -> Notice {
        match error {
            DialError::Busy => Notice::Busy,
            DialError::Refused => {
                self.metrics.unreachable();
                // The table may not have heard yet that the instance is gone.
                self.looks.ask();
                Notice::Unreachable
            }
        }
    }

    /// For a page's own script and style.
    fn nonce(&self) -> String {
        secret::random(&*self.entropy).expose_secret().to_owned()
    }
}
