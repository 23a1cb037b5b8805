//! `serve`: the server itself.

use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::clock::Clock;
use openclaw_tenancy::error::chain;
use tokio::net::TcpListener;

use super::assemble::{self, Assembly, Ports};
use super::config::{Config, Loaded};
use super::descriptors::{self, Shares};
use super::edge_threads::EdgeThreads;
use super::foundation::Foundation;
use super::listen::Served;
use super::metrics::{self, Census};
use super::shutdown::{End, Tasks, asked_by_signal, noting_hangups};
use super::{first_admin, listen, logging, survey};
use crate::access::address::TrustedProxies;
use crate::api;

/// How often expired grants are removed.
const SWEEP: Duration = Duration::from_secs(60);
/// How many at once.
const SWEEP_LIMIT: u32 = 1000;
/// How long the edge may take to know its routes.
const SYNC: Duration = Duration::from_secs(10);

struct Listeners {
    api: TcpListener,
    edge: TcpListener,
    metrics: Option<TcpListener>,
}

/// Runs the server until SIGTERM or SIGINT; what is for whoever started it goes to `out`.
///
/// # Errors
/// Whatever keeps it from starting, with the fix; or that a part of it failed.
pub(crate) async fn serve(loaded: &Loaded, out: &mut (impl Write + Send)) -> anyhow::Result<()> {
    logging::init(&loaded.config.log).context("logging cannot be set up")?;
    greet(loaded);
    let asked = asked_by_signal().context("the system gives no signals")?;
    // Aside from the tasks: it is to be noted in the start and in the end as well.
    tokio::spawn(noting_hangups().context("the system gives no signals")?);
    let shares = shares();
    // Ports first: of two servers by mistake, the second must not get as far as the database.
    let listeners = bind(&loaded.config).await?;
    let ports = Ports {
        api: listeners.api.local_addr()?.port(),
        edge: listeners.edge.local_addr()?.port(),
    };
    let recorder = metrics::install().context("metrics cannot be collected")?;
    let mut asked = pin!(asked);
    // Before the database: what the edge asks may open connections of the pool, which then live on these threads. They
    // go after it.
    let edge_threads = EdgeThreads::new().context("the edge gets no threads")?;
    let foundation = tokio::select! {
        opened = Foundation::open_waiting(loaded) => opened?,
        // Nothing is under way yet.
        () = &mut asked => return Ok(()),
    };
    let _alone = foundation.database.exclusive()?;
    let mut seat = foundation.database.seat(&loaded.data_dir);
    if let Err(error) = foundation.database.take_over(seat.as_ref()).await {
        // Their leases run out all the same, and a full disk is to be told by a server that runs.
        tracing::warn!(
            error = format!("{error:#}"),
            "what was under way waits for its lease"
        );
    }
    for warning in &foundation.keys.warnings {
        tracing::warn!("{warning}");
    }
    let assembly = assemble::assemble(loaded, &foundation, ports, shares.edge).await?;
    if let Some(seat) = &mut seat
        && let Err(error) = seat.occupied_by(assembly.tenancy.worker())
    {
        tracing::warn!(%error, "a server after this one will wait for its leases");
    }
    first_admin::introduce(&assembly, out).await?;

    let clock = Arc::clone(&foundation.clock);
    let mut tasks = Tasks::new(Arc::clone(&clock));
    let ready = ready_line(loaded, &assembly, &listeners)?;
    if let Some(listener) = listeners.metrics {
        let router = metrics::router(recorder.clone(), assembly.api.hosts().clone());
        tasks.run(
            "metrics",
            listen::serve(
                listener,
                Served::new(
                    "metrics",
                    router,
                    shares.metrics,
                    &TrustedProxies::default(),
                ),
                Arc::clone(&clock),
                tasks.stop(),
            ),
        );
    }
    let upkeep_clock = Arc::clone(&clock);
    tasks.run_until_stop("upkeep", async move {
        metrics::upkeep(recorder, &*upkeep_clock).await
    });
    if foundation.keys.made_now {
        let (config, ours) = (loaded.config.clone(), foundation.keys.deployment.clone());
        tasks.side("strangers", async move {
            survey::warn_of_strangers(&config, &ours).await
        });
    }
    let edge = assembly.edge.clone();
    let api = Served::new(
        "api",
        api::router(assembly.api.clone()),
        shares.api,
        &loaded.config.trusted_proxies(),
    );
    tasks.run(
        "api",
        listen::serve(listeners.api, api, Arc::clone(&clock), tasks.stop()),
    );
    run(
        &mut tasks,
        assembly,
        (&edge_threads, listeners.edge.into_std()?),
        &clock,
    );
    // Nobody should be told of a server that does not know its routes yet.
    tokio::select! {
        () = edge.reached(0) => {}
        () = clock.sleep(SYNC) => tracing::warn!("the edge does not know its routes yet"),
    }
    writeln!(out, "{ready}")?;
    out.flush()?;
    tracing::info!(deployment = %foundation.keys.deployment, "{ready}");
    let end = tasks.end(asked).await;
    foundation.database.close().await;
    match end {
        End::Asked => {
            tracing::info!("ended");
            Ok(())
        }
        End::Failed => bail!("a part of the server failed; its log line says which"),
        End::Cut => bail!("the server was cut short: something did not end within 40 s"),
    }
}

