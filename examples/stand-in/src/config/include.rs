//! `$include`: one file or several, merged into the place where it stands.
//!
//! The rules are OpenClaw's: paths are relative to the including file and stay inside the directory of the main file,
//! objects merge, arrays are concatenated, sibling keys override, depth is at most ten.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

const INCLUDE: &str = "$include";
const MAX_DEPTH: usize = 10;
/// OpenClaw's bound for one included file.
const MAX_BYTES: u64 = 2 * 1024 * 1024;

/// Reads `path` and everything it includes; also returns the files that were read.
pub(super) fn load(path: &Path) -> Result<(Value, Vec<PathBuf>), String> {
    let path = std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let root = path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut loader = Loader {
        root,
        chain: Vec::new(),
        files: Vec::new(),
    };
    let value = loader.file(&path)?;
    Ok((value, loader.files))
}

struct Loader {
    root: PathBuf,
    /// The files that are being included right now, outermost first.
    chain: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Loader {
    fn file(&mut self, path: &Path) -> Result<Value, String> {
        if self.chain.iter().any(|open| open == path) {
            return Err(format!("Circular include detected: {}", path.display()));
        }
        if self.chain.len() > MAX_DEPTH {
            return Err(format!(
                "Maximum include depth ({MAX_DEPTH}) exceeded at: {}",
                path.display()
            ));
        }
        // Listed before it is read, so that a file that appears later is noticed.
        if !self.files.iter().any(|known| known == path) {
            self.files.push(path.to_owned());
        }
        let failed =
            |error: &dyn std::fmt::Display| format!("Failed to read {}: {error}", path.display());
        let bytes = std::fs::metadata(path)
            .map_err(|error| failed(&error))?
            .len();
        if MAX_BYTES < bytes {
            return Err(failed(&format!(
                "{bytes} bytes, at most {MAX_BYTES} are read"
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
        let value: Value = serde_json::from_str(&text).map_err(|error| {
            format!("Failed to parse include file: {}: {error}", path.display())
        })?;
        self.chain.push(path.to_owned());
        let resolved = self.resolve(value, path);
        self.chain.pop();
        resolved
    }

    fn resolve(&mut self, value: Value, from: &Path) -> Result<Value, String> {
        match value {
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.resolve(item, from))
                .collect::<Result<Vec<_>, _>>()
                .map(Value::Array),
            Value::Object(mut object) => {
                let included = match object.remove(INCLUDE) {
                    None => None,
                    Some(wanted) => Some(self.included(&wanted, from)?),
                };
                let mut own = Map::new();
                for (key, value) in object {
                    own.insert(key, self.resolve(value, from)?);
                }
                match included {
                    None => Ok(Value::Object(own)),
                    Some(included) if own.is_empty() => Ok(included),
                    Some(included) if included.is_object() => {
                        Ok(merge(included, Value::Object(own)))
                    }
                    Some(_) => Err(format!(
                        "{}: Sibling keys require included content to be an object",
                        from.display()
                    )),
                }
            }
            scalar => Ok(scalar),
        }
    }

    fn included(&mut self, wanted: &Value, from: &Path) -> Result<Value, String> {
        let one = |loader: &mut Self, wanted: &Value| {
            let Value::String(relative) = wanted else {
                return Err(format!(
                    "Invalid $include value: expected string, got {wanted}"
                ));
            };
            let path = loader.inside(relative, from)?;
            loader.file(&path)
        };
        match wanted {
            Value::Array(several) => {
                let mut merged = Value::Object(Map::new());
                for wanted in several {
                    let next = one(self, wanted)?;
                    merged = merge(merged, next);
                }
                Ok(merged)
            }
            single => one(self, single),
        }
    }

    /// The path of an include, refused when it leaves the configuration directory by name or by link.
    fn inside(&self, relative: &str, from: &Path) -> Result<PathBuf, String> {
        let escapes = || {
            format!(
                "Include path escapes config directory: {relative} (root: {})",
                self.root.display()
            )
        };
        let mut path = from.parent().unwrap_or(&self.root).to_owned();
        for component in Path::new(relative).components() {
            match component {
                Component::CurDir => {}
                Component::ParentDir => {
                    path.pop();
                }
                other => path.push(other),
            }
        }
        if !path.starts_with(&self.root) {
            return Err(escapes());
        }
        let real_root = std::fs::canonicalize(&self.root).unwrap_or_else(|_| self.root.clone());
        match std::fs::canonicalize(&path) {
            Ok(real) if !real.starts_with(&real_root) => Err(escapes()),
            Ok(_) | Err(_) => Ok(path),
        }
    }
}

/// Objects merge, arrays are concatenated, anything else is replaced by `over`.
fn merge(under: Value, over: Value) -> Value {
    match (under, over) {
        (Value::Object(mut under), Value::Object(over)) => {
            for (key, value) in over {
                let merged = match under.remove(&key) {
                    Some(below) => merge(below, value),
                    None => value,
                };
                under.insert(key, merged);
            }
            Value::Object(under)
        }
        (Value::Array(mut under), Value::Array(over)) => {
            under.extend(over);
            Value::Array(under)
        }
        (_, over) => over,
    }
}
