//! What a device offers: its ClientHello (RFC 8446, 4.1.2; RFC 5246, 7.4.1.2), read before any TLS library sees it, so that
//! a refusal can say what was offered. The octets are kept for whoever goes on with the handshake.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_rustls::rustls::{CipherSuite, NamedGroup};

/// RFC 8446, 5.1 and B.3: a record of the handshake, and the message in it.
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// Octets of a record, and of a whole hello: key shares of all groups are far smaller.
const LARGEST_RECORD: usize = 1 << 14;
const LARGEST: usize = 1 << 14;

/// Of each list, so many are named.
const NAMED: usize = 40;

pub(super) const TLS12: u16 = 0x0303;
pub(super) const TLS13: u16 = 0x0304;

/// What a device offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Hello {
    /// The highest version it had a word for before TLS 1.3.
    pub legacy_version: u16,
    /// supported_versions; empty: it sent none.
    pub versions: Vec<u16>,
    pub suites: Vec<u16>,
    /// supported_groups.
    pub groups: Option<Vec<u16>>,
    /// signature_algorithms.
    pub signatures: Option<Vec<u16>>,
    pub server_name: Option<String>,
    pub alpn: Vec<Vec<u8>>,
}

/// What came is no hello.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotHello {
    #[error("the device connected and closed the connection without a word")]
    Silent,
    #[error("the device closed the connection in the middle of its first message")]
    Short,
    #[error("what the device sends is HTTP without TLS")]
    Http,
    #[error("what the device sends is MQTT without TLS; AWS IoT takes MQTT over TLS alone")]
    Mqtt,
    #[error("the device begins as SSL 2.0 does, which AWS IoT does not take")]
    Ssl2,
    #[error("what the device sends is no TLS, it begins with {0}")]
    Other(String),
    #[error("the first message of TLS cannot be read: {0}")]
    Malformed(&'static str),
    #[error("{}", crate::rehearsal::fault::Fault::of(.0).in_handshake())]
    Io(#[from] io::Error),
}

/// Reads a hello. Also gives all octets that were read.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<(Hello, Vec<u8>), NotHello> {
    let mut octets = Vec::new();
    loop {
        if let Some(hello) = parse(&octets)? {
            return Ok((hello, octets));
        }
        if stream.read_buf(&mut octets).await? == 0 {
            return Err(match octets.is_empty() {
                true => NotHello::Silent,
                false => NotHello::Short,
            });
        }
    }
}

/// Parses what has come so far; `None`: more is to come.
pub(in crate::rehearsal) fn parse(octets: &[u8]) -> Result<Option<Hello>, NotHello> {
    let Some(first) = octets.first() else {
        return Ok(None);
    };
    if *first != HANDSHAKE {
        return Err(other_protocol(octets));
    }
    let mut message = Vec::new();
    let mut rest = Reader(octets);
    loop {
        let Some((content_type, version, length)) = rest.record_header() else {
            return Ok(None);
        };
        if content_type != HANDSHAKE || version >> 8 != 3 || length > LARGEST_RECORD || length == 0 {
            return Err(other_protocol(octets));
        }
        let whole = rest.take(length);
        message.extend_from_slice(whole.unwrap_or(rest.0));
        if let Some(hello) = Hello::of_message(&message)? {
            return Ok(Some(hello));
        }
        if whole.is_none() {
            return Ok(None);
        }
    }
}

/// What it is, if it is no TLS.
fn other_protocol(octets: &[u8]) -> NotHello {
    const SHOWN: usize = 8;
    match octets {
        // CONNECT, whose flags are zero (MQTT 5, 3.1.1).
        [0x10, ..] => NotHello::Mqtt,
        [first, ..] if first.is_ascii_uppercase() => NotHello::Http,
        // RFC 5246, E.2.
        [first, _, 1, ..] if first & 0x80 != 0 => NotHello::Ssl2,
        _ => {
            let shown = octets.iter().take(SHOWN);
            let hex: Vec<String> = shown.map(|octet| format!("{octet:02x}")).collect();
            NotHello::Other(hex.join(" "))
        }
    }
}

