//! Private keys of SSH as identities, read and used by the `age` crate: as OpenSSH writes them, with a passphrase or without.

use std::io;

use age::Identity as _;
use age::secrecy::{ExposeSecret, SecretString};
use age::ssh::{Identity as Key, Recipient as PublicKey, UnsupportedKey};
use zeroize::Zeroizing;

use super::FILE_KEY;
use super::decrypt_error::{DecryptError, FileKey};
use super::identity::{IdentityError, OtherIdentity};
use super::recipient::{Kind, Recipient};
use super::stanza::Stanza;

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
    let read = Key::from_buffer(text.as_bytes(), None).map_err(|_| IdentityError::Malformed)?;
    let key = match read {
        Key::Unencrypted(key) => key,
        Key::Encrypted(locked) => {
            let passphrase = passphrase().map_err(|error| IdentityError::NoPassphrase {
                why: error.to_string(),
            })?;
            locked
                .decrypt(SecretString::from(passphrase.as_str()))
                .map_err(|_| IdentityError::WrongPassphrase)?
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
    let public = PublicKey::try_from(Key::Unencrypted(key.clone())).map_err(|_| IdentityError::Malformed)?;
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
                &KEY[..100],
                "",
                "is no identity: it is damaged, or a part of it is missing",
            ),
        ] {
            assert_eq!(identities(text, passphrase).unwrap_err().to_string(), expected);
        }
    }
}
