//! Holds a running instance against the contract and prints what it kept.
//!
//! Stand where its proxy stands and say how the proxy speaks:
//!
//! ```text
//! check_contract ADDRESS ORIGIN USER-HEADER=USER [REQUIRED-HEADER=VALUE ...] [--gateway FILE] [--stop PID]
//! ```
//!
//! With `--gateway` the included file is edited and put back; with `--stop` the process gets a SIGTERM at the end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use futures::FutureExt as _;
use stand_in::contract::{Claim, Target, check, check_reload, check_shutdown};

type Error = Box<dyn std::error::Error>;

struct Arguments {
    target: Target,
    gateway: Option<PathBuf>,
    stop: Option<String>,
}

fn arguments() -> Result<Arguments, Error> {
    let mut words = std::env::args().skip(1);
    let mut next = |what: &str| words.next().ok_or(format!("{what} is missing"));
    let address: SocketAddr = next("ADDRESS")?.parse()?;
    let origin = next("ORIGIN")?;
    let (user_header, user) = pair(&next("USER-HEADER=USER")?)?;
    let (mut required, mut gateway, mut stop) = (Vec::new(), None, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--gateway" => gateway = words.next().map(PathBuf::from),
            "--stop" => stop = words.next(),
            header => required.push(pair(header)?),
        }
    }
    let client = [198, 51, 100, 7].into();
    let target = Target {
        address,
        origin,
        client,
        user_header,
        user,
        required,
    };
    Ok(Arguments {
        target,
        gateway,
        stop,
    })
}

fn pair(word: &str) -> Result<(String, String), Error> {
    let (name, value) = word
        .split_once('=')
        .ok_or(format!("`{word}` is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

async fn run(arguments: Arguments) -> Result<Vec<Claim>, Error> {
    let target = &arguments.target;
    let mut claims = check(target).await;
    if let Some(path) = arguments.gateway {
        let gateway = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        let path = Arc::new(path);
        let write = move |text: String| {
            let path = Arc::clone(&path);
            async move { replace(&path, &text).map_err(|error| error.to_string()) }.boxed()
        };
        claims.extend(check_reload(target, &gateway, &write).await);
    }
    if let Some(pid) = arguments.stop {
        let stop = async move {
            match Command::new("kill").args(["-TERM", &pid]).status() {
                Ok(status) if status.success() => Ok(()),
                other => Err(format!("kill: {other:?}")),
            }
        };
        claims.extend(check_shutdown(target, stop).await);
    }
    Ok(claims)
}

fn replace(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    let claims = run(arguments()?).await?;
    for claim in &claims {
        println!("{claim}");
    }
    let kept = claims.iter().filter(|claim| claim.ok).count();
    println!("{kept} of {} claims kept", claims.len());
    Ok(if kept == claims.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
