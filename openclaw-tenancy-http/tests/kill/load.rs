//! People at work while their server is killed: 20 requests a second, 2 of them creates.
//!
//! Each person keeps one truth: what the API acknowledged must hold from then on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::dice::Dice;
use crate::field;
use crate::people::{People, Person};

/// Enough people that there is always one who wants an instance, while what a killed server had in hand waits.
const PEOPLE: u64 = 110;
/// All requests together come this far apart, the server up or down.
const REQUESTS: Duration = Duration::from_millis(50);
/// And creates this far.
const CREATES: Duration = Duration::from_millis(500);

/// What a person knows of their instance.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// There is none.
    Nothing,
    /// One was asked for with this key; whether that arrived is not known.
    Asked(String),
    /// It was acknowledged under this key, as the instance of this id.
    Has { key: String, id: String },
    /// It is to be deleted, which may be acknowledged; whether it arrived is not known until it is gone.
    Deleting { id: String, acknowledged: bool },
}

/// People at work.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    people: Vec<JoinHandle<(Person, Known)>>,
    counts: Arc<Counts>,
    began: Instant,
}

/// What people did.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    requests: AtomicU64,
    unanswered: AtomicU64,
    unavailable: AtomicU64,
    /// Creates begun, each by its first request.
    asked: AtomicU64,
    creates: AtomicU64,
    replays: AtomicU64,
    deletes: AtomicU64,
    /// Deletes that were acknowledged and not yet seen to have ended.
    deleting: AtomicU64,
}

struct Pace {
    requests: Mutex<Interval>,
    creates: Mutex<Interval>,
}

impl Load {
    /// Starts everybody.
    pub(crate) fn start(people: &People, dice: &mut Dice) -> Self {
        let pace = Arc::new(Pace {
            requests: Mutex::new(every(REQUESTS)),
            creates: Mutex::new(every(CREATES)),
        });
        let counts = Arc::new(Counts::default());
        let (stop, stopped) = watch::channel(false);
        let people = (0..PEOPLE)
            .map(|number| {
                let worker = Worker {
                    person: people.person(&format!("person-{number}")),
                    pace: Arc::clone(&pace),
                    counts: Arc::clone(&counts),
                    stopped: stopped.clone(),
                    patience: 1 + dice.below(6),
                };
                tokio::spawn(worker.work())
            })
            .collect();
        Self {
            stop,
            people,
            counts,
            began: Instant::now(),
        }
    }

    /// Waits until the first delete was acknowledged: a kill before that could hit none.
    pub(crate) async fn until_deletes(&self, within: Duration) {
        let end = Instant::now() + within;
        while self.deleting() + self.deleted() == 0 {
            assert!(Instant::now() < end, "nobody deletes: {}", self.counts);
            tokio::time::sleep(REQUESTS).await;
        }
    }

    /// How many deletes were acknowledged and not yet seen to have ended.
    pub(crate) fn deleting(&self) -> u64 {
        self.counts.deleting.load(Ordering::Relaxed)
    }

    /// How many deletes were seen to have ended.
    pub(crate) fn deleted(&self) -> u64 {
        self.counts.deletes.load(Ordering::Relaxed)
    }

    /// Prints what was done in each second until now, and asserts what cannot be said of people who were idle between so
    /// many kills, or not at the load that they name.
    ///
    /// By counts for each kill, and no rates: before a kill lie 0.75 s on average in which the server is up, and so many
    /// come to in them alone. The kill, the look at the engine and the start come on top of it.
    pub(crate) fn assert_busy(&self, kills: usize) {
        let kills = u32::try_from(kills).unwrap();
        let counts = &self.counts;
        let [requests, asked, creates] = [&counts.requests, &counts.asked, &counts.creates]
            .map(|count| u32::try_from(count.load(Ordering::Relaxed)).unwrap());
        let seconds = self.began.elapsed().as_secs_f64();
        println!(
            "{:.1} requests a second, {:.1} of them a create's first",
            f64::from(requests) / seconds,
            f64::from(asked) / seconds
        );
        assert!(requests >= 15 * kills, "{kills} kills: {counts}");
        assert!(2 * asked >= 3 * kills, "{kills} kills: {counts}");
        assert!(creates >= kills, "{kills} kills: {counts}");
    }

