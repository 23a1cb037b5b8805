//! Opening a connection: unix socket, TCP or mutual TLS, always within a deadline.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tower::util::BoxCloneSyncService;

use super::meter::Metered;
use super::tls::{self, TlsError};
use crate::docker::Endpoint;

/// Connecting, the TLS handshake included. A machine that drops packets is told from one that is merely
/// slow to answer by this ending first.
const CONNECT: Duration = Duration::from_secs(5);

/// What the pooled client dials with.
pub(super) type Connector = BoxCloneSyncService<Uri, TokioIo<Metered>, io::Error>;

/// A connector that goes to `endpoint` whatever the request's address says.
pub(super) fn connector(endpoint: &Endpoint) -> Result<Connector, TlsError> {
    let way = Arc::new(Way::to(endpoint)?);
    Ok(BoxCloneSyncService::new(tower::service_fn(
        move |_: Uri| {
            let way = Arc::clone(&way);
            async move {
                let dialled = tokio::time::timeout(CONNECT, way.dial()).await;
                dialled
                    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                    .map(TokioIo::new)
            }
        },
    )))
}

enum Way {
    Unix(std::path::PathBuf),
    Tcp(String, u16),
    Tls(String, u16, ServerName<'static>, TlsConnector),
}

impl Way {
    fn to(endpoint: &Endpoint) -> Result<Self, TlsError> {
        Ok(match endpoint {
            Endpoint::Unix { path } => Self::Unix(path.clone()),
            Endpoint::Tcp { host, port, .. } => Self::Tcp(host.clone(), *port),
            Endpoint::Tls {
                host,
                port,
                ca,
                cert,
                key,
                server_name,
            } => {
                let name = tls::server_name(server_name.as_deref().unwrap_or(host))?;
                let config = tls::client_config(ca, cert, key)?;
                Self::Tls(host.clone(), *port, name, TlsConnector::from(config))
            }
        })
    }

    async fn dial(&self) -> io::Result<Metered> {
        match self {
            Self::Unix(path) => Ok(Metered::new(UnixStream::connect(path).await?)),
            Self::Tcp(host, port) => Ok(Metered::new(tcp(host, *port).await?)),
            Self::Tls(host, port, name, connector) => {
                let session = connector
                    .connect(name.clone(), tcp(host, *port).await?)
                    .await?;
                Ok(Metered::new(session))
            }
        }
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // Requests are small and each waits for its answer: Nagle only adds delay.
    stream.set_nodelay(true)?;
    Ok(stream)
}
