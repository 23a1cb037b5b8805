//! The stand-in instance that both proxies lead to.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use anyhow::bail;
use benches::process::{Process, scratch, sibling, until};
use openclaw_tenancy::container::{INSTANCE_PORT, instance_address};

/// The instance's subnet: loopback addresses that nobody else uses.
pub(crate) const SUBNET: &str = "127.77.77.0/29";

pub(crate) struct Instance {
    _process: Process,
    address: SocketAddr,
}

impl Instance {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let ip: Ipv4Addr = instance_address(SUBNET.parse()?);
        let dir = scratch("instance")?;
        let config = dir.join("openclaw.json");
        let settings = format!(
            r#"{{"gateway":{{"mode":"local","bind":"custom","customBindHost":"{ip}","trustedProxies":["127.0.0.0/8"],"auth":{{"mode":"token","token":"bench-only"}}}}}}"#
        );
        std::fs::write(&config, settings)?;
        let mut command = Command::new(sibling("openclaw-stand-in", "stand-in")?);
        command
            .env("OPENCLAW_STATE_DIR", &dir)
            .env("OPENCLAW_CONFIG_PATH", &config)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut process = Process::start(&mut command)?;
        let address = SocketAddr::from((ip, INSTANCE_PORT));
        until("the stand-in", || TcpStream::connect(address).is_ok())?;
        if let Some(status) = process.child().try_wait()? {
            bail!("the stand-in ended: {status}");
        }
        Ok(Self {
            _process: process,
            address,
        })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}