impl Hello {
    /// `None`: more is to come.
    fn of_message(message: &[u8]) -> Result<Option<Self>, NotHello> {
        let mut reader = Reader(message);
        let Some(kind) = reader.u8() else { return Ok(None) };
        if kind != CLIENT_HELLO {
            return Err(NotHello::Malformed("it is no ClientHello"));
        }
        let Some(length) = reader.u24() else {
            return Ok(None);
        };
        if length > LARGEST {
            return Err(NotHello::Malformed("it is too long"));
        }
        match reader.take(length) {
            None => Ok(None),
            Some(body) => {
                let hello = Self::of_body(body);
                hello
                    .map(Some)
                    .ok_or(NotHello::Malformed("its lengths do not go together"))
            }
        }
    }

    fn of_body(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let mut hello = Self {
            legacy_version: reader.u16()?,
            ..Self::default()
        };
        let (_random, _session) = (reader.take(32)?, reader.short()?);
        hello.suites = numbers(reader.long()?)?;
        let _compression = reader.short()?;
        // Extensions came with RFC 3546.
        if reader.0.is_empty() {
            return Some(hello);
        }
        let mut extensions = Reader(reader.long()?);
        while !extensions.0.is_empty() {
            let kind = extensions.u16()?;
            let mut data = Reader(extensions.long()?);
            match kind {
                // RFC 6066, 3: a list whose entries have a type, of which there is one.
                0 => {
                    let mut names = Reader(data.long()?);
                    if names.u8()? == 0 {
                        hello.server_name = Some(String::from_utf8_lossy(names.long()?).into_owned());
                    }
                }
                10 => hello.groups = Some(numbers(data.long()?)?),
                13 => hello.signatures = Some(numbers(data.long()?)?),
                // RFC 7301, 3.1.
                16 => {
                    let mut names = Reader(data.long()?);
                    while !names.0.is_empty() {
                        hello.alpn.push(names.short()?.to_vec());
                    }
                }
                43 => hello.versions = numbers(data.short()?)?,
                _ => {}
            }
        }
        Some(hello)
    }

    /// The server that it names. An address is no name (RFC 6066, 3).
    pub(super) fn host(&self) -> Option<String> {
        let name = self.server_name.clone();
        name.filter(|name| name.parse::<IpAddr>().is_err())
    }

    pub(super) fn offers_tls13(&self) -> bool {
        self.versions.contains(&TLS13)
    }

    pub(super) fn offers_tls12(&self) -> bool {
        match self.versions.is_empty() {
            true => self.legacy_version >= TLS12,
            false => self.versions.contains(&TLS12),
        }
    }

    /// All of it in words, with the names of the standards.
    pub(super) fn in_words(&self) -> String {
        let mut text = format!("the device offers {}", self.versions_in_words());
        let suites = names(&self.suites, |id| {
            let name = CipherSuite::from(id).as_str();
            // rustls has names of its own for those of TLS 1.3.
            name.map(|name| name.replace("TLS13_", "TLS_"))
        });
        let _ = write!(text, "; cipher suites {suites}");
        for (what, list, name) in [
            ("groups", &self.groups, group_name as fn(u16) -> Option<String>),
            ("signature algorithms", &self.signatures, |id| {
                signature_name(id).map(str::to_owned)
            }),
        ] {
            match list {
                Some(list) => _ = write!(text, "; {what} {}", names(list, name)),
                None => _ = write!(text, "; no list of {what}"),
            }
        }
        match &self.server_name {
            Some(name) => _ = write!(text, "; server name {}", bounded(name)),
            None => text.push_str("; no server name (SNI)"),
        }
        match self.alpn.is_empty() {
            true => text.push_str("; no ALPN"),
            false => _ = write!(text, "; ALPN {}", self.alpn_in_words()),
        }
        text
    }

