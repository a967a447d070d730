//! Asking a signer: again, when it may answer then, and for the same octets only.

use super::{Manner, Remote, Signer, SignerError};

/// Replaces `signatures[i]` by the signature over `messages[i]`. The slices have one length. A signer elsewhere that does
/// not answer is asked again for the very same messages.
///
/// # Errors
///
/// When it refuses, or has not answered however often it was asked; none of the signatures may then be used.
pub fn ask(signer: &dyn Signer, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), SignerError> {
    let (attempts, mut pause) = match signer.manner() {
        Manner::Local => (1, std::time::Duration::ZERO),
        Manner::Remote(Remote { attempts, pause, .. }) => (attempts, pause),
    };
    for attempt in 1.. {
        // Nothing of an earlier answer, or of earlier messages, is taken for an answer to these.
        signatures.iter_mut().for_each(Vec::clear);
        match signer.sign(messages, signatures) {
            Err(error) if error.is_passing() && attempt < attempts => {
                std::thread::sleep(pause);
                pause = pause.saturating_mul(2);
            }
            Err(error) => return Err(error),
            Ok(()) => break,
        }
    }
    let given = signatures
        .iter()
        .filter(|signature| !signature.is_empty())
        .count();
    match given == messages.len() && given == signatures.len() {
        true => Ok(()),
        false => Err(SignerError::Incomplete {
            place: signer.place().to_owned(),
            given,
            wanted: messages.len(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::engine::SignatureAlgorithm;

    /// Answers as it was told, one answer for each request: so many signatures, or a failure that may pass or may not.
    struct Told {
        answers: Mutex<Vec<Result<usize, bool>>>,
        heard: Mutex<Vec<Vec<Vec<u8>>>>,
    }

    impl Signer for Told {
        fn algorithm(&self) -> SignatureAlgorithm {
            SignatureAlgorithm::EcdsaSha256
        }

        fn place(&self) -> &'static str {
            "token"
        }

        fn engine(&self) -> &'static str {
            "told"
        }

        fn manner(&self) -> Manner {
            Manner::Remote(Remote {
                in_flight: NonZeroUsize::MIN,
                group: NonZeroUsize::MIN,
                attempts: 3,
                pause: Duration::ZERO,
            })
        }

        fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), SignerError> {
            let heard = messages.iter().map(|message| message.to_vec()).collect();
            self.heard.lock().unwrap().push(heard);
            assert!(signatures.iter().all(Vec::is_empty));
            let answer = self.answers.lock().unwrap().remove(0);
            // What arrives before a failure is an answer that must not be used.
            for signature in &mut signatures[..answer.unwrap_or(1)] {
                signature.push(7);
            }
            answer.map(drop).map_err(|is_passing| SignerError::Refused {
                place: "token".to_owned(),
                is_passing,
                hint: None,
                source: "no answer".into(),
            })
        }
    }

    #[test]
    fn a_signer_is_asked_again_with_the_same_octets_while_it_may_answer() {
        let (lost, refused) = (Err(true), Err(false));
        for (answers, requests, is_signed) in [
            (vec![Ok(2)], 1, true),
            (vec![lost, lost, Ok(2)], 3, true),
            (vec![lost, lost, lost], 3, false),
            (vec![refused], 1, false),
            (vec![lost, refused], 2, false),
            // One signature is missing.
            (vec![Ok(1)], 1, false),
        ] {
            let told = Told {
                answers: Mutex::new(answers.clone()),
                heard: Mutex::default(),
            };
            let mut signatures = vec![vec![9; 70]; 2];
            let signed = ask(&told, &[b"one", b"two"], &mut signatures);
            assert_eq!(signed.is_ok(), is_signed, "{answers:?}: {signed:?}");
            let heard = told.heard.into_inner().unwrap();
            let same: Vec<Vec<u8>> = vec![b"one".to_vec(), b"two".to_vec()];
            assert_eq!(heard, vec![same; requests], "{answers:?}");
            assert_eq!(signatures == [vec![7], vec![7]], is_signed, "{answers:?}");
        }
    }
}
