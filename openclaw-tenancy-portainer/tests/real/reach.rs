//! A25 on an engine of the test's own, in a network of the test's own: what an instance reaches, what the engine leaves
//! open, and that the rules of the README close it.
//!
//! The engine's own part is looked at first. Were all of it closed already, the rules would prove nothing.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ipnet::Ipv4Net;
use openclaw_tenancy::container::secret::Content;
use openclaw_tenancy::container::{DATA_PATH, EngineId, Image, VolumeFile};
use openclaw_tenancy_portainer::docker::DockerBackend;
use serde_json::Value;
use test_support::network_namespace::NetworkNamespace;
use test_support::private_engine::PrivateEngine;
use tokio::time::Instant;

use crate::common::{Tenancy, host, keys, plan};
use crate::own::on_an_engine_of_its_own;
use crate::{PATIENCE, clean_up};

const DEPLOYMENT: &str = "reach";
/// What the README's rules are written for.
const POOL: &str = "10.213.0.0/16";

/// Where instances serve.
const INSTANCE: u16 = 18789;
/// A service of the worker's on every address, as most are.
const SERVICE: u16 = 4022;
/// One on loopback, as our API, edge and metrics are unless they are told otherwise.
const LOOPBACK: u16 = 9090;
/// The engine's API, as an operator of several workers may have it.
const ENGINE: u16 = 2375;
/// A port that a container of somebody else's publishes.
const PUBLISHED: u16 = 8444;
/// A service outside.
const OUTSIDE: u16 = 80;

/// The worker and whoever it reaches, on the wire between.
const UPLINK: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 2);
const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 50, 0, 1);
/// Of the private networks that the worker routes to.
const ELSEWHERE: [Ipv4Addr; 4] = [
    PRIVATE,
    Ipv4Addr::new(172, 20, 0, 1),
    Ipv4Addr::new(100, 64, 0, 1),
    // A cloud's metadata.
    Ipv4Addr::new(169, 254, 169, 254),
];
const INTERNET: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The default bridge of any engine.
const DOCKER0: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 1);

/// A connection within the machine takes a millisecond; what is dropped without a word takes all of this.
const DIAL: Duration = Duration::from_secs(3);

const CONFIG: &str =
    r#"{ "gateway": { "mode": "local", "auth": { "mode": "token", "token": "t" } } }"#;

#[tokio::test]
async fn a25_what_an_instance_reaches_and_what_the_rules_of_the_readme_close() {
    let make = || PrivateEngine::apart(format!("-H tcp://0.0.0.0:{ENGINE} --tls=false"));
    on_an_engine_of_its_own(make, async |engine, image| look(engine, &image).await).await;
}

async fn look(engine: &PrivateEngine, image: &str) {
    let world = World::of(engine);
    publish(engine, image);
    let (a, b) = (tenant(engine, image, 0), tenant(engine, image, 8));
    let (ours, theirs) = (serving(&a).await, serving(&b).await);
    for instance in [ours.1, theirs.1] {
        wait_for(&world.worker, SocketAddr::from((instance, INSTANCE)));
    }
    wait_for(&world.outside, SocketAddr::from((UPLINK, PUBLISHED)));
    // No way by the other protocol.
    let addresses = engine.docker(&["exec", &ours.0.0, "cat", "/proc/net/if_inet6"]);
    assert!(
        addresses.lines().all(|line| line.ends_with(" lo")),
        "{addresses}"
    );

    let places = Places {
        gateways: [a.subnet, b.subnet].map(openclaw_tenancy::container::gateway_address),
        other: theirs.1,
    };
    let rules = Rules::of_the_readme();
    world.is_as_it_should(&places, ours.1, "the engine alone", &[]);
    world.run(&rules.private);
    let closed = [Whose::Private];
    world.is_as_it_should(&places, ours.1, "the README's first rule", &closed);
    world.run(&rules.worker);
    let closed = [Whose::Private, Whose::Worker];
    world.is_as_it_should(&places, ours.1, "both", &closed);

    // What is let through is let through, and nothing else.
    world.run(&rules.let_through.replace("ADDRESS", &PRIVATE.to_string()));
    let let_through = SocketAddr::from((PRIVATE, OUTSIDE));
    assert_eq!(world.dial(ours.1, let_through), "open");
    let metadata = SocketAddr::from((ELSEWHERE[3], OUTSIDE));
    assert_ne!(world.dial(ours.1, metadata), "open");
    clean_up(&a).await;
}

