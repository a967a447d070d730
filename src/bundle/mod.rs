//! Bundles: the files one device needs, as a deterministic ZIP.
//!
//! A [`Recipe`] says which files there are; [`Bundler`] is a recipe compiled for a batch: what is the same in
//! every bundle comes first in it, and is encoded, compressed, summed and hashed once. [`BundleWriter`] is a
//! worker's own: it appends bundles to a buffer. [`open()`] is the one reader. Pure: no disk, clock or randomness,
//! and nothing of profiles, issuers or engines.

mod archive;
mod beginning;
mod bundler;
mod content;
mod drawn;
pub mod encryption;
pub mod format;
mod mold;
mod open;
mod recipe;
mod roots;
mod shared;
mod writer;

pub use archive::{Archive, Constant, remove_members};
pub use bundler::Bundler;
pub use content::{Content, OtherFile, UserFile};
pub use drawn::{Drawn, Secrets};
pub use format::EndpointFile;
pub use mold::{Mold, Octets, are_placed};
pub use open::{
    Delivered, Files, MOST_OCTETS, OpenError, Opened, Placed, examine, is_bundle, most_octets, open,
    open_unknown, placed,
};
pub use recipe::{Compression, MAX_USER_FILES, Member, Recipe, RecipeError};
pub use roots::Root;
pub use shared::{judge_shared, open_shared, shared_archive};
pub use writer::{BundleWriter, TOGETHER, Together};

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::pem;
use format::{Sizes, Source};

/// What a bundle says of one device.
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    /// PKCS#8 DER.
    pub private_key: &'a [u8],
    /// X.509 DER.
    pub certificate: &'a [u8],
    pub thing_name: &'a str,
    pub client_id: &'a str,
    pub device_id: &'a str,
    /// What its row gives for the texts of all files, in their order.
    pub texts: &'a [Cow<'a, str>],
}

impl Credential<'_> {
    /// Nobody's, from which the files are made that are the same for all.
    const NONE: Self = Self {
        private_key: &[],
        certificate: &[],
        thing_name: "",
        client_id: "",
        device_id: "",
        texts: &[],
    };
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({}, elided)", self.thing_name)
    }
}

/// What the bundles of a batch say of every device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The issuer's certificate, DER.
    pub issuer: Vec<u8>,
    /// `None`: the bundles name no endpoint.
    pub host: Option<String>,
    pub port: u16,
    pub region: Option<String>,
}

impl Shared {
    fn issuer_pem(&self) -> Vec<u8> {
        let mut pem = Vec::new();
        pem::append_certificate(&self.issuer, &mut pem);
        pem
    }

    /// What a file holds that is the same in every bundle; `None` for the other files, and for a file of which
    /// the digest alone is known.
    #[must_use]
    pub fn constant(&self, member: &Member) -> Option<Vec<u8>> {
        let is_known = |content: &Content| match content {
            Content::File(file) => file.octets().is_some(),
            _ => true,
        };
        if !member.is_constant() || !member.contents().iter().all(is_known) {
            return None;
        }
        let issuer_pem = self.issuer_pem();
        let source = self.source(&Credential::NONE, (&[], &issuer_pem));
        let mut out = Vec::new();
        member.append(&source, &mut out);
        Some(out)
    }

