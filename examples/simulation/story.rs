//! Stories: one life with chosen faults, and random ones from a seed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use openclaw_tenancy::clock::{Clock as _, SeededEntropy, Timestamp};
use openclaw_tenancy::labels::Role;
use openclaw_tenancy::memory::{Behavior, Fault, Reachable, StartOutcome};
use openclaw_tenancy::tenant::{Power, Tenant};
use openclaw_tenancy::{CreateRequest, TenancyError};

use crate::bugs::Bug;
use crate::invariants::{check, check_step};
use crate::rest::converged;
use crate::world::{World, say};

/// Asks for an instance as a client does: again with the same key until it is answered.
fn ask(world: &mut World, who: usize, key: &str) -> Result<(), String> {
    let account = world.accounts[who].clone();
    let mut answers = Vec::new();
    for _ in 0..4 {
        match request(world, |w| {
            let (tenancy, account, key) = (w.tenancy.clone(), account.clone(), key.to_owned());
            async move {
                tenancy
                    .create(&account, CreateRequest::default(), Some(key))
                    .await
            }
        }) {
            Some(Ok(made)) => answers.push(made.view.tenant.id),
            // The server died, or its database did not answer: ask again.
            None | Some(Err(TenancyError::Store(_))) => continue,
            Some(Err(error)) => return Err(format!("create: {error}")),
        }
    }
    answers.dedup();
    match answers.as_slice() {
        [] => Ok(()),
        [one] => {
            world.memory.borrow_mut().acknowledged.insert(*one);
            Ok(())
        }
        [..] => Err(format!("I5: one key made {answers:?}")),
    }
}

/// Runs a request of a server that may die in it; `None` when it did.
fn request<T: 'static, F>(world: &mut World, begin: impl FnOnce(&World) -> F) -> Option<T>
where
    F: Future<Output = T> + 'static,
{
    let slot = std::rc::Rc::new(std::cell::Cell::new(None));
    let (work, filled) = (begin(world), std::rc::Rc::clone(&slot));
    world.begin(Box::pin(async move { filled.set(Some(work.await)) }));
    slot.take()
}

fn set_power(world: &mut World, who: usize, power: Power) {
    let account = world.accounts[who].id;
    let wanted = crate::world::now(openclaw_tenancy::store::TenantStore::find_by_owner(
        &*world.store,
        account,
    ));
    if power == Power::Deleted
        && let Ok(Some(tenant)) = wanted
    {
        // From the request on: its effect may be durable although the answer is lost.
        world.memory.borrow_mut().deleted.insert(tenant.id);
    }
    let _answer = request(world, |w| {
        let tenancy = w.tenancy.clone();
        async move { tenancy.set_power(account, power).await }
    });
}

/// Passes of both replicas while the clock goes on.
fn settle(world: &mut World, rounds: usize, by: Duration) -> Result<(), String> {
    for round in 0..rounds {
        world.pass_hosts(round % 2);
        world.pass_tenants(round % 2);
        check_step(world)?;
        world.advance(by);
        check(world)?;
    }
    Ok(())
}

/// One instance is asked for, used, suspended, resumed and deleted, with `faults` at those calls.
///
/// Returns the number of calls.
pub(crate) fn life(faults: &[(u64, Fault)], bug: Option<Bug>) -> Result<u64, String> {
    let mut world = World::new(1, bug);
    let begin = world.faults.calls();
    for (call, fault) in faults {
        world.faults.at(begin + call, *fault);
    }
    // Two of these are more than a lease: what a dead process held is taken over.
    let second = Duration::from_secs(21);
    settle(&mut world, 1, second)?;
    ask(&mut world, 0, "k")?;
    settle(&mut world, 4, second)?;
    for power in [Power::Suspended, Power::Running, Power::Deleted] {
        set_power(&mut world, 0, power);
        settle(&mut world, 3, second)?;
    }
    let calls = world.faults.calls() - begin;
    finish(&mut world)?;
    Ok(calls)
}

/// Faults stop; everything converges.
fn finish(world: &mut World) -> Result<(), String> {
    world.faults.stop();
    world.twice.store(false, Ordering::Relaxed);
    world.stopped_until = Timestamp::default();
    for host in world.hosts.clone() {
        world.backend.set_reachable(&host, Reachable::Yes);
        world.backend.set_next_start(&host, None);
    }
    settle(world, 2, Duration::from_secs(70))?;
    // Five claims of each tenant at most, and the backoff before each; then it must stay so.
    for _ in 0..10 {
        settle(world, 1, Duration::from_secs(310))?;
        if converged(world).is_ok() {
            break;
        }
    }
    settle(world, 1, Duration::from_secs(310))?;
    converged(world)
}

