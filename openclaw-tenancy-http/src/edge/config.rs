//! What the edge is told.

use std::time::Duration;

use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::status::Deadlines;
use url::Url;

use super::upstream::UpstreamLimits;
use super::wire::Patience;
use crate::access::address::TrustedProxies;
use crate::access::limit::Rate;

/// What an edge needs to know of its deployment.
///
/// # Examples
/// ```
/// use openclaw_tenancy::instance::OriginTemplate;
/// use openclaw_tenancy_http::edge::EdgeConfig;
///
/// let config = EdgeConfig::new(
///     "http://localhost:3000".parse()?,
///     OriginTemplate::new("http://{slug}.localhost:8080")?,
/// );
/// assert_eq!(config.limits.upstream.upload, 30 * 1024 * 1024);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// Where the console and the API are: browsers are sent there to sign in.
    pub public_url: Url,
    /// Where instances are. Its host name, port and scheme are those that browsers see.
    pub origin: OriginTemplate,
    /// Proxies before the edge whose `X-Forwarded-For` counts; none unless listed.
    pub trusted_proxies: TrustedProxies,
    /// How long phases may last: what a waiting page tells.
    pub deadlines: Deadlines,
    /// How much anybody may have.
    pub limits: EdgeLimits,
}

impl EdgeConfig {
    /// The configuration with every limit at its default.
    #[must_use]
    pub fn new(public_url: Url, origin: OriginTemplate) -> Self {
        Self {
            public_url,
            origin,
            trusted_proxies: TrustedProxies::default(),
            deadlines: Deadlines::default(),
            limits: EdgeLimits::default(),
        }
    }
}

/// How much a client, an address or an instance may have at once, and how long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Connections in all. Each may take two open files, one for the instance: what the process may have open
    /// (`RLIMIT_NOFILE`) has to be above that, or it accepts nobody when they are taken.
    pub connections: usize,
    /// Connections of one address; of one `/64` for IPv6. Loopback and trusted proxies are exempt: behind those are
    /// many.
    pub connections_per_address: usize,
    /// Secrets of one address that are nobody's, cookies of instances and apart from them codes of a hand-over: each
    /// costs a read of the store. Old ones of many people may come from one address. Beyond it what was never good here
    /// is not looked for.
    pub missed: Rate,
    /// How long a client may take.
    pub patience: Patience,
    /// What an instance is given.
    pub upstream: UpstreamLimits,
    /// A WebSocket through which nothing goes for so long is closed. `OpenClaw` ticks every 30 s.
    pub tunnel_idle: Duration,
    /// An answer in which nothing moves for so long is cut.
    pub answer_idle: Duration,
    /// At the end, what is under way has so long to finish.
    pub drain: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            connections: 12_000,
            connections_per_address: 512,
            missed: Rate::new(200, Duration::from_millis(50)),
            patience: Patience {
                head: Duration::from_secs(10),
                idle: Duration::from_secs(75),
                stall: Duration::from_secs(60),
            },
            upstream: UpstreamLimits {
                requests: 512,
                connect: Duration::from_secs(3),
                first_byte: Duration::from_secs(300),
                upload: 30 * 1024 * 1024,
            },
            tunnel_idle: Duration::from_secs(300),
            answer_idle: Duration::from_secs(3600),
            drain: Duration::from_secs(10),
        }
    }
}
