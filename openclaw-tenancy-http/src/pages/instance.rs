//! What the page says of an instance.

use std::time::Duration;

use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::id::Revision;
use openclaw_tenancy::plan::PlanCatalog;
use openclaw_tenancy::tenancy::TenantView;

use super::figures;
use super::look::{Can, Look, READY, look};
use super::words::Words;
use crate::api::ended_by::Reader;
use crate::api::problem::{Kind, Problem};
use crate::api::tenant_json::TenantJson;

/// An instance, ready to be shown.
pub(super) struct Instance {
    /// The JSON that this was made from, to the letter: the script compares it with what it polls.
    pub(super) state: String,
    pub(super) name: String,
    pub(super) url: String,
    /// The URL as people write it.
    pub(super) address: String,
    /// `good`, `busy`, `calm` or `bad`: a class of the style sheet.
    pub(super) tone: &'static str,
    pub(super) badge: &'static str,
    pub(super) title: &'static str,
    pub(super) text: String,
    /// What the reconciler or the engine says in its own words, which are English.
    pub(super) detail: Option<String>,
    /// The call that ends a hold, where no button of the page does.
    pub(super) ended_by: Option<String>,
    /// How many attempts in a row have failed.
    pub(super) attempts: Option<u32>,
    /// Since when it has been on its way.
    pub(super) since: Option<Timestamp>,
    pub(super) retry_at: Option<Timestamp>,
    pub(super) steps: Vec<Step>,
    pub(super) can: Can,
    pub(super) restart_label: &'static str,
    pub(super) plan: String,
    pub(super) cpu: String,
    pub(super) memory: String,
    pub(super) storage: String,
    pub(super) sandboxes: String,
    pub(super) created_at: Timestamp,
}

/// A step on the way to a running instance.
pub(super) struct Step {
    pub(super) label: &'static str,
    /// `done`, `current` or `todo`: a class of the style sheet.
    pub(super) state: &'static str,
    /// How long it took.
    pub(super) took: Option<String>,
}

impl Instance {
    /// # Errors
    /// [`Kind::Internal`] when it cannot be written as JSON.
    pub(super) fn new(
        view: TenantView,
        catalog: &PlanCatalog,
        reader: Reader,
        words: &Words,
    ) -> Result<Self, Problem> {
        let failure = view.tenant.observed.failure.as_ref();
        let failed_before = failure.map(|failure| failure.reason);
        let container = view.tenant.observed.location();
        let container = container.and_then(|location| location.container.as_ref());
        let child_killed = container.is_some_and(|container| container.oom_at.is_some());
        let Look {
            tone,
            badge,
            title,
            text,
            step,
            can,
        } = look(&view.status.phase, failed_before, child_killed, words);
        // Never changed since it was asked for: then its first start began there.
        let first = view.tenant.revision <= Revision(1) && view.tenant.observed.generation.0 <= 1;
        let json = TenantJson::new(view, catalog, reader);
        let began = if first {
            Some(json.created_at)
        } else {
            json.started_at
        };
        let memory = figures::bytes(json.limits.memory_bytes);
        let text = text.replace("{memory}", &memory);
        let text = match json.status.queue_position {
            Some(before) if before > 0 => format!(
                "{}{}{before}{}{}{text}",
                words.queued_before, words.space, words.full_stop, words.space
            ),
            Some(_) | None => text,
        };
        let restart_label = if json.status.retry_at.is_some() || json.status.reason.is_some() {
            words.try_again
        } else {
            words.restart
        };
        let address = json
            .url
            .split_once("://")
            .map_or(&*json.url, |(_, rest)| rest);
        let state = serde_json::to_string(&json)
            .map_err(|error| Problem::new(Kind::Internal).caused_by(error))?;
        Ok(Self {
            address: address.trim_end_matches('/').to_owned(),
            since: began.filter(|_| step.is_some_and(|step| step < READY)),
            steps: steps(step, began, &json, words),
            cpu: figures::cpu(json.limits.cpu),
            memory,
            storage: figures::bytes(json.limits.storage_bytes),
            sandboxes: figures::sandboxes(json.limits.sandboxes, words),
            state,
            name: json.name,
            url: json.url,
            tone,
            badge,
            title,
            text,
            detail: json.status.message,
            ended_by: json.status.ended_by.filter(|_| !can.restart),
            attempts: json.status.attempts,
            retry_at: json.status.retry_at,
            can,
            restart_label,
            plan: json.plan,
            created_at: json.created_at,
        })
    }
}

fn steps(
    at: Option<usize>,
    began: Option<Timestamp>,
    json: &TenantJson,
    words: &Words,
) -> Vec<Step> {
    let Some(at) = at else { return Vec::new() };
    let took = |from: Option<Timestamp>, to: Option<Timestamp>| {
        from.zip(to)
            .map(|(from, to)| to.since(from))
            .filter(|took| !took.is_zero())
            .map(seconds)
    };
    let labels = [
        words.step_place,
        words.step_prepare,
        words.step_start,
        words.step_ready,
    ];
    let times = [
        None,
        took(began, json.started_at),
        took(json.started_at, json.ready_at),
        None,
    ];
    labels
        .into_iter()
        .zip(times)
        .enumerate()
        .map(|(index, (label, took))| Step {
            label,
            state: if index < at || at == READY {
                "done"
            } else if index == at {
                "current"
            } else {
                "todo"
            },
            took: took.filter(|_| index < at),
        })
        .collect()
}

fn seconds(took: Duration) -> String {
    let tenths = took.as_millis() / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}
