//! The choice: what a server with a security policy takes of what a device offers, and which library can do it.

use std::sync::Arc;

use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::sign::CertifiedKey;

use super::Port;
use super::hello::{Hello, group_name};
use super::policy::{Exchange, SecurityPolicy, Suite};
use crate::rehearsal::server::KeyKind;

/// x25519, secp256r1, secp384r1. Which ones AWS IoT has, it does not say.
const GROUPS: [u16; 3] = [29, 23, 24];

/// What rustls has of TLS 1.2, all with ECDHE and GCM.
const OF_RUSTLS: [u16; 4] = [0xc02b, 0xc02c, 0xc02f, 0xc030];

/// A key of the server.
pub(super) type Keys = [(KeyKind, Arc<CertifiedKey>)];

/// Whose implementation goes on with the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Library {
    Rustls,
    OpenSsl,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Take {
        suite: &'static Suite,
        key: KeyKind,
        library: Library,
    },
    /// AWS IoT would take the device with this suite, and this endpoint cannot.
    Cannot { suite: &'static Suite, because: String },
    /// AWS IoT would not take it either.
    Refuse { why: String, alert: u8 },
}

/// RFC 8446, 6.2.
pub(super) const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;

/// What a server can do.
pub(super) struct Server<'a> {
    pub policy: SecurityPolicy,
    pub port: Port,
    /// In the order in which they are liked.
    pub keys: &'a Keys,
    pub has_openssl: bool,
}

impl Server<'_> {
    pub(super) fn choose(&self, hello: &Hello) -> Choice {
        let policy = self.policy;
        if policy.takes_tls13() && hello.offers_tls13() {
            return self.choose_tls13(hello);
        }
        if policy.takes_tls12() && hello.offers_tls12() {
            return self.choose_tls12(hello);
        }
        Choice::Refuse {
            why: format!(
                "it offers {}, and {} takes {}",
                hello.versions_in_words(),
                policy.name(),
                policy.versions()
            ),
            alert: PROTOCOL_VERSION,
        }
    }

    fn choose_tls13(&self, hello: &Hello) -> Choice {
        let mut suites = self
            .offered(hello)
            .filter(|suite| suite.exchange == Exchange::Tls13);
        let Some(suite) = suites.next() else {
            return self.nothing_in_common();
        };
        if !has_group(hello) {
            return no_group();
        }
        let key = self.keys.iter().find(|(_, key)| can_sign(key, hello));
        match key {
            Some((key, _)) => Choice::Take {
                suite,
                key: *key,
                library: Library::Rustls,
            },
            None => Choice::Cannot {
                suite,
                because: "none of its certificates has a key that signs with an algorithm of the device's"
                    .to_owned(),
            },
        }
    }

    /// The first suite that rustls can do, or else the first that OpenSSL can.
    fn choose_tls12(&self, hello: &Hello) -> Choice {
        let mut suites = self
            .offered(hello)
            .filter(|suite| suite.exchange != Exchange::Tls13)
            .peekable();
        let Some(first) = suites.peek().copied() else {
            return self.nothing_in_common();
        };
        let suites: Vec<&'static Suite> = suites
            .filter(|suite| suite.exchange != Exchange::Ecdhe || has_group(hello))
            .collect();
        if suites.is_empty() {
            return no_group();
        }
        let find = |library: Library| {
            suites.iter().find_map(|suite| {
                let key = suite.key?;
                let (_, certified) = self.keys.iter().find(|(kind, _)| *kind == key)?;
                let is_able = match library {
                    Library::Rustls => OF_RUSTLS.contains(&suite.id) && can_sign(certified, hello),
                    Library::OpenSsl => true,
                };
                is_able.then_some(Choice::Take { suite, key, library })
            })
        };
        if let Some(choice) = find(Library::Rustls) {
            return choice;
        }
        match find(Library::OpenSsl) {
            Some(choice) if self.has_openssl => choice,
            Some(Choice::Take { suite, .. }) => Choice::Cannot {
                suite,
                because: "this certforge was built without `--features openssl`, and what it was built with has no such \
                          suite"
                    .to_owned(),
            },
            _ => Choice::Cannot {
                suite: first,
                because: "the certificates that it was given with --server-cert have keys of another kind".to_owned(),
            },
        }
    }

    /// What the policy takes of what is offered, in the order of the policy.
    fn offered(&self, hello: &Hello) -> impl Iterator<Item = &'static Suite> {
        let suites = self.policy.suites(self.port);
        suites.filter(|suite| hello.suites.contains(&suite.id))
    }

    fn nothing_in_common(&self) -> Choice {
        nothing(format!("none of its cipher suites is in {}", self.policy.name()))
    }
}

/// Whether there is a group in common; who sends no list takes any (RFC 8422, 4).
fn has_group(hello: &Hello) -> bool {
    let groups = hello.groups.as_ref();
    groups.is_none_or(|groups| groups.iter().any(|group| GROUPS.contains(group)))
}

fn no_group() -> Choice {
    let own: Vec<String> = GROUPS.into_iter().filter_map(group_name).collect();
    nothing(format!(
        "none of its groups is one of this endpoint's ({}); which ones AWS IoT has it does not say",
        own.join(", ")
    ))
}

fn nothing(why: String) -> Choice {
    Choice::Refuse {
        why,
        alert: HANDSHAKE_FAILURE,
    }
}

