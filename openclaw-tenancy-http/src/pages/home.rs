//! The start page: the caller's instance, or how to get one.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use openclaw_tenancy::id::Slug;
use openclaw_tenancy::tenancy::{Tenancy, TenancyError};

use super::frame::Frame;
use super::instance::Instance;
use super::words::Words;
use super::{figures, html};
use crate::access::caller::Caller;
use crate::api::ApiState;
use crate::api::ended_by::Reader;
use crate::api::lang::Lang;
use crate::api::plans;
use crate::api::problem::Problem;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    stage: Stage,
}

/// The part of the page that changes.
#[derive(Template)]
#[template(path = "stage.html")]
struct StagePart {
    frame: Frame,
    stage: Stage,
}

/// What stands on the stage.
enum Stage {
    Create(Create),
    Instance(Box<Instance>),
}

/// The form to create an instance.
struct Create {
    plans: Vec<PlanCard>,
    /// What follows a name in an address.
    suffix: String,
}

struct PlanCard {
    name: String,
    cpu: String,
    memory: String,
    storage: String,
    sandboxes: String,
    allowed: bool,
    selected: bool,
}

/// `GET /`.
pub(crate) async fn show(
    State(state): State<ApiState>,
    Extension(lang): Extension<Lang>,
    caller: Caller,
) -> Result<Response, Problem> {
    let stage = stage(&state, lang, &caller).await?;
    let frame = Frame::of_caller(lang, &caller);
    Ok(html(&HomePage { frame, stage }))
}

/// `GET /instance`: the stage alone, for the script.
pub(crate) async fn instance(
    State(state): State<ApiState>,
    Extension(lang): Extension<Lang>,
    caller: Caller,
) -> Result<Response, Problem> {
    let stage = stage(&state, lang, &caller).await?;
    let frame = Frame::of_caller(lang, &caller);
    Ok(html(&StagePart { frame, stage }))
}

async fn stage(state: &ApiState, lang: Lang, caller: &Caller) -> Result<Stage, Problem> {
    let (tenancy, words) = (state.tenancy(), Words::of(lang));
    match tenancy.mine(caller.account.id).await {
        Ok(view) => {
            let instance = Instance::new(view, tenancy.plans(), Reader::owner(caller), words)?;
            Ok(Stage::Instance(Box::new(instance)))
        }
        Err(TenancyError::NoTenant) => Ok(Stage::Create(create(tenancy, caller, words))),
        Err(error) => Err(error.into()),
    }
}

fn create(tenancy: &Tenancy, caller: &Caller, words: &Words) -> Create {
    let seen = plans::seen_by(&caller.account, tenancy);
    let plans = seen.into_iter().map(|plan| PlanCard {
        cpu: figures::cpu(plan.limits.cpu),
        memory: figures::bytes(plan.limits.memory_bytes),
        storage: figures::bytes(plan.limits.storage_bytes),
        sandboxes: figures::sandboxes(plan.limits.sandboxes, words),
        name: plan.name,
        allowed: plan.allowed,
        selected: plan.default,
    });
    Create {
        plans: plans.collect(),
        suffix: suffix(tenancy),
    }
}

/// What follows a name in an address, such as `.localhost:8080`.
fn suffix(tenancy: &Tenancy) -> String {
    let origins = &tenancy.context().blueprint.origins;
    Slug::chosen("name")
        .map(|slug| origins.origin(&slug))
        .ok()
        .and_then(|origin| {
            origin
                .split_once("://name")
                .map(|(_, suffix)| suffix.to_owned())
        })
        .unwrap_or_default()
}
