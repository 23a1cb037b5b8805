//! An overlay as the files that it makes of every instance.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::overlay::{self, Overlay};
use crate::container::secret::Content;
use crate::container::{INSTANCE_UID, VolumeFile};

/// What an [`Overlay`] makes of every instance's files: rendered once, shared by all.
#[derive(Clone)]
pub struct RenderedOverlay {
    pub(super) seed: Arc<[VolumeFile]>,
    /// All but the file of the section `gateway`, which is each instance's own.
    pub(super) config: Arc<[VolumeFile]>,
    /// Has taken in `config`.
    pub(super) hash: Sha256,
}

impl fmt::Debug for RenderedOverlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderedOverlay").finish_non_exhaustive()
    }
}

impl From<&Overlay> for RenderedOverlay {
    fn from(overlay: &Overlay) -> Self {
        let config = config(overlay);
        let mut hash = Sha256::new();
        for file in &config {
            digest(&mut hash, file);
        }
        Self {
            seed: [seed(overlay)].into(),
            config: config.into(),
            hash,
        }
    }
}

/// The sections that are rendered by us, whatever the overlay says.
///
/// Included also while there is no provider: the first one then reaches the instances that there are.
const OURS: [&str; 4] = ["gateway", "update", "models", "secrets"];

/// `openclaw.json`: nothing but pointers to what is ours.
fn seed(overlay: &Overlay) -> VolumeFile {
    let mut own = Map::new();
    for name in OURS.into_iter().chain(overlay.included()) {
        let file = format!("./manager/{name}.json");
        own.insert(name.to_owned(), json!({ "$include": file }));
    }
    if overlay.default_model.is_some() {
        let file = format!("./manager/{}", overlay::DEFAULT_MODEL_FILE);
        let vars = json!({ overlay::DEFAULT_MODEL: { "$include": file } });
        let env = own.entry("env").or_insert_with(|| json!({}));
        env["vars"] = vars;
        let named = format!("${{{}}}", overlay::DEFAULT_MODEL);
        own.insert(
            "agents".to_owned(),
            json!({ "defaults": { "model": { "primary": named } } }),
        );
    }
    // As in any configuration that OpenClaw has written: without it, its first writing makes the first model of that
    // moment the owner's own choice.
    let migrations = json!({ "utilityModelSeparation": true });
    own.insert("meta".to_owned(), json!({ "migrations": migrations }));
    VolumeFile {
        path: "openclaw.json".to_owned(),
        content: Content(pretty(&Value::Object(own))),
        owner: INSTANCE_UID,
        mode: 0o600,
    }
}

fn config(overlay: &Overlay) -> Vec<VolumeFile> {
    // Before what points to them: whoever is told of a change finds them.
    let keys = VolumeFile {
        path: overlay::KEYS_FILE.to_owned(),
        content: Content(pretty(&Value::Object(overlay.keys()))),
        // OpenClaw refuses a key file that is not its own user's alone.
        owner: INSTANCE_UID,
        mode: 0o600,
    };
    let default_model = VolumeFile {
        path: overlay::DEFAULT_MODEL_FILE.to_owned(),
        content: Content(pretty(&overlay.default_model())),
        owner: 0,
        mode: 0o644,
    };
    let theirs = overlay
        .contents()
        .into_iter()
        .filter(|(name, _)| !OURS.contains(name))
        .map(|(name, value)| ours(name, pretty(&value)));
    let update = pretty(&json!({ "checkOnStart": false }));
    [keys, default_model]
        .into_iter()
        .chain(theirs)
        .chain([
            ours("update", update),
            ours("models", pretty(&overlay.models())),
            ours("secrets", pretty(&overlay.secrets())),
        ])
        .collect()
}

/// The file of a section: root's, and the instance may read it.
pub(super) fn ours(section: &str, content: Vec<u8>) -> VolumeFile {
    VolumeFile {
        path: format!("{section}.json"),
        content: Content(content),
        owner: 0,
        mode: 0o644,
    }
}

pub(super) fn pretty(value: &impl Serialize) -> Vec<u8> {
    // Texts, numbers and keys that are texts: nothing of it can fail.
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Takes a file in.
pub(super) fn digest(hash: &mut Sha256, file: &VolumeFile) {
    for part in [
        file.path.as_bytes(),
        &file.content.0,
        &file.mode.to_be_bytes(),
    ] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
}
