//! The security policies of AWS IoT Core: which versions of TLS and which cipher suites each takes. This is their one place.
//!
//! <https://docs.aws.amazon.com/iot/latest/developerguide/transport-security.html>, as of 2026. Each of them has ended
//! TLS 1.0 and 1.1, whatever its name says.

use super::Port;
use crate::rehearsal::server::KeyKind;

/// What AWS calls all of them.
const PREFIX: &str = "IoTSecurityPolicy_";

/// A security policy of a domain configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityPolicy {
    Tls13Only,
    /// The default outside of GovCloud.
    Tls13,
    Tls12,
    /// Of Regions that came later than those of the next one.
    Tls12Of2016,
    /// Of the first Regions.
    Tls12Of2015,
    /// The default in GovCloud.
    GovCloud,
}

impl SecurityPolicy {
    pub const ALL: [Self; 6] = [
        Self::Tls13Only,
        Self::Tls13,
        Self::Tls12,
        Self::Tls12Of2016,
        Self::Tls12Of2015,
        Self::GovCloud,
    ];

    /// As AWS calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls13Only => "IoTSecurityPolicy_TLS13_1_3_2022_10",
            Self::Tls13 => "IoTSecurityPolicy_TLS13_1_2_2022_10",
            Self::Tls12 => "IoTSecurityPolicy_TLS12_1_2_2022_10",
            Self::Tls12Of2016 => "IoTSecurityPolicy_TLS12_1_0_2016_01",
            Self::Tls12Of2015 => "IoTSecurityPolicy_TLS12_1_0_2015_01",
            Self::GovCloud => "IoTSecurityPolicy_TLS13_1_2_2022_01",
        }
    }

    /// By its name, with what all names begin with or without it, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_meant = |policy: &Self| {
            let name = policy.name();
            text.eq_ignore_ascii_case(name) || text.eq_ignore_ascii_case(&name[PREFIX.len()..])
        };
        Self::ALL.into_iter().find(is_meant)
    }

    /// The one that a Region has when nobody chose another.
    #[must_use]
    pub fn default_in(region: &str) -> Self {
        match region.starts_with("us-gov-") {
            true => Self::GovCloud,
            false => Self::Tls13,
        }
    }

    pub(super) fn takes_tls13(self) -> bool {
        matches!(self, Self::Tls13Only | Self::Tls13 | Self::GovCloud)
    }

    pub(super) fn takes_tls12(self) -> bool {
        self != Self::Tls13Only
    }

    /// The versions, for people.
    pub(super) fn versions(self) -> &'static str {
        match (self.takes_tls12(), self.takes_tls13()) {
            (true, true) => "TLS 1.2 and 1.3",
            (true, false) => "TLS 1.2",
            (false, _) => "TLS 1.3",
        }
    }

    /// The suites that it takes on a port, in the order of its table.
    pub(super) fn suites(self, port: Port) -> impl Iterator<Item = &'static Suite> {
        let column = match (self, port) {
            (Self::Tls13Only, _) => 0,
            (Self::Tls13, _) => 1,
            (Self::Tls12, _) => 2,
            (Self::Tls12Of2016, Port::Alpn) => 3,
            (Self::Tls12Of2016, Port::Mqtt) => 4,
            (Self::Tls12Of2015, _) => 5,
            (Self::GovCloud, _) => 6,
        };
        TABLE
            .iter()
            .filter(move |(_, columns)| columns[column] == b'x')
            .map(|(suite, _)| suite)
    }
}

/// How a suite agrees on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exchange {
    /// TLS 1.3, which negotiates it apart from the suite.
    Tls13,
    Ecdhe,
    Dhe,
    /// The device encrypts to the server's RSA key.
    Rsa,
}

/// A cipher suite.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suite {
    /// As AWS and OpenSSL call it.
    pub name: &'static str,
    /// Its number, by <https://www.iana.org/assignments/tls-parameters>.
    pub id: u16,
    pub exchange: Exchange,
    /// Which key the server must have; in TLS 1.3 the suite does not say.
    pub key: Option<KeyKind>,
}

const fn tls13(name: &'static str, id: u16) -> Suite {
    Suite {
        name,
        id,
        exchange: Exchange::Tls13,
        key: None,
    }
}

const fn tls12(name: &'static str, id: u16, exchange: Exchange, key: KeyKind) -> Suite {
    Suite {
        name,
        id,
        exchange,
        key: Some(key),
    }
}

