//! Making networks, volumes and containers, and taking what an earlier try has made.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{CreateContainerOptionsBuilder, ListContainersOptions};
use openclaw_tenancy::backend::{BackendError, Made, Scope};
use openclaw_tenancy::container::{
    EngineId, InstanceSpec, NetworkSpec, ObjectSpec, VolumeRole, VolumeSpec, gateway_address,
};
use openclaw_tenancy::labels::{ObjectLabels, Role};
use serde::{Deserialize, Serialize};

use super::body;
use super::observe::Found;
use super::{Engine, is_full, labels};

/// How often a name is looked at that is taken while nothing has it, and how long apart.
const LOOKS: usize = 100;
const LOOK: Duration = Duration::from_millis(20);

impl Engine {
    /// See `ContainerBackend::create`.
    pub(crate) async fn create(&self, spec: &ObjectSpec) -> Result<Made, BackendError> {
        self.within("making an object", async {
            let name = spec.name(self.keys.deployment());
            let labels = spec.labels();
            match spec {
                ObjectSpec::Network(network) => self.make_network(&name, &labels, network).await,
                ObjectSpec::Volume(_) | ObjectSpec::HostMarker { .. } => {
                    self.make_volume(&name, &labels).await
                }
                ObjectSpec::Instance(instance) => {
                    self.make_instance(&name, &labels, instance).await
                }
            }
        })
        .await
    }

    async fn make_network(
        &self,
        name: &str,
        labels: &ObjectLabels,
        spec: &NetworkSpec,
    ) -> Result<Made, BackendError> {
        let request = NetworkBody {
            name,
            check_duplicate: true,
            driver: "bridge",
            enable_ipv6: false,
            internal: false,
            attachable: false,
            ipam: IpamBody {
                driver: "default",
                config: [SubnetBody {
                    subnet: spec.subnet.to_string(),
                    gateway: gateway_address(spec.subnet).to_string(),
                }],
            },
            labels: labels::sign(&self.keys, name, labels),
        };
        let answer: Result<MadeNetwork, _> = self.post("/networks/create", &request).await;
        match answer {
            Ok(made) => self.made(made.id, false),
            // The check for the name comes first, but two makers can pass it together; the second then finds
            // the subnet taken, by the very network it wants.
            Err(failure) if failure.is_name_taken() || failure.is_subnet_taken() => {
                match self.standing_network(name, labels).await? {
                    Standing::Wanted(id) => Ok(Made { id, adopted: true }),
                    Standing::Other | Standing::Foreign | Standing::Nothing
                        if !failure.is_name_taken() =>
                    {
                        Err(failure.making_network(&self.host, spec.subnet))
                    }
                    Standing::Foreign => Err(BackendError::Conflict {
                        name: name.to_owned(),
                    }),
                    // It landed after the look that this call follows from, or goes at this moment.
                    Standing::Other | Standing::Nothing => Err(BackendError::Busy {
                        name: name.to_owned(),
                    }),
                }
            }
            Err(failure) => Err(failure.making_network(&self.host, spec.subnet)),
        }
    }

    /// What has a network's name.
    async fn standing_network(
        &self,
        name: &str,
        labels: &ObjectLabels,
    ) -> Result<Standing, BackendError> {
        let (ours, foreign) = self.networks_called(name).await?;
        if ours.is_empty() {
            return Ok(if foreign {
                Standing::Foreign
            } else {
                Standing::Nothing
            });
        }
        // Two of one name can stand there; the reconciler removes one. Until then, always the same one.
        let wanted = ours
            .into_iter()
            .filter(|network| network.labels == *labels)
            .min_by(|a, b| a.id.cmp(&b.id));
        Ok(wanted.map_or(Standing::Other, |network| Standing::Wanted(network.id)))
    }

    /// A create answers success for a volume that stands there with other options and keeps those, so what
    /// counts is what an inspect shows afterwards.
    async fn make_volume(&self, name: &str, labels: &ObjectLabels) -> Result<Made, BackendError> {
        const WHAT: &str = "making a volume";
        let adopted = self.volume(name).await?.is_some();
        if !adopted {
            let request = VolumeCreateRequest {
                name: Some(name.to_owned()),
                driver: Some("local".to_owned()),
                labels: Some(labels::sign(&self.keys, name, labels)),
                ..Default::default()
            };
            self.call(self.docker.create_volume(request))
                .await
                .map_err(|f| f.general(&self.host, WHAT))?;
        }
        let Some(volume) = self.volume(name).await? else {
            return Err(self.malformed(WHAT, "the volume it says it made"));
        };
        self.judge_volume(&volume, labels)?;
        Ok(Made {
            id: EngineId(name.to_owned()),
            adopted,
        })
    }

    /// Whether a volume is the one that `labels` describe.
    fn judge_volume(&self, volume: &Volume, labels: &ObjectLabels) -> Result<(), BackendError> {
        match labels::read(&self.keys, &volume.name, Some(&volume.labels)) {
            Some(found) if found == *labels => {}
            Some(_) | None => {
                return Err(BackendError::Conflict {
                    name: volume.name.clone(),
                });
            }
        }
        if volume.driver != "local" || !volume.options.is_empty() {
            return Err(BackendError::StorageMismatch {
                name: volume.name.clone(),
            });
        }
        Ok(())
    }

