//! The image of the stand-in instance: one static program and the few paths that OpenClaw's image has.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::engine::Engine;
use crate::image::{RECIPE_LABEL, fingerprint};
use crate::term::Step;
use crate::{platform, run};

/// A closed loopback port as registry: no engine ever asks the world for it.
const REPOSITORY: &str = "127.0.0.1:1/openclaw-stand-in";

const PROGRAM: &str = "openclaw-stand-in";

/// The profile of the workspace that makes it small.
const PROFILE: &str = "stand-in";

/// As in OpenClaw's image; `node` and `cat` are the program itself under other names.
const CHANGES: [&str; 5] = [
    "USER 1000:1000",
    "WORKDIR /app",
    "EXPOSE 18789",
    "ENV PATH=/usr/local/bin:/usr/bin:/bin HOME=/home/node NODE_ENV=production",
    r#"CMD ["node","/app/dist/index.js","gateway","--bind","lan","--port","18789"]"#,
];

/// The files that are no programs.
const TEXTS: [(&str, &str); 2] = [
    (
        "etc/passwd",
        "root:x:0:0::/:/bin/false\nnode:x:1000:1000::/home/node:/bin/false\n",
    ),
    ("etc/group", "root:x:0:\nnode:x:1000:\n"),
];

/// The directories with their modes; `home` and what is below belongs to the instance's user.
const DIRECTORIES: [(&str, u32); 8] = [
    ("app", 0o755),
    ("etc", 0o755),
    ("tmp", 0o1777),
    ("usr/bin", 0o755),
    ("usr/local/bin", 0o755),
    ("home", 0o755),
    ("home/node", 0o755),
    // A volume that is mounted here starts with this owner and mode.
    ("home/node/.openclaw", 0o700),
];

/// Answers the name of a stand-in image that the engine has, of the program as it is now.
///
/// The tag is made of the content, so a name always means the same program.
pub(crate) fn ensure_image(engine: &Engine) -> Result<String> {
    let step = Step::begin("Stand-in image");
    let program = build()?;
    let bytes = fs::read(&program).context("the stand-in was built and is not there")?;
    let tag = recipe(&bytes);
    let name = format!("{REPOSITORY}:{tag}");
    if engine.image(&name)?.is_some() {
        step.done(&format!("{name}, already there"));
        return Ok(name);
    }
    let folder = platform::target_dir().join("xtask/stand-in");
    let archive = root_archive(&program, &folder)?;
    let mut changes = CHANGES.map(str::to_owned).to_vec();
    changes.push(format!("LABEL {RECIPE_LABEL}={tag}"));
    engine
        .import(File::open(archive)?, (REPOSITORY, &tag), &changes)
        .context("the engine did not take the image")?;
    step.done(&format!("{name}, {} KiB", bytes.len() / 1024));
    Ok(name)
}

/// Builds the program, which runs on any machine of this kind, and answers where it is.
pub(crate) fn build() -> Result<PathBuf> {
    // With an explicit target: `crt-static` would otherwise apply to build scripts and macros.
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    run::logged(
        platform::cargo()
            .args(["build", "--package", "stand-in", "--bin", PROGRAM])
            .args(["--profile", PROFILE, "--target", &target])
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
        &platform::target_dir().join("xtask/stand-in.log"),
    )?;
    Ok(platform::target_dir()
        .join(target)
        .join(PROFILE)
        .join(PROGRAM))
}

/// Names everything that decides what the image is.
fn recipe(program: &[u8]) -> String {
    let directories = format!("{DIRECTORIES:?}");
    let texts = TEXTS.iter().flat_map(|(path, text)| [*path, *text]);
    let words = CHANGES
        .into_iter()
        .chain(texts)
        .chain([directories.as_str()]);
    fingerprint([program].into_iter().chain(words.map(str::as_bytes)))
}

/// Lays the root file system out below `folder` and packs it.
fn root_archive(program: &Path, folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("cannot clear {}", root.display()))?;
    }
    for (path, mode) in DIRECTORIES {
        fs::create_dir_all(root.join(path))?;
        fs::set_permissions(root.join(path), Permissions::from_mode(mode))?;
    }
    for (path, text) in TEXTS {
        fs::write(root.join(path), text)?;
        fs::set_permissions(root.join(path), Permissions::from_mode(0o644))?;
    }
    fs::copy(program, root.join(PROGRAM))?;
    fs::set_permissions(root.join(PROGRAM), Permissions::from_mode(0o755))?;
    for link in ["usr/local/bin/node", "usr/bin/cat"] {
        symlink(format!("/{PROGRAM}"), root.join(link))?;
    }
    let archive = folder.join("root.tar");
    let tar = |action: &str, owner: &str, paths: &[&str]| {
        // Without times and in one order, so that one program always makes one image.
        run::output(
            Command::new("tar")
                .args([action, "--numeric-owner", "--sort=name", "--mtime=@0"])
                .args([&format!("--owner={owner}"), &format!("--group={owner}")])
                .arg("--file")
                .arg(&archive)
                .arg("--directory")
                .arg(&root)
                .args(paths),
        )
    };
    tar("--create", "0", &["app", "etc", PROGRAM, "tmp", "usr"])?;
    tar("--append", "1000", &["home"])?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_tells_programs_apart() {
        assert_eq!(recipe(b"one"), recipe(b"one"));
        assert_ne!(recipe(b"one"), recipe(b"two"));
        let tag = recipe(b"one");
        assert!(tag.bytes().all(|byte| byte.is_ascii_hexdigit()), "{tag}");
    }

    #[test]
    fn the_archive_has_the_owners_that_a_volume_takes_over() {
        let folder = platform::target_dir().join(format!("xtask/stand-in-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("program"), "program").unwrap();
        let archive = root_archive(&folder.join("program"), &folder).unwrap();
        let listed = run::output(
            Command::new("tar")
                .args(["--list", "--verbose", "--numeric-owner", "--file"])
                .arg(archive),
        )
        .unwrap();
        fs::remove_dir_all(folder).unwrap();
        let line = |path: &str| {
            let found = listed.lines().find(|line| line.contains(path));
            found.unwrap_or_else(|| panic!("{path} is not in\n{listed}"))
        };
        assert!(line(" home/node/.openclaw/").starts_with("drwx------ 1000/1000"));
        assert!(line(" tmp/").starts_with("drwxrwxrwt 0/0"));
        assert!(line(" openclaw-stand-in").starts_with("-rwxr-xr-x 0/0"));
        assert!(line(" usr/local/bin/node").contains("-> /openclaw-stand-in"));
    }
}
