//! The life of the instance, from the volume's lock to the last socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::app::{App, Phase};
use crate::attribution::Connection;
use crate::config::{self, Config};
use crate::exit::Exit;
use crate::knob;
use crate::log;
use crate::routes;
use crate::settings::{Settings, StartKnobs};
use crate::volume::Volume;

/// Node closes an idle connection after 5 s and says so; an edge that keeps one longer must cope.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long sockets may take to answer the close at shutdown; OpenClaw's own grace is 1 s.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// Runs one instance to its end.
pub(crate) async fn run() -> Exit {
    // First of all: process 1 has no default action for a signal, so one that came early would be lost.
    let signals = signal(SignalKind::terminate())
        .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    let (terminate, interrupt) = match signals {
        Ok(both) => both,
        Err(error) => return Exit::Failed(format!("signals cannot be handled: {error}")),
    };
    let mut stop = Stop {
        terminate,
        interrupt,
    };
    match start(&mut stop).await {
        Ok(exit) | Err(exit) => exit,
    }
}

struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    async fn asked(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

async fn start(stop: &mut Stop) -> Result<Exit, Exit> {
    let environment = |name: &str| std::env::var(name).ok();
    let settings = Arc::new(Settings::read(std::env::args().skip(1), environment)?);
    let volume = Volume::claim(&settings)?;
    let knobs = StartKnobs::read(environment, &volume.take_next_start())?;
    log::line(
        "gateway",
        &format!(
            "stand-in {} starting, start {} on this volume",
            settings.name, volume.record.starts
        ),
    );
    if let Some(code) = knobs.exit_at_start {
        return Err(Exit::Asked(code));
    }
    log::line("gateway", "loading configuration…");
    let config = Arc::new(Config::load(&settings)?);
    let address = SocketAddr::new(config.bind_address(&settings)?, config.port(&settings));
    let (config_sender, config) = watch::channel(config);
    let (phase_sender, phase) = watch::channel(Phase::Starting);

    tokio::select! {
        () = tokio::time::sleep(knobs.port_delay) => {}
        name = stop.asked() => {
            log::line("gateway", &format!("received {name}; shutting down"));
            return Ok(Exit::Stopped);
        }
    }
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Exit::Failed(format!("cannot listen on {address}: {error}")))?;
    let bound = listener.local_addr().unwrap_or(address);
    log::line("gateway", &format!("http server listening on {bound}"));

    let app = Arc::new(App::new(
        Arc::clone(&settings),
        volume,
        config,
        phase,
        knobs.handshake_timeout,
    ));
    knob::memory::hold(&app, knobs.allocate_mib);
    let reload = tokio::spawn(config::watch::run(settings, config_sender));
    let accept = tokio::spawn(accept(listener, Arc::clone(&app)));

    let stopped_early = tokio::select! {
        name = stop.asked() => Some(name),
        () = tokio::time::sleep(knobs.startup_delay) => None,
    };
    let name = match stopped_early {
        Some(name) => name,
        None => {
            phase_sender.send_replace(Phase::Started);
            log::line("gateway", "ready");
            stop.asked().await
        }
    };
    log::line("gateway", &format!("received {name}; shutting down"));
    phase_sender.send_replace(Phase::Draining);
    tokio::time::sleep(knobs.drain).await;
    phase_sender.send_replace(Phase::Closing);
    accept.abort();
    reload.abort();
    app.sessions.close();
    if tokio::time::timeout(CLOSE_GRACE, app.sessions.wait())
        .await
        .is_err()
    {
        log::line("shutdown", "some sockets did not answer the close");
    }
    Ok(Exit::Stopped)
}

async fn accept(listener: TcpListener, app: Arc<App>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(serve(stream, peer, Arc::clone(&app)));
            }
            Err(error) => {
                // Out of files, mostly: the ones in use will be given back.
                log::line("gateway", &format!("accept failed: {error}"));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, app: Arc<App>) {
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let connection = Connection::new(peer, local);
    let service = service_fn(move |request| routes::answer(Arc::clone(&app), connection, request));
    // A broken connection is the peer's business and no news.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(KEEP_ALIVE)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}
