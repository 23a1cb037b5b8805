//! A host that takes connections and says nothing.

use futures::future::{BoxFuture, join_all};
use futures::{FutureExt as _, TryFutureExt as _};

use super::BackendFixture;
use super::given::{Given, LIMITS, nobody};
use crate::backend::{BackendError, Scope, Signal};
use crate::container::{DATA_PATH, EngineId, ObjectRef, ObjectSpec, VolumeRole};
use crate::quantity::Bytes;

type Call<'a> = BoxFuture<'a, Result<(), BackendError>>;

/// Every call ends before a claim's lease does, whichever it is, and says that it may have happened: silence is no answer.
pub(super) async fn calls_end_when_the_host_says_nothing(fixture: &dyn BackendFixture) {
    let Some((backend, host)) = fixture.silent_host() else {
        println!("skipped: the fixture has no host that says nothing");
        return;
    };
    let given = Given {
        backend,
        host,
        ..Given::new(fixture)
    };
    let lease = fixture.lease();
    let (nobody, specs, objects) = (nobody(), specs(&given), objects(&given));
    // All at once: most take all the time they have.
    let ended = calls(&given, &nobody, &specs, &objects)
        .into_iter()
        .map(|(call, answer)| async move { (call, tokio::time::timeout(lease, answer).await) });
    // Some backends know their hosts without asking.
    let hosts = tokio::time::timeout(lease, given.backend.hosts());
    let (hosts, ended) = tokio::join!(hosts, join_all(ended));
    assert!(hosts.is_ok(), "hosts did not end in {lease:?}");
    for (call, answer) in ended {
        let answer = answer.unwrap_or_else(|_| panic!("{call} did not end in {lease:?}"));
        assert!(
            matches!(&answer, Err(BackendError::Unreachable { host, .. }) if *host == given.host),
            "{call}: {answer:?}"
        );
    }
}

fn specs(given: &Given) -> [ObjectSpec; 4] {
    let marker = "kit".to_owned();
    [
        given.volume(VolumeRole::Data),
        given.network(),
        given.instance(1),
        ObjectSpec::HostMarker { marker },
    ]
}

fn objects(given: &Given) -> [ObjectRef; 3] {
    [
        ObjectRef::Volume(given.name(&given.volume(VolumeRole::Data))),
        ObjectRef::Network(nobody()),
        ObjectRef::Container(nobody()),
    ]
}

/// One of each kind, and of each kind of object.
fn calls<'a>(
    given: &'a Given,
    id: &'a EngineId,
    specs: &'a [ObjectSpec],
    objects: &'a [ObjectRef],
) -> Vec<(String, Call<'a>)> {
    let (backend, host, image) = (&given.backend, &given.host, &given.image);
    let named = [
        ("host", backend.host(host).map_ok(drop).boxed()),
        (
            "measure_swap",
            backend.measure_swap(host, image).map_ok(drop).boxed(),
        ),
        ("list", backend.list(host, Scope::All).map_ok(drop).boxed()),
        ("inspect", backend.inspect(host, id).map_ok(drop).boxed()),
        ("prepare", backend.prepare(host, image).map_ok(drop).boxed()),
        ("start", backend.start(host, id)),
        ("signal", backend.signal(host, id, Signal::Terminate)),
        ("update", backend.update(host, id, &LIMITS)),
        (
            "path_exists",
            backend
                .path_exists(host, id, DATA_PATH)
                .map_ok(drop)
                .boxed(),
        ),
        (
            "put_files",
            backend.put_files(host, id, DATA_PATH, Vec::new()),
        ),
        (
            "logs",
            backend.logs(host, id, Bytes(100)).map_ok(drop).boxed(),
        ),
    ];
    let named = named.map(|(call, answer)| (call.to_owned(), answer));
    let made = specs.iter().map(|spec| {
        let answer = backend.create(host, spec).map_ok(drop).boxed();
        (format!("create of {spec:?}"), answer)
    });
    let removed = objects.iter().map(|object| {
        (
            format!("remove of {object:?}"),
            backend.remove(host, object),
        )
    });
    named.into_iter().chain(made).chain(removed).collect()
}
