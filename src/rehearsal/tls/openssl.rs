//! The handshakes that rustls has no suites for, by the system's OpenSSL: TLS 1.2 with CBC, or with a key that the device
//! encrypts to the server's. Devices are judged by the same rules, in the same words.

use std::pin::Pin;

use openssl::dh::Dh;
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    AlpnError, Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode,
    SslVersion, select_next_proto,
};
use openssl::stack::StackRef;
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilderRef;
use openssl::x509::verify::X509VerifyFlags;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

use super::policy::{Exchange, SecurityPolicy, Suite};
use super::{Judge, Port, Presented, Slot};
use crate::rehearsal::account::Authority;
use crate::rehearsal::server::{KeyKind, ServerIdentity, ServerKey};

/// The groups that rustls has, and no others.
const GROUPS: &str = "X25519:P-256:P-384";

/// What a device may name in ALPN, each with its length before it.
const PROTOCOLS: &[u8] = b"\x0ex-amzn-mqtt-ca\x04mqtt";

/// Settings by kind of key, for each of AWS's ports.
pub(super) struct OpenSsl(Vec<(KeyKind, Port, SslContext)>);

impl OpenSsl {
    pub(super) fn new(
        identity: &ServerIdentity,
        authorities: &[Authority],
        policy: SecurityPolicy,
    ) -> Result<Self, ErrorStack> {
        let mut contexts = Vec::new();
        for key in identity.all() {
            for port in [Port::Mqtt, Port::Alpn] {
                let suites = policy.suites(port).filter(|suite| suite.key == Some(key.kind));
                let suites: Vec<&Suite> = suites.collect();
                if !suites.is_empty() {
                    contexts.push((key.kind, port, context(key, &suites, authorities)?));
                }
            }
        }
        Ok(Self(contexts))
    }

    /// Shakes hands; the device's certificate is judged, and lies in the slot.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        key: KeyKind,
        port: Port,
        stream: S,
        judge: Judge,
        slot: &Slot,
    ) -> Result<SslStream<S>, openssl::ssl::Error> {
        let context = self.0.iter().find(|(kind, of, _)| (*kind, *of) == (key, port));
        let (.., context) = context.expect("the choice is made of the same table");
        let mut ssl = Ssl::new(context)?;
        ssl.param_mut().set_time(judge.clock.now().unix_timestamp());
        let found = slot.clone();
        ssl.set_verify_callback(
            SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
            move |is_good, context| {
                let leaf = context.chain().and_then(|chain| chain.get(0)?.to_der().ok());
                let Some(leaf) = leaf else { return is_good };
                // Asked for each certificate and for each fault; the answer is that of the first time.
                found.get_or_init(|| judge.present(&leaf, true)).judgement.is_ok()
            },
        );
        let mut stream = SslStream::new(ssl, stream)?;
        Pin::new(&mut stream).accept().await?;
        Ok(stream)
    }
}

/// Whether the device's certificate came without the CA's, which is known once all is done.
pub(super) fn with_chain<S>(presented: Presented, stream: &SslStream<S>) -> Presented {
    // On the server's side the leaf is not among them.
    let others = stream.ssl().peer_cert_chain().map_or(0, StackRef::len);
    Presented {
        is_alone: others == 0,
        ..presented
    }
}

fn context(key: &ServerKey, suites: &[&Suite], authorities: &[Authority]) -> Result<SslContext, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::tls_server())?;
    context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    context.set_max_proto_version(Some(SslVersion::TLS1_2))?;
    let names: Vec<&str> = suites.iter().map(|suite| suite.name).collect();
    // The policy alone says what is strong enough: old devices sign with SHA-1.
    context.set_cipher_list(&format!("{}:@SECLEVEL=0", names.join(":")))?;
    context.set_groups_list(GROUPS)?;
    if suites.iter().any(|suite| suite.exchange == Exchange::Dhe) {
        context.set_tmp_dh(&*Dh::get_2048_256()?)?;
    }
    // Nothing is resumed, as with rustls.
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_options(
        SslOptions::NO_TICKET
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_COMPRESSION
            | SslOptions::CIPHER_SERVER_PREFERENCE
            // Most firmware closes TCP without a word of TLS.
            | SslOptions::IGNORE_UNEXPECTED_EOF,
    );
    context.set_alpn_select_callback(|_, offered| {
        select_next_proto(PROTOCOLS, offered).ok_or(AlpnError::ALERT_FATAL)
    });
    set_key(&mut context, key)?;
    trust(context.cert_store_mut(), authorities)?;
    // The registered CA is the anchor, whether it is a root or not.
    context
        .verify_param_mut()
        .set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    Ok(context.build())
}

fn set_key(context: &mut SslContextBuilder, key: &ServerKey) -> Result<(), ErrorStack> {
    let mut chain = key.chain().iter().map(|der| X509::from_der(der));
    if let Some(leaf) = chain.next() {
        let leaf = leaf?;
        context.set_certificate(&leaf)?;
    }
    for above in chain {
        context.add_extra_chain_cert(above?)?;
    }
    let private = PKey::private_key_from_pkcs8(&key.private)?;
    context.set_private_key(&private)?;
    context.check_private_key()
}

fn trust(store: &mut X509StoreBuilderRef, authorities: &[Authority]) -> Result<(), ErrorStack> {
    for authority in authorities {
        store.add_cert(X509::from_der(authority.certificate.der())?)?;
    }
    Ok(())
}