/// Whose a place is: who is to close it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Nobody's: it is open to all.
    Public,
    /// The worker's own.
    Worker,
    /// Of a private network beyond it.
    Private,
    /// Closed by the engine, or by standing on another loopback.
    Closed,
}

/// Where the places of two tenants are.
struct Places {
    gateways: [Ipv4Addr; 2],
    other: Ipv4Addr,
}

impl Places {
    /// Every place that is tried. Something listens at each.
    fn all(&self) -> Vec<(SocketAddr, Whose)> {
        let [own, others] = self.gateways;
        let mut all = Vec::new();
        for address in [own, others, DOCKER0, UPLINK] {
            all.push((address, SERVICE, Whose::Worker));
            all.push((address, ENGINE, Whose::Worker));
            all.push((address, PUBLISHED, Whose::Worker));
            all.push((address, LOOPBACK, Whose::Closed));
        }
        for port in [SERVICE, ENGINE, PUBLISHED, LOOPBACK] {
            all.push((Ipv4Addr::LOCALHOST, port, Whose::Closed));
        }
        all.push((self.other, INSTANCE, Whose::Closed));
        for address in [NEIGHBOUR].into_iter().chain(ELSEWHERE) {
            all.push((address, OUTSIDE, Whose::Private));
        }
        all.push((INTERNET, OUTSIDE, Whose::Public));
        all.into_iter()
            .map(|(address, port, whose)| (SocketAddr::from((address, port)), whose))
            .collect()
    }
}

/// The worker's network, what is beyond it, and who listens there.
struct World {
    worker: NetworkNamespace,
    outside: NetworkNamespace,
    _listening: Vec<TcpListener>,
}

impl World {
    fn of(engine: &PrivateEngine) -> Self {
        let (worker, outside) = (engine.network(), NetworkNamespace::new());
        let ip = |network: &NetworkNamespace, line: &str| {
            network.program("ip", &line.split(' ').collect::<Vec<_>>());
        };
        ip(&worker, "link set lo up");
        ip(&worker, "link add uplink type veth peer name wire");
        ip(&worker, &format!("link set wire netns {}", outside.pid()));
        ip(&worker, &format!("address add {UPLINK}/24 dev uplink"));
        ip(&worker, "link set uplink up");
        ip(&outside, &format!("address add {NEIGHBOUR}/24 dev wire"));
        ip(&outside, "link set wire up");
        for address in ELSEWHERE.into_iter().chain([INTERNET]) {
            ip(&outside, &format!("address add {address}/32 dev lo"));
        }
        ip(&worker, &format!("route add default via {NEIGHBOUR}"));
        let listen = |network: &NetworkNamespace, address: Ipv4Addr, port: u16| {
            network.run(|| TcpListener::bind((address, port))).unwrap()
        };
        let listening = vec![
            listen(&worker, Ipv4Addr::UNSPECIFIED, SERVICE),
            listen(&worker, Ipv4Addr::LOCALHOST, LOOPBACK),
            listen(&outside, Ipv4Addr::UNSPECIFIED, OUTSIDE),
        ];
        Self {
            worker,
            outside,
            _listening: listening,
        }
    }

    /// Runs a line as an operator does on the worker.
    fn run(&self, line: &str) {
        self.worker.program("sh", &["-ec", line]);
    }

    /// Holds every place against what is `closed`, and the ways that stay open in any case.
    fn is_as_it_should(&self, places: &Places, from: Ipv4Addr, state: &str, closed: &[Whose]) {
        let all = places.all();
        let outcomes: Vec<String> = thread::scope(|scope| {
            let dials: Vec<_> = all
                .iter()
                .map(|(to, _)| scope.spawn(move || self.dial(from, *to)))
                .collect();
            dials.into_iter().map(|dial| dial.join().unwrap()).collect()
        });
        let wrong: Vec<_> = all
            .iter()
            .zip(&outcomes)
            .filter(|((_, whose), outcome)| {
                let open = *whose != Whose::Closed && !closed.contains(whose);
                (*outcome == "open") != open
            })
            .collect();
        assert!(wrong.is_empty(), "{state}: {wrong:#?}");
        let shut = outcomes.iter().filter(|outcome| *outcome != "open").count();
        println!("{state}: {} places, {shut} out of reach", all.len());

        // The edge's way to the instance, and everybody's to what is published.
        let reach = |network: &NetworkNamespace, to: SocketAddr| {
            let reached = network.run(|| TcpStream::connect_timeout(&to, DIAL));
            reached.unwrap_or_else(|error| panic!("{state}: {to}: {error}"));
        };
        reach(&self.worker, SocketAddr::from((from, INSTANCE)));
        reach(&self.outside, SocketAddr::from((UPLINK, PUBLISHED)));
    }

