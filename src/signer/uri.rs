//! Where a key is, by a URI: in a PKCS#11 token (RFC 7512), or in AWS KMS.
//!
//! Invariant: a [`KeyUri`] holds public facts only. A PIN that is written into one is refused before it is kept, so
//! that none gets into a CA's folder, a history or a list of processes by way of us.

use std::fmt::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyUri {
    Pkcs11(Pkcs11Uri),
    Kms(KmsUri),
}

/// What is known of a key in a token, of which all must be so; what is not said may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    pub token: Option<String>,
    pub manufacturer: Option<String>,
    pub serial: Option<String>,
    pub model: Option<String>,
    pub slot_id: Option<u64>,
    /// CKA_LABEL.
    pub object: Option<String>,
    /// CKA_ID.
    pub id: Option<Vec<u8>>,
    pub module_path: Option<PathBuf>,
    /// The file whose first line is the PIN.
    pub pin_source: Option<PathBuf>,
}

/// A key in AWS KMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsUri {
    /// An ARN, an id, or an alias, as the API takes it.
    pub key: String,
    pub region: Option<String>,
}

/// What is wrong with a URI. Its text is not shown: there may be a PIN in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    #[error("a key is named by pkcs11:… or awskms:///…")]
    Scheme,
    #[error("a PIN has no place in a URI, which others can read (pin-value)")]
    PinValue,
    #[error("pin-source names a program; it may name a file")]
    PinProgram,
    #[error("{name} is not an attribute of a pkcs11: URI that certforge knows")]
    Attribute { name: String },
    #[error("{name} is there twice")]
    Twice { name: String },
    #[error("{name} {reason}")]
    Value { name: String, reason: &'static str },
}

impl UriError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::PinValue | Self::PinProgram => {
                "put the PIN into a file of mode 0600 and name that (?pin-source=/path), or into CERTFORGE_PIN, or type it when asked"
            }
            _ => {
                "for example 'pkcs11:token=forge;object=line-7?module-path=/usr/lib/softhsm/libsofthsm2.so' or awskms:///alias/forge-root?region=eu-west-1; reserved characters are written %XX (RFC 7512)"
            }
        }
    }
}

impl KeyUri {
    /// Whether a word means to be one.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        ["pkcs11:", "awskms:"].iter().any(|scheme| {
            text.get(..7)
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })
    }
}

impl FromStr for KeyUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if !Self::is_meant(text) {
            return Err(UriError::Scheme);
        }
        match &text[..6].to_ascii_lowercase()[..] {
            "pkcs11" => Pkcs11Uri::parse(&text[7..]).map(Self::Pkcs11),
            _ => KmsUri::parse(&text[7..]).map(Self::Kms),
        }
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pkcs11(uri) => uri.fmt(f),
            Self::Kms(uri) => uri.fmt(f),
        }
    }
}

