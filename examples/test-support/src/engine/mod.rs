//! A Docker Engine of our own that can be told to misbehave.
//!
//! It speaks the part of the Engine API that the adapters use, over a model in memory that answers as real
//! engines were measured to answer, texts included. A [`Rule`] makes a chosen call fail, hang, lose its
//! request or its answer, or leave a ghost, so that each of those happens surely and not one time in ten.
//! It also knows what no engine tells: how many processes have a volume open.
//!
//! ```
//! # async fn example() -> std::io::Result<()> {
//! use test_support::engine::{Fault, Left, Rule, ScriptedEngine};
//!
//! let engine = ScriptedEngine::start().await?;
//! engine.on(Rule::call("POST", "/containers/*/start").fault(Fault::LoseStart(Left::Ghost)));
//! println!("DOCKER_HOST={}", engine.address());
//! # Ok(())
//! # }
//! ```

mod answer;
mod pki;
mod route;
mod script;
mod serve;
mod world;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use self::pki::{PkiError, TestPki};
pub use self::script::{Call, Fault, Left, Rule};
pub use self::serve::Listen;
pub use self::world::{EngineVersion, Process, World};

use self::script::Script;
use self::serve::Listener;

/// A running scripted engine. Dropping it closes its socket and its connections.
#[derive(Debug)]
pub struct ScriptedEngine {
    shared: Arc<Shared>,
    listen: Listen,
    address: String,
    listener: Mutex<Option<Listener>>,
    /// Removes the socket's directory at the end.
    _directory: Option<tempfile::TempDir>,
}

/// What every connection sees.
#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    script: Mutex<Script>,
    events: tokio::sync::broadcast::Sender<String>,
    connections: AtomicUsize,
    front: Mutex<Option<Front>>,
}

/// A proxy that serves the engine under a path and wants a credential.
#[derive(Debug, Clone)]
struct Front {
    prefix: String,
    header: String,
    value: String,
}

impl Shared {
    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn front(&self) -> Option<Front> {
        self.front
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ScriptedEngine {
    /// Engine 20.10 on a unix socket.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub async fn start() -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("engine.sock");
        let mut engine = Self::listening(EngineVersion::V20_10, Listen::Unix(path)).await?;
        engine._directory = Some(directory);
        Ok(engine)
    }

    /// An engine of `version`, listening as told.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn listening(version: EngineVersion, listen: Listen) -> io::Result<Self> {
        let (events, _) = tokio::sync::broadcast::channel(1024);
        let shared = Arc::new(Shared {
            world: Mutex::new(World::new(version)),
            script: Mutex::new(Script::default()),
            events,
            connections: AtomicUsize::new(0),
            front: Mutex::new(None),
        });
        let listener = Listener::open(&listen, Arc::clone(&shared)).await?;
        // A port chosen by the system is kept, so that the engine comes back where it was.
        let listen = listener.listen().clone();
        Ok(Self {
            shared,
            address: listen.address(),
            listen,
            listener: Mutex::new(Some(listener)),
            _directory: None,
        })
    }

    /// Its address, in the form of `DOCKER_HOST`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The path of its unix socket, where it has one.
    #[must_use]
    pub fn socket(&self) -> Option<PathBuf> {
        self.listen.socket()
    }

    /// The port it listens on, where it has one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.listen.port()
    }

    /// Adds a rule. The first rule that matches a call and is not used up decides it.
    pub fn on(&self, rule: Rule) {
        self.shared.script().add(rule);
    }

    /// From now on answers only below `prefix`, and only to requests with this header, as behind a proxy.
    pub fn stand_behind(&self, prefix: &str, header: &str, value: &str) {
        let front = Front {
            prefix: prefix.to_owned(),
            header: header.to_owned(),
            value: value.to_owned(),
        };
        *self
            .shared
            .front
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(front);
    }

    /// Forgets all rules.
    pub fn behave(&self) {
        self.shared.script().clear();
    }

    /// The calls so far, in order of arrival, pings left out.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.script().calls().to_vec()
    }

    /// How many connections were ever opened to it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// The model, for looking and for arranging. Held only shortly: every request waits for it.
    pub fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.shared.world()
    }

    /// Kills the engine: the socket is gone, connections break, what runs runs on.
    pub fn kill(&self) {
        drop(
            self.listener
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// Starts the engine again. Without live-restore, what it knew to run is killed now.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn revive(&self, restore: Restore) -> io::Result<()> {
        if restore == Restore::Kill {
            self.shared.world().kill_all();
        }
        let listener = Listener::open(&self.listen, Arc::clone(&self.shared)).await?;
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
        Ok(())
    }
}

/// What an engine does at its start with containers that ran before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// Kills them: live-restore is off, the default.
    Kill,
    /// Keeps them: live-restore.
    Live,
}