    /// Nobody has found anything wrong so far.
    pub(crate) fn check(&self) {
        assert!(
            !self.people.iter().any(JoinHandle::is_finished),
            "somebody found something wrong; see above"
        );
    }

    /// Lets everybody finish what they began.
    pub(crate) async fn finish(self, within: Duration) -> Settled {
        self.stop.send(true).expect("people are at work");
        let mut people = Vec::new();
        for person in self.people {
            let done = tokio::time::timeout(within, person).await;
            people.push(done.expect("everything begun ends").expect("no complaint"));
        }
        Settled {
            people,
            figures: self.counts,
        }
    }
}

/// Everybody's truth after the last kill.
pub(crate) struct Settled {
    people: Vec<(Person, Known)>,
    /// What was done, for the reader.
    pub(crate) figures: Arc<Counts>,
}

impl Settled {
    /// The instances that were acknowledged and are wanted, by their owners.
    pub(crate) fn live(&self) -> BTreeMap<String, String> {
        let has = |(person, known): &(Person, Known)| match known {
            Known::Has { id, .. } => Some((person.name.clone(), id.clone())),
            Known::Nothing | Known::Asked(_) | Known::Deleting { .. } => None,
        };
        self.people.iter().filter_map(has).collect()
    }

    /// The phase that the API tells each owner; who owns nothing is told so.
    pub(crate) async fn phases(&self) -> BTreeMap<String, String> {
        let mut phases = BTreeMap::new();
        for (person, known) in &self.people {
            let (status, answer) = mine(person).await.expect("the server is up");
            if let Known::Has { id, .. } = known {
                assert_eq!(
                    (status, field(&answer, "id")),
                    (200, id.as_str()),
                    "{answer}"
                );
                let phase = field(&answer, "phase");
                let told = match phase {
                    "running" => phase.to_owned(),
                    _ => format!("{phase}: {}", answer["status"]),
                };
                phases.insert(person.name.clone(), told);
            } else {
                assert_eq!(status, 404, "{known:?}, but {answer}");
            }
        }
        phases
    }

    /// Everybody deletes theirs, and sees it gone.
    pub(crate) async fn delete_all(&self, within: Duration) {
        for (person, known) in &self.people {
            if let Known::Has { .. } = known {
                let asked = person.ask(Method::DELETE, "/api/tenants/me", None).await;
                assert_eq!(asked.expect("the server is up").0, 202);
            }
        }
        let end = Instant::now() + within;
        for (person, _) in &self.people {
            while mine(person).await.is_none_or(|(status, _)| status != 404) {
                assert!(Instant::now() < end, "{} still has one", person.name);
                tokio::time::sleep(REQUESTS).await;
            }
        }
    }
}

async fn mine(person: &Person) -> Option<(u16, Value)> {
    person.ask(Method::GET, "/api/tenants/me", None).await
}

struct Worker {
    person: Person,
    pace: Arc<Pace>,
    counts: Arc<Counts>,
    stopped: watch::Receiver<bool>,
    /// After how many looks this person deletes what they have.
    patience: u64,
}

impl Worker {
    async fn work(self) -> (Person, Known) {
        let mut known = Known::Nothing;
        let mut looks = 0;
        for round in 0.. {
            let stopping = *self.stopped.borrow();
            if stopping && matches!(known, Known::Nothing | Known::Has { .. }) {
                break;
            }
            known = match known {
                Known::Nothing if self.may_create().await => {
                    self.counts.asked.fetch_add(1, Ordering::Relaxed);
                    Known::Asked(format!("{}-{round}", self.person.name))
                }
                Known::Nothing => {
                    self.has_nothing().await;
                    Known::Nothing
                }
                Known::Asked(key) => self.create(key).await,
                Known::Has { key, id } => {
                    looks += 1;
                    if looks % self.patience == 0 {
                        Known::Deleting {
                            id,
                            acknowledged: false,
                        }
                    } else {
                        self.use_it(&key, &id, looks).await;
                        Known::Has { key, id }
                    }
                }
                Known::Deleting { id, acknowledged } => self.delete(id, acknowledged).await,
            };
        }
        (self.person, known)
    }

