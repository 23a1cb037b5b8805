//! What a server leaves on a disk, read byte for byte: its data directory and its database.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// Files of the data directory that hold secrets by design, and why.
const BY_DESIGN: [(&str, &str); 1] = [(
    "config.toml",
    "the operator's own: the test writes its secrets there, and whoever wants them elsewhere names files",
)];

/// Something that was kept, by where.
pub(crate) struct Kept {
    place: String,
    /// Whatever is no text stays apart from what is.
    text: String,
}

impl Kept {
    pub(crate) fn new(place: impl Into<String>, bytes: &[u8]) -> Self {
        Self {
            place: place.into(),
            text: String::from_utf8_lossy(bytes).into_owned(),
        }
    }

    /// Whether it is the file whose path ends so.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.place.ends_with(name)
    }

    /// Whether this text is anywhere in it.
    pub(crate) fn holds(&self, text: &str) -> bool {
        self.text.contains(text)
    }
}

/// All that PostgreSQL has of a database, in its own words: bytes are hexadecimal there.
pub(crate) async fn dump(url: &str) -> Kept {
    let dumped = tokio::process::Command::new("pg_dump").arg(url).output();
    let dumped = dumped.await.expect("pg_dump is installed");
    assert!(dumped.status.success(), "{dumped:?}");
    Kept::new("the database", &dumped.stdout)
}

/// Every file below a data directory but those that hold secrets by design.
pub(crate) fn files(data: &Path) -> Vec<Kept> {
    let mut kept = Vec::new();
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !is_by_design(data, &path) {
                let bytes = fs::read(&path).unwrap();
                kept.push(Kept::new(path.display().to_string(), &bytes));
            }
        }
    }
    kept
}

fn is_by_design(data: &Path, file: &Path) -> bool {
    BY_DESIGN
        .iter()
        .any(|(name, _)| file == PathBuf::from(data).join(name))
}

/// Asserts that `secret` is in none of it: as it is, in hexadecimal, and in base64.
pub(crate) fn is_not_kept(secret: &str, kept: &[Kept]) {
    for spelling in [
        secret.to_owned(),
        hex::encode(secret),
        STANDARD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ] {
        for kept in kept {
            let place = &kept.place;
            assert!(!kept.holds(&spelling), "{secret} stands in {place}");
        }
    }
}