impl Pkcs11Uri {
    fn parse(text: &str) -> Result<Self, UriError> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let mut uri = Self::default();
        let mut seen = Vec::new();
        let path = path.split(';').map(|pair| (pair, true));
        let query = query.split('&').map(|pair| (pair, false));
        for (pair, is_in_path) in path.chain(query).filter(|(pair, _)| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name == "pin-value" {
                return Err(UriError::PinValue);
            }
            if seen.contains(&name) {
                return Err(UriError::Twice {
                    name: name.to_owned(),
                });
            }
            seen.push(name);
            uri.set(name, value, is_in_path)?;
        }
        if uri.object.is_none() && uri.id.is_none() {
            return Err(UriError::Value {
                name: "object or id".to_owned(),
                reason: "must say which key is meant",
            });
        }
        Ok(uri)
    }

    fn set(&mut self, name: &str, value: &str, is_in_path: bool) -> Result<(), UriError> {
        let of_name = |reason| UriError::Value {
            name: name.to_owned(),
            reason,
        };
        let octets = decode(value).ok_or_else(|| of_name("has a character that must be written %XX"))?;
        if octets.is_empty() {
            return Err(of_name("is empty"));
        }
        let text = || String::from_utf8(octets.clone()).map_err(|_| of_name("is not UTF-8"));
        let path = || {
            let path = PathBuf::from(text()?);
            let is_plain = path.is_absolute() && !path.as_os_str().as_encoded_bytes().contains(&0);
            is_plain
                .then_some(path)
                .ok_or_else(|| of_name("is not an absolute path"))
        };
        match (is_in_path, name) {
            (true, "token") => self.token = Some(text()?),
            (true, "manufacturer") => self.manufacturer = Some(text()?),
            (true, "serial") => self.serial = Some(text()?),
            (true, "model") => self.model = Some(text()?),
            (true, "slot-id") => {
                let number = text()?.parse().map_err(|_| of_name("is not a number"))?;
                self.slot_id = Some(number);
            }
            (true, "object") => self.object = Some(text()?),
            (true, "id") => self.id = Some(octets),
            (true, "type") if octets == b"private" => {}
            (true, "type") => return Err(of_name("must be private: it is the private key that signs")),
            (false, "module-path") => self.module_path = Some(path()?),
            (false, "pin-source") if octets.starts_with(b"|") => return Err(UriError::PinProgram),
            (false, "pin-source") => {
                let text = text()?;
                let file = text.strip_prefix("file:").unwrap_or(&text);
                let file = file.strip_prefix("//").unwrap_or(file);
                if !file.starts_with('/') || file.contains('\0') {
                    return Err(of_name("is not an absolute path"));
                }
                self.pin_source = Some(file.into());
            }
            _ => {
                return Err(UriError::Attribute {
                    name: name.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// The key as a person reads it.
    #[must_use]
    pub fn key(&self) -> String {
        match (&self.object, &self.id) {
            (Some(object), _) => object.clone(),
            (None, id) => {
                let id = id.iter().flatten();
                id.fold("id ".to_owned(), |mut text, octet| {
                    let _ = write!(text, "{octet:02x}");
                    text
                })
            }
        }
    }

    /// The token as a person reads it.
    #[must_use]
    pub fn token(&self) -> String {
        let words = [
            ("", self.token.clone()),
            ("manufacturer ", self.manufacturer.clone()),
            ("model ", self.model.clone()),
            ("serial ", self.serial.clone()),
            ("slot ", self.slot_id.map(|id| id.to_string())),
        ];
        let words = words
            .into_iter()
            .filter_map(|(name, word)| Some(format!("{name}{}", word?)));
        let words: Vec<String> = words.collect();
        match words.is_empty() {
            true => "of any name".to_owned(),
            false => words.join(", "),
        }
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot_id = self.slot_id.map(|id| id.to_string());
        let text = |text: &Option<String>| text.as_ref().map(|text| encode(text.as_bytes(), false));
        let file = |path: &Option<PathBuf>| {
            let path = path.as_ref();
            path.map(|path| encode(path.as_os_str().as_encoded_bytes(), true))
        };
        let path = [
            ("token", text(&self.token)),
            ("manufacturer", text(&self.manufacturer)),
            ("serial", text(&self.serial)),
            ("model", text(&self.model)),
            ("slot-id", slot_id),
            ("object", text(&self.object)),
            // RFC 7512, 2.3: every octet of an id is written %XX.
            (
                "id",
                self.id
                    .as_ref()
                    .map(|id| id.iter().map(|octet| format!("%{octet:02X}")).collect()),
            ),
        ];
        let query = [
            ("module-path", file(&self.module_path)),
            ("pin-source", file(&self.pin_source)),
        ];
        let join = |pairs: &[(&str, Option<String>)], between| {
            let pairs = pairs
                .iter()
                .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
            pairs.collect::<Vec<_>>().join(between)
        };
        write!(f, "pkcs11:{}", join(&path, ";"))?;
        match join(&query, "&") {
            query if query.is_empty() => Ok(()),
            query => write!(f, "?{query}"),
        }
    }
}

impl KmsUri {
    fn parse(text: &str) -> Result<Self, UriError> {
        let of_name = |name: &str, reason| UriError::Value {
            name: name.to_owned(),
            reason,
        };
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let key = path.strip_prefix("///").ok_or(UriError::Scheme)?;
        let is_key = |c: char| c.is_ascii_alphanumeric() || "/_-:".contains(c);
        if key.is_empty() || key.len() > 2048 || !key.chars().all(is_key) {
            return Err(of_name("the key", "is not an ARN, an id or alias/NAME"));
        }
        let mut uri = Self {
            key: key.to_owned(),
            region: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("region", region)) if uri.region.is_some() => {
                    return Err(UriError::Twice {
                        name: region.to_owned(),
                    });
                }
                Some(("region", region)) => {
                    let is_region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                    if region.is_empty() || !region.chars().all(is_region) {
                        return Err(of_name("region", "is not the name of a Region"));
                    }
                    uri.region = Some(region.to_owned());
                }
                _ => return Err(of_name("an awskms: URI", "takes region and nothing else")),
            }
        }
        // An ARN says where its key is: arn:aws:kms:REGION:ACCOUNT:key/ID.
        let of_arn = uri.key.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2));
        match (of_arn, &uri.region) {
            (Some(own), Some(said)) if own != said => Err(of_name("region", "is not that of the ARN")),
            (Some(own), None) => {
                uri.region = Some(own.to_owned());
                Ok(uri)
            }
            _ => Ok(uri),
        }
    }
}

impl fmt::Display for KmsUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "awskms:///{}", self.key)?;
        match &self.region {
            Some(region) if !self.key.starts_with("arn:") => write!(f, "?region={region}"),
            _ => Ok(()),
        }
    }
}

/// What stands in a URI as it is: unreserved characters, and those of RFC 7512 that mean nothing there.
fn is_plain(octet: u8, is_in_query: bool) -> bool {
    octet.is_ascii_alphanumeric()
        || b"-._~:[]@!$'()*+,=".contains(&octet)
        || if is_in_query {
            b"/|".contains(&octet)
        } else {
            octet == b'&'
        }
}

