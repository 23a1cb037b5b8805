//! Volumes.

use serde_json::{Value, json};

use super::super::answer::Answer;
use super::files::Tree;
use super::{World, filter_values, labels_match, timestamp};

#[derive(Debug, Clone)]
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) labels: Value,
    pub(super) options: Value,
    pub(super) created: String,
    pub(super) files: Tree,
}

impl Volume {
    fn inspect(&self) -> Value {
        json!({
            "Name": self.name, "Driver": "local", "Mountpoint": format!("/var/lib/docker/volumes/{}/_data", self.name),
            "Labels": self.labels, "Options": self.options, "Scope": "local", "CreatedAt": self.created,
        })
    }
}

impl World {
    /// Makes a volume behind everybody's back. `options` is null for none.
    pub fn plant_volume(&mut self, name: &str, labels: Value, options: Value) {
        self.make_volume(name, labels, options);
    }

    pub(super) fn make_volume(&mut self, name: &str, labels: Value, options: Value) {
        // An existing one keeps its options and labels: the trap of "create answers success".
        self.volumes
            .entry(name.to_owned())
            .or_insert_with(|| Volume {
                name: name.to_owned(),
                labels,
                options,
                created: timestamp(),
                files: Tree::empty(),
            });
    }

    pub(in super::super) fn create_volume(&mut self, body: &Value) -> Answer {
        let name = body["Name"].as_str().unwrap_or_default().to_owned();
        if let Some(driver) = body["Driver"]
            .as_str()
            .filter(|d| *d != "local" && !d.is_empty())
        {
            return Answer::error(
                404,
                format!(
                    "create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found"
                ),
            );
        }
        let options = match &body["DriverOpts"] {
            Value::Object(options) if !options.is_empty() => body["DriverOpts"].clone(),
            _ => Value::Null,
        };
        if !self.volumes.contains_key(&name) && options.get("size").is_some() {
            return Answer::error(
                400,
                format!("create {name}: quota size requested but no quota support"),
            );
        }
        self.make_volume(&name, body["Labels"].clone(), options);
        self.inspect_volume(&name).with_status(201)
    }

    pub(in super::super) fn inspect_volume(&self, name: &str) -> Answer {
        match self.volumes.get(name) {
            Some(volume) => Answer::json(200, volume.inspect()),
            None => Answer::error(404, format!("get {name}: no such volume")),
        }
    }

    pub(in super::super) fn list_volumes(&self, filters: &Value) -> Answer {
        let names = filter_values(filters, "name");
        let listed: Vec<_> = self
            .volumes
            .values()
            .filter(|v| labels_match(&v.labels, filters))
            .filter(|v| names.is_empty() || names.iter().any(|n| v.name.contains(n.as_str())))
            .map(Volume::inspect)
            .collect();
        Answer::json(200, json!({ "Volumes": listed, "Warnings": null }))
    }

    pub(in super::super) fn remove_volume(&mut self, name: &str) -> Answer {
        let users: Vec<_> = self
            .containers
            .iter()
            .filter(|c| c.mounts().iter().any(|m| m.volume == name))
            .map(|c| c.id.as_str())
            .collect();
        if !users.is_empty() {
            return Answer::error(
                409,
                format!("remove {name}: volume is in use - [{}]", users.join(", ")),
            );
        }
        match self.volumes.remove(name) {
            Some(_) => Answer::empty(204),
            None => Answer::error(404, format!("get {name}: no such volume")),
        }
    }
}

impl Answer {
    const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}
