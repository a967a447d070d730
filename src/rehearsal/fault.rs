//! Why a connection ended that should not have, in words for whoever has the device on the bench: no names of types, no
//! addresses of libraries.

use std::error::Error;
use std::io::{self, ErrorKind};

use tokio_rustls::rustls::{self, CertificateError, PeerIncompatible};

/// What broke a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The other side closed it, with a word or without.
    Closed,
    /// TCP was reset.
    Reset,
    /// Nothing moved any more.
    TimedOut,
    /// The other side broke off with an alert of TLS.
    Alert(u8),
    NoCertificate,
    /// The signature by which a device shows that it has its key.
    BadSignature,
    NoAlpn,
    /// What is not in common, or not as TLS wants it.
    Tls(&'static str),
    System(String),
}

impl Fault {
    pub(super) fn of(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::of_rustls(error);
        }
        #[cfg(feature = "openssl")]
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<openssl::ssl::Error>()) {
            return Self::of_openssl(error);
        }
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::Closed,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => Self::Reset,
            ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::System(error.to_string()),
        }
    }

    fn of_rustls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::AlertReceived(alert) => Self::Alert(u8::from(*alert)),
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            rustls::Error::NoApplicationProtocol => Self::NoAlpn,
            rustls::Error::InvalidCertificate(CertificateError::BadSignature) => Self::BadSignature,
            rustls::Error::InvalidMessage(_) => Self::Tls("a message cannot be read"),
            rustls::Error::InappropriateMessage { .. }
            | rustls::Error::InappropriateHandshakeMessage { .. } => {
                Self::Tls("a message comes out of its turn")
            }
            rustls::Error::DecryptError => Self::Tls("a record cannot be decrypted"),
            rustls::Error::PeerSentOversizedRecord => Self::Tls("a record is too large"),
            rustls::Error::PeerIncompatible(lack) => Self::Tls(match lack {
                PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite in common",
                PeerIncompatible::NoKxGroupsInCommon => "no group in common",
                PeerIncompatible::NoSignatureSchemesInCommon
                | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
                    "no signature algorithm in common"
                }
                PeerIncompatible::SignatureAlgorithmsExtensionRequired => "no list of signature algorithms",
                PeerIncompatible::NullCompressionRequired => "it wants compression",
                _ => "something is missing that this endpoint needs",
            }),
            rustls::Error::InvalidCertificate(_) => {
                Self::Tls("the certificate or its signature is of no use")
            }
            _ => Self::Tls("a message breaks the rules"),
        }
    }

    /// Alerts are reasons from 1000 on; the library's own words are short texts.
    #[cfg(feature = "openssl")]
    fn of_openssl(error: &openssl::ssl::Error) -> Self {
        if let Some(error) = error.io_error() {
            return Self::of(error);
        }
        let first = error.ssl_error().and_then(|stack| stack.errors().first());
        let Some(first) = first else { return Self::Closed };
        match (u8::try_from(first.reason_code() - 1_000), first.reason()) {
            (Ok(alert), _) => Self::Alert(alert),
            (_, Some("peer did not return a certificate")) => Self::NoCertificate,
            (_, Some("bad signature")) => Self::BadSignature,
            (_, Some("no application protocol")) => Self::NoAlpn,
            (_, Some("unexpected eof while reading")) => Self::Closed,
            (_, Some("no shared cipher")) => Self::Tls("no cipher suite in common"),
            (_, Some("certificate verify failed")) => {
                Self::Tls("the certificate or its signature is of no use")
            }
            (_, Some("digest check failed" | "decryption failed or bad record mac")) => {
                Self::Tls("a record cannot be decrypted")
            }
            _ => Self::Tls("a message breaks the rules"),
        }
    }

    /// Of a device, while its handshake lasted.
    pub(super) fn in_handshake(&self) -> String {
        match self {
            Self::Closed => "the device closed the connection during the handshake".to_owned(),
            Self::Reset => "the device reset the connection during the handshake".to_owned(),
            Self::NoCertificate => "the device sent no certificate".to_owned(),
            Self::BadSignature => {
                "the device has not the private key of the certificate that it sent: its signature is wrong"
                    .to_owned()
            }
            Self::NoAlpn => "the device's ALPN has neither x-amzn-mqtt-ca nor mqtt".to_owned(),
            other => other.in_session(),
        }
    }

    /// Of a device, once it was connected.
    pub(super) fn in_session(&self) -> String {
        match self {
            Self::Closed => "the device closed the connection".to_owned(),
            Self::Reset => "the device reset the connection".to_owned(),
            Self::TimedOut => "the device does not answer any more".to_owned(),
            Self::Alert(alert) => format!("the device broke off with {}", alert_in_words(*alert)),
            Self::NoCertificate | Self::BadSignature | Self::NoAlpn => self.in_handshake(),
            Self::Tls(what) => format!("what the device sends is not as TLS wants it: {what}"),
            Self::System(text) => text.clone(),
        }
    }

    /// Of a server, to whoever connects to it.
    pub(super) fn of_server(&self) -> String {
        match self {
            Self::Closed => "the server closed the connection during the handshake".to_owned(),
            Self::Reset => "the server reset the connection during the handshake".to_owned(),
            Self::TimedOut => "the server does not answer any more".to_owned(),
            Self::Alert(alert) => format!("the server broke off with {}", alert_in_words(*alert)),
            Self::BadSignature => "the server has not the private key of its certificate".to_owned(),
            Self::NoCertificate => "the server sent no certificate".to_owned(),
            Self::NoAlpn => "the server knows none of the ALPN protocols".to_owned(),
            Self::Tls("a message cannot be read") => "what the server sends is no TLS".to_owned(),
            Self::Tls(what) => format!("what the server sends is not as TLS wants it: {what}"),
            Self::System(text) => text.clone(),
        }
    }
}

