//! C header: keys and certificates as PEM string literals or DER arrays, and texts as string literals, under the names that
//! FreeRTOS demos have for them (`aws_clientcredential_keys.h`, `iot_default_root_certificates.h`), or others.
//!
//! A header is plain C89 in ASCII: what is not is written as octal escapes.

mod literal;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Beside, Format, Misfit, Settings, Sizes, Source, Text, Unread, Value, pem as pem_format};
use crate::bundle::{Content, Root};

/// Octets of a string, before they are escaped.
const MOST_STRING: usize = 4096;

const GUARD: &str = "AWS_CLIENT_CREDENTIAL_KEYS_H";

/// What a profile says of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// `pem` or `der`. Default: pem.
    #[serde(default)]
    style: Style,
    /// The macro by which the header is read once. Default: the one of the FreeRTOS demos.
    guard: Option<String>,
    /// What contents are called: `{ private-key = "..." }`. Default: as in the FreeRTOS demos.
    #[serde(default)]
    names: BTreeMap<String, String>,
    /// Macros that are string literals, each a template. Default: none.
    #[serde(default)]
    defines: BTreeMap<String, String>,
    /// Macros that are numbers, each a template. Default: none.
    #[serde(default)]
    numbers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Style {
    #[default]
    Pem,
    Der,
}

pub(super) struct CHeader {
    style: Style,
    guard: Cow<'static, str>,
    names: BTreeMap<String, String>,
    defines: BTreeMap<String, String>,
    numbers: BTreeMap<String, String>,
}

impl CHeader {
    /// As it is without settings.
    pub const DEFAULT: Self = Self {
        style: Style::Pem,
        guard: Cow::Borrowed(GUARD),
        names: BTreeMap::new(),
        defines: BTreeMap::new(),
        numbers: BTreeMap::new(),
    };

    /// What a content is called; `None`: there is no name for it.
    fn name_of(&self, content: &Content) -> Option<String> {
        if let Some(name) = self.names.get(content.name()) {
            return Some(name.clone());
        }
        let stem = match content {
            Content::PrivateKey => "keyCLIENT_PRIVATE_KEY".to_owned(),
            Content::Certificate | Content::Chain => "keyCLIENT_CERTIFICATE".to_owned(),
            Content::Issuer => "keyJITR_DEVICE_CERTIFICATE_AUTHORITY".to_owned(),
            Content::Root(root) => format!("tls{}_ROOT_CERTIFICATE", root_name(root)?),
            Content::Endpoint | Content::File(_) | Content::Drawn(_) => return None,
        };
        Some(match self.style {
            Style::Pem => stem + "_PEM",
            Style::Der => stem + "_DER",
        })
    }

    /// Every name that the header defines.
    fn names(&self, contents: &[Content]) -> Vec<String> {
        let mut names = vec![self.guard.clone().into_owned()];
        for content in contents {
            let name = self.name_of(content).unwrap_or_default();
            if self.style == Style::Der {
                names.push(length_of(&name));
            }
            names.push(name);
        }
        names.extend(self.defines.keys().chain(self.numbers.keys()).cloned());
        names
    }

    fn append_pem(content: &Content, name: &str, source: &Source<'_>, out: &mut Vec<u8>) {
        let contents = std::slice::from_ref(content);
        // It never moves.
        let room = pem_format::Pem.room(contents, &sizes_of(source));
        let mut block = Zeroizing::new(Vec::with_capacity(room));
        pem_format::Pem.append(contents, source, &mut block);
        out.extend_from_slice(format!("#define {name}").as_bytes());
        for line in block.split_inclusive(|octet| *octet == b'\n') {
            out.extend_from_slice(b" \\\n");
            literal::append(line, out);
        }
        out.extend_from_slice(b"\n\n");
    }

    fn append_der(der: &[u8], name: &str, out: &mut Vec<u8>) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        const IN_A_LINE: usize = 12;
        out.extend_from_slice(format!("static const unsigned char {name}[] = {{").as_bytes());
        for (i, octet) in der.iter().enumerate() {
            out.extend_from_slice(if i % IN_A_LINE == 0 { b"\n    " } else { b" " });
            let [high, low] = [octet >> 4, octet & 15].map(|digit| HEX[usize::from(digit)]);
            out.extend_from_slice(&[b'0', b'x', high, low, b',']);
        }
        out.extend_from_slice(b"\n};\n");
        let length = length_of(name);
        out.extend_from_slice(format!("static const unsigned int {length} = {};\n\n", der.len()).as_bytes());
    }
}

fn length_of(name: &str) -> String {
    format!("{name}_LENGTH")
}

/// As FreeRTOS names them.
fn root_name(root: &Root) -> Option<String> {
    match root.name.strip_prefix("amazon-root-ca-") {
        Some(number) => Some(format!("ATS{number}")),
        None => root.name.starts_with("starfield").then(|| "STARFIELD".to_owned()),
    }
}

fn sizes_of(source: &Source<'_>) -> Sizes<'static> {
    Sizes {
        private_key: source.credential.private_key.len(),
        certificate: source.credential.certificate.len(),
        issuer: source.shared.issuer.len(),
        ..Sizes::LARGEST
    }
}

/// Whether C can call a thing so. It may still be a word that C has for itself.
fn is_identifier(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'_')
}

