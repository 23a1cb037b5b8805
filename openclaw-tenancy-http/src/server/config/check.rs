//! What types alone do not see: settings that do not fit each other.

use openclaw_tenancy::instance::OriginTemplate;
use secrecy::ExposeSecret as _;
use url::{Host, Url};

use super::error::Problem;
use super::sections::{EdgeSection, StoreSection, TokensSection};
use super::{Config, hosts, identity, plans};
use crate::access::host::HostName;
use crate::identity::jwt::{OwnTokens, TokenSecret, WeakSecret};

/// Everything that keeps `config` from being used.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut problems = hosts::check(&config.hosts);
    match plans::catalog(&config.plans, &config.policy.order) {
        Ok(catalog) => {
            problems.extend(
                plans::policy(&config.policy, &catalog)
                    .err()
                    .unwrap_or_default(),
            );
            problems.extend(identity::check(&config.identity, &catalog));
        }
        Err(found) => problems.extend(found),
    }
    problems.extend(config.overlay.check());
    problems.extend(origins(&config.edge, 8080).err());
    problems.extend(listeners(config));
    problems.extend(host_names(&config.server.host_names));
    problems.extend(store(&config.store));
    problems.extend(tokens(&config.tokens));
    problems.extend(image(&config.image.reference));
    let reconcile = &config.reconcile;
    for (field, value) in [
        (
            "concurrency",
            u64::try_from(reconcile.concurrency).unwrap_or(u64::MAX),
        ),
        ("cpu_percent", reconcile.cpu_percent),
        ("memory_percent", reconcile.memory_percent),
        ("start_deadline", reconcile.start_deadline.as_secs()),
        ("stop_deadline", reconcile.stop_deadline.as_secs()),
        ("provision_deadline", reconcile.provision_deadline.as_secs()),
        ("resync", reconcile.resync.as_secs()),
    ] {
        if value == 0 {
            let key = format!("reconcile.{field}");
            problems.push(Problem::new(key, "is zero", "give at least 1").value(0));
        }
    }
    if !(8..=24).contains(&reconcile.subnet_pool.prefix_len()) {
        problems.push(
            Problem::new(
                "reconcile.subnet_pool",
                "is too small or too large for instances",
                "give a network from /8 to /24; each instance takes a /29 of it",
            )
            .value(reconcile.subnet_pool),
        );
    }
    problems
}

/// What is accepted but deserves a word.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.portainer.url.is_some() || config.portainer.api_key.is_some() {
        warnings.push(
            "portainer.url and portainer.api_key are not used: this version speaks to Docker Engines \
             directly; name them in [[hosts]]"
                .to_owned(),
        );
    }
    if config.sandbox.image.is_some() {
        warnings.push("sandbox.image is not used: this version runs no sandboxes".to_owned());
    }
    if config.tokens.refresh_expires_in.is_some() {
        warnings.push(
            "tokens.refresh_expires_in is not used: this version has no refresh tokens; sign in again \
             or take a new token"
                .to_owned(),
        );
    }
    let longest = OwnTokens::LONGEST;
    if config.tokens.expires_in > longest {
        warnings.push(format!(
            "tokens.expires_in is cut to {} hours, the longest an API token lives",
            longest.as_secs() / 3600
        ));
    }
    if !config.image.reference.contains('@') && config.image.reference.ends_with(":latest") {
        warnings.push(format!(
            "image.reference = {:?} names whatever is newest; a fixed tag or a digest says what runs",
            config.image.reference
        ));
    }
    for (key, address) in [
        ("server.listen", config.server.listen),
        ("edge.listen", config.edge.listen),
    ] {
        if !address.ip().is_loopback() {
            warnings.push(format!(
                "{key} = {address} is plain HTTP beyond this machine: put a proxy with TLS in front"
            ));
        }
    }
    let https = |url: &Url| url.scheme() == "https";
    let behind_proxy = config.server.public_url.as_ref().is_some_and(https)
        && (config.server.listen.ip().is_loopback() || config.edge.listen.ip().is_loopback());
    if behind_proxy && config.trusted_proxies().0.is_empty() {
        warnings.push(
            "everybody has the proxy's address, so that one stranger's wrong passwords use up what all have: set \
             server.trusted_proxies to the addresses of the proxy that does HTTPS, such as [\"127.0.0.1\"]"
                .to_owned(),
        );
    }
    if config.metrics.enabled && !config.metrics.listen.ip().is_loopback() {
        warnings.push(format!(
            "metrics.listen = {} is readable by whoever reaches it",
            config.metrics.listen
        ));
    }
    warnings
}