/// Whether an error is one of TLS, not of TCP.
pub(super) fn is_of_tls(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>)
}

fn alert_in_words(alert: u8) -> String {
    let meaning = match alert {
        42 | 43 | 46 => {
            ": it does not like this endpoint's certificate; it must trust the root of this endpoint"
        }
        44 => ": it holds this endpoint's certificate for revoked",
        45 => {
            ": by its clock this endpoint's certificate has expired, or is not valid yet; is the device's clock right?"
        }
        48 => {
            ": it does not trust this endpoint; it must have the root of this endpoint in place of Amazon's"
        }
        51 => ": it could not verify a signature of this endpoint",
        40 => ": it finds nothing that it could agree to",
        70 => ": it does not take this version of TLS",
        71 => ": what was agreed to is too weak for it",
        112 => ": it asked for another server name",
        _ => "",
    };
    format!("alert {}{meaning}", alert_name(alert))
}

/// As RFC 8446, 6.2, and RFC 5246, 7.2, call it.
pub(super) fn alert_name(alert: u8) -> String {
    let name = match alert {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        other => return format!("{other}"),
    };
    format!("{name} ({alert})")
}

/// Why a server's certificate is not accepted.
pub(super) fn mistrust(error: &rustls::Error) -> &'static str {
    let rustls::Error::InvalidCertificate(why) = error else {
        return "it is of no use";
    };
    match why {
        CertificateError::UnknownIssuer => "none of the roots that the device has leads to it",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name than that of the host"
        }
        CertificateError::BadSignature => "its signature is wrong",
        CertificateError::BadEncoding => "it cannot be read",
        CertificateError::Revoked => "it is revoked",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not that of a server"
        }
        _ => "it is of no use to TLS",
    }
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::{AlertDescription, InvalidMessage, PeerMisbehaved};

    use super::*;

    #[test]
    fn every_break_is_told_in_words() {
        let of_tls = |error: rustls::Error| io::Error::new(ErrorKind::InvalidData, error);
        let url = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls";
        for (error, told) in [
            (
                io::Error::new(ErrorKind::UnexpectedEof, url),
                "the device closed the connection",
            ),
            (
                ErrorKind::ConnectionReset.into(),
                "the device reset the connection",
            ),
            (ErrorKind::BrokenPipe.into(), "the device reset the connection"),
            (ErrorKind::TimedOut.into(), "the device does not answer any more"),
            (
                of_tls(rustls::Error::AlertReceived(AlertDescription::UnknownCA)),
                "the device broke off with alert unknown_ca (48): it does not trust this endpoint; it must have the root \
                 of this endpoint in place of Amazon's",
            ),
            (
                of_tls(rustls::Error::AlertReceived(AlertDescription::Unknown(200))),
                "the device broke off with alert 200",
            ),
            (
                of_tls(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)),
                "what the device sends is not as TLS wants it: a message cannot be read",
            ),
            (
                of_tls(rustls::Error::PeerMisbehaved(
                    PeerMisbehaved::TooMuchEarlyDataReceived,
                )),
                "what the device sends is not as TLS wants it: a message breaks the rules",
            ),
            (
                of_tls(rustls::Error::PeerIncompatible(
                    PeerIncompatible::NoKxGroupsInCommon,
                )),
                "what the device sends is not as TLS wants it: no group in common",
            ),
        ] {
            let fault = Fault::of(&error);
            assert_eq!(fault.in_session(), told);
            for text in [fault.in_handshake(), fault.of_server()] {
                assert!(!text.contains("://") && !text.contains("::"), "{text}");
            }
        }
    }

    #[cfg(feature = "openssl")]
    #[test]
    fn what_openssl_says_is_told_in_the_same_words() {
        use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream};
        let context = SslContext::builder(SslMethod::tls_server()).unwrap().build();
        for (octets, told) in [
            (&b""[..], "the device closed the connection during the handshake"),
            (
                b"\x16\x03\x03\x00\x02\x01\x00",
                "the device closed the connection during the handshake",
            ),
            (
                b"\x17\x03\x03\x00\x02\x02\x30",
                "what the device sends is not as TLS wants it: a message breaks the rules",
            ),
        ] {
            let stream = Memory(octets);
            let mut stream = SslStream::new(Ssl::new(&context).unwrap(), stream).unwrap();
            let error = stream.accept().unwrap_err();
            assert_eq!(Fault::of(&io::Error::other(error)).in_handshake(), told);
        }
    }

    #[cfg(feature = "openssl")]
    struct Memory<'a>(&'a [u8]);

    #[cfg(feature = "openssl")]
    impl io::Read for Memory<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            io::Read::read(&mut self.0, into)
        }
    }

    #[cfg(feature = "openssl")]
    impl io::Write for Memory<'_> {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
