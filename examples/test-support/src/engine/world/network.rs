//! Networks and addresses.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::super::answer::Answer;
use super::container::Container;
use super::{World, filter_values, labels_match, timestamp};

/// How many networks an engine's default address pools hold.
const DEFAULT_POOL: usize = 30;

#[derive(Debug, Clone)]
pub(super) struct Network {
    pub(super) id: String,
    pub(super) name: String,
    labels: Value,
    created: String,
    subnet: Option<String>,
    gateway: Option<String>,
    internal: bool,
}

impl Network {
    pub(super) fn default_bridge(id: String) -> Self {
        Self {
            id,
            name: "bridge".into(),
            labels: json!({}),
            created: timestamp(),
            subnet: Some("172.17.0.0/16".into()),
            gateway: Some("172.17.0.1".into()),
            internal: false,
        }
    }

    fn inspect(&self, containers: &Value) -> Value {
        let config = match (&self.subnet, &self.gateway) {
            (Some(subnet), Some(gateway)) => json!([{ "Subnet": subnet, "Gateway": gateway }]),
            (Some(subnet), None) => json!([{ "Subnet": subnet }]),
            (None, _) => json!([]),
        };
        json!({
            "Name": self.name, "Id": self.id, "Created": self.created, "Scope": "local", "Driver": "bridge",
            "EnableIPv6": false, "IPAM": { "Driver": "default", "Options": null, "Config": config },
            "Internal": self.internal, "Attachable": false, "Ingress": false, "ConfigFrom": { "Network": "" },
            "ConfigOnly": false, "Containers": containers, "Options": {}, "Labels": self.labels,
        })
    }

    fn range(&self) -> Option<(u32, u32)> {
        range(self.subnet.as_deref()?)
    }
}

/// First and last address of a subnet.
fn range(subnet: &str) -> Option<(u32, u32)> {
    let (address, bits) = subnet.split_once('/')?;
    let address: Ipv4Addr = address.parse().ok()?;
    let bits: u32 = bits.parse().ok().filter(|&b| b <= 32)?;
    let size = 1_u64 << (32 - bits);
    let first = u32::from(address) & u32::try_from(u64::from(u32::MAX) + 1 - size).ok()?;
    Some((first, first + u32::try_from(size - 1).ok()?))
}

impl World {
    /// Makes a network behind everybody's back. Gives its id.
    #[must_use]
    pub fn plant_network(&mut self, name: &str, subnet: Option<&str>, labels: Value) -> String {
        let id = self.fresh_id();
        self.networks.push(Network {
            id: id.clone(),
            name: name.to_owned(),
            labels,
            created: timestamp(),
            subnet: subnet.map(str::to_owned),
            gateway: None,
            internal: false,
        });
        id
    }

    pub(in super::super) fn create_network(&mut self, body: &Value) -> Answer {
        let name = body["Name"].as_str().unwrap_or_default().to_owned();
        // From API 1.44 on the check is always made.
        let check = body["CheckDuplicate"] == true || self.version.api() >= (1, 44);
        if check && self.networks.iter().any(|n| n.name == name) {
            return Answer::error(409, format!("network with name {name} already exists"));
        }
        let config = &body["IPAM"]["Config"][0];
        let subnet = config["Subnet"].as_str();
        match subnet.map(range) {
            Some(None) => {
                return Answer::error(
                    400,
                    format!(
                        "invalid subnet {} : invalid CIDR address",
                        subnet.unwrap_or_default()
                    ),
                );
            }
            Some(Some((first, last))) => {
                let overlaps =
                    |n: &Network| n.range().is_some_and(|(a, b)| a <= last && first <= b);
                if self.networks.iter().any(overlaps) {
                    return Answer::error(
                        403,
                        "Pool overlaps with other one on this address space",
                    );
                }
            }
            None if DEFAULT_POOL <= self.networks.iter().filter(|n| n.subnet.is_none()).count() => {
                return Answer::error(
                    400,
                    "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
                );
            }
            None => {}
        }
        let id = self.fresh_id();
        self.networks.push(Network {
            id: id.clone(),
            name: name.clone(),
            labels: body["Labels"].clone(),
            created: timestamp(),
            subnet: subnet.map(str::to_owned),
            gateway: config["Gateway"].as_str().map(str::to_owned),
            internal: body["Internal"] == true,
        });
        self.tell("network", "create", &id, &json!({ "name": name }));
        Answer::json(201, json!({ "Id": id, "Warning": "" }))
    }

