//! The part of the machine's network that a private engine has to itself.

use std::process::Command;

/// A default bridge and the addresses of networks. Whatever is made in them on the machine is this engine's.
#[derive(Debug, Clone, Copy)]
pub struct Ground {
    /// The engine's default bridge: at most 15 letters.
    pub bridge: &'static str,
    /// The bridge's address, with the length of its network.
    pub address: &'static str,
    /// The first three numbers of its networks' addresses.
    pub networks: [u8; 3],
}

impl Ground {
    pub(super) fn pool(&self) -> String {
        let [a, b, c] = self.networks;
        format!("{a}.{b}.{c}.0/24")
    }

    /// A bridge of its own: an engine without one removes the machine's default bridge, whosever it is.
    pub(super) fn make_bridge(&self) {
        ip(&["link", "add", self.bridge, "type", "bridge"]);
        ip(&["addr", "add", self.address, "dev", self.bridge]);
        ip(&["link", "set", self.bridge, "up"]);
    }

    /// The machine's bridges in the addresses of the networks.
    pub(super) fn bridges(&self) -> Vec<String> {
        let addresses = ip(&["-oneline", "-4", "address", "show"]);
        let [a, b, c] = self.networks;
        let ours = format!(" {a}.{b}.{c}.");
        let of_ours = addresses.lines().filter(|line| line.contains(&ours));
        of_ours
            .map(|line| line.split_whitespace().nth(1).expect("a name").to_owned())
            .collect()
    }

    /// Removes the bridges of networks, and the default one.
    pub(super) fn clear(&self) {
        for name in self.bridges() {
            remove_bridge(&name);
        }
        remove_bridge(self.bridge);
    }
}

pub(super) fn remove_bridge(name: &str) {
    ip(&["link", "del", name]);
}

/// Asks or changes the machine's network. What is so already is no error: an earlier run may have been killed.
fn ip(arguments: &[&str]) -> String {
    let done = Command::new("ip")
        .args(arguments)
        .output()
        .expect("`ip` is installed (apt-get install iproute2)");
    String::from_utf8_lossy(&done.stdout).into_owned()
}