/// A random story.
pub(crate) fn random(seed: u64, bug: Option<Bug>) -> Result<(), String> {
    let dice = SeededEntropy::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0xa5a5);
    let roll = |sides: u64| dice.next_u64() % sides;
    let mut world = World::new(seed, bug);
    settle(&mut world, 1, Duration::from_secs(1))?;
    for turn in 0..12 + roll(20) {
        let who = usize::try_from(roll(5)).unwrap();
        let host = world.hosts[usize::try_from(roll(2)).unwrap()].clone();
        let act = roll(22);
        say(|| format!("turn {turn}: act {act}, account {who}, host {host}"));
        match act {
            0..=3 => ask(&mut world, who, &format!("k{turn}")).or_else(|error| {
                // Having one already is an answer, not a violation.
                if error.starts_with("I5") {
                    Err(error)
                } else {
                    Ok(())
                }
            })?,
            4 | 5 => set_power(&mut world, who, Power::Deleted),
            6 => set_power(&mut world, who, Power::Suspended),
            7 => set_power(&mut world, who, Power::Running),
            8 => {
                let account = world.accounts[who].id;
                let _answer = request(&mut world, |w| {
                    let tenancy = w.tenancy.clone();
                    async move { tenancy.restart(account).await }
                });
            }
            9 => {
                world
                    .backend
                    .set_next_start(&host, Some(StartOutcome::Ghost));
                if turn % 2 == 0 {
                    // The worker dies in that very call: nothing of it is ever settled.
                    world.faults.next("start", Some(Fault::HangAfter));
                }
            }
            10 => world
                .backend
                .set_next_start(&host, Some(StartOutcome::Broken)),
            11 => world.backend.set_reachable(&host, Reachable::No),
            12 => world.backend.set_reachable(&host, Reachable::Yes),
            13..=16 => {
                let fault = match roll(6) {
                    0 => Fault::Fail,
                    1 => Fault::LoseAnswer,
                    2 => Fault::HangBefore,
                    3 => Fault::HangAfter,
                    // Longer than a call may take, and than a lease: it is given up.
                    4 => Fault::Delay(Duration::from_secs(30)),
                    _ => Fault::Delay(Duration::from_secs(90)),
                };
                let call = world.faults.calls() + roll(25);
                say(|| format!("  {fault:?} at call {call}"));
                world.faults.at(call, fault);
            }
            17 => misbehave(&world, &host, who, roll(3)),
            18 => {
                world.stopped_until = world.clock.now().plus(Duration::from_secs(100));
                if turn % 2 == 0 {
                    // Stopped in that very call: it lands after the claim has passed on.
                    let call = match turn % 3 {
                        0 => "backend.create.network",
                        1 => "backend.create.volume",
                        _ => "backend.create.instance",
                    };
                    world
                        .faults
                        .next(call, Some(Fault::Delay(Duration::from_secs(24))));
                }
            }
            19 => misbehave(&world, &host, who, 3 + u64::from(turn % 2 == 0)),
            20 => {
                let role = [Role::Instance, Role::Data, Role::Config, Role::Network];
                let role = role[usize::try_from(roll(4)).unwrap()];
                if let Some(tenant) = tenant_of(&world, who) {
                    world.plant_in_the_way(&host, &tenant, role);
                }
            }
            21 => world.twice.store(true, Ordering::Relaxed),
            _ => {}
        }
        check(&world)?;
        let replica = usize::try_from(roll(2)).unwrap();
        world.pass_hosts(replica);
        world.pass_tenants(replica);
        check_step(&world)?;
        let pause = [1, 1, 2, 10, 25, 61][usize::try_from(roll(6)).unwrap()];
        world.advance(Duration::from_secs(pause));
        check(&world)?;
    }
    for host in world.hosts.clone() {
        for who in 0..world.accounts.len() {
            misbehave(&world, &host, who, 2);
            misbehave(&world, &host, who, 5);
        }
    }
    finish(&mut world)
}

fn tenant_of(world: &World, who: usize) -> Option<Tenant> {
    let owner = world.accounts[who].id;
    let found = openclaw_tenancy::store::TenantStore::find_by_owner(&*world.store, owner);
    crate::world::now(found).unwrap()
}

fn misbehave(world: &World, host: &openclaw_tenancy::id::HostId, who: usize, how: u64) {
    let Some(tenant) = tenant_of(world, who) else {
        return;
    };
    match how {
        0 => world.backend.crash(host, tenant.id, 1),
        1 => world.backend.set_behavior(
            host,
            tenant.id,
            Behavior {
                ignores_terminate: true,
                ..Behavior::default()
            },
        ),
        2 => world
            .backend
            .set_behavior(host, tenant.id, Behavior::default()),
        3 => world.backend.cut_off(host, tenant.id),
        4 => world.backend.pause(host, tenant.id),
        _ => world.backend.unpause(host, tenant.id),
    }
}

/// The story of a seed, for a person.
pub(crate) fn tell(seed: u64) -> String {
    crate::world::tell(Some(String::new()));
    let end = match random(seed, None) {
        Ok(()) => "no violation".to_owned(),
        Err(violation) => format!("violation: {violation}"),
    };
    format!("{}{end}", crate::world::tell(None).unwrap_or_default())
}
