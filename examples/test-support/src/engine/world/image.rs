//! Images and the registry behind the engine.

use serde_json::json;

use super::super::answer::Answer;
use super::World;

#[derive(Debug, Clone)]
pub(super) struct ImageEntry {
    pub(super) id: String,
    size: u64,
}

impl World {
    /// Puts an image on the engine. Gives its id, `sha256:…`; the same reference keeps its id.
    pub fn add_image(&mut self, reference: &str) -> String {
        if let Some(image) = self.images.get(reference) {
            return image.id.clone();
        }
        let id = format!("sha256:{}", self.fresh_id());
        self.images.insert(
            reference.to_owned(),
            ImageEntry {
                id: id.clone(),
                size: 1_982_497,
            },
        );
        id
    }

    /// Puts an image into the registry, to be pulled. Gives its id.
    pub fn offer_image(&mut self, reference: &str) -> String {
        let id = format!("sha256:{}", self.fresh_id());
        self.registry.insert(
            reference.to_owned(),
            ImageEntry {
                id: id.clone(),
                size: 1_982_497,
            },
        );
        id
    }

    /// Takes an image off the engine.
    pub fn drop_image(&mut self, reference: &str) {
        self.images.remove(reference);
    }

    pub(super) fn image(&self, reference: &str) -> Option<&ImageEntry> {
        self.images
            .get(reference)
            .or_else(|| self.images.values().find(|image| image.id == reference))
    }

    pub(in super::super) fn inspect_image(&self, reference: &str) -> Answer {
        match self.image(reference) {
            Some(image) => Answer::json(
                200,
                json!({ "Id": image.id, "RepoTags": [reference], "RepoDigests": [], "Size": image.size, "Os": "linux", "Architecture": "amd64" }),
            ),
            None => Answer::error(
                404,
                format!("no such image: {reference}: No such image: {reference}"),
            ),
        }
    }

    pub(in super::super) fn pull(&mut self, from: &str, tag: Option<&str>) -> Answer {
        let reference = match tag.filter(|tag| !tag.is_empty()) {
            Some(digest) if digest.starts_with("sha256:") => format!("{from}@{digest}"),
            Some(tag) => format!("{from}:{tag}"),
            None => from.to_owned(),
        };
        let lines = match self.registry.get(&reference).cloned() {
            Some(image) => {
                self.images.insert(reference.clone(), image);
                vec![
                    json!({ "status": format!("Pulling from {from}") }),
                    json!({ "status": "Download complete" }),
                ]
            }
            // An error inside a stream that began with 200.
            None => vec![
                json!({ "status": format!("Pulling from {from}") }),
                json!({ "errorDetail": { "message": format!("manifest for {reference} not found: manifest unknown") },
                    "error": format!("manifest for {reference} not found: manifest unknown") }),
            ],
        };
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        Answer::bytes(200, "application/json", text)
    }
}
