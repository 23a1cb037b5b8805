//! Who may have what: plan entitlement, decided purely.
//!
//! What a store must decide in its own transaction (seats, one live tenant per owner, a host's capacity)
//! is the store's; the figures it decides by are here and in [`crate::host`].

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, PlanCatalog, PlanName};

/// Which plans people may take by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanPolicy {
    /// The plans anybody who signs in may choose.
    pub self_service: Vec<PlanName>,
    /// The plan of a request that names none.
    pub default: PlanName,
}

/// Why a request's plan is not given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanRefused {
    /// There is no such plan.
    #[error("there is no plan `{plan}`; the plans are {known}")]
    Unknown {
        /// What was asked for.
        plan: String,
        /// The names, joined.
        known: String,
    },
    /// The caller may not have it.
    #[error("plan `{plan}` is above what this account may have; it may have {allowed}")]
    NotEntitled {
        /// What was asked for.
        plan: PlanName,
        /// The names, joined.
        allowed: String,
    },
}

impl PlanPolicy {
    /// Checks that the policy's plans exist.
    ///
    /// # Errors
    /// [`PlanRefused::Unknown`] names the first that does not.
    pub fn check(&self, catalog: &PlanCatalog) -> Result<(), PlanRefused> {
        self.self_service
            .iter()
            .chain([&self.default])
            .try_for_each(|name| find(catalog, name.as_str()).map(drop))
    }

    /// The plan for a request that asked for `requested`, by somebody entitled up to `entitled`.
    ///
    /// # Errors
    /// [`PlanRefused`].
    pub fn choose<'a>(
        &self,
        catalog: &'a PlanCatalog,
        requested: Option<&str>,
        entitled: Option<&PlanName>,
    ) -> Result<&'a Plan, PlanRefused> {
        let Some(requested) = requested else {
            return find(catalog, entitled.unwrap_or(&self.default).as_str());
        };
        let plan = find(catalog, requested)?;
        let rank = catalog.rank(&plan.name);
        let entitled_rank = entitled.and_then(|name| catalog.rank(name));
        if self.self_service.contains(&plan.name) || entitled_rank >= rank {
            return Ok(plan);
        }
        let allowed = catalog
            .iter()
            .filter(|p| {
                self.self_service.contains(&p.name) || entitled_rank >= catalog.rank(&p.name)
            })
            .map(|p| p.name.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        Err(PlanRefused::NotEntitled {
            plan: plan.name.clone(),
            allowed,
        })
    }
}

impl Default for PlanPolicy {
    /// Free and Basic by oneself; Basic unless asked otherwise.
    #[expect(clippy::expect_used, reason = "literals that are valid names")]
    fn default() -> Self {
        let name = |text| PlanName::new(text).expect("a valid name");
        Self {
            self_service: vec![name("free"), name("basic")],
            default: name("basic"),
        }
    }
}

fn find<'a>(catalog: &'a PlanCatalog, name: &str) -> Result<&'a Plan, PlanRefused> {
    catalog
        .iter()
        .find(|plan| plan.name.as_str() == name)
        .ok_or_else(|| PlanRefused::Unknown {
            plan: name.chars().take(80).collect(),
            known: catalog
                .iter()
                .map(|plan| plan.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a12_a_plan_above_the_entitlement_is_refused_and_within_it_honoured() {
        let (catalog, policy) = (PlanCatalog::default(), PlanPolicy::default());
        let pro = PlanName::new("pro").unwrap();
        let choose = |requested, entitled: Option<&PlanName>| {
            policy
                .choose(&catalog, requested, entitled)
                .map(|plan| plan.name.to_string())
        };
        assert_eq!(choose(None, None), Ok("basic".to_owned()));
        assert_eq!(choose(Some("free"), None), Ok("free".to_owned()));
        assert_eq!(choose(None, Some(&pro)), Ok("pro".to_owned()));
        assert_eq!(choose(Some("pro"), Some(&pro)), Ok("pro".to_owned()));
        assert_eq!(
            choose(Some("enterprise"), Some(&pro))
                .unwrap_err()
                .to_string(),
            "plan `enterprise` is above what this account may have; it may have free, basic, pro"
        );
        assert!(matches!(
            choose(Some("pro"), None),
            Err(PlanRefused::NotEntitled { .. })
        ));
        assert_eq!(
            choose(Some("gold"), None).unwrap_err().to_string(),
            "there is no plan `gold`; the plans are free, basic, pro, enterprise"
        );
    }
}
