//! F30: images, present or pulled.

use std::time::Duration;

use openclaw_tenancy::backend::{BackendError, ContainerBackend as _};
use openclaw_tenancy::container::Image;
use test_support::engine::{Fault, Rule, ScriptedEngine};

use super::{backend_with, bench};
use crate::common::{host, told};

fn named(reference: &str) -> Image {
    Image {
        reference: reference.to_owned(),
        digest: None,
    }
}

#[tokio::test]
async fn a_reference_is_pinned_to_its_content() {
    let (engine, tenancy) = bench().await;
    let digest = engine.world().add_image("a/b:1");
    let prepared = tenancy
        .backend
        .prepare(&tenancy.host, &named("a/b:1"))
        .await
        .unwrap();
    assert_eq!(prepared.image.digest.as_deref(), Some(digest.as_str()));
    assert!(prepared.size.0 > 0);
    assert!(
        engine
            .calls()
            .iter()
            .all(|call| call.path != "/images/create"),
        "pulled although it is there"
    );
    // Pinned, the tag does not matter any more.
    let moved = Image {
        reference: "gone:2".into(),
        digest: Some(digest.clone()),
    };
    assert_eq!(
        tenancy
            .backend
            .prepare(&tenancy.host, &moved)
            .await
            .unwrap()
            .image,
        moved
    );
}

#[tokio::test]
async fn f30_what_is_missing_is_pulled_with_one_tag() {
    let (engine, tenancy) = bench().await;
    for (reference, from, tag) in [
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b", "latest"),
        ("a/b:2026.9.6", "a/b", "2026.9.6"),
    ] {
        let offered = if reference.ends_with("/b") {
            format!("{reference}:latest")
        } else {
            reference.to_owned()
        };
        engine.world().offer_image(&offered);
        let image = named(&offered);
        tenancy
            .backend
            .prepare(&tenancy.host, &image)
            .await
            .unwrap();
        let pull = engine
            .calls()
            .into_iter()
            .rfind(|call| call.path == "/images/create")
            .unwrap();
        assert!(
            pull.query.contains(&("fromImage".into(), from.into())),
            "{pull:?}"
        );
        assert!(pull.query.contains(&("tag".into(), tag.into())), "{pull:?}");
    }
}

#[tokio::test]
async fn f30_an_error_inside_a_stream_that_began_well_is_shown() {
    let (_engine, tenancy) = bench().await;
    let missing = tenancy
        .backend
        .prepare(&tenancy.host, &named("nobody/has:it"))
        .await
        .unwrap_err();
    assert!(
        matches!(missing, BackendError::ImageMissing { .. }),
        "{missing:?}"
    );
    assert!(
        told(&missing).contains("manifest unknown"),
        "{}",
        told(&missing)
    );
    assert!(!missing.to_string().contains("manifest"));
}

#[tokio::test]
async fn f30_content_that_is_not_what_was_pinned_is_missing() {
    let (engine, tenancy) = bench().await;
    engine.world().offer_image("a/b:1");
    let pinned = Image {
        reference: "a/b:1".into(),
        digest: Some(format!("sha256:{}", "0f".repeat(32))),
    };
    let missing = tenancy
        .backend
        .prepare(&tenancy.host, &pinned)
        .await
        .unwrap_err();
    assert!(
        matches!(missing, BackendError::ImageMissing { .. }),
        "{missing:?}"
    );
    assert!(
        told(&missing).contains("other content"),
        "{}",
        told(&missing)
    );
}

#[tokio::test]
async fn f30_a_pull_outlives_its_callers_and_there_is_one() {
    let engine = ScriptedEngine::start().await.unwrap();
    engine.world().offer_image("a/b:1");
    // A call is told that the image is on its way after four fifths of its limit. The pull ends after the first calls have
    // been told and before the last is, by seconds that a busy machine may take.
    let backend = backend_with(&engine, Duration::from_secs(5));
    let delay = Fault::Delay(Duration::from_secs(6));
    engine.on(Rule::call("POST", "/images/create").fault(delay));
    let (host, image) = (host(), named("a/b:1"));
    let prepare = || backend.prepare(&host, &image);
    let (a, b, c) = tokio::join!(prepare(), prepare(), prepare());
    for answer in [a, b, c] {
        let pulling = matches!(answer, Err(BackendError::Pulling { .. }));
        assert!(pulling, "{answer:?}");
    }
    prepare().await.unwrap();
    let pulls = engine
        .calls()
        .iter()
        .filter(|call| call.path == "/images/create")
        .count();
    assert_eq!(pulls, 1);
}

#[tokio::test]
async fn a_reference_that_leaves_its_place_in_the_path_is_refused() {
    let (engine, tenancy) = bench().await;
    for reference in ["../containers/json?", "a b", "", "-x", "a/../../info"] {
        let refused = tenancy
            .backend
            .prepare(&tenancy.host, &named(reference))
            .await
            .unwrap_err();
        assert!(
            matches!(refused, BackendError::Refused { .. }),
            "{reference}: {refused:?}"
        );
    }
    assert!(engine.calls().is_empty());
}