    pub(super) fn alpn_in_words(&self) -> String {
        let shown = self.alpn.iter().take(NAMED);
        let shown: Vec<String> = shown
            .map(|name| bounded(&String::from_utf8_lossy(name)))
            .collect();
        shown.join(", ")
    }

    /// The versions, the highest first.
    pub(super) fn versions_in_words(&self) -> String {
        if self.versions.is_empty() {
            return format!("{} at most", version_name(self.legacy_version));
        }
        let known = self.versions.iter().filter(|id| !is_grease(**id));
        let known: Vec<String> = known.take(NAMED).map(|id| version_name(*id)).collect();
        known.join(", ")
    }
}

fn version_name(id: u16) -> String {
    match id {
        0x0300 => "SSL 3.0".to_owned(),
        0x0301 => "TLS 1.0".to_owned(),
        0x0302 => "TLS 1.1".to_owned(),
        TLS12 => "TLS 1.2".to_owned(),
        TLS13 => "TLS 1.3".to_owned(),
        other => format!("version {other:#06x}"),
    }
}

/// <https://www.iana.org/assignments/tls-parameters>, TLS Supported Groups.
pub(super) fn group_name(id: u16) -> Option<String> {
    let name = match id {
        0x001a => "brainpoolP256r1",
        0x001b => "brainpoolP384r1",
        0x001c => "brainpoolP512r1",
        0x001d => "x25519",
        0x001e => "x448",
        _ => return NamedGroup::from(id).as_str().map(str::to_owned),
    };
    Some(name.to_owned())
}

/// The same, TLS SignatureScheme; pairs of hash and signature that have no name there are as in RFC 5246, 7.4.1.4.1.
fn signature_name(id: u16) -> Option<&'static str> {
    Some(match id {
        0x0101 => "rsa_md5",
        0x0201 => "rsa_pkcs1_sha1",
        0x0202 => "dsa_sha1",
        0x0203 => "ecdsa_sha1",
        0x0301 => "rsa_sha224",
        0x0302 => "dsa_sha224",
        0x0303 => "ecdsa_sha224",
        0x0401 => "rsa_pkcs1_sha256",
        0x0403 => "ecdsa_secp256r1_sha256",
        0x0402 => "dsa_sha256",
        0x0501 => "rsa_pkcs1_sha384",
        0x0503 => "ecdsa_secp384r1_sha384",
        0x0502 => "dsa_sha384",
        0x0601 => "rsa_pkcs1_sha512",
        0x0602 => "dsa_sha512",
        0x0603 => "ecdsa_secp521r1_sha512",
        0x0804 => "rsa_pss_rsae_sha256",
        0x0805 => "rsa_pss_rsae_sha384",
        0x0806 => "rsa_pss_rsae_sha512",
        0x0807 => "ed25519",
        0x0808 => "ed448",
        0x0809 => "rsa_pss_pss_sha256",
        0x080a => "rsa_pss_pss_sha384",
        0x080b => "rsa_pss_pss_sha512",
        _ => return None,
    })
}

/// Values that mean nothing: they keep servers from choking on new ones (RFC 8701), or are signals (RFC 5746, RFC 7507).
fn is_grease(id: u16) -> bool {
    (id & 0x0f0f == 0x0a0a && id >> 8 == id & 0xff) || [0x00ff, 0x5600].contains(&id)
}

fn names(ids: &[u16], name: impl Fn(u16) -> Option<String>) -> String {
    let known: Vec<u16> = ids.iter().copied().filter(|id| !is_grease(*id)).collect();
    let mut words: Vec<String> = known
        .iter()
        .take(NAMED)
        .map(|id| name(*id).unwrap_or_else(|| format!("{id:#06x}")))
        .collect();
    if known.len() > NAMED {
        words.push(format!("and {} more", known.len() - NAMED));
    }
    match words.is_empty() {
        true => "none".to_owned(),
        false => words.join(", "),
    }
}

/// As much of a name as people can read.
fn bounded(name: &str) -> String {
    const LONGEST: usize = 253;
    let end = name.floor_char_boundary(LONGEST);
    format!("{:?}", &name[..end])
}