    /// Whether it is time for the next create, of anybody's.
    async fn may_create(&self) -> bool {
        self.pace
            .creates
            .lock()
            .await
            .tick()
            .now_or_never()
            .is_some()
    }

    async fn has_nothing(&self) {
        match self.ask(Method::GET, None).await {
            Some((404 | 503, _)) | None => {}
            Some((status, answer)) => panic!("{} has nothing: {status} {answer}", self.person.name),
        }
    }

    async fn create(&self, key: String) -> Known {
        match self.post(&key).await {
            Some((202, answer)) => {
                self.counts.creates.fetch_add(1, Ordering::Relaxed);
                let id = field(&answer, "id").to_owned();
                Known::Has { key, id }
            }
            Some((503, _)) | None => Known::Asked(key),
            Some((status, answer)) => panic!("create of {}: {status} {answer}", self.person.name),
        }
    }

    /// What was acknowledged is there, and its key gives it again.
    async fn use_it(&self, key: &str, id: &str, look: u64) {
        let answer = if look.is_multiple_of(3) {
            let replayed = self.post(key).await;
            self.counts.replays.fetch_add(1, Ordering::Relaxed);
            replayed.map(|(status, answer)| (if status == 202 { 200 } else { status }, answer))
        } else {
            self.ask(Method::GET, None).await
        };
        match answer {
            Some((200, answer)) => assert_eq!(field(&answer, "id"), id, "{answer}"),
            Some((503, _)) | None => {}
            Some((status, answer)) => {
                panic!(
                    "{}'s {id} was acknowledged: {status} {answer}",
                    self.person.name
                )
            }
        }
    }

    async fn delete(&self, id: String, acknowledged: bool) -> Known {
        let deleting = &self.counts.deleting;
        match self.ask(Method::DELETE, None).await {
            Some((202, answer)) => {
                assert_eq!(field(&answer, "id"), id, "{answer}");
                deleting.fetch_add(u64::from(!acknowledged), Ordering::Relaxed);
                Known::Deleting {
                    id,
                    acknowledged: true,
                }
            }
            Some((404, _)) => {
                self.counts.deletes.fetch_add(1, Ordering::Relaxed);
                deleting.fetch_sub(u64::from(acknowledged), Ordering::Relaxed);
                Known::Nothing
            }
            Some((503, _)) | None => Known::Deleting { id, acknowledged },
            Some((status, answer)) => panic!("delete of {}: {status} {answer}", self.person.name),
        }
    }

    async fn post(&self, key: &str) -> Option<(u16, Value)> {
        self.ask(Method::POST, Some(key)).await
    }

    async fn ask(&self, method: Method, key: Option<&str>) -> Option<(u16, Value)> {
        self.pace.requests.lock().await.tick().await;
        let body = json!({ "plan": "free" });
        let (path, body) = match key {
            Some(key) => ("/api/tenants", Some((&body, key))),
            None => ("/api/tenants/me", None),
        };
        let answer = self.person.ask(method, path, body).await;
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        match &answer {
            None => self.counts.unanswered.fetch_add(1, Ordering::Relaxed),
            Some((503, _)) => self.counts.unavailable.fetch_add(1, Ordering::Relaxed),
            Some(_) => 0,
        };
        answer
    }
}

impl Counts {
    /// So many deletes came to their end.
    pub(crate) fn assert_deleted(&self, least: u64) {
        assert!(self.deletes.load(Ordering::Relaxed) >= least, "{self}");
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            unanswered,
            unavailable,
            asked,
            creates,
            replays,
            deletes,
            deleting,
        } = self;
        write!(
            f,
            "{requests:?} requests ({unanswered:?} unanswered, {unavailable:?} times 503), {creates:?} creates of \
             {asked:?} begun, {replays:?} keys sent again, {deletes:?} deletes, {deleting:?} more under way"
        )
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
