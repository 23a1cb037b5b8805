//! What configuration and a provider's groups add to an account's own rights.
//!
//! What comes from groups is never written to the account: it holds for the session or the bearer that brought
//! it, so that a group somebody has left gives nothing at the next sign-in.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_tenancy::access::Rights;
use openclaw_tenancy::identity::{Identity, Subject};
use openclaw_tenancy::plan::{PlanCatalog, PlanName};

/// Who administers the deployment, and who may have which plan, by what a provider vouches for.
#[derive(Debug, Clone, Default)]
pub struct RightsPolicy {
    /// Administrators by name.
    pub admins: BTreeSet<Subject>,
    /// The plan that every administrator may have, beside those before it.
    pub admin_plan: Option<PlanName>,
    /// Each provider's groups, by its issuer: one provider's `admins` say nothing of another's.
    pub groups: BTreeMap<String, GroupRights>,
}

/// What the groups of one provider stand for.
#[derive(Debug, Clone, Default)]
pub struct GroupRights {
    /// Whoever is in one of these administers the deployment.
    pub admins: BTreeSet<String>,
    /// Whoever is in a group may have its plan; of several, the highest.
    pub plans: BTreeMap<String, PlanName>,
}

impl RightsPolicy {
    /// What `identity` brings beyond its account's own rights.
    #[must_use]
    pub fn granted(&self, identity: &Identity, catalog: &PlanCatalog) -> Rights {
        let mut granted = Rights {
            admin: self.admins.contains(&identity.who),
            plan: None,
        };
        if let Some(rights) = self.groups.get(&identity.who.issuer) {
            granted.admin |= !rights.admins.is_disjoint(&identity.groups);
            granted.plan = identity
                .groups
                .iter()
                .filter_map(|group| rights.plans.get(group))
                .cloned()
                .fold(None, |best, plan| higher(catalog, best, Some(plan)));
        }
        granted
    }

    /// An account's own rights with those `granted`, and the administrators' plan.
    #[must_use]
    pub fn effective(&self, own: &Rights, granted: &Rights, catalog: &PlanCatalog) -> Rights {
        let admin = own.admin || granted.admin;
        let plan = higher(catalog, own.plan.clone(), granted.plan.clone());
        let of_admins = self.admin_plan.clone().filter(|_| admin);
        Rights {
            admin,
            plan: higher(catalog, plan, of_admins),
        }
    }
}

/// The plan of the higher rank; one that the catalogue does not have counts for nothing.
fn higher(catalog: &PlanCatalog, a: Option<PlanName>, b: Option<PlanName>) -> Option<PlanName> {
    let rank = |plan: &Option<PlanName>| plan.as_ref().and_then(|name| catalog.rank(name));
    let best = if rank(&a) < rank(&b) { b } else { a };
    best.filter(|name| catalog.rank(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(issuer: &str, groups: &[&str]) -> Identity {
        Identity {
            who: Subject {
                issuer: issuer.to_owned(),
                subject: "alice".to_owned(),
            },
            email: Some("admin@example.com".to_owned()),
            email_verified: true,
            name: Some("admin".to_owned()),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        }
    }

    fn policy() -> RightsPolicy {
        let plan = |name| PlanName::new(name).unwrap();
        let rights = GroupRights {
            admins: BTreeSet::from(["ops".to_owned()]),
            plans: BTreeMap::from([
                ("staff".to_owned(), plan("pro")),
                ("everybody".to_owned(), plan("free")),
                ("gone".to_owned(), plan("platinum")),
            ]),
        };
        RightsPolicy {
            admins: BTreeSet::new(),
            admin_plan: Some(plan("pro")),
            groups: BTreeMap::from([("https://a.example".to_owned(), rights)]),
        }
    }

    #[test]
    fn a_group_counts_at_its_own_provider_only() {
        let catalog = PlanCatalog::default();
        let granted = |issuer, groups: &[&str]| {
            let rights = policy().granted(&identity(issuer, groups), &catalog);
            (rights.admin, rights.plan.map(String::from))
        };
        let pro = Some("pro".to_owned());
        assert_eq!(
            granted("https://a.example", &["everybody", "staff"]),
            (false, pro)
        );
        assert_eq!(granted("https://a.example", &["ops"]), (true, None));
        assert_eq!(granted("https://a.example", &["gone"]), (false, None));
        assert_eq!(
            granted("https://b.example", &["ops", "staff"]),
            (false, None)
        );
        assert_eq!(granted("local", &["ops"]), (false, None));
    }

    #[test]
    fn an_administrator_is_one_pair_of_issuer_and_subject() {
        let catalog = PlanCatalog::default();
        let alice = identity("https://a.example", &[]);
        let policy = RightsPolicy {
            admins: BTreeSet::from([alice.who.clone()]),
            ..RightsPolicy::default()
        };
        assert!(policy.granted(&alice, &catalog).admin);
        assert!(
            !policy
                .granted(&identity("https://b.example", &[]), &catalog)
                .admin
        );
    }

    #[test]
    fn the_higher_plan_counts() {
        let catalog = PlanCatalog::default();
        let plan = |name| Some(PlanName::new(name).unwrap());
        let rights = |admin, plan| Rights { admin, plan };
        let effective = |own, granted| policy().effective(&own, &granted, &catalog).plan;
        assert_eq!(
            effective(rights(false, None), rights(false, plan("basic"))),
            plan("basic")
        );
        assert_eq!(
            effective(rights(true, None), rights(false, plan("basic"))),
            plan("pro")
        );
        let own = rights(true, plan("enterprise"));
        assert_eq!(effective(own, rights(true, None)), plan("enterprise"));
        assert_eq!(
            effective(rights(false, plan("platinum")), rights(false, None)),
            None
        );
    }
}
