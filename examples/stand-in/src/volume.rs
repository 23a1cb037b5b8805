//! The data volume: one writer, and a record that outlives the container.
//!
//! OpenClaw itself does not lock its state directory.
//! The stand-in does, so that a test sees two live processes on one volume even when no engine lists one of them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock;
use crate::exit::Exit;
use crate::log;
use crate::random;
use crate::settings::Settings;

/// Where the stand-in keeps its own files, below the state directory.
const DIRECTORY: &str = "stand-in";
const LOCK: &str = "writer.lock";
const STATE: &str = "state.json";
const SECOND_WRITERS: &str = "second-writers.log";
const NEXT_START: &str = "next-start.json";

/// What persists: a test tells by it whether a volume was kept or made anew.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// Random, made at the first start on this volume.
    pub(crate) volume_id: String,
    /// How often an instance has started on this volume, this start included.
    pub(crate) starts: u64,
    pub(crate) first_start_ms: u64,
    pub(crate) last_start_ms: u64,
    /// The name of the last instance that wrote here.
    pub(crate) last_name: String,
}

/// Knobs that a request has set for starts to come.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct NextStart {
    /// How many starts the knobs still act on.
    pub(crate) starts: u32,
    /// Names and values as in the environment.
    pub(crate) knobs: BTreeMap<String, String>,
}

/// The claimed volume; the claim ends with the process, however it ends.
#[derive(Debug)]
pub(crate) struct Volume {
    directory: PathBuf,
    pub(crate) record: Record,
    _lock: File,
}

impl Volume {
    /// Takes the writer's lock and counts the start.
    ///
    /// # Errors
    ///
    /// [`Exit::Configuration`] when the state directory cannot be written, as OpenClaw ends;
    /// [`Exit::SecondWriter`] when a live process holds the lock.
    /// That attempt is appended to `stand-in/second-writers.log` first.
    pub(crate) fn claim(settings: &Settings) -> Result<Self, Exit> {
        let directory = settings.state_dir.join(DIRECTORY);
        let unwritable = |error: std::io::Error| {
            Exit::Configuration(format!(
                "Gateway failed to start: {} is not writable: {error}; give the state directory to this user",
                settings.state_dir.display()
            ))
        };
        std::fs::create_dir_all(&directory).map_err(unwritable)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join(LOCK))
            .map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(refuse_second_writer(settings, &directory, &mut lock));
            }
            Err(TryLockError::Error(error)) => return Err(unwritable(error)),
        }
        lock.set_len(0).map_err(unwritable)?;
        lock.write_all(identity(settings).to_string().as_bytes())
            .map_err(unwritable)?;
        let record = next_record(&directory, &settings.name);
        write_json(&directory.join(STATE), &record).map_err(unwritable)?;
        Ok(Self {
            directory,
            record,
            _lock: lock,
        })
    }

    /// The knobs set for this start; counts them down.
    ///
    /// A file that cannot be read or written counts as none: knobs must not stop an instance.
    pub(crate) fn take_next_start(&self) -> BTreeMap<String, String> {
        let path = self.directory.join(NEXT_START);
        let Some(mut next) = read_json::<NextStart>(&path) else {
            return BTreeMap::new();
        };
        if next.starts == 0 {
            return BTreeMap::new();
        }
        next.starts -= 1;
        match write_json(&path, &next) {
            Ok(()) => next.knobs,
            Err(_) => BTreeMap::new(),
        }
    }

    /// Sets knobs for starts to come.
    ///
    /// # Errors
    ///
    /// Whatever the volume's file system answers.
    pub(crate) fn set_next_start(&self, next: &NextStart) -> std::io::Result<()> {
        write_json(&self.directory.join(NEXT_START), next)
    }

    /// The refused second writers so far, one JSON object a line.
    pub(crate) fn second_writers(&self) -> Vec<serde_json::Value> {
        std::fs::read_to_string(self.directory.join(SECOND_WRITERS)).map_or_else(
            |_| Vec::new(),
            |text| {
                text.lines()
                    .filter_map(|line| serde_json::from_str(line).ok())
                    .collect()
            },
        )
    }
}

/// Says who holds the lock, and leaves a trace on the volume that a later look finds.
fn refuse_second_writer(settings: &Settings, directory: &Path, lock: &mut File) -> Exit {
    let mut holder = String::new();
    let _ = lock.read_to_string(&mut holder);
    let holder = serde_json::from_str(&holder).unwrap_or(serde_json::Value::Null);
    let entry = json!({ "second writer": identity(settings), "holder": holder });
    let recorded = OpenOptions::new()
        .append(true)
        .create(true)
        .open(directory.join(SECOND_WRITERS))
        .and_then(|mut file| writeln!(file, "{entry}"));
    if let Err(error) = recorded {
        log::line(
            "volume",
            &format!("second writer could not be recorded: {error}"),
        );
    }
    Exit::SecondWriter(format!("second writer on this volume, held by {holder}"))
}

fn identity(settings: &Settings) -> serde_json::Value {
    json!({
        "name": settings.name,
        "hostname": settings.hostname,
        "pid": std::process::id(),
        "sinceMs": clock::unix_ms(),
    })
}

fn next_record(directory: &Path, name: &str) -> Record {
    let now = clock::unix_ms();
    let before = read_json::<Record>(&directory.join(STATE));
    Record {
        starts: before
            .as_ref()
            .map_or(1, |record| record.starts.saturating_add(1)),
        first_start_ms: before.as_ref().map_or(now, |record| record.first_start_ms),
        last_start_ms: now,
        last_name: name.to_owned(),
        volume_id: before.map_or_else(random::identifier, |record| record.volume_id),
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Replaces a file so that a kill leaves the old or the new one, never half of it.
fn write_json(path: &Path, value: &impl Serialize) -> std::io::Result<()> {
    let beside = path.with_extension("json.new");
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}
