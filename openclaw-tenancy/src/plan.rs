//! Plans: what a tenant's instance may use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{InvalidId, is_dns_label};
use crate::quantity::{Bytes, MilliCpus};

/// The name of a plan, such as `basic`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlanName(String);

impl PlanName {
    /// Checks and wraps `text`.
    ///
    /// # Errors
    /// [`InvalidId`] unless it is one DNS label.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        if is_dns_label(&text) {
            Ok(Self(text))
        } else {
            Err(InvalidId::new("plan", &text, "1 to 63 of a-z, 0-9 and -"))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PlanName {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for PlanName {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<PlanName> for String {
    fn from(name: PlanName) -> Self {
        name.0
    }
}

/// How many sandboxes a plan allows at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxLimit {
    /// At most this many.
    AtMost(u32),
    /// As many as fit the host.
    Unlimited,
}

/// What an instance may use. Compared with the engine's inspected values, never hashed into a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// CPU, in milli-CPUs.
    pub cpu: MilliCpus,
    /// Memory, in bytes.
    pub memory: Bytes,
    /// Swap beyond the memory, in bytes, where the host has swap.
    pub swap: Bytes,
    /// Storage of the data volume, in bytes.
    pub storage: Bytes,
    /// Processes and threads.
    pub pids: u32,
}

/// A plan of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its name.
    pub name: PlanName,
    /// What an instance may use.
    pub limits: Limits,
    /// How many sandboxes.
    pub sandboxes: SandboxLimit,
    /// How many tenants may have this plan at once; `None` is no limit.
    pub seats: Option<u64>,
}

/// The plans of a deployment, from the least to the most.
///
/// The order is the order of entitlement: whoever may have a plan may have those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanCatalog {
    plans: Vec<Plan>,
}

/// Why a catalogue cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// A plan's name stands twice.
    #[error("plan `{0}` is given twice; give each name once")]
    Duplicate(PlanName),
    /// There is no plan.
    #[error("the plan catalogue is empty; give at least one plan")]
    Empty,
    /// There is no plan of the name that is to be changed.
    #[error("there is no plan `{name}`; the plans are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The plans that there are.
        known: String,
    },
    /// An amount is below what an engine accepts.
    #[error("plan `{plan}`: {field} is {value}, below the least an engine accepts ({least})")]
    TooSmall {
        /// The plan.
        plan: PlanName,
        /// The field.
        field: &'static str,
        /// The value, with its unit.
        value: String,
        /// The least, with its unit.
        least: &'static str,
    },
}

impl PlanCatalog {
    /// Checks and keeps `plans`, in the order of entitlement.
    ///
    /// # Errors
    /// [`CatalogError`] for an empty list, a name twice, or an amount that no engine accepts
    /// (memory below 6 MiB is refused by Docker Engine, CPU below 0.01).
    pub fn new(plans: Vec<Plan>) -> Result<Self, CatalogError> {
        if plans.is_empty() {
            return Err(CatalogError::Empty);
        }
        for (index, plan) in plans.iter().enumerate() {
            if plans[..index]
                .iter()
                .any(|earlier| earlier.name == plan.name)
            {
                return Err(CatalogError::Duplicate(plan.name.clone()));
            }
            let too_small = |field, value, least| CatalogError::TooSmall {
                plan: plan.name.clone(),
                field,
                value,
                least,
            };
            let limits = &plan.limits;
            if limits.cpu < MilliCpus(10) {
                return Err(too_small("cpu", limits.cpu.to_string(), "0.01 CPU"));
            }
            if limits.memory < Bytes::mib(6) {
                return Err(too_small("memory", limits.memory.to_string(), "6 MiB"));
            }
            if limits.pids < 1 {
                return Err(too_small("pids", limits.pids.to_string(), "1"));
            }
        }
        Ok(Self { plans })
    }

    /// The same catalogue with one plan changed:
    /// `PlanCatalog::default().with("free", |plan| plan.limits.memory = Bytes::mib(768))`.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] without a plan of this name, and what [`new`](Self::new) refuses.
    pub fn with(
        mut self,
        name: &str,
        change: impl FnOnce(&mut Plan),
    ) -> Result<Self, CatalogError> {
        let named = self
            .plans
            .iter_mut()
            .find(|plan| plan.name.as_str() == name);
        let Some(plan) = named else {
            let known: Vec<&str> = self.plans.iter().map(|plan| plan.name.as_str()).collect();
            return Err(CatalogError::Unknown {
                name: name.to_owned(),
                known: known.join(", "),
            });
        };
        change(plan);
        Self::new(self.plans)
    }