/// Whether rustls can sign with a key as the device wants it.
fn can_sign(key: &CertifiedKey, hello: &Hello) -> bool {
    let Some(signatures) = &hello.signatures else {
        return false;
    };
    let schemes: Vec<SignatureScheme> = signatures.iter().map(|id| SignatureScheme::from(*id)).collect();
    key.key.choose_scheme(&schemes).is_some()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::rehearsal::server::ServerIdentity;

    const BOTH: [KeyKind; 2] = [KeyKind::Rsa, KeyKind::Ecdsa];

    fn choose(policy: SecurityPolicy, kinds: &[KeyKind], has_openssl: bool, hello: &Hello) -> Choice {
        let now = datetime!(2026-06-01 12:00 UTC);
        let identity = ServerIdentity::throw_away(&["localhost".to_owned()], kinds, now).unwrap();
        let server = Server {
            policy,
            port: Port::Mqtt,
            keys: &identity.keys(),
            has_openssl,
        };
        server.choose(hello)
    }

    fn hello(versions: &[u16], suites: &[u16]) -> Hello {
        Hello {
            legacy_version: 0x0303,
            versions: versions.to_vec(),
            suites: suites.to_vec(),
            groups: Some(vec![0x6a6a, 23]),
            signatures: Some(vec![0x0403, 0x0804, 0x0401]),
            ..Hello::default()
        }
    }

    fn told(choice: &Choice) -> String {
        match choice {
            Choice::Take { suite, library, .. } => format!("{} by {library:?}", suite.name),
            Choice::Cannot { suite, because } => format!("cannot {}: {because}", suite.name),
            Choice::Refuse { why, .. } => why.clone(),
        }
    }

    #[test]
    fn what_the_policy_has_in_common_with_the_device_is_taken() {
        let default = SecurityPolicy::Tls13;
        for (policy, openssl, offer, expected) in [
            (
                default,
                false,
                hello(&[0x0304], &[0x1303, 0x1301]),
                "TLS_AES_128_GCM_SHA256 by Rustls",
            ),
            (
                SecurityPolicy::GovCloud,
                false,
                hello(&[0x0304], &[0x1303]),
                "none of its cipher suites is in",
            ),
            (
                default,
                false,
                hello(&[], &[0xc02b, 0xc02f]),
                "ECDHE-RSA-AES128-GCM-SHA256 by Rustls",
            ),
            (
                default,
                false,
                hello(&[], &[0xc013, 0xc02b]),
                "ECDHE-ECDSA-AES128-GCM-SHA256 by Rustls",
            ),
            (
                default,
                true,
                hello(&[], &[0xc013]),
                "ECDHE-RSA-AES128-SHA by OpenSsl",
            ),
            (
                default,
                false,
                hello(&[], &[0xc013]),
                "cannot ECDHE-RSA-AES128-SHA: this certforge was built without",
            ),
            (
                default,
                true,
                hello(&[], &[0x0039]),
                "none of its cipher suites is in",
            ),
            (
                SecurityPolicy::Tls12Of2015,
                true,
                hello(&[], &[0x0039]),
                "DHE-RSA-AES256-SHA by OpenSsl",
            ),
            // ChaCha20 with TLS 1.2 is in no policy, though rustls has it.
            (
                default,
                true,
                hello(&[], &[0xcca8]),
                "none of its cipher suites is in",
            ),
            (
                SecurityPolicy::Tls13Only,
                true,
                hello(&[], &[0xc02f]),
                "it offers TLS 1.2 at most, and IoTSecurityPolicy_TLS13_1_3_2022_10 takes TLS 1.3",
            ),
            (
                SecurityPolicy::Tls12,
                true,
                hello(&[0x0304], &[0x1301]),
                "it offers TLS 1.3, and",
            ),
            (
                default,
                true,
                Hello {
                    legacy_version: 0x0302,
                    ..hello(&[], &[0xc013])
                },
                "it offers TLS 1.1 at most, and IoTSecurityPolicy_TLS13_1_2_2022_10 takes TLS 1.2 and 1.3",
            ),
        ] {
            let found = told(&choose(policy, &BOTH, openssl, &offer));
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn a_group_and_a_key_that_signs_are_needed_where_they_are() {
        let groups = |groups: Option<Vec<u16>>, suites: &[u16]| Hello {
            groups,
            ..hello(&[], suites)
        };
        let signatures = |signatures, suites: &[u16]| Hello {
            signatures,
            ..hello(&[], suites)
        };
        for (offer, expected) in [
            (
                groups(Some(vec![25]), &[0xc02f]),
                "none of its groups is one of this endpoint's (x25519, secp256r1, secp384r1)",
            ),
            (
                groups(Some(vec![25]), &[0xc02f, 0x009c]),
                "AES128-GCM-SHA256 by OpenSsl",
            ),
            (groups(None, &[0xc02f]), "ECDHE-RSA-AES128-GCM-SHA256 by Rustls"),
            // Without a list it is SHA-1 (RFC 5246, 7.4.1.4.1).
            (
                signatures(None, &[0xc02f]),
                "ECDHE-RSA-AES128-GCM-SHA256 by OpenSsl",
            ),
            (
                signatures(Some(vec![0x0403]), &[0xc02f, 0xc02b]),
                "ECDHE-ECDSA-AES128-GCM-SHA256 by Rustls",
            ),
        ] {
            let found = told(&choose(SecurityPolicy::Tls13, &BOTH, true, &offer));
            assert!(found.starts_with(expected), "{found}");
        }
        // A certificate of the user's own may not do.
        for (offer, expected) in [
            (
                hello(&[], &[0xc02f]),
                "cannot ECDHE-RSA-AES128-GCM-SHA256: the certificates that it was given",
            ),
            (
                Hello {
                    signatures: Some(vec![0x0804]),
                    ..hello(&[0x0304], &[0x1301])
                },
                "cannot TLS_AES_128_GCM_SHA256: none of its certificates has a key",
            ),
        ] {
            let found = told(&choose(SecurityPolicy::Tls13, &BOTH[1..], true, &offer));
            assert!(found.starts_with(expected), "{found}");
        }
    }
}