    /// What becomes of a connection from the instance at `from`.
    fn dial(&self, from: Ipv4Addr, to: SocketAddr) -> String {
        let asked = self.worker.run(|| -> std::io::Result<String> {
            let at = SocketAddr::from((from, INSTANCE));
            let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let ms = DIAL.as_millis();
            write!(
                stream,
                "GET /_knob/dial?to={to}&ms={ms} HTTP/1.0\r\nhost: {at}\r\n\r\n"
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        let answer = asked.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
        body["outcome"].as_str().unwrap().to_owned()
    }
}

/// Looks until somebody serves at `at`.
fn wait_for(network: &NetworkNamespace, at: SocketAddr) {
    let end = Instant::now() + PATIENCE;
    while let Err(error) = network.run(|| TcpStream::connect_timeout(&at, DIAL)) {
        assert!(Instant::now() < end, "{at}: {error}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What the README tells an operator to run.
struct Rules {
    private: String,
    worker: String,
    let_through: String,
}

impl Rules {
    fn of_the_readme() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let readme = std::fs::read_to_string(file).unwrap();
        let (_, section) = readme.split_once("\n## Isolation\n").unwrap();
        let block = section.split("```").nth(1).unwrap();
        let lines = block.replace("\\\n", " ");
        let mut rules = lines.lines().filter(|line| line.starts_with("iptables "));
        let mut rule = || rules.next().unwrap().to_owned();
        let (private, worker) = (rule(), rule());
        assert!(private.contains(POOL) && worker.contains(POOL), "{block}");
        assert_eq!(rules.next(), None, "{block}");
        let quoted = section.split('`').find(|text| text.contains("-d ADDRESS"));
        Self {
            private,
            worker,
            let_through: quoted.unwrap().replace('\n', " "),
        }
    }
}

/// A tenant whose network begins `offset` addresses into the pool.
fn tenant(engine: &PrivateEngine, image: &str, offset: u32) -> Tenancy {
    let backend = DockerBackend::builder(keys(DEPLOYMENT))
        .host(host(), engine.host().parse().unwrap())
        .build()
        .unwrap();
    let pool: Ipv4Net = POOL.parse().unwrap();
    let base = Ipv4Addr::from(u32::from(pool.network()) + offset);
    let subnet = Ipv4Net::new(base, 29).unwrap();
    let image = Image {
        reference: image.to_owned(),
        digest: None,
    };
    Tenancy::new(Arc::new(backend), DEPLOYMENT, image, subnet)
}

/// Its instance, started, and the instance's address.
async fn serving(t: &Tenancy) -> (EngineId, Ipv4Addr) {
    let id = t.created(plan("free")).await;
    let file = VolumeFile {
        path: "openclaw.json".into(),
        content: Content(CONFIG.into()),
        owner: 1000,
        mode: 0o600,
    };
    let put = t.backend.put_files(&t.host, &id, DATA_PATH, vec![file]);
    put.await.unwrap();
    t.start(&id).await.unwrap();
    (id, t.instance_spec(1, plan("free")).address())
}

/// Somebody else's container on the same engine, with a port on every address of the worker.
fn publish(engine: &PrivateEngine, image: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("openclaw.json");
    std::fs::write(&file, CONFIG).unwrap();
    // It comes to the instance as root's.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let port = format!("{PUBLISHED}:{INSTANCE}");
    engine.docker(&["create", "--name", "published", "-p", &port, image]);
    let file = file.to_str().unwrap();
    let to = format!("published:{DATA_PATH}/openclaw.json");
    engine.docker(&["cp", file, &to]);
    engine.docker(&["start", "published"]);
}
