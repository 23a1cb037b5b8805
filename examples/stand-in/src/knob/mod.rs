//! `/_knob/*`: how a test makes an instance misbehave, or look around. Stand-in only.

mod cpu;
mod inside;
pub(crate) mod memory;
mod reach;

use std::process;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::app::App;
use crate::log;
use crate::query::{Query, refuse};
use crate::reply::{self, Reply};
use crate::volume::NextStart;

/// Every knob, with its parameters; `/_knob/` lists them.
const KNOBS: &[(&str, &str)] = &[
    ("allocate", "touch and hold ?mib= MiB until `release`"),
    ("release", "give back what `allocate` took"),
    (
        "burn",
        "?threads= busy threads for ?ms= ms; answers with the CPU time used",
    ),
    (
        "crash",
        "end with ?code= (1 unless given), or with SIGABRT for code=abort",
    ),
    (
        "hang",
        "stop serving for ?ms= ms, for ever with 0; SIGTERM is not heard meanwhile",
    ),
    (
        "child-oom",
        "a child of its own takes ?mib= MiB; answers with how the child ended",
    ),
    (
        "tasks",
        "try to start ?count= threads at once; answers with how many could start",
    ),
    (
        "next-start",
        "set ?STAND_IN_...= for the next ?starts= starts (1 unless given)",
    ),
    ("limits", "what the instance sees of its limits and rights"),
    (
        "config",
        "the configuration in force, with everything included",
    ),
    ("file", "owner, mode and access of ?path="),
    ("dial", "connect to ?to=address:port within ?ms= ms"),
    ("second-writers", "refused second writers on this volume"),
];

/// Turns one of [`KNOBS`].
pub(crate) async fn answer(app: &App, knob: &str, query: &Query) -> Reply {
    if !knob.is_empty() {
        log::line("knob", knob);
    }
    match turn(app, knob, query).await {
        Ok(value) => reply::json(StatusCode::OK, &value),
        Err(reply) => reply,
    }
}

async fn turn(app: &App, knob: &str, query: &Query) -> Result<Value, Reply> {
    match knob {
        "" => Ok(json!({ "standIn": true, "knobs": KNOBS })),
        "allocate" => Ok(json!({ "heldMib": memory::hold(app, query.number("mib", 16)?) })),
        "release" => Ok(json!({ "releasedMib": memory::release(app) })),
        "burn" => {
            let threads = query.number("threads", 1_u16)?;
            let time = Duration::from_millis(query.number("ms", 1000)?);
            blocking(move || cpu::burn(threads, time)).await
        }
        "crash" => match query.text("code") {
            Some("abort") => process::abort(),
            _ => process::exit(i32::from(query.number("code", 1_u8)?)),
        },
        "hang" => {
            let ms = query.number("ms", 0_u64)?;
            // On the only thread of the runtime, so that nothing at all is answered.
            std::thread::sleep(if ms == 0 {
                Duration::MAX
            } else {
                Duration::from_millis(ms)
            });
            Ok(json!({ "hungMs": ms }))
        }
        "child-oom" => memory::child(query.number("mib", 4096)?)
            .await
            .map_err(failed),
        "tasks" => {
            let count = query.number("count", 64_usize)?.min(100_000);
            blocking(move || json!({ "asked": count, "started": cpu::tasks(count) })).await
        }
        "next-start" => next_start(app, query),
        "limits" => Ok(inside::limits()),
        "config" => Ok(inside::config(&app.config())),
        "file" => {
            let path = query
                .text("path")
                .ok_or_else(|| refuse("path: is missing"))?;
            Ok(inside::file(path))
        }
        "dial" => {
            let to = query.text("to").unwrap_or_default();
            let address = to.parse().map_err(|_| {
                refuse(&format!(
                    "to: `{to}` is not an address with a port, like 10.0.0.1:80"
                ))
            })?;
            Ok(reach::dial(address, Duration::from_millis(query.number("ms", 1000)?)).await)
        }
        "second-writers" => Ok(json!({ "secondWriters": app.volume.second_writers() })),
        _ => Err(reply::not_found()),
    }
}

/// Runs what would hold up the runtime on a thread beside it.
async fn blocking(work: impl FnOnce() -> Value + Send + 'static) -> Result<Value, Reply> {
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Reply {
    let body = json!({ "standIn": true, "error": error.to_string() });
    reply::json(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

#[expect(clippy::result_large_err, reason = "the error is the answer itself")]
fn next_start(app: &App, query: &Query) -> Result<Value, Reply> {
    let mut next = NextStart {
        starts: query.number("starts", 1)?,
        ..NextStart::default()
    };
    for (name, value) in query.pairs().filter(|(name, _)| *name != "starts") {
        if !name.starts_with("STAND_IN_") {
            return Err(refuse(&format!(
                "{name}: only names that begin with STAND_IN_ are knobs"
            )));
        }
        next.knobs.insert(name.to_owned(), value.to_owned());
    }
    app.volume.set_next_start(&next).map_err(failed)?;
    Ok(json!({ "starts": next.starts, "knobs": next.knobs }))
}
