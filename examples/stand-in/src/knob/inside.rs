//! What the instance sees from inside: limits, rights, configuration, files.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::config::Config;

/// Limits and rights, as text where the kernel gives text; what a host does not have is null.
pub(super) fn limits() -> Value {
    let status = read("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status.lines().find_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix(':')
                .map(|rest| rest.trim().to_owned())
        })
    };
    let swap_total = read("/proc/meminfo").and_then(|text| {
        text.lines()
            .find_map(|line| line.strip_prefix("SwapTotal:").map(|v| v.trim().to_owned()))
    });
    json!({
        "uid": field("Uid"),
        "gid": field("Gid"),
        "groups": field("Groups"),
        "capEff": field("CapEff"),
        "capBnd": field("CapBnd"),
        "noNewPrivs": field("NoNewPrivs"),
        "seccomp": field("Seccomp"),
        "threads": field("Threads"),
        "rss": field("VmRSS"),
        "swapTotal": swap_total,
        "cgroup": cgroup(),
        "writable": {
            "/": writable(Path::new("/")),
            "/tmp": writable(Path::new("/tmp")),
            "/app": writable(Path::new("/app")),
        },
        "mounts": mounts(),
    })
}

/// The files of both cgroup versions that hold a plan's limits.
fn cgroup() -> Value {
    const FILES: [&str; 12] = [
        "cpu/cpu.cfs_quota_us",
        "cpu/cpu.cfs_period_us",
        "cpu/cpu.stat",
        "memory/memory.limit_in_bytes",
        "memory/memory.memsw.limit_in_bytes",
        "memory/memory.max_usage_in_bytes",
        "pids/pids.max",
        "cpu.max",
        "cpu.stat",
        "memory.max",
        "memory.swap.max",
        "pids.max",
    ];
    let found: Map<String, Value> = FILES
        .iter()
        .filter_map(|file| {
            let text = read(&format!("/sys/fs/cgroup/{file}"))?;
            Some(((*file).to_owned(), Value::String(text.trim().to_owned())))
        })
        .collect();
    Value::Object(found)
}

/// Mount points with file system and options, without the kernel's own.
fn mounts() -> Value {
    let text = read("/proc/self/mounts").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (_, point, kind, options) = (
                fields.next()?,
                fields.next()?,
                fields.next()?,
                fields.next()?,
            );
            let kernel = ["/proc", "/sys", "/dev"]
                .iter()
                .any(|root| point.starts_with(root));
            (!kernel).then(|| json!([point, kind, options]))
        })
        .collect()
}

fn writable(directory: &Path) -> bool {
    let probe = directory.join(".stand-in-write-probe");
    let created = fs::write(&probe, "").is_ok();
    let _ = fs::remove_file(&probe);
    created
}

/// The configuration in force, and the secret files that OpenClaw would refuse to read.
pub(super) fn config(config: &Config) -> Value {
    let files: Vec<_> = config
        .files
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    json!({ "files": files, "merged": config.merged, "degradedSecrets": degraded(config) })
}

/// OpenClaw reads a key file only when it is its own and nobody else may read it.
fn degraded(config: &Config) -> Vec<Value> {
    let providers = config
        .merged
        .pointer("/secrets/providers")
        .and_then(Value::as_object);
    providers
        .into_iter()
        .flatten()
        .filter(|(_, provider)| provider["source"] == "file")
        .filter_map(|(name, provider)| {
            let path = provider["path"].as_str().unwrap_or_default();
            let why = match fs::metadata(path) {
                Err(error) => error.to_string(),
                Ok(file) if Some(file.uid()) != own_uid() => {
                    format!("owned by {}, must be this user's own", file.uid())
                }
                Ok(file) if file.mode() & 0o077 != 0 => {
                    format!("mode {:o}, must be 600", file.mode() & 0o777)
                }
                Ok(_) => return None,
            };
            Some(json!({ "provider": name, "path": path, "why": why }))
        })
        .collect()
}

fn own_uid() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|own| own.uid())
}

/// Whose a file is, and whether it could be read or changed from here.
pub(super) fn file(path: &str) -> Value {
    match fs::symlink_metadata(path) {
        Err(error) => json!({ "path": path, "error": error.to_string() }),
        Ok(metadata) => json!({
            "path": path,
            "uid": metadata.uid(),
            "gid": metadata.gid(),
            "mode": format!("{:o}", metadata.mode() & 0o7777),
            "bytes": metadata.len(),
            "directory": metadata.is_dir(),
            "readable": if metadata.is_dir() { fs::read_dir(path).is_ok() } else { fs::File::open(path).is_ok() },
            "writable": if metadata.is_dir() {
                writable(Path::new(path))
            } else {
                fs::OpenOptions::new().append(true).open(path).is_ok()
            },
        }),
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}