/// The suites by policy: TLS13_1_3_2022_10, TLS13_1_2_2022_10, TLS12_1_2_2022_10, TLS12_1_0_2016_01 on port 443 and on 8883,
/// TLS12_1_0_2015_01, TLS13_1_2_2022_01.
const TABLE: [(Suite, &[u8; 7]); 22] = {
    use Exchange::{Dhe, Ecdhe, Rsa as Exchanged};
    use KeyKind::{Ecdsa, Rsa};
    [
        (tls13("TLS_AES_128_GCM_SHA256", 0x1301), b"xx....x"),
        (tls13("TLS_AES_256_GCM_SHA384", 0x1302), b"xx....x"),
        (tls13("TLS_CHACHA20_POLY1305_SHA256", 0x1303), b"xx....."),
        (
            tls12("ECDHE-RSA-AES128-GCM-SHA256", 0xc02f, Ecdhe, Rsa),
            b".xxxxxx",
        ),
        (tls12("ECDHE-RSA-AES128-SHA256", 0xc027, Ecdhe, Rsa), b".xxxxxx"),
        (tls12("ECDHE-RSA-AES128-SHA", 0xc013, Ecdhe, Rsa), b".xxxxxx"),
        (
            tls12("ECDHE-RSA-AES256-GCM-SHA384", 0xc030, Ecdhe, Rsa),
            b".xxxxxx",
        ),
        (tls12("ECDHE-RSA-AES256-SHA384", 0xc028, Ecdhe, Rsa), b".xxxxxx"),
        (tls12("ECDHE-RSA-AES256-SHA", 0xc014, Ecdhe, Rsa), b".xxxxxx"),
        (tls12("AES128-GCM-SHA256", 0x009c, Exchanged, Rsa), b".xxxxx."),
        (tls12("AES128-SHA256", 0x003c, Exchanged, Rsa), b".xxx.x."),
        (tls12("AES128-SHA", 0x002f, Exchanged, Rsa), b".xxxxxx"),
        (tls12("AES256-GCM-SHA384", 0x009d, Exchanged, Rsa), b".xxxxx."),
        (tls12("AES256-SHA256", 0x003d, Exchanged, Rsa), b".xxxxx."),
        (tls12("AES256-SHA", 0x0035, Exchanged, Rsa), b".xxxxxx"),
        (tls12("DHE-RSA-AES256-SHA", 0x0039, Dhe, Rsa), b".....x."),
        (
            tls12("ECDHE-ECDSA-AES128-GCM-SHA256", 0xc02b, Ecdhe, Ecdsa),
            b".xxxxxx",
        ),
        (
            tls12("ECDHE-ECDSA-AES128-SHA256", 0xc023, Ecdhe, Ecdsa),
            b".xxxxxx",
        ),
        (tls12("ECDHE-ECDSA-AES128-SHA", 0xc009, Ecdhe, Ecdsa), b".xxxxxx"),
        (
            tls12("ECDHE-ECDSA-AES256-GCM-SHA384", 0xc02c, Ecdhe, Ecdsa),
            b".xxxxxx",
        ),
        (
            tls12("ECDHE-ECDSA-AES256-SHA384", 0xc024, Ecdhe, Ecdsa),
            b".xxxxxx",
        ),
        (tls12("ECDHE-ECDSA-AES256-SHA", 0xc00a, Ecdhe, Ecdsa), b".xxxxxx"),
    ]
};

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::CipherSuite;

    use super::*;

    fn names(policy: SecurityPolicy, port: Port) -> Vec<&'static str> {
        policy.suites(port).map(|suite| suite.name).collect()
    }

    #[test]
    fn policies_differ_as_the_table_of_aws_says() {
        let counts =
            SecurityPolicy::ALL.map(|policy| [Port::Alpn, Port::Mqtt].map(|port| names(policy, port).len()));
        assert_eq!(counts, [[3, 3], [21, 21], [18, 18], [18, 17], [19, 19], [16, 16]]);
        let default = names(SecurityPolicy::Tls13, Port::Mqtt);
        assert!(default.contains(&"AES128-SHA") && !default.contains(&"DHE-RSA-AES256-SHA"));
        assert!(names(SecurityPolicy::Tls12Of2015, Port::Mqtt).contains(&"DHE-RSA-AES256-SHA"));
        assert!(names(SecurityPolicy::Tls12Of2016, Port::Alpn).contains(&"AES128-SHA256"));
        assert!(!names(SecurityPolicy::Tls12Of2016, Port::Mqtt).contains(&"AES128-SHA256"));
    }

    #[test]
    fn numbers_and_names_go_together() {
        for (suite, _) in &TABLE {
            let iana = CipherSuite::from(suite.id).as_str().unwrap().to_owned();
            let short = iana
                .replace("TLS13_", "TLS_")
                .replace("TLS_RSA_WITH_", "")
                .replace("_WITH_", "_")
                .replace("_CBC", "");
            let expected = match suite.exchange {
                Exchange::Tls13 => suite.name.to_owned(),
                _ => suite.name.replace('-', "_").replace("AES", "AES_"),
            };
            let short = match suite.exchange {
                Exchange::Tls13 => short,
                _ => short.trim_start_matches("TLS_").to_owned(),
            };
            assert_eq!(short, expected, "{:#06x}", suite.id);
            let is_rsa = iana.contains("_RSA_");
            assert_eq!(
                suite.key,
                (suite.exchange != Exchange::Tls13).then_some(if is_rsa {
                    KeyKind::Rsa
                } else {
                    KeyKind::Ecdsa
                })
            );
        }
    }

    #[test]
    fn a_policy_is_found_by_its_name_or_the_rest_of_it() {
        for policy in SecurityPolicy::ALL {
            assert_eq!(SecurityPolicy::parse(policy.name()), Some(policy));
            assert_eq!(SecurityPolicy::parse(&policy.name().to_lowercase()), Some(policy));
            assert_eq!(
                SecurityPolicy::parse(&policy.name()[PREFIX.len()..]),
                Some(policy)
            );
        }
        assert_eq!(SecurityPolicy::parse("TLS12"), None);
        assert_eq!(
            SecurityPolicy::default_in("us-gov-west-1"),
            SecurityPolicy::GovCloud
        );
        assert_eq!(SecurityPolicy::default_in("eu-west-1"), SecurityPolicy::Tls13);
    }
}
