//! Private keys of SSH as identities, read and used by the `age` crate: as OpenSSH writes them, with a passphrase or without.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use age::Identity as _;
use age::secrecy::{ExposeSecret, SecretString};
use age::ssh::{Identity as Key, Recipient as PublicKey, UnsupportedKey};
use base64_simd::STANDARD;
use zeroize::Zeroizing;

use super::FILE_KEY;
use super::decrypt_error::{DecryptError, FileKey};
use super::identity::{IdentityError, OtherIdentity};
use super::recipient::{Kind, Recipient};
use super::ssh::taken;
use super::stanza::Stanza;

/// How a file begins that OpenSSH writes: in its own form, and in the older one of RSA keys.
const LABELS: [&str; 2] = ["OPENSSH PRIVATE KEY", "RSA PRIVATE KEY"];

/// Rounds of bcrypt at most, where 16 and 24 are what ssh-keygen takes by itself: so many take most of a minute.
const MOST_ROUNDS: u32 = 4096;

/// Reads a key; `passphrase` is asked for when it has one.
///
/// # Errors
///
/// When it is none that age can use, or the passphrase is another.
pub fn read(
    text: &str,
    passphrase: &mut dyn FnMut() -> io::Result<Zeroizing<String>>,
) -> Result<Box<dyn OtherIdentity>, IdentityError> {
    let kind = |what: String| IdentityError::SshKind { what };
    let label = label(text).ok_or(IdentityError::Malformed)?;
    if !LABELS.contains(&label) {
        return Err(kind(format!("in a file that begins with {label:?}")));
    }
    if let Some(rounds) = rounds(text).filter(|rounds| *rounds > MOST_ROUNDS) {
        return Err(IdentityError::SshRounds { rounds });
    }
    let read = judged(|| Key::from_buffer(text.as_bytes(), None).ok())?;
    let key = match read {
        Key::Unencrypted(key) => key,
        Key::Encrypted(locked) => {
            let passphrase = passphrase().map_err(|error| IdentityError::NoPassphrase {
                why: error.to_string(),
            })?;
            let passphrase = SecretString::from(passphrase.as_str());
            judged(|| Some(locked.decrypt(passphrase)))?.map_err(|_| IdentityError::WrongPassphrase)?
        }
        Key::Unsupported(other) => {
            return Err(kind(match other {
                UnsupportedKey::EncryptedPem => "in PEM with a passphrase, which is weak".to_owned(),
                UnsupportedKey::EncryptedSsh(cipher) => format!("encrypted with {cipher}"),
                UnsupportedKey::Hardware(name) => format!("of kind {name}, which is in another device"),
                UnsupportedKey::Type(name) => format!("of kind {name}"),
            }));
        }
    };
    let public = judged(|| PublicKey::try_from(Key::Unencrypted(key.clone())).ok())?;
    let recipient = Recipient::parse(&public.to_string()).map_err(|error| kind(format!("that {error}")))?;
    let Kind::Ssh(public) = recipient.kind() else {
        return Err(IdentityError::Malformed);
    };
    Ok(Box::new(OpenSsh {
        key: key.into(),
        kind: public.kind(),
        recipient,
    }))
}

/// What the `age` crate makes of a file. Some that are damaged make it panic, which is the same as "damaged".
fn judged<T>(read: impl FnOnce() -> Option<T>) -> Result<T, IdentityError> {
    catch_unwind(AssertUnwindSafe(read))
        .ok()
        .flatten()
        .ok_or(IdentityError::Malformed)
}

/// What the first line of a PEM file says that it is.
fn label(text: &str) -> Option<&str> {
    text.lines()
        .next()?
        .trim_end()
        .strip_prefix("-----BEGIN ")?
        .strip_suffix("-----")
}

/// Rounds of bcrypt by which a key is locked (PROTOCOL.key of OpenSSH); `None` when it is not, or damaged.
fn rounds(text: &str) -> Option<u32> {
    let mut body = Zeroizing::new(String::with_capacity(text.len()));
    body.extend(
        text.lines()
            .skip(1)
            .take_while(|line| !line.starts_with('-'))
            .map(str::trim_end),
    );
    let octets = Zeroizing::new(STANDARD.decode_to_vec(body.as_bytes()).ok()?);
    let (_, rest) = taken(octets.strip_prefix(b"openssh-key-v1\0")?)?;
    let (_, rest) = taken(rest)?;
    let (options, _) = taken(rest)?;
    let (_, rounds) = taken(options)?;
    Some(u32::from_be_bytes(*rounds.first_chunk()?))
}

/// A key that can be used.
struct OpenSsh {
    key: Key,
    /// What a stanza for it is called.
    kind: &'static str,
    recipient: Recipient,
}

impl OtherIdentity for OpenSsh {
    fn recipient(&self) -> Option<&Recipient> {
        Some(&self.recipient)
    }

    fn short_id(&self) -> String {
        self.recipient.short_id()
    }

    fn is_for(&self, recipient: &Recipient) -> bool {
        self.recipient == *recipient
    }