/// How many connections each listener takes; fewer where few open files are allowed, which is logged.
fn shares() -> Shares {
    let open_files = descriptors::raise();
    let shares = Shares::of(open_files);
    if let Some(limit) = open_files.filter(|limit| *limit < descriptors::needed()) {
        tracing::warn!(
            limit,
            needed = descriptors::needed(),
            edge = shares.edge.in_all,
            api = shares.api.in_all,
            "few open files are allowed, so fewer connections are taken; raise the limit (systemd: LimitNOFILE, \
             Docker: --ulimit nofile)"
        );
    }
    shares
}

fn run(
    tasks: &mut Tasks,
    assembly: Assembly,
    (edge_threads, edge): (&EdgeThreads, std::net::TcpListener),
    clock: &Arc<dyn Clock>,
) {
    let Assembly {
        tenancy,
        edge: proxy,
        access,
        ..
    } = assembly;
    let (stop, reconciler) = (tasks.stop(), tenancy.clone());
    tasks.run("reconciler", async move {
        reconciler.run(stop.cancelled_owned()).await
    });
    let (stop, server) = (tasks.stop(), proxy.clone());
    let serving = edge_threads.spawn(async move {
        let edge = TcpListener::from_std(edge)?;
        server.serve(edge, stop.cancelled_owned()).await
    });
    tasks.run("edge", async move {
        if let Err(error) = serving.await.unwrap_or_else(|lost| Err(lost.into())) {
            tracing::error!(error = %chain(&error), "the edge cannot serve");
        }
    });
    let mut changes = tenancy.changes();
    tasks.run_until_stop("route hints", async move {
        // The census below keeps the sender.
        while changes.changed().await.is_ok() {
            proxy.hint();
        }
    });
    tasks.run_until_stop("census", Census::new(tenancy).run());
    let clock = Arc::clone(clock);
    tasks.run_until_stop("sweeper", async move { sweep(&*access, &*clock).await });
}

/// Removes expired grants, for as long as it is polled.
async fn sweep(access: &dyn AccessStore, clock: &dyn Clock) {
    loop {
        match access.sweep_grants(clock.now(), SWEEP_LIMIT).await {
            // There may be more.
            Ok(swept) if swept >= u64::from(SWEEP_LIMIT) => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %chain(&error), "expired grants are not removed"),
        }
        clock.sleep(SWEEP).await;
    }
}

async fn bind(config: &Config) -> anyhow::Result<Listeners> {
    Ok(Listeners {
        api: listen::bind("server.listen", config.server.listen).await?,
        edge: listen::bind("edge.listen", config.edge.listen).await?,
        metrics: match config.metrics.enabled {
            true => Some(listen::bind("metrics.listen", config.metrics.listen).await?),
            false => None,
        },
    })
}

fn greet(loaded: &Loaded) {
    let file = loaded.file.as_ref().map(|file| file.display().to_string());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        data = %loaded.data_dir.display(),
        config = file.as_deref().unwrap_or("none"),
        "starting"
    );
    for name in &loaded.seed_names {
        tracing::warn!(
            variable = name.variable,
            key = name.key,
            "read as {key}; rename the variable when it suits you",
            key = name.key
        );
    }
    for warning in loaded.warnings() {
        tracing::warn!("{warning}");
    }
}

/// `ready: api=http://localhost:3000 edge=http://127.0.0.1:8080 metrics=http://127.0.0.1:9090`.
fn ready_line(
    loaded: &Loaded,
    assembly: &Assembly,
    listeners: &Listeners,
) -> anyhow::Result<String> {
    let api = assembly.api.public_url().as_str().trim_end_matches('/');
    let edge = listeners.edge.local_addr()?;
    let mut line = format!("ready: api={api} edge=http://{edge}");
    if let (Some(metrics), true) = (&listeners.metrics, loaded.config.metrics.enabled) {
        line.push_str(&format!(" metrics=http://{}", metrics.local_addr()?));
    }
    Ok(line)
}
