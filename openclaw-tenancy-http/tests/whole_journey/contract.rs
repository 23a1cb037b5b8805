//! The stand-in's claims, held against the real `OpenClaw`: the same calls as `examples/stand-in/tests/instance` makes
//! to the stand-in, so that a claim that only one of them keeps fails here or there.

use std::net::{IpAddr, SocketAddr};

use futures::FutureExt as _;
use openclaw_tenancy::container::INSTANCE_PORT;
use openclaw_tenancy::instance::PROXY_HEADER;
use serde_json::Value;
use stand_in::contract::{Claim, Target, check, check_reload, check_shutdown};

use crate::docker::Docker;

/// The instance on the engine, and how the edge speaks to it.
struct Instance {
    container: String,
    /// The volume that it includes its configuration from.
    config: String,
    image: String,
    gateway: Value,
    target: Target,
}

/// Holds the one running instance of this deployment against every claim, and ends it.
///
/// It is dialled from this machine, as by the edge: over its bridge's gateway address, the one proxy that it trusts.
pub(crate) async fn is_kept(docker: &Docker) {
    let instance = Instance::find(docker).await;
    let target = &instance.target;
    let mut claims = check(target).await;
    assert_eq!(claims.len(), 37);

    let (docker_too, config) = (docker.clone(), instance.config.clone());
    let image = instance.image.clone();
    let write = move |text: String| {
        let (docker, config, image) = (docker_too.clone(), config.clone(), image.clone());
        async move {
            replace(&docker, &config, &image, &text).await;
            Ok(())
        }
        .boxed()
    };
    claims.extend(check_reload(target, &instance.gateway, &write).await);

    let stop = async {
        let signal = ["kill", "--signal", "TERM", &instance.container];
        docker.run(&signal).await;
        Ok(())
    };
    claims.extend(check_shutdown(target, stop).await);
    let broken: Vec<String> = claims
        .iter()
        .filter(|claim| !claim.ok)
        .map(Claim::to_string)
        .collect();
    println!(
        "OpenClaw kept {} of {} claims",
        claims.len() - broken.len(),
        claims.len()
    );
    assert!(broken.is_empty(), "{broken:#?}");
}

impl Instance {
    async fn find(docker: &Docker) -> Self {
        let found = docker.instances("{{.ID}}").await;
        let [container] = found.as_slice() else {
            panic!("not one container: {found:?}")
        };
        let inspected = docker.run(&["inspect", container]).await;
        let inspected: Value = serde_json::from_str(&inspected).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let config = inspected[0]["Mounts"]
            .as_array()
            .unwrap()
            .iter()
            .find(|mount| mount["Destination"] == openclaw_tenancy::container::CONFIG_PATH)
            .map(|mount| text(&mount["Name"]))
            .expect("a volume of its configuration");
        let networks = inspected[0]["NetworkSettings"]["Networks"]
            .as_object()
            .unwrap();
        let address: IpAddr = networks
            .values()
            .find_map(|network| network["IPAddress"].as_str()?.parse().ok())
            .expect("an address");
        let image = text(&inspected[0]["Image"]);
        let gateway = in_volume(docker, &config, &image, &["cat", "/config/gateway.json"]).await;
        let gateway: Value = serde_json::from_str(&gateway).unwrap();
        let proxy = &gateway["auth"]["trustedProxy"];
        let target = Target {
            address: SocketAddr::from((address, INSTANCE_PORT)),
            origin: text(&gateway["controlUi"]["allowedOrigins"][0]),
            client: [198, 51, 100, 7].into(),
            user_header: text(&proxy["userHeader"]),
            user: text(&proxy["allowUsers"][0]),
            required: vec![
                (PROXY_HEADER.to_owned(), "1".to_owned()),
                ("x-forwarded-proto".to_owned(), "http".to_owned()),
            ],
        };
        Self {
            container: container.clone(),
            config,
            image,
            gateway,
            target,
        }
    }
}

/// Replaces the included file by an atomic rename, which the instance itself could not: the volume is not its own.
async fn replace(docker: &Docker, config: &str, image: &str, text: &str) {
    let script = "printf %s \"$1\" >/config/new && chmod 644 /config/new && mv /config/new /config/gateway.json";
    in_volume(docker, config, image, &["sh", "-euc", script, "sh", text]).await;
}

/// Runs a command as root beside the volume, in a container that is gone afterwards.
async fn in_volume(docker: &Docker, volume: &str, image: &str, command: &[&str]) -> String {
    let [program, arguments @ ..] = command else {
        panic!("no command")
    };
    let volume = format!("{volume}:/config");
    let run = [
        "run",
        "--rm",
        "--network",
        "none",
        "--user",
        "0",
        "--volume",
        &volume,
    ];
    let run = [&run[..], &["--entrypoint", program, image], arguments].concat();
    docker.run(&run).await
}