    fn find_network(&self, id: &str) -> Result<&Network, Answer> {
        if let Some(network) = self.networks.iter().find(|n| n.id == id) {
            return Ok(network);
        }
        let mut named = self.networks.iter().filter(|n| n.name == id);
        match (named.next(), named.count()) {
            (None, _) => Err(Answer::error(404, format!("network {id} not found"))),
            (Some(network), 0) => Ok(network),
            (Some(_), more) => Err(Answer::error(
                400,
                format!(
                    "network {id} is ambiguous ({} matches found on name)",
                    more + 1
                ),
            )),
        }
    }

    pub(in super::super) fn inspect_network(&self, id: &str) -> Answer {
        match self.find_network(id) {
            Ok(network) => Answer::json(200, network.inspect(&self.attached(network))),
            Err(refusal) => refusal,
        }
    }

    pub(in super::super) fn list_networks(&self, filters: &Value) -> Answer {
        let names = filter_values(filters, "name");
        let listed: Vec<_> = self
            .networks
            .iter()
            .filter(|n| labels_match(&n.labels, filters))
            .filter(|n| names.is_empty() || names.iter().any(|name| n.name.contains(name.as_str())))
            .map(|n| n.inspect(&json!({})))
            .collect();
        Answer::json(200, Value::Array(listed))
    }

    pub(in super::super) fn remove_network(&mut self, id: &str) -> Answer {
        let (id, name) = match self.find_network(id) {
            Ok(network) => (network.id.clone(), network.name.clone()),
            Err(refusal) => return refusal,
        };
        let active = self
            .containers
            .iter()
            .any(|c| c.is_running() && self.network_of(c).is_some_and(|n| n.id == id));
        if active {
            return Answer::error(
                403,
                format!(
                    "error while removing network: network {name} id {id} has active endpoints"
                ),
            );
        }
        self.networks.retain(|n| n.id != id);
        self.tell("network", "destroy", &id, &json!({ "name": name }));
        Answer::empty(204)
    }

    fn network_of(&self, container: &Container) -> Option<&Network> {
        self.find_network(&container.network()?.0).ok()
    }

    fn attached(&self, network: &Network) -> Value {
        let mut map = serde_json::Map::new();
        for container in self.containers.iter().filter(|c| c.is_running()) {
            if self
                .network_of(container)
                .is_some_and(|n| n.id == network.id)
            {
                map.insert(container.id.clone(), json!({ "Name": container.name }));
            }
        }
        Value::Object(map)
    }

    /// Why a container's network keeps it from starting.
    pub(super) fn judge_network(&self, container: &Container) -> Option<Answer> {
        let (name, asked) = container.network()?;
        let network = match self.find_network(&name) {
            Ok(network) => network,
            Err(refusal) => return Some(refusal),
        };
        let asked = asked?;
        let taken = self
            .containers
            .iter()
            .filter(|c| c.id != container.id && c.is_running())
            .filter(|c| self.network_of(c).is_some_and(|n| n.id == network.id))
            .any(|c| {
                c.network().and_then(|(_, address)| address).as_deref() == Some(asked.as_str())
            });
        taken.then(|| Answer::error(403, "Address already in use"))
    }

    /// The networks part of a container's inspect.
    pub(super) fn endpoints(&self, container: &Container) -> Value {
        let Some((name, asked)) = container.network() else {
            return json!({});
        };
        let network = self.network_of(container);
        let address = match (&asked, container.is_running()) {
            (Some(address), true) => address.as_str(),
            (None, true) => "172.17.0.2",
            (_, false) => "",
        };
        let mut map = serde_json::Map::new();
        map.insert(
            name,
            json!({
                "IPAMConfig": asked.as_ref().map(|address| json!({ "IPv4Address": address })),
                "NetworkID": network.map_or("", |n| n.id.as_str()), "IPAddress": address,
                "Gateway": network.and_then(|n| n.gateway.clone()).filter(|_| container.is_running()).unwrap_or_default(),
                "IPPrefixLen": 29,
            }),
        );
        Value::Object(map)
    }
}
