//! The way to the server, below MQTT: DNS, TCP and TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::super::device::Device;
use super::super::server::provider;
use super::super::tls::ALPN;
use super::{ConnectError, Greeting, Step, Target, step};

pub(super) async fn resolve(target: &Target) -> Result<Vec<SocketAddr>, ConnectError> {
    let found = lookup_host((target.host.as_str(), target.port)).await;
    let addresses = found.map_err(|source| ConnectError::Dns {
        host: target.host.clone(),
        source,
    })?;
    Ok(addresses.collect())
}

/// Connects to the first address that takes it; if none does, says why the one that the system likes best did not.
pub(super) async fn reach(
    addresses: &[SocketAddr],
    target: &Target,
    greeting: &Greeting,
) -> Result<(TcpStream, SocketAddr, f64), ConnectError> {
    let mut failure = None;
    for &address in addresses {
        let connecting = async {
            let stream = TcpStream::connect(address).await;
            stream.map_err(|source| ConnectError::Tcp { address, source })
        };
        match step(greeting, Step::Tcp, connecting).await {
            Ok((stream, milliseconds)) => return Ok((stream, address, milliseconds)),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or_else(|| ConnectError::NoAddress {
        host: target.host.clone(),
    }))
}

pub(super) async fn handshake(
    device: &Device,
    roots: Arc<RootCertStore>,
    target: &Target,
    greeting: &Greeting,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let key = SingleCertAndKey::from(device.certified_key(greeting.sends));
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has what TLS 1.2 and 1.3 need")
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(key));
    config.resumption = Resumption::disabled();
    if greeting.alpn || target.port == 443 {
        config.alpn_protocols = vec![ALPN.to_vec()];
    }
    let name = ServerName::try_from(target.host.clone()).map_err(|_| ConnectError::ServerName {
        host: target.host.clone(),
    })?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(tls_error)
}

/// What TLS says, in its place.
pub(super) fn tls_error(error: io::Error) -> ConnectError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(alert)) => ConnectError::Refused(*alert),
        Some(inner @ rustls::Error::InvalidCertificate(_)) => ConnectError::Untrusted(inner.clone()),
        _ => ConnectError::Tls(error),
    }
}

pub(super) fn describe(stream: &TlsStream<TcpStream>, host: &str) -> String {
    let (_, connection) = stream.get_ref();
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS",
    };
    let suite = connection
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str())
        .map_or_else(
            || "unknown cipher suite".to_owned(),
            // rustls has names of its own for those of TLS 1.3.
            |suite| suite.replace("TLS13_", "TLS_"),
        );
    format!("{version}, {suite}, server name {host}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::net::TcpListener;

    use super::super::super::device::Sends;
    use super::super::super::packet::Version;
    use super::*;

    #[tokio::test]
    async fn an_address_that_refuses_is_not_the_last_word() {
        let listen = async || TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = |listener: &TcpListener| listener.local_addr().expect("it is bound");
        let open = listen().await;
        let open_address = address(&open);
        // Nobody listens there once it is dropped.
        let closed = address(&listen().await);
        let target = Target {
            host: "two.example".to_owned(),
            port: 8883,
            address: None,
        };
        let greeting = Greeting {
            version: Version::MQTT3,
            client_id: "SN000001".to_owned(),
            subscribe: Vec::new(),
            topic: None,
            payload: Bytes::new(),
            sends: Sends::Chain,
            timeout: Duration::from_secs(30),
            alpn: false,
        };
        let (_, reached, _) = reach(&[closed, open_address], &target, &greeting)
            .await
            .expect("one of them answers");
        assert_eq!(reached, open_address);
        let error = reach(&[closed], &target, &greeting)
            .await
            .expect_err("nobody answers");
        assert!(matches!(error, ConnectError::Tcp { address, .. } if address == closed));
        let error = reach(&[], &target, &greeting).await.expect_err("nobody is there");
        assert!(matches!(error, ConnectError::NoAddress { .. }));
    }
}
