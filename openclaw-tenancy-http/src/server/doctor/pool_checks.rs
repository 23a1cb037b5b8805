//! The pool that instances' subnets are given out of: whether anything else has its addresses.

use ipnet::Ipv4Net;

use super::Check;
use crate::server::survey::{SeenNetwork, some_of};

const SUBJECT: &str = "reconcile.subnet_pool";

/// RFC 1918 and RFC 6598: addresses that no machine on the internet has.
const PRIVATE: [&str; 4] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
];

/// A pool of public addresses hides the machines that have them from the instances and from the worker.
pub(super) fn range_check(pool: Ipv4Net) -> Option<Check> {
    let private = PRIVATE
        .iter()
        .filter_map(|range| range.parse::<Ipv4Net>().ok())
        .any(|range| range.contains(&pool));
    (!private).then(|| {
        Check::warn(
            SUBJECT,
            format!("{pool} is no private range: workers and instances cannot reach who really has its addresses"),
            format!(
                "choose one in {} that your network does not use",
                PRIVATE.join(", ")
            ),
        )
    })
}

/// Networks of others on an engine that have addresses of the pool: those are given to no instance, and where that is
/// all of them no instance starts there.
pub(super) fn overlap_check(
    subject: &str,
    pool: Ipv4Net,
    networks: &[SeenNetwork],
    ours: &str,
) -> Option<Check> {
    let foreign = networks
        .iter()
        .filter(|network| network.deployment.as_deref() != Some(ours));
    let overlapping: Vec<(&str, Ipv4Net)> = foreign
        .flat_map(|network| {
            network
                .subnets
                .iter()
                .map(|subnet| (&*network.name, *subnet))
        })
        .filter(|(_, subnet)| pool.contains(subnet) || subnet.contains(&pool))
        .collect();
    if overlapping.is_empty() {
        return None;
    }
    let all = overlapping.iter().any(|(_, subnet)| subnet.contains(&pool));
    let named = overlapping
        .iter()
        .map(|(name, subnet)| format!("{name} ({subnet})"));
    let who = format!(
        "{SUBJECT} {pool} overlaps networks that are not ours: {}",
        some_of(named)
    );
    let fix =
        format!("choose another {SUBJECT} that nothing on this engine and in your network uses");
    Some(if all {
        Check::fail(subject, format!("{who}; no instance can start here"), fix)
    } else {
        let found = format!("{who}; those addresses are given to no instance");
        Check::warn(subject, found, fix)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn public_addresses_are_told() {
        let told = |pool: &str| range_check(pool.parse().unwrap()).map(|check| check.outcome);
        for pool in [
            "10.213.0.0/16",
            "172.31.0.0/24",
            "192.168.4.0/24",
            "100.64.0.0/10",
        ] {
            assert_eq!(told(pool), None, "{pool}");
        }
        for pool in [
            "8.8.0.0/16",
            "172.32.0.0/16",
            "172.0.0.0/8",
            "100.128.0.0/16",
        ] {
            assert_eq!(told(pool), Some(Outcome::Warn), "{pool}");
        }
    }

    #[test]
    fn what_others_have_of_the_pool_is_told_and_what_is_ours_is_not() {
        let network = |name: &str, deployment: Option<&str>, subnet: &str| SeenNetwork {
            name: name.to_owned(),
            deployment: deployment.map(str::to_owned),
            subnets: vec![subnet.parse().unwrap()],
        };
        let networks = [
            network("bridge", None, "172.17.0.0/16"),
            network("oct-a", Some("us"), "10.213.0.0/29"),
            network("oct-b", Some("them"), "10.214.0.0/29"),
        ];
        let told = |pool: &str| overlap_check("e", pool.parse().unwrap(), &networks, "us");
        assert_eq!(told("10.213.0.0/16"), None);
        let part = told("10.214.0.0/16").unwrap();
        assert_eq!(part.outcome, Outcome::Warn);
        assert!(part.found.contains("oct-b (10.214.0.0/29)"), "{part:?}");
        for pool in ["172.17.0.0/16", "172.17.8.0/24"] {
            let all = told(pool).unwrap();
            assert_eq!(all.outcome, Outcome::Fail, "{pool}");
            assert!(all.found.contains("bridge (172.17.0.0/16)"), "{all:?}");
        }
    }
}
