//! The server before this one in the same data directory: one that is known to be dead leaves nothing to wait for.
//!
//! A server on PostgreSQL cannot tell a replica that is dead from one that it does not see, and waits for its leases. Of
//! one that ran on this machine a lock tells: the kernel gives it up with the process that held it. The file says which
//! machine that was, since a directory may be shared between machines by something whose locks hold on each alone.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use openclaw_tenancy::id::WorkerId;

/// Which start of which machine this is (Linux, proc(5)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The place of one server in a data directory.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Locked for as long as it is open.
    file: File,
    boot: String,
    before: Option<WorkerId>,
}

impl Seat {
    /// Takes the seat in `data_dir`; `None` when a server that runs has it. Without it a server works as well, and its
    /// successor waits for its leases.
    ///
    /// # Errors
    /// When the file cannot be had.
    pub(crate) fn take(data_dir: &Path) -> io::Result<Option<Self>> {
        // On a system without it nobody is known to be gone.
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
        Self::take_at(data_dir, boot.trim())
    }

    fn take_at(data_dir: &Path, boot: &str) -> io::Result<Option<Self>> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(data_dir.join("worker"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut said = String::new();
        // What is no text was not written by us: nobody is known to be gone.
        let read = file.read_to_string(&mut said).is_ok();
        let before = said
            .split_once(' ')
            .filter(|(at, _)| read && !at.is_empty() && *at == boot);
        Ok(Some(Self {
            before: before.and_then(|(_, worker)| worker.trim_end().parse().ok()),
            boot: boot.to_owned(),
            file,
        }))
    }

    /// The worker of the server that was here before, which is dead.
    pub(crate) fn before(&self) -> Option<&WorkerId> {
        self.before.as_ref()
    }

    /// Tells the next one who is here. Before the first claim, or nobody knows of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn occupied_by(&mut self, worker: &WorkerId) -> io::Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)?;
        // One line at once: of a process that dies in it, the next one finds nothing or all.
        let line = format!("{} {}\n", self.boot, worker.as_str());
        self.file.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str) -> WorkerId {
        WorkerId::new(name).unwrap()
    }

    fn seat(dir: &Path, boot: &str) -> Seat {
        Seat::take_at(dir, boot).unwrap().expect("nobody has it")
    }

    #[test]
    fn f15_whoever_comes_next_on_this_machine_knows_who_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Seat::take(dir.path()).unwrap().expect("nobody has it");
        assert_eq!(first.before(), None);
        first.occupied_by(&worker("w-of-a-longer-name")).unwrap();
        drop(first);
        let mut second = Seat::take(dir.path()).unwrap().expect("it is free again");
        assert_eq!(second.before(), Some(&worker("w-of-a-longer-name")));
        second.occupied_by(&worker("w-2")).unwrap();
        drop(second);
        let third = Seat::take(dir.path()).unwrap().expect("it is free again");
        assert_eq!(third.before(), Some(&worker("w-2")));
    }

    #[test]
    fn f27_whoever_lives_is_not_known_to_be_gone() {
        let dir = tempfile::tempdir().unwrap();
        let mut living = Seat::take(dir.path()).unwrap().expect("nobody has it");
        living.occupied_by(&worker("w-1")).unwrap();
        assert!(Seat::take(dir.path()).unwrap().is_none());
    }

    /// Its lock may hold there alone.
    #[test]
    fn f27_whoever_ran_on_another_machine_is_not_known_to_be_gone() {
        let dir = tempfile::tempdir().unwrap();
        seat(dir.path(), "here")
            .occupied_by(&worker("w-1"))
            .unwrap();
        assert_eq!(seat(dir.path(), "elsewhere").before(), None);
        assert_eq!(seat(dir.path(), "here").before(), Some(&worker("w-1")));
        // Nor where nothing tells which machine it is.
        seat(dir.path(), "").occupied_by(&worker("w-2")).unwrap();
        assert_eq!(seat(dir.path(), "").before(), None);
    }

    #[test]
    fn what_we_did_not_write_names_nobody() {
        for said in [
            &b""[..],
            b"here",
            b"here ",
            b"here No Worker\n",
            b"\xff here w-1",
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("worker"), said).unwrap();
            assert_eq!(seat(dir.path(), "here").before(), None, "{said:?}");
        }
    }
}