/// The template of instances' origins, where the edge listens on `port`.
pub(super) fn origins(edge: &EdgeSection, port: u16) -> Result<OriginTemplate, Problem> {
    let domain = &edge.base_domain;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric = domain
        .split('.')
        .next_back()
        .is_some_and(|last| last.parse::<u32>().is_ok());
    if !domain.split('.').all(label) || domain.len() > 180 || numeric {
        return Err(Problem::new(
            "edge.base_domain",
            "is no domain name",
            "write it in lower case without port, such as claw.example.org",
        )
        .value(format_args!("{domain:?}")));
    }
    let text = match &edge.url_format {
        Some(text) => text.clone(),
        None => format!("http://{{slug}}.{domain}:{port}"),
    };
    let fix = format!("write it as https://{{slug}}.{domain} with a port where one is needed");
    let wrong = |what: &str| {
        Problem::new("edge.url_format", what, fix.clone()).value(format_args!("{text:?}"))
    };
    let template = OriginTemplate::new(&text)
        .map_err(|_| wrong("is no origin with a host name for each instance"))?;
    let (_, host) = text.split_once("{slug}.").unwrap_or_default();
    if host.split(':').next() != Some(domain) {
        return Err(wrong(
            "leads away from edge.base_domain, which the edge serves",
        ));
    }
    Ok(template)
}

fn listeners(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut named = vec![
        ("server.listen", config.server.listen),
        ("edge.listen", config.edge.listen),
    ];
    if config.metrics.enabled {
        named.push(("metrics.listen", config.metrics.listen));
    }
    for (at, (key, address)) in named.iter().enumerate() {
        let twin = named[..at]
            .iter()
            .find(|(_, other)| other == address && address.port() != 0);
        if let Some((other, _)) = twin {
            let what = format!("is the address of {other} too");
            problems.push(Problem::new(*key, what, "give each a port of its own").value(address));
        }
    }
    if let Some(url) = &config.server.public_url {
        if url.scheme() == "http" && !is_local(url) {
            problems.push(
                Problem::new(
                    "server.public_url",
                    "is plain HTTP, over which browsers keep no session off localhost",
                    "write https:// and put a proxy with TLS in front",
                )
                .value(url),
            );
        }
        let host = url.host_str().unwrap_or_default();
        let below = host.strip_suffix(&config.edge.base_domain);
        let label = below.and_then(|label| label.strip_suffix('.'));
        if label.is_some_and(|label| !label.contains('.')) {
            problems.push(
                Problem::new(
                    "server.public_url",
                    format!(
                        "is where an instance could be, one label below {}",
                        config.edge.base_domain
                    ),
                    "give instances a base domain of their own, such as claw.example.org",
                )
                .value(url),
            );
        }
    }
    problems
}

fn host_names(names: &[String]) -> Vec<Problem> {
    let wrong = |(at, name): (usize, &String)| {
        let problem = name.parse::<HostName>().err()?;
        let key = format!("server.host_names[{at}]");
        Some(Problem::new(key, "is no host", problem.to_string()).value(format_args!("{name:?}")))
    };
    names.iter().enumerate().filter_map(wrong).collect()
}

/// Whether browsers take the origin for this machine, where plain HTTP is secure enough for cookies.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn store(store: &StoreSection) -> Vec<Problem> {
    let mut problems = Vec::new();
    let scheme = store.url.as_ref().map(|url| {
        let text = url.inner().expose_secret();
        text.split_once(':')
            .map_or("", |(scheme, _)| scheme)
            .to_owned()
    });
    if let Some(scheme) = scheme
        && !matches!(&*scheme, "sqlite" | "postgres" | "postgresql")
    {
        // The rest of the URL may hold a password.
        let known = scheme.bytes().all(|b| b.is_ascii_alphanumeric()) && scheme.len() < 16;
        let what = if known && !scheme.is_empty() {
            format!("begins with {scheme}:, which is no database here")
        } else {
            "is no URL of a database".to_owned()
        };
        problems.push(Problem::new(
            "store.url",
            what,
            "write sqlite:///path/to/file or postgres://user:password@host/database",
        ));
    }
    if store.pool_max == 0 || store.pool_min > store.pool_max {
        problems.push(
            Problem::new(
                "store.pool_max",
                format!(
                    "is below 1 or below store.pool_min, which is {}",
                    store.pool_min
                ),
                "raise it",
            )
            .value(store.pool_max),
        );
    }
    problems
}

fn tokens(tokens: &TokensSection) -> Vec<Problem> {
    let mut problems = Vec::new();
    let secrets = [
        ("tokens.secret", &tokens.secret),
        ("tokens.previous_secret", &tokens.previous_secret),
    ];
    for (key, secret) in secrets {
        let Some(secret) = secret else { continue };
        let Err(weak) = TokenSecret::new(secret.inner().clone()) else {
            continue;
        };
        let what = match weak {
            WeakSecret::Short { bytes } => format!("has {bytes} bytes and needs at least 32"),
            WeakSecret::Monotonous => "repeats a few characters".to_owned(),
            WeakSecret::Example { found } => {
                format!("contains `{found}`, as examples in documentation do")
            }
        };
        problems.push(Problem::new(
            key,
            what,
            "make one with `openssl rand -base64 48`",
        ));
    }
    if tokens.expires_in.is_zero() {
        problems.push(Problem::new("tokens.expires_in", "is zero", "give at least 1s").value("0s"));
    }
    problems
}

fn image(reference: &str) -> Option<Problem> {
    let plain = |b: u8| b.is_ascii_graphic();
    let wrong = reference.is_empty() || reference.len() > 255 || !reference.bytes().all(plain);
    wrong.then(|| {
        Problem::new(
            "image.reference",
            "is no image",
            "write it as openclaw/openclaw:2026.9.6",
        )
        .value(format_args!("{reference:?}"))
    })
}
