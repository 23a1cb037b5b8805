//! Why TLS did not come about. Each side refuses in terms of its own library; here is what to do about it.

use rustls::{AlertDescription as Alert, CertificateError, Error, InvalidMessage};

use super::chain;

/// Why there is no TLS session with an engine. The library's own words are the source of the error that it was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsRefusal {
    /// The engine's certificate is of a CA that we do not trust.
    #[error("the engine's certificate is not signed by the CA that is configured here")]
    Issuer,
    /// The engine's certificate is for other names.
    #[error("the engine's certificate is for another name")]
    Name,
    /// The engine's certificate is no longer, or not yet, valid.
    #[error("the engine's certificate is out of date")]
    Date,
    /// The engine's certificate cannot be used for another reason.
    #[error("the engine's certificate is not accepted")]
    Certificate,
    /// The engine does not accept our certificate.
    #[error("the engine does not accept our client certificate")]
    Client,
    /// Neither side takes what the other offers.
    #[error("the engine and this program have no version or cipher of TLS in common")]
    Terms,
    /// What listens there does not speak TLS.
    #[error("what listens there speaks no TLS")]
    NoTls,
}

impl TlsRefusal {
    /// What of this kind is in an error or beneath it, `None` where it is something else: an engine that is not there, a
    /// connection that broke.
    #[must_use]
    pub fn find(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        chain(error).find_map(|e| Self::sort(e.downcast_ref()?))
    }

    /// What an operator does about it.
    #[must_use]
    pub const fn fix(self) -> &'static str {
        match self {
            Self::Issuer => {
                "configure the CA that signed it, or find out who answers at this address"
            }
            Self::Name => "set server_name to a name that it is for, or correct the address",
            Self::Date => "renew it there, or correct the clock of this machine",
            Self::Certificate => {
                "make one for a server (extendedKeyUsage serverAuth), with its names"
            }
            Self::Client => {
                "use one in date, for a client (extendedKeyUsage clientAuth), that the CA of the engine's \
                 --tlscacert signed"
            }
            Self::Terms => "let what listens there offer TLS 1.2 or 1.3 with ciphers of today",
            Self::NoTls => "start the engine with --tlsverify, or correct the port",
        }
    }

    /// In TLS 1.3 the engine judges our certificate after our side is done, so its alert may arrive with the answer; it
    /// comes before any request is read.
    fn sort(error: &Error) -> Option<Self> {
        match error {
            Error::InvalidCertificate(reason) => Some(Self::of_certificate(reason)),
            // Engines that were built with an older Go have one alert for all of it, the first.
            Error::AlertReceived(
                Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::CertificateRequired
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError,
            ) => Some(Self::Client),
            Error::PeerIncompatible(_)
            | Error::AlertReceived(
                Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity,
            ) => Some(Self::Terms),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(Self::NoTls),
            _ => None,
        }
    }

    const fn of_certificate(reason: &CertificateError) -> Self {
        match reason {
            // A CA that was made anew has the old one's name: its signature is not the one that is looked for.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Issuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::Name
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::Date,
            _ => Self::Certificate,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::PeerIncompatible;

    use super::*;

    #[test]
    fn what_a_library_says_is_sorted_by_what_mends_it() {
        let certificate = |reason| Error::InvalidCertificate(reason);
        for (said, expected) in [
            (
                certificate(CertificateError::UnknownIssuer),
                TlsRefusal::Issuer,
            ),
            (
                certificate(CertificateError::BadSignature),
                TlsRefusal::Issuer,
            ),
            (
                certificate(CertificateError::NotValidForName),
                TlsRefusal::Name,
            ),
            (certificate(CertificateError::Expired), TlsRefusal::Date),
            (certificate(CertificateError::NotValidYet), TlsRefusal::Date),
            (
                certificate(CertificateError::InvalidPurpose),
                TlsRefusal::Certificate,
            ),
            (
                Error::AlertReceived(Alert::BadCertificate),
                TlsRefusal::Client,
            ),
            (
                Error::AlertReceived(Alert::CertificateRequired),
                TlsRefusal::Client,
            ),
            (Error::AlertReceived(Alert::UnknownCA), TlsRefusal::Client),
            (
                Error::AlertReceived(Alert::ProtocolVersion),
                TlsRefusal::Terms,
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                TlsRefusal::Terms,
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                TlsRefusal::NoTls,
            ),
        ] {
            let shown = said.to_string();
            let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, said));
            assert_eq!(TlsRefusal::find(&wrapped), Some(expected), "{shown}");
        }
    }

    #[test]
    fn what_is_no_refusal_stays_what_it_is() {
        let ended = Error::AlertReceived(Alert::CloseNotify);
        assert_eq!(TlsRefusal::find(&io::Error::other(ended)), None);
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(TlsRefusal::find(&reset), None);
    }
}