/// Numbers of two octets each.
fn numbers(list: &[u8]) -> Option<Vec<u16>> {
    let (pairs, rest) = list.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|octets| octets[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)
            .map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    fn u24(&mut self) -> Option<usize> {
        let octets = self.take(3)?;
        Some(octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)))
    }

    /// A vector whose length is one octet, or two.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    fn record_header(&mut self) -> Option<(u8, u16, usize)> {
        let header = self.take(5)?;
        let number = |i: usize| u16::from_be_bytes([header[i], header[i + 1]]);
        Some((header[0], number(1), number(3).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(body: &[u8]) -> Vec<u8> {
        [&u16::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
    }

    fn message(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(0);
        body.extend(long(&[0x1a, 0x1a, 0xc0, 0x27, 0xfe, 0xdc, 0x00, 0xff]));
        body.extend([1, 0]);
        body.extend(long(extensions));
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[1], &length[1..], &body].concat()
    }

    fn record(fragment: &[u8]) -> Vec<u8> {
        [&[22, 3, 1][..], &long(fragment)].concat()
    }

    fn extension(kind: u8, data: &[u8]) -> Vec<u8> {
        [&[0, kind][..], &long(data)].concat()
    }

    fn full() -> Vec<u8> {
        let name = [&[0][..], &long(b"localhost")].concat();
        message(
            &[
                extension(0, &long(&name)),
                extension(10, &long(&[0, 29, 0, 23, 0x6a, 0x6a])),
                extension(13, &long(&[4, 3, 2, 1])),
                extension(16, &long(b"\x0ex-amzn-mqtt-ca\x04mqtt")),
                extension(43, &[4, 3, 4, 3, 3]),
                extension(99, b"unknown"),
            ]
            .concat(),
        )
    }

    #[test]
    fn what_is_offered_is_read_however_it_is_cut() {
        let hello = full();
        let (first, second) = hello.split_at(3);
        for octets in [record(&hello), [record(first), record(second)].concat()] {
            for end in 0..octets.len() {
                assert_eq!(parse(&octets[..end]).unwrap(), None, "{end}");
            }
            let found = parse(&octets).unwrap().unwrap();
            assert!(found.offers_tls12() && found.offers_tls13());
            assert_eq!(
                found.in_words(),
                "the device offers TLS 1.3, TLS 1.2; cipher suites TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, 0xfedc; \
                 groups x25519, secp256r1; signature algorithms ecdsa_secp256r1_sha256, rsa_pkcs1_sha1; \
                 server name \"localhost\"; ALPN \"x-amzn-mqtt-ca\", \"mqtt\""
            );
        }
    }

    #[test]
    fn a_hello_of_older_days_has_no_extensions() {
        let hello = message(&[]);
        let found = parse(&record(&hello[..hello.len() - 2])).unwrap();
        // The length of the message is too large by the two octets that are missing.
        assert_eq!(found, None);
        let found = parse(&record(&hello)).unwrap().unwrap();
        assert!(found.offers_tls12() && !found.offers_tls13());
        assert_eq!(
            found.in_words(),
            "the device offers TLS 1.2 at most; cipher suites TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, 0xfedc; no list of \
             groups; no list of signature algorithms; no server name (SNI); no ALPN"
        );
    }

    #[test]
    fn what_is_no_hello_is_told() {
        for (octets, told) in [
            (&b"GET / HTTP/1.1\r\n"[..], "HTTP without TLS"),
            (b"\x10\x0c\x00\x04MQTT", "MQTT without TLS"),
            (b"\x80\x2e\x01\x00\x02", "SSL 2.0"),
            (b"\x00\x01\x02", "begins with 00 01 02"),
            (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "no ClientHello"),
            (b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", "too long"),
            (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", "do not go together"),
            (b"\x16\x03\x01\xff\xff", "begins with 16 03 01 ff ff"),
        ] {
            let error = parse(octets).expect_err(told).to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