impl Format for CHeader {
    fn name(&self) -> &'static str {
        "c-header"
    }

    fn with(&self, settings: &Settings) -> Result<Option<Arc<dyn Format>>, String> {
        let Written {
            style,
            guard,
            names,
            defines,
            numbers,
        } = settings.read()?;
        for name in names.keys() {
            if !Content::named().any(|content| content.name() == name) {
                return Err(format!("names: there is no content {name}"));
            }
        }
        Ok(Some(Arc::new(Self {
            style,
            guard: guard.map_or(Cow::Borrowed(GUARD), Cow::Owned),
            names,
            defines,
            numbers,
        })))
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        super::refuse_formless(contents)?;
        if self.style == Style::Der && contents.contains(&Content::Chain) {
            return Err("a chain has no DER form; name certificate and issuer".to_owned());
        }
        let names = self.names(contents);
        if let Some(name) = names.iter().find(|name| !is_identifier(name)) {
            return Err(format!("{name:?} is no name in C; use up to 63 of A-Z a-z 0-9 _"));
        }
        match (1..names.len()).find(|i| names[..*i].contains(&names[*i])) {
            Some(twice) => Err(format!(
                "{} is defined twice; give one another name",
                names[twice]
            )),
            None => Ok(()),
        }
    }

    fn texts(&self) -> Vec<Text> {
        let text = |(field, most): (&str, usize)| {
            let field = field.to_owned();
            move |(name, template): (&String, &String)| Text {
                field: format!("{field}.{name}"),
                template: template.clone(),
                most,
            }
        };
        let strings = self.defines.iter().map(text(("defines", MOST_STRING)));
        strings
            .chain(self.numbers.iter().map(text(("numbers", 20))))
            .collect()
    }

    fn judge(&self, texts: &[Cow<'_, str>]) -> Result<(), Misfit> {
        let is_number = |text: &Cow<'_, str>| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let has_no_zeros = digits == "0" || !digits.starts_with('0');
            !digits.is_empty() && has_no_zeros && digits.bytes().all(|octet| octet.is_ascii_digit())
        };
        let strings = self.defines.len();
        match texts.iter().skip(strings).position(|text| !is_number(text)) {
            None => Ok(()),
            Some(number) => Err(Misfit {
                text: strings + number,
                reason: "it is no decimal number".to_owned(),
            }),
        }
    }

    fn room(&self, contents: &[Content], sizes: &Sizes<'_>) -> usize {
        /// What stands around a thing beside its name, and around the whole.
        const AROUND: usize = 128;
        let names: usize = self
            .names(contents)
            .iter()
            .map(|name| 2 * name.len() + AROUND)
            .sum();
        let contents: usize = match self.style {
            // 13 octets a line, of 64 characters, of 48 octets.
            Style::Pem => pem_format::Pem.room(contents, sizes) * 2 / 3 * 2 + AROUND * contents.len(),
            // Six characters an octet, and five more a line.
            Style::Der => contents.iter().map(|content| 7 * sizes.of(content)).sum(),
        };
        let texts: usize = sizes
            .texts
            .iter()
            .map(|octets| literal::MOST_ESCAPED * octets)
            .sum();
        2 * AROUND + names + contents + texts
    }

    fn append(&self, contents: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        let guard = &self.guard;
        out.extend_from_slice(format!("#ifndef {guard}\n#define {guard}\n\n").as_bytes());
        for content in contents {
            let name = self.name_of(content).unwrap_or_default();
            match (self.style, content) {
                (Style::Pem, content) => Self::append_pem(content, &name, source, out),
                (Style::Der, Content::PrivateKey) => {
                    Self::append_der(source.credential.private_key, &name, out);
                }
                (Style::Der, Content::Certificate) => {
                    Self::append_der(source.credential.certificate, &name, out);
                }
                (Style::Der, Content::Issuer) => Self::append_der(&source.shared.issuer, &name, out),
                (Style::Der, Content::Root(root)) => Self::append_der(root.der(), &name, out),
                (Style::Der, _) => {}
            }
        }
        let mut texts = source.texts.iter();
        for name in self.defines.keys() {
            out.extend_from_slice(format!("#define {name} ").as_bytes());
            literal::append(texts.next().map_or(&[][..], |text| text.as_bytes()), out);
            out.push(b'\n');
        }
        for name in self.numbers.keys() {
            let number = texts.next().map_or("0", |text| text);
            let brackets = if number.starts_with('-') {
                ["(", ")"]
            } else {
                ["", ""]
            };
            writeln!(out, "#define {name} {}{number}{}", brackets[0], brackets[1])
                .expect("memory does not fail");
        }
        out.extend_from_slice(format!("\n#endif /* {guard} */\n").as_bytes());
    }

    fn read(&self, contents: &[Content], octets: &[u8], beside: &Beside<'_>) -> Result<Vec<Value>, Unread> {
        let mut values = Vec::with_capacity(contents.len());
        for content in contents {
            let name = self.name_of(content).ok_or(Unread::Damaged)?;
            let contents = std::slice::from_ref(content);
            values.extend(match self.style {
                Style::Pem => {
                    let text = literal::defined(&name, octets).ok_or(Unread::Damaged)?;
                    pem_format::Pem.read(contents, &text, beside)?
                }
                Style::Der => {
                    let der = literal::array(&name, octets).ok_or(Unread::Damaged)?;
                    super::der::Der.read(contents, &der, beside)?
                }
            });
        }
        Ok(values)
    }
}