    fn source<'a>(
        &'a self,
        credential: &'a Credential<'a>,
        (certificate, issuer): (&'a [u8], &'a [u8]),
    ) -> Source<'a> {
        Source {
            shared: self,
            credential,
            certificate_pem: certificate,
            issuer_pem: issuer,
            texts: &[],
            random: &[],
            secrets: Secrets::default(),
        }
    }

    /// The file of one device, made again from what it was made of: `credential` with the file's own texts alone. `None`
    /// when chance had a part in it; empty when no such file can be made of it.
    #[must_use]
    pub fn again(
        &self,
        member: &Member,
        credential: &Credential<'_>,
        secrets: Secrets<'_>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        if member.format().random_octets() > 0 {
            return None;
        }
        let mut certificate_pem = Vec::new();
        pem::append_certificate(credential.certificate, &mut certificate_pem);
        let issuer_pem = self.issuer_pem();
        let source = Source {
            texts: credential.texts,
            secrets,
            ..self.source(credential, (&certificate_pem, &issuer_pem))
        };
        let longest: Vec<usize> = credential.texts.iter().map(|text| text.len()).collect();
        // It never moves.
        let sizes = Sizes {
            private_key: credential.private_key.len(),
            certificate: credential.certificate.len(),
            issuer: self.issuer.len(),
            endpoint: Sizes::LARGEST.endpoint,
            texts: &longest,
        };
        let mut out = Zeroizing::new(Vec::with_capacity(member.room(&sizes)));
        if member.format().makes(member.contents(), &source) {
            member.append(&source, &mut out);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::format::Beside;
    use super::*;
    use crate::digest::sha256;
    use crate::profile::{BUILT_IN, Profile};
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    /// A bundle with a key and a certificate that are none, for an issuer that is Amazon's.
    fn bundle(text: &str) -> Vec<u8> {
        let profile = Profile::parse(text, "test", Some("abc-ats.iot.eu-central-1.amazonaws.com")).unwrap();
        let issuer = Root::named("amazon-root-ca-3").unwrap().der();
        let bundler = Bundler::new(profile.recipe(), profile.shared(issuer)).unwrap();
        let mut private_key: Vec<u8> = (0..=255).cycle().take(138).collect();
        if text.contains("sec1") || text.contains("esp-secure-cert") {
            // A P-256 key around the same octets: this format looks into keys.
            for (at, octets) in KEY_FRAME {
                private_key[*at..*at + octets.len()].copy_from_slice(octets);
            }
        }
        let certificate: Vec<u8> = (0..=255).rev().cycle().take(601).collect();
        let texts = profile.recipe().members().iter().flat_map(Member::texts);
        let filled = |text: format::Text| match text.field.starts_with("entries.") {
            // A number there is a number.
            true => text.template.replace("{endpoint.port}", "8883").into(),
            false => text.template.into(),
        };
        let texts: Vec<_> = texts.map(filled).collect();
        let credential = Credential {
            private_key: &private_key,
            certificate: &certificate,
            thing_name: "SN000007",
            client_id: "pump-SN000007",
            device_id: "SN000007",
            texts: &texts,
        };
        let mut out = Vec::new();
        let mut writer = bundler.writer();
        writer
            .draw(1, |octets| {
                octets.fill(7);
                if text.contains("nvs-keys") {
                    // The halves of XTS keys differ.
                    octets[63] = 8;
                }
                Ok::<_, ()>(())
            })
            .unwrap();
        writer.append(&credential, &mut out);
        out
    }

    /// What a PKCS#8 of a P-256 key has around its secret and its point, and where.
    const KEY_FRAME: &[(usize, &[u8])] = &[
        (
            0,
            b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
              \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x6d\x30\x6b\x02\x01\x01\x04\x20",
        ),
        (68, b"\xa1\x44\x03\x42\x00\x04"),
    ];

    const EVERYTHING: &str = "name = 'all'
        [bundle]
        files = [
            { name = 'key.der', content = 'private-key', format = 'der' },
            { name = 'key.pem', content = 'private-key' },
            { name = 'root-1.pem', {compression}content = 'amazon-root-ca-1' },
            { name = 'root-2.der', {compression}content = 'amazon-root-ca-2', format = 'der' },
            { name = 'cert.der', content = 'certificate', format = 'der' },
            { name = 'cert.pem', content = 'certificate', format = 'pem' },
            { name = 'chain.pem', content = 'chain' },
            { name = 'issuer.pem', {compression}content = 'issuer' },
            { name = 'issuer.der', {compression}content = 'issuer', format = 'der' },
            { name = 'root-3.pem', {compression}content = 'amazon-root-ca-3' },
            { name = 'root-4.pem', {compression}content = 'amazon-root-ca-4' },
            { name = 'endpoint.json', content = 'endpoint' },
        ]";

    const DEFLATED: &str = "name = 'all'
        [bundle]
        files = [
            { name = 'key.pem', content = 'private-key' },
            { name = 'chain.pem', content = 'chain', compression = 'deflated' },
            { name = 'endpoint.json', content = 'endpoint', compression = 'deflated' },
        ]";

    /// Bundles that were made once are made so for ever: a batch goes on where it was left. Where octets are
    /// deflated, another zlib may give others.
    #[test]
    fn bundles_are_octet_for_octet_what_they_always_were() {
        let digest = |text: &str| HEXLOWER.encode(&sha256(&bundle(text)));
        for (name, text) in BUILT_IN {
            let expected = match name {
                "aws-iot-p256-shared" => "523bf9fd9f6e8f39d645ab7a8652a39023c0e5895ba9852c4998dd6a35d828be",
                "esp32-nvs" => "f66af49cd3c4a99411f711ce1e78346afccc6f70e3ca53f24a2d2bf1ea8ce4a8",
                "esp32-secure-cert" => "141d828239ab575f8ecdb8df0a6a5bfa480e4d06a599df5ba129b33f296a8d41",
                "freertos-header" => "f88ff88c6cf4e51938c67a8b775270e2039da4007bb5b945e4fa97fe36f9aea9",
                "gateway-pkcs12" => "f198af05caef6693c4470a88f5cebbcdf5e41d4a7e02f6a8658d948f43d06b8a",
                "modem-sec1" => "6618ebe00e9143b54334e084b73f1a399b3b63b9eb927d8685b0c23b79a13f3a",
                _ => "d01998424ee6364a05fbe5f8f23e8a3cf1631227b28b0507b722289fd23e8a9a",
            };
            assert_eq!(digest(text), expected, "{name}");
        }
        assert_eq!(
            digest(&EVERYTHING.replace("{compression}", "")),
            "1903ff3b3a3d66503d0ee131aadcf54427ce0caab9da8ad42ff9a6d53c119a38"
        );
        assert_eq!(
            digest(&EVERYTHING.replace("{compression}", "compression = 'stored', ")),
            "8ee92b7791b7a9330dbb56e11f849dbcf73e34a5aed79d74773091a120331ea6"
        );
        assert_eq!(
            digest(DEFLATED),
            "bc19d5d5dbe828177e190bd1f0edb3b9b826ce925e37f4fbc539b7a10be700d3"
        );
    }

    #[test]
    fn bundles_that_are_made_together_are_those_that_are_made_one_by_one() {
        let image = "{ name = '{device_id}.bin', format = 'esp-secure-cert', content = ['private-key', 'chain', 'issuer'] }";
        let other = "{ name = 'b', format = 'esp-secure-cert', encoding = 'der', layout = 'without-digest' }";
        let third = "{ name = 'c', format = 'esp-secure-cert', encoding = 'der' }";
        for (text, is_known) in [
            (format!("archive = 'none'\nfiles = [{image}]"), true),
            (format!("archive = 'none'\nfiles = [{other}]"), false),
            (format!("files = [{third}, {other}, {image}]"), false),
        ] {
            let text = format!("name = 'p'\n[bundle]\n{text}");
            let profile = Profile::parse(&text, "test", None).unwrap();
            let issuer = Root::named("amazon-root-ca-3").unwrap().der();
            let bundler = Bundler::new(profile.recipe(), profile.shared(issuer)).unwrap();
            let keys: Vec<Vec<u8>> = (0..2 * TOGETHER)
                .map(|i| ec_key(u8::try_from(i).unwrap()))
                .collect();
            let certificates: Vec<Vec<u8>> = (0..keys.len()).map(|i| vec![7; 500 + 5 * i]).collect();
            let names: Vec<String> = (0..keys.len()).map(|i| format!("SN{i}")).collect();
            let credential = |i: usize| Credential {
                private_key: &keys[i],
                certificate: &certificates[i],
                thing_name: &names[i],
                client_id: &names[i],
                device_id: &names[i],
                texts: &[],
            };
            let (mut writer, mut alone) = (bundler.writer(), bundler.writer());
            for range in [0..TOGETHER, TOGETHER..TOGETHER + 1, 0..0, 3..keys.len()] {
                let credentials: Vec<_> = range.map(credential).collect();
                let mut together = writer.together(&credentials);
                for (i, credential) in credentials.iter().enumerate() {
                    let (mut found, mut expected) = (Vec::new(), Vec::new());
                    together.append(i, &mut found);
                    alone.append(credential, &mut expected);
                    assert_eq!(found, expected);
                    let known = together.digests().map(|digests| digests[i]);
                    assert_eq!(known, is_known.then(|| sha256(&found)));
                    let mut pem = Vec::new();
                    pem::append_certificate(credential.certificate, &mut pem);
                    assert_eq!(together.certificate_pem(i), pem);
                }
            }
        }
    }

    /// A P-256 key around octets.
    fn ec_key(fill: u8) -> Vec<u8> {
        let mut key = vec![fill; 138];
        for (at, octets) in KEY_FRAME {
            key[*at..*at + octets.len()].copy_from_slice(octets);
        }
        key
    }

    fn contents() -> impl Strategy<Value = Vec<&'static str>> {
        let names = [
            "private-key",
            "certificate",
            "chain",
            "issuer",
            "amazon-root-ca-3",
        ];
        proptest::sample::subsequence(names.to_vec(), 1..=names.len()).prop_shuffle()
    }

    fn member(i: usize, contents: &[&str], deflated: bool) -> Member {
        let name = format!("file-{i}");
        let json = serde_json::to_string(contents).unwrap();
        let contents: Vec<Content> = serde_json::from_str(&json).unwrap();
        let compression =
            (deflated && !contents.contains(&Content::PrivateKey)).then_some(Compression::Deflated);
        Member::new(&name, &contents, None, compression).unwrap()
    }

    proptest! {
        #[test]
        fn no_bundle_needs_more_than_the_room_for_it_and_each_opens_again(
            files in prop::collection::vec((contents(), any::<bool>()), 0..6),
            private_key in prop::collection::vec(any::<u8>(), 1..300),
            certificate in prop::collection::vec(any::<u8>(), 1..900),
            thing_name in "[a-z]{1,128}",
        ) {
            let mut members: Vec<_> = files.iter().enumerate().map(|(i, (contents, deflated))| member(i, contents, *deflated)).collect();
            members.push(member(members.len(), &["private-key"], false));
            members.push(member(members.len(), &["chain"], false));
            members.push(member(members.len(), &["endpoint"], true));
            let recipe = Recipe::new(members).unwrap();
            let shared = Shared { issuer: b"issuer".to_vec(), host: None, port: 8883, region: None };
            let bundler = Bundler::new(&recipe, shared).unwrap();
            let room = bundler.room(private_key.len(), certificate.len(), &[]);
            let mut out = Vec::with_capacity(room);
            let place = out.as_ptr();
            let credential = Credential { private_key: &private_key, certificate: &certificate, thing_name: &thing_name, client_id: "c", device_id: "d", texts: &[] };
            bundler.writer().append(&credential, &mut out);
            prop_assert!(out.len() <= room, "{} octets in {room}", out.len());
            prop_assert_eq!(out.as_ptr(), place, "the buffer did not move");

            let opened = open(&out, &sha256(&out), &recipe, "d").unwrap();
            prop_assert_eq!(opened.len(), recipe.members().len());
            for Opened { member, octets, .. } in &opened {
                let values = member.read(octets, &Beside::default()).unwrap();
                for (content, value) in member.contents().iter().zip(values) {
                    match value {
                        format::Value::PrivateKey(der) => prop_assert_eq!(&*der, &private_key),
                        format::Value::Certificates(ders) => {
                            let expected: &[&[u8]] = match content {
                                Content::Certificate => &[&certificate],
                                Content::Chain => &[&certificate, b"issuer"],
                                Content::Root(root) => &[root.der()],
                                _ => &[b"issuer"],
                            };
                            prop_assert_eq!(&ders, expected);
                        }
                        format::Value::Endpoint(endpoint) => prop_assert_eq!(endpoint.thing_name.as_ref(), &thing_name),
                        format::Value::File(_) | format::Value::Drawn(_) => prop_assert!(false, "there is none"),
                    }
                }
            }
        }
    }
}
