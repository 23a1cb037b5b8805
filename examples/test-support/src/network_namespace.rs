//! Networks apart from the machine's: what is opened in one stays in it.
#![expect(
    clippy::expect_used,
    reason = "a test whose network cannot be had fails"
)]

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace.
#[derive(Debug)]
pub struct NetworkNamespace {
    link: File,
    pid: u32,
    /// Who holds a new one open.
    holder: Option<Child>,
}

impl NetworkNamespace {
    /// A new one with nothing in it but its loopback, which ends when this is dropped.
    ///
    /// # Panics
    /// Where this process may not make one.
    #[must_use]
    pub fn new() -> Self {
        let mut holder = Command::new("unshare")
            .args([
                "--net",
                "--",
                "sh",
                "-c",
                "ip link set lo up && echo && exec cat",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is installed");
        let said = holder.stdout.take().expect("standard output is piped");
        let mut line = String::new();
        let read = BufReader::new(said).read_line(&mut line);
        assert_eq!(read.expect("it can be read"), 1, "only root may make one");
        let mut made = Self::of(holder.id());
        made.holder = Some(holder);
        made
    }

    /// That of the process `pid`.
    ///
    /// # Panics
    /// When there is no such process.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self {
            link: File::open(format!("/proc/{pid}/ns/net")).expect("the process runs"),
            pid,
            holder: None,
        }
    }

    /// A process in it, by which `ip link set … netns` knows it.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Does `work` in it. Sockets that `work` opens stay in it, wherever they are used.
    ///
    /// # Panics
    /// When `work` does, and where this process may not enter it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let there = || {
            move_into_link_name_space(self.link.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("only root may enter a network");
            work()
        };
        // Only this thread goes there, and it does not come back.
        let outcome = thread::scope(|scope| scope.spawn(there).join());
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs a program in it, to its end.
    ///
    /// # Panics
    /// When it fails; with what it says.
    pub fn program(&self, program: &str, arguments: &[&str]) {
        let done = self.run(|| Command::new(program).args(arguments).output());
        let done = done.expect("the program is installed");
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{program} {arguments:?}: {told}");
    }
}

impl Default for NetworkNamespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for NetworkNamespace {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            holder.kill().ok();
            holder.wait().ok();
        }
    }
}