    /// The plan of this name.
    #[must_use]
    pub fn get(&self, name: &PlanName) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.name == *name)
    }

    /// Where the plan stands in the order of entitlement.
    #[must_use]
    pub fn rank(&self, name: &PlanName) -> Option<usize> {
        self.plans.iter().position(|plan| plan.name == *name)
    }

    /// All plans, from the least to the most.
    pub fn iter(&self) -> impl Iterator<Item = &Plan> {
        self.plans.iter()
    }
}

impl Default for PlanCatalog {
    /// Free, Basic, Pro and Enterprise, as the product promises them.
    ///
    /// The swap allowance of Free and Basic carries OpenClaw's measured floor of about 1 GiB of memory
    /// and swap together, with room.
    fn default() -> Self {
        let plan = |name: &str, cpu, memory_mib, swap_mib, storage_gib, sandboxes, pids| Plan {
            name: PlanName(name.to_owned()),
            limits: Limits {
                cpu: MilliCpus(cpu),
                memory: Bytes::mib(memory_mib),
                swap: Bytes::mib(swap_mib),
                storage: Bytes::gib(storage_gib),
                pids,
            },
            sandboxes,
            seats: None,
        };
        Self {
            plans: vec![
                plan("free", 500, 512, 1024, 5, SandboxLimit::AtMost(1), 256),
                plan("basic", 1000, 1024, 512, 20, SandboxLimit::AtMost(3), 256),
                plan("pro", 2000, 2048, 0, 50, SandboxLimit::AtMost(10), 512),
                plan(
                    "enterprise",
                    4000,
                    4096,
                    0,
                    200,
                    SandboxLimit::Unlimited,
                    1024,
                ),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_plans_are_the_promised_ones() {
        let catalog = PlanCatalog::default();
        let rows: Vec<_> = catalog
            .iter()
            .map(|p| {
                (
                    p.name.as_str(),
                    p.limits.cpu.0,
                    p.limits.memory.0 >> 20,
                    p.limits.storage.0 >> 30,
                    p.sandboxes,
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("free", 500, 512, 5, SandboxLimit::AtMost(1)),
                ("basic", 1000, 1024, 20, SandboxLimit::AtMost(3)),
                ("pro", 2000, 2048, 50, SandboxLimit::AtMost(10)),
                ("enterprise", 4000, 4096, 200, SandboxLimit::Unlimited),
            ]
        );
    }

    #[test]
    fn one_plan_is_changed_and_checked() {
        let more = |plan: &mut Plan| plan.limits.memory = Bytes::mib(768);
        let changed = PlanCatalog::default().with("free", more).unwrap();
        let memory: Vec<_> = changed.iter().map(|p| p.limits.memory.0 >> 20).collect();
        assert_eq!(memory, [768, 1024, 2048, 4096]);
        let unknown = PlanCatalog::default().with("fre", more).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "there is no plan `fre`; the plans are free, basic, pro, enterprise"
        );
        let too_small = PlanCatalog::default().with("free", |plan| plan.limits.pids = 0);
        assert!(matches!(too_small, Err(CatalogError::TooSmall { .. })));
    }

    #[test]
    fn a_catalogue_that_cannot_be_is_refused() {
        let mut plans: Vec<Plan> = PlanCatalog::default().iter().cloned().collect();
        assert_eq!(PlanCatalog::new(vec![]), Err(CatalogError::Empty));
        plans[0].limits.memory = Bytes::mib(5);
        let text = PlanCatalog::new(plans.clone()).unwrap_err().to_string();
        assert_eq!(
            text,
            "plan `free`: memory is 5 MiB, below the least an engine accepts (6 MiB)"
        );
        plans[0] = plans[1].clone();
        assert!(matches!(
            PlanCatalog::new(plans),
            Err(CatalogError::Duplicate(_))
        ));
    }
}
