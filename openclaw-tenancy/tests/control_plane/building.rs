//! What does not fit together is refused when it is built, by its name.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::clock::SystemClock;
use openclaw_tenancy::id::DeploymentId;
use openclaw_tenancy::instance::OriginTemplate;
use openclaw_tenancy::labels::LabelKeys;
use openclaw_tenancy::memory::{MemoryBackend, MemoryStore};
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy::quota::PlanPolicy;
use openclaw_tenancy::reconcile::Pace;
use openclaw_tenancy::{Tenancy, TenancyBuilder};

type Part = (&'static str, fn(TenancyBuilder) -> TenancyBuilder);

fn deployment() -> DeploymentId {
    DeploymentId::new("d1").unwrap()
}

fn engines() -> Arc<MemoryBackend> {
    let keys = LabelKeys::new(deployment(), "k1", [1; 32]);
    let clock = Arc::new(SystemClock);
    Arc::new(MemoryBackend::new(Arc::new(keys), clock))
}

/// What has no default, by the name of its setter.
const PARTS: [Part; 6] = [
    ("backend", |builder| builder.backend(engines())),
    ("store", |builder| {
        builder.store(Arc::new(MemoryStore::new(Arc::new(SystemClock))))
    }),
    ("probe", |builder| builder.probe(engines())),
    ("image", |builder| builder.image("test", Bytes::gib(1))),
    ("deployment", |builder| builder.deployment(deployment())),
    ("origins", |builder| {
        builder.origins(OriginTemplate::new("http://{slug}.localhost:8080").unwrap())
    }),
];

fn builder_without(missing: &str) -> TenancyBuilder {
    PARTS
        .iter()
        .filter(|(name, _)| *name != missing)
        .fold(Tenancy::builder(), |builder, (_, give)| give(builder))
}

fn refused(builder: TenancyBuilder) -> String {
    builder.build().unwrap_err().to_string()
}

#[test]
fn a_part_that_was_not_given_is_named() {
    builder_without("nothing").build().unwrap();
    for (part, _) in PARTS {
        let expected = format!("no {part} was given; call TenancyBuilder::{part}");
        assert_eq!(refused(builder_without(part)), expected);
    }
}

/// No call may outlive the claim that it is made under: equal is too long.
#[test]
fn a_longest_call_that_is_not_below_the_lease_is_refused() {
    let build = |call, lease| {
        let pace = Pace {
            call: Duration::from_secs(call),
            lease: Duration::from_secs(lease),
            ..Pace::default()
        };
        builder_without("nothing").pace(pace)
    };
    build(29, 30).build().unwrap();
    for call in [30, 31] {
        let expected = format!("pace: call ({call}s) must be below lease (30s)");
        assert_eq!(refused(build(call, 30)), expected);
    }
}

#[test]
fn a_pool_without_a_subnet_is_refused() {
    let build = |pool: &str| builder_without("nothing").subnets(pool.parse().unwrap());
    build("10.9.0.0/29").build().unwrap();
    let expected = "the subnet pool 10.9.0.0/30 holds no /29; give a prefix of at most 29";
    assert_eq!(refused(build("10.9.0.0/30")), expected);
}

#[test]
fn a_policy_of_plans_that_there_are_not_is_refused() {
    let policy = PlanPolicy {
        default: "gold".parse().unwrap(),
        ..PlanPolicy::default()
    };
    let expected = "the plan policy does not fit the catalogue";
    assert_eq!(refused(builder_without("nothing").policy(policy)), expected);
}