    fn open(&self, shares: &[Stanza]) -> Result<Option<FileKey>, DecryptError> {
        for share in shares.iter().filter(|share| share.kind() == self.kind) {
            let share = age_core::format::Stanza {
                tag: self.kind.to_owned(),
                args: share.arguments[1..].to_vec(),
                body: share.body.clone(),
            };
            match self.key.unwrap_stanza(&share) {
                None => {}
                // It is named in it.
                Some(Err(_)) => return Err(DecryptError::Changed),
                Some(Ok(found)) => {
                    let mut file_key = Zeroizing::new([0; FILE_KEY]);
                    file_key.copy_from_slice(found.expose_secret());
                    return Ok(Some(file_key));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::encryption::{Encryption, Identities, OtherKinds, decrypt};
    use ring::rand::{SecureRandom, SystemRandom};

    /// A key of a day, made by `ssh-keygen` for this test alone.
    const KEY: &str = include_str!("../../../tests/data/ssh/id_ed25519");
    const RSA: &str = include_str!("../../../tests/data/ssh/id_rsa");
    const LOCKED: &str = include_str!("../../../tests/data/ssh/id_ed25519_locked");
    const ECDSA: &str = include_str!("../../../tests/data/ssh/id_ecdsa");

    struct With(&'static str);

    impl OtherKinds for With {
        fn ssh(&mut self, text: &str) -> Result<Box<dyn OtherIdentity>, IdentityError> {
            read(text, &mut || match self.0 {
                "" => Err(io::Error::other("there is no terminal to ask at")),
                told => Ok(Zeroizing::new(told.to_owned())),
            })
        }

        fn plugin(&mut self, _: &str, _: &str) -> Result<Box<dyn OtherIdentity>, IdentityError> {
            Err(IdentityError::Plugin)
        }
    }

    fn identities(text: &str, passphrase: &'static str) -> Result<Identities, IdentityError> {
        Identities::read(text, &mut With(passphrase))
    }

    #[test]
    fn reads_what_is_written_for_keys_of_ssh() {
        let own = [
            identities(KEY, "").unwrap(),
            identities(RSA, "").unwrap(),
            identities(LOCKED, "correct horse").unwrap(),
        ];
        let recipients: Vec<Recipient> = own
            .iter()
            .map(|own| own.recipients().next().unwrap().clone())
            .collect();
        let encryption = Encryption::new(&recipients[..2]);
        let mut writer = encryption.writer();
        writer
            .prepare(2, |octets| SystemRandom::new().fill(octets), |_, _, _, _| false)
            .unwrap();
        for number in 0..2 {
            let mut file = Vec::new();
            writer.append(number, b"hello", &mut file);
            assert_eq!(file.len(), encryption.encrypted_len(5));
            for own in &own[..2] {
                assert_eq!(**decrypt(&file, own).unwrap(), *b"hello");
            }
            assert_eq!(decrypt(&file, &own[2]).unwrap_err(), DecryptError::SomebodyElse);
            // A share that names it and is another.
            let text = String::from_utf8_lossy(&file).into_owned();
            let at = text.find("-> ssh-ed25519 ").unwrap() + "-> ssh-ed25519 AAAAAA ".len() + 50;
            file[at] ^= 1;
            assert!(decrypt(&file, &own[0]).is_err());
        }
    }

    /// A key with something else in the place of a part of it.
    fn changed(text: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let mut octets = STANDARD.decode_to_vec(body).unwrap();
        change(&mut octets);
        let body = STANDARD.encode_to_string(octets);
        let lines: Vec<&str> = body
            .as_bytes()
            .chunks(70)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
            lines.join("\n")
        )
    }

    /// `AAAAB3NzaC1yc2E` and an exponent of one octet, a zero: the crate reads past its end.
    #[test]
    fn a_damaged_key_is_no_panic() {
        let with_no_exponent = changed(RSA, |octets| {
            let kind = b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01";
            let at = octets
                .windows(kind.len())
                .position(|found| found == kind)
                .unwrap()
                + kind.len()
                - 3;
            octets[at..at + 3].fill(0);
        });
        let error = identities(&with_no_exponent, "").unwrap_err();
        assert_eq!(error, IdentityError::Malformed);
        for at in (60..600).step_by(7) {
            let text = changed(RSA, |octets| octets[at] ^= 0x81);
            let _ = identities(&text, "");
        }
    }

    #[test]
    fn a_lock_that_takes_years_is_not_tried() {
        assert!(rounds(LOCKED).is_some_and(|rounds| (1..=MOST_ROUNDS).contains(&rounds)));
        assert_eq!(rounds(KEY), None);
        let locked = changed(LOCKED, |octets| {
            // Behind the name come the options: a salt of 16 octets, and the rounds.
            let name = octets.windows(6).position(|found| found == b"bcrypt").unwrap();
            octets[name + 6 + 4 + 4 + 16..][..4].fill(0xff);
        });
        let error = identities(&locked, "correct horse").unwrap_err();
        assert_eq!(error, IdentityError::SshRounds { rounds: u32::MAX });
        assert_eq!(
            error.to_string(),
            "is an SSH key with 4294967295 rounds of bcrypt, which take too long"
        );
    }

    #[test]
    fn says_what_is_wrong_with_a_private_key() {
        for (text, passphrase, expected) in [
            (
                LOCKED,
                "",
                "is an SSH key with a passphrase, and that was not told: there is no terminal to ask at",
            ),
            (
                LOCKED,
                "another",
                "is an SSH key with another passphrase than that",
            ),
            (ECDSA, "", "is an SSH key of kind ecdsa-sha2-nistp256"),
            (
                "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n",
                "",
                "is an SSH key in a file that begins with \"PRIVATE KEY\"",
            ),
            (
                &KEY[..100],
                "",
                "is no identity: it is damaged, or a part of it is missing",
            ),
        ] {
            assert_eq!(identities(text, passphrase).unwrap_err().to_string(), expected);
        }
    }
}