    pub(super) async fn volume(&self, name: &str) -> Result<Option<Volume>, BackendError> {
        match self.call(self.docker.inspect_volume(name)).await {
            Ok(volume) => Ok(Some(volume)),
            Err(failure) if failure.is_absent() => Ok(None),
            Err(failure) => Err(failure.general(&self.host, "inspecting a volume")),
        }
    }

    async fn make_instance(
        &self,
        name: &str,
        labels: &ObjectLabels,
        spec: &InstanceSpec,
    ) -> Result<Made, BackendError> {
        let network = self.network_for(spec).await?;
        let data = self.volume_for(spec, VolumeRole::Data).await?;
        let config = self.volume_for(spec, VolumeRole::Config).await?;
        self.no_stranger_writes(&data).await?;
        let signed = labels::sign(&self.keys, name, labels);
        let request = body::instance(spec, signed, &network, data, config);
        for _ in 0..LOOKS {
            let options = CreateContainerOptionsBuilder::default().name(name).build();
            let answer = self.docker.create_container(Some(options), request.clone());
            match self.call(answer).await {
                Ok(made) => return self.made(made.id, false),
                Err(failure) if failure.is_name_taken() => {}
                Err(failure) => {
                    return Err(failure.making_container(&self.host, &spec.image.reference));
                }
            }
            match self.find(name).await? {
                Found::Ours(container) if container.detail.seen.labels == *labels => {
                    let id = container.detail.seen.id;
                    return Ok(Made { id, adopted: true });
                }
                // It landed after the look that this call follows from.
                Found::Ours(_) => break,
                Found::Foreign(_) => {
                    return Err(BackendError::Conflict {
                        name: name.to_owned(),
                    });
                }
                // The name is taken and nothing has it yet, or nothing any more: another call, perhaps one that
                // was given up, is making or removing the container at this moment.
                Found::Absent => self.clock.sleep(LOOK).await,
            }
        }
        Err(BackendError::Busy {
            name: name.to_owned(),
        })
    }

    /// The name of the instance's network, once it is sure that it means one network, ours, of this subnet.
    async fn network_for(&self, spec: &InstanceSpec) -> Result<String, BackendError> {
        let wanted = ObjectSpec::Network(NetworkSpec {
            tenant: spec.tenant,
            subnet: spec.subnet,
        });
        let name = wanted.name(self.keys.deployment());
        let mut found = self.networks(Scope::Tenant(spec.tenant)).await?;
        found.retain(|network| network.labels.role == Role::Network && network.name == name);
        match found.as_slice() {
            [] => Err(BackendError::NotFound { what: "network" }),
            [network] if network.subnet == Some(spec.subnet) => Ok(name),
            // All of them are ours, so whoever looks again removes what does not fit.
            _ => Err(BackendError::Busy { name }),
        }
    }

    /// One of ours that was renamed is in no list of ours, since its labels are for its name; and it still writes.
    async fn no_stranger_writes(&self, volume: &str) -> Result<(), BackendError> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([(
                "volume".to_owned(),
                vec![volume.to_owned()],
            )])),
            ..Default::default()
        };
        let mounting = self
            .call(self.docker.list_containers(Some(options)))
            .await
            .map_err(|f| f.general(&self.host, "listing containers"))?;
        let stranger = mounting.into_iter().find_map(|container| {
            let name = container.names?.first()?.trim_start_matches('/').to_owned();
            let is_ours = labels::read(&self.keys, &name, container.labels.as_ref()).is_some();
            (!is_ours).then_some(name)
        });
        match stranger {
            Some(container) => Err(BackendError::VolumeHeld {
                volume: volume.to_owned(),
                container,
            }),
            None => Ok(()),
        }
    }

    /// The name of one of the instance's volumes, once it is sure that it is ours and as it should be.
    async fn volume_for(
        &self,
        spec: &InstanceSpec,
        role: VolumeRole,
    ) -> Result<String, BackendError> {
        let wanted = ObjectSpec::Volume(VolumeSpec {
            tenant: spec.tenant,
            role,
        });
        let name = wanted.name(self.keys.deployment());
        let Some(volume) = self.volume(&name).await? else {
            return Err(BackendError::NotFound { what: "volume" });
        };
        self.judge_volume(&volume, &wanted.labels())?;
        Ok(name)
    }

    /// What an engine says it made; by nothing but a full id can it be acted on later.
    pub(super) fn made(&self, id: String, adopted: bool) -> Result<Made, BackendError> {
        let id = EngineId(id);
        if is_full(&id) {
            Ok(Made { id, adopted })
        } else {
            Err(self.malformed("making an object", "a full id"))
        }
    }
}

/// What has a name that is taken.
enum Standing {
    /// The object that is to be made, by an earlier try.
    Wanted(EngineId),
    /// Another of ours.
    Other,
    /// Somebody else's.
    Foreign,
    /// Nothing any more, or not yet.
    Nothing,
}

/// The client library's own type has lost `CheckDuplicate`, without which Engine 20.10 takes two of one name.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkBody<'a> {
    name: &'a str,
    check_duplicate: bool,
    driver: &'static str,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    internal: bool,
    attachable: bool,
    #[serde(rename = "IPAM")]
    ipam: IpamBody,
    labels: HashMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IpamBody {
    driver: &'static str,
    /// Explicit: the engine's own pools hold 30 networks.
    config: [SubnetBody; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SubnetBody {
    subnet: String,
    gateway: String,
}

#[derive(Deserialize)]
struct MadeNetwork {
    #[serde(rename = "Id")]
    id: String,
}