fn encode(octets: &[u8], is_in_query: bool) -> String {
    octets.iter().fold(String::new(), |mut text, &octet| {
        match is_plain(octet, is_in_query) {
            true => text.push(char::from(octet)),
            false => write!(text, "%{octet:02X}").expect("a String takes all"),
        }
        text
    })
}

/// `None`: there is a `%` without two digits, or something that is not printable ASCII.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                octets.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'!'..=b'~' => octets.push(octet),
            _ => return None,
        }
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<KeyUri, UriError> {
        text.parse()
    }

    #[test]
    fn a_token_and_its_key_are_read() {
        let uri = parsed(
            "pkcs11:token=The%20Forge;serial=1a;object=line-7;id=%01%fF;type=private?module-path=/usr/lib/x.so&pin-source=file:/etc/pin",
        );
        let expected = Pkcs11Uri {
            token: Some("The Forge".to_owned()),
            serial: Some("1a".to_owned()),
            object: Some("line-7".to_owned()),
            id: Some(vec![1, 255]),
            module_path: Some("/usr/lib/x.so".into()),
            pin_source: Some("/etc/pin".into()),
            ..Pkcs11Uri::default()
        };
        let uri = uri.unwrap();
        assert_eq!(uri, KeyUri::Pkcs11(expected));
        assert_eq!(
            uri.to_string(),
            "pkcs11:token=The%20Forge;serial=1a;object=line-7;id=%01%FF?module-path=/usr/lib/x.so&pin-source=/etc/pin"
        );
    }

    #[test]
    fn a_key_of_kms_is_read() {
        let arn = "awskms:///arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab";
        for (text, region, shown) in [
            ("awskms:///alias/forge-root", None, "awskms:///alias/forge-root"),
            (
                "awskms:///alias/a?region=eu-west-1",
                Some("eu-west-1"),
                "awskms:///alias/a?region=eu-west-1",
            ),
            (arn, Some("eu-west-1"), arn),
        ] {
            let uri = parsed(text).unwrap();
            assert_eq!(uri.to_string(), shown);
            let KeyUri::Kms(uri) = uri else { panic!("{text}") };
            assert_eq!(uri.region.as_deref(), region);
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_a_pin_is_not_repeated() {
        for (text, said) in [
            ("file:/x", "a key is named by pkcs11:… or awskms:///…"),
            ("awskms://alias/x", "a key is named by pkcs11:… or awskms:///…"),
            ("awskms:///", "the key is not an ARN, an id or alias/NAME"),
            (
                "awskms:///alias/x?regoin=a",
                "an awskms: URI takes region and nothing else",
            ),
            (
                "awskms:///arn:aws:kms:a-1:1:key/2?region=b-1",
                "region is not that of the ARN",
            ),
            ("pkcs11:token=a", "object or id must say which key is meant"),
            ("pkcs11:token=a;object=", "object is empty"),
            ("pkcs11:object=a;object=b", "object is there twice"),
            (
                "pkcs11:object=a b",
                "object has a character that must be written %XX",
            ),
            (
                "pkcs11:object=a%2",
                "object has a character that must be written %XX",
            ),
            ("pkcs11:object=%ff", "object is not UTF-8"),
            (
                "pkcs11:object=ä",
                "object has a character that must be written %XX",
            ),
            (
                "pkcs11:object=a;type=public",
                "type must be private: it is the private key that signs",
            ),
            ("pkcs11:object=a;slot-id=x", "slot-id is not a number"),
            (
                "pkcs11:object=a;colour=x",
                "colour is not an attribute of a pkcs11: URI that certforge knows",
            ),
            // A query attribute in the path, and the other way round.
            (
                "pkcs11:object=a;module-path=/x",
                "module-path is not an attribute of a pkcs11: URI that certforge knows",
            ),
            (
                "pkcs11:object=a?module-path=x.so",
                "module-path is not an absolute path",
            ),
            (
                "pkcs11:object=a?pin-source=pin",
                "pin-source is not an absolute path",
            ),
            (
                "pkcs11:object=a?pin-source=|/bin/pin",
                "pin-source names a program; it may name a file",
            ),
            (
                "pkcs11:object=a?pin-value=1234",
                "a PIN has no place in a URI, which others can read (pin-value)",
            ),
            (
                "pkcs11:object=a;pin-value=1234",
                "a PIN has no place in a URI, which others can read (pin-value)",
            ),
        ] {
            let error = parsed(text).unwrap_err();
            assert_eq!(error.to_string(), said, "{text}");
            assert!(!format!("{error:?}").contains("1234"));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            token in ".{1,20}", object in ".{1,20}", id in proptest::collection::vec(any::<u8>(), 1..20),
            file in "[^\0]{0,20}",
        ) {
            let uri = KeyUri::Pkcs11(Pkcs11Uri {
                token: Some(token),
                object: Some(object),
                id: Some(id),
                module_path: Some(format!("/{file}").into()),
                ..Pkcs11Uri::default()
            });
            prop_assert_eq!(uri.to_string().parse(), Ok(uri));
        }

        #[test]
        fn no_text_is_too_much(text in "pkcs11:.{0,60}") {
            let _ = parsed(&text);
        }
    }
}
