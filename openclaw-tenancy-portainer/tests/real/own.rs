//! An engine that one test has to itself.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use test_support::private_engine::{PrivateEngine, may_run_an_engine};

use crate::engine::given;

/// Runs `body` with the engine that `make` makes, started and with the stand-in's image, whose name `body` is told.
/// Whatever becomes of it, no engine and no process stays behind. Without what it takes nothing is made or run.
pub(crate) async fn on_an_engine_of_its_own(
    make: impl FnOnce() -> PrivateEngine,
    body: impl AsyncFnOnce(&PrivateEngine, String),
) {
    let Some(shared) = given("TENANCY_TEST_DOCKER_HOST") else {
        return;
    };
    let Some(image) = given("TENANCY_TEST_STAND_IN_IMAGE") else {
        return;
    };
    if !may_run_an_engine() {
        return;
    }
    let mut engine = make();
    let outcome = AssertUnwindSafe(async {
        engine.start().await;
        engine.load(&shared, &image);
        body(&engine, image).await;
    })
    .catch_unwind()
    .await;
    engine.remove().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}
