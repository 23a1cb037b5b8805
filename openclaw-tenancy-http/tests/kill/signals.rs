//! Signals that go out at once: a program that first has to be started sends them tens of milliseconds late on a busy
//! machine.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// A stop takes effect when each thread has seen it.
const STOP: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(2);

/// Something that is ready to signal some processes; it ends when it is dropped.
pub(crate) struct Signals {
    pids: Vec<u32>,
    shell: Child,
    orders: Option<ChildStdin>,
    sent: BufReader<ChildStdout>,
}

impl Signals {
    /// Makes ready to signal these processes.
    pub(crate) fn to(pids: &[u32]) -> Self {
        // The shell's own `kill` starts no process. One that has ended meanwhile is as good.
        let each =
            r#"while read -r signal; do kill -s "$signal" "$@" 2>/dev/null; echo sent; done"#;
        let mut shell = Command::new("sh")
            .args(["-c", each, "sh"])
            .args(pids.iter().map(u32::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        Self {
            pids: pids.to_vec(),
            orders: shell.stdin.take(),
            sent: BufReader::new(shell.stdout.take().unwrap()),
            shell,
        }
    }

    /// Stops them all; when it returns, not one of their threads runs.
    pub(crate) async fn stop(&mut self) {
        self.send("STOP");
        let end = Instant::now() + STOP;
        while !self.pids.iter().all(|pid| is_stopped(*pid)) {
            assert!(Instant::now() < end, "not stopped: {:?}", self.pids);
            sleep(LOOK).await;
        }
    }

    /// Lets them go on.
    pub(crate) fn go_on(&mut self) {
        self.send("CONT");
    }

    /// Kills them.
    pub(crate) fn kill(&mut self) {
        self.send("KILL");
    }

    /// Returns when it has been sent.
    fn send(&mut self, signal: &str) {
        let orders = self.orders.as_mut().expect("not dropped");
        writeln!(orders, "{signal}").expect("the shell runs");
        let mut said = String::new();
        self.sent.read_line(&mut said).expect("the shell runs");
        assert_eq!(said, "sent\n");
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.orders.take());
        self.shell.wait().ok();
    }
}

/// Whether each thread of a process is stopped.
fn is_stopped(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        // One that has ended meanwhile does not run.
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else {
            return true;
        };
        // The state comes after the name, which stands in parentheses.
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}
