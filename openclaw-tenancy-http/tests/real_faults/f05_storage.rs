//! F5: a volume of the instance's name that exists with other options.

use openclaw_tenancy::container::{ObjectRef, ObjectSpec, VolumeRole, VolumeSpec};
use openclaw_tenancy::id::HostId;
use openclaw_tenancy::status::Phase;
use openclaw_tenancy::tenant::FailureReason;
use serde_json::Value;

use crate::instance::Instance;
use crate::world::{World, brisk, with_world};

#[tokio::test]
async fn f05_a_volume_with_other_options_is_named_never_mounted_and_left_as_it_is() {
    with_world(|world| async move {
        // Its id is known, and nothing of it is made yet.
        let asleep = world.tenancy(brisk());
        let instance = Instance::asked(&world, &asleep).await;
        let volume = other_volume(&world, &instance).await;
        let before = world.docker.run(&["volume", "inspect", &volume]).await;

        let server = world.server(brisk()).await;
        let instance = instance.at(&server.tenancy);
        let storage = |phase: &Phase, least: u32| {
            matches!(
                phase,
                Phase::Failed { reason: FailureReason::Storage, attempts, .. } if *attempts >= least
            )
        };
        // Three times: it is not got round at a later attempt either.
        let failed = instance.until(|status| storage(&status.phase, 3)).await;
        let message = failed.message.expect("what is wrong");
        assert!(message.contains(&volume), "{message}");
        assert!(message.contains("remove it on the host"), "{message}");
        let containers = world.docker.instances("{{.ID}}").await;
        assert!(containers.is_empty(), "{containers:?}");
        let after = world.docker.run(&["volume", "inspect", &volume]).await;
        assert_eq!(before, after);

        // What the message asks for is enough.
        world.docker.run(&["volume", "rm", &volume]).await;
        instance
            .until(|status| status.phase == Phase::Running)
            .await;
        server.stop().await;
    })
    .await;
}

/// Makes the instance's data volume with our labels and options that are not ours: it would be lost at every stop.
async fn other_volume(world: &World, instance: &Instance) -> String {
    let spec = ObjectSpec::Volume(VolumeSpec {
        tenant: instance.view().await.tenant.id,
        role: VolumeRole::Data,
    });
    let name = spec.name(&world.deployment);
    let (backend, host) = (instance.tenancy.backend(), HostId::new("local").unwrap());
    backend.create(&host, &spec).await.unwrap();
    let format = ["volume", "inspect", "--format", "{{json .Labels}}", &name];
    let labels: Value = serde_json::from_str(&world.docker.run(&format).await).unwrap();
    let made = ObjectRef::Volume(name.clone());
    backend.remove(&host, &made).await.unwrap();

    let mut create: Vec<String> = [
        "volume",
        "create",
        "--opt",
        "type=tmpfs",
        "--opt",
        "device=tmpfs",
    ]
    .map(str::to_owned)
    .to_vec();
    for (label, value) in labels.as_object().unwrap() {
        create.push("--label".to_owned());
        create.push(format!("{label}={}", value.as_str().unwrap()));
    }
    create.push(name.clone());
    let create: Vec<&str> = create.iter().map(String::as_str).collect();
    world.docker.run(&create).await;
    name
}
