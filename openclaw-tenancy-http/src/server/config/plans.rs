//! `[plans.NAME]`: changes to the four plans, and plans of one's own.

use std::collections::BTreeMap;
use std::fmt;

use openclaw_tenancy::plan::{Limits, Plan, PlanCatalog, PlanName, SandboxLimit};
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use openclaw_tenancy::quota::PlanPolicy;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::Problem;
use super::form;
use super::sections::PolicySection;

/// What an operator says of a plan. What is left out stays as it is for the four known plans; a plan of
/// one's own has to give `cpu`, `memory` and `storage`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct PlanSection {
    /// CPUs.
    #[serde(with = "form::optional_cpus")]
    pub(crate) cpu: Option<MilliCpus>,
    /// Memory.
    #[serde(with = "form::optional_bytes")]
    pub(crate) memory: Option<Bytes>,
    /// Swap beyond the memory, where the host has swap.
    #[serde(with = "form::optional_bytes")]
    pub(crate) swap: Option<Bytes>,
    /// Storage.
    #[serde(with = "form::optional_bytes")]
    pub(crate) storage: Option<Bytes>,
    /// Sandboxes at once: a number or `unlimited`.
    pub(crate) sandboxes: Option<Sandboxes>,
    /// Processes and threads.
    pub(crate) pids: Option<u32>,
    /// How many tenants may have the plan at once; no limit unless it is set.
    pub(crate) seats: Option<u64>,
}

/// `3` or `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sandboxes(pub(crate) SandboxLimit);

const SANDBOXES: &str = "is not a number of sandboxes; write a whole number or \"unlimited\"";

impl Serialize for Sandboxes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            SandboxLimit::AtMost(number) => serializer.serialize_u32(number),
            SandboxLimit::Unlimited => serializer.serialize_str("unlimited"),
        }
    }
}

impl<'de> Deserialize<'de> for Sandboxes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl Visitor<'_> for Reads {
            type Value = Sandboxes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or \"unlimited\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Sandboxes, E> {
                match text.trim() {
                    "unlimited" => Ok(Sandboxes(SandboxLimit::Unlimited)),
                    number => number
                        .parse()
                        .map(|number| Sandboxes(SandboxLimit::AtMost(number)))
                        .map_err(|_| E::custom(SANDBOXES)),
                }
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Sandboxes, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Reads)
    }
}

/// The catalogue that the settings describe.
pub(super) fn catalog(
    plans: &BTreeMap<String, PlanSection>,
    order: &[String],
) -> Result<PlanCatalog, Vec<Problem>> {
    let known = PlanCatalog::default();
    let mut problems = Vec::new();
    for name in plans.keys().filter(|name| !order.contains(name)) {
        problems.push(Problem::new(
            format!("plans.{name}"),
            "the plan is not in policy.order",
            "name it there, between the plans above and below it",
        ));
    }
    let mut catalog = Vec::new();
    for name in order {
        let section = plans.get(name).cloned().unwrap_or_default();
        let base = known.iter().find(|plan| plan.name.as_str() == name);
        match plan(name, &section, base) {
            Ok(plan) => catalog.push(plan),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    PlanCatalog::new(catalog).map_err(|error| vec![Problem::new("plans", error.to_string(), "")])
}

fn plan(name: &str, section: &PlanSection, base: Option<&Plan>) -> Result<Plan, Problem> {
    let valid = PlanName::new(name).map_err(|error| {
        Problem::new("policy.order", "names a plan that cannot be", error.rule)
            .value(format_args!("{name:?}"))
    })?;
    let limits = base.map(|plan| plan.limits);
    let missing = |field: &str| {
        Problem::new(
            format!("plans.{name}"),
            format!("has no {field}"),
            format!("set plans.{name}.{field}, or take {name} out of policy.order"),
        )
    };
    Ok(Plan {
        name: valid,
        limits: Limits {
            cpu: section
                .cpu
                .or(limits.map(|l| l.cpu))
                .ok_or_else(|| missing("cpu"))?,
            memory: section
                .memory
                .or(limits.map(|l| l.memory))
                .ok_or_else(|| missing("memory"))?,
            storage: section
                .storage
                .or(limits.map(|l| l.storage))
                .ok_or_else(|| missing("storage"))?,
            swap: section.swap.or(limits.map(|l| l.swap)).unwrap_or_default(),
            pids: section.pids.or(limits.map(|l| l.pids)).unwrap_or(512),
        },
        sandboxes: section
            .sandboxes
            .map(|sandboxes| sandboxes.0)
            .or(base.map(|plan| plan.sandboxes))
            .unwrap_or(SandboxLimit::AtMost(0)),
        seats: section.seats.or(base.and_then(|plan| plan.seats)),
    })
}

/// The policy that the settings describe.
pub(super) fn policy(
    section: &PolicySection,
    catalog: &PlanCatalog,
) -> Result<PlanPolicy, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut name = |key: &str, text: &str| {
        let found = catalog.iter().find(|plan| plan.name.as_str() == text);
        if found.is_none() {
            let known: Vec<_> = catalog.iter().map(|plan| plan.name.as_str()).collect();
            let fix = match super::read_error::nearest(text, known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("the plans are {}", known.join(", ")),
            };
            problems.push(
                Problem::new(key, "there is no such plan", fix).value(format_args!("{text:?}")),
            );
        }
        found.map(|plan| plan.name.clone())
    };
    let default = name("policy.default", &section.default);
    let self_service = section
        .self_service
        .iter()
        .filter_map(|text| name("policy.self_service", text))
        .collect();
    match default {
        Some(default) if problems.is_empty() => Ok(PlanPolicy {
            self_service,
            default,
        }),
        Some(_) | None => Err(problems),
    }
}
