//! Issuance: the stage between keys and bundles. Certificates are signed by the issuer's signer, in the manner that it wants.
//!
//! A signer in this process works on the thread that asks, block by block, which costs nothing. One elsewhere gets whole
//! groups, so many in flight at a time as it takes, from all workers together; while they are on their way, the worker
//! makes the keys of the next. An answer that was lost is asked for again with the same octets, by [`crate::signer::ask`].

use std::panic::resume_unwind;
use std::thread;

use super::ForgeError;
use super::credentials::Credentials;
use super::plan::Plan;
use super::signing::{Permits, Signing};
use crate::certificate::SerialPrefix;
use crate::manifest::Row;

/// A worker's own part of the stage: buffers for the blocks that are in its hands.
pub(crate) struct Issuance<'a> {
    plan: &'a Plan<'a>,
    blocks: Vec<Credentials<'a>>,
}

impl<'a> Issuance<'a> {
    pub(crate) fn new(plan: &'a Plan<'a>) -> Self {
        Self {
            plan,
            blocks: vec![Credentials::new(plan)],
        }
    }

    /// Makes the credentials of rows, and hands each block of them on in row order. What was handed on may be used only
    /// when all of it has succeeded, for the last thing is to look at a signature.
    pub(crate) fn issue(
        &mut self,
        rows: &[Row],
        prefix: SerialPrefix,
        mut hand_on: impl FnMut(&[Row], &Credentials<'_>),
    ) -> Result<(), ForgeError> {
        let size = self.plan.signing.block();
        match &self.plan.signing {
            Signing::Local => {
                let block = &mut self.blocks[0];
                for rows in rows.chunks(size) {
                    block.prepare(rows, prefix)?;
                    block.sign()?;
                    hand_on(rows, block);
                }
                block.check_one()
            }
            Signing::Remote { permits, .. } => {
                let plan = self.plan;
                let blocks = rows.len().div_ceil(size).max(self.blocks.len());
                self.blocks.resize_with(blocks, || Credentials::new(plan));
                let groups = || rows.chunks(size);
                sign_elsewhere(permits, groups().zip(&mut self.blocks), prefix)?;
                for (rows, block) in groups().zip(&self.blocks) {
                    block.check_one()?;
                    hand_on(rows, block);
                }
                Ok(())
            }
        }
    }
}

/// Prepares block after block, and has a thread for each wait for its signatures.
fn sign_elsewhere<'a, 'b>(
    permits: &Permits,
    blocks: impl Iterator<Item = (&'b [Row], &'b mut Credentials<'a>)>,
    prefix: SerialPrefix,
) -> Result<(), ForgeError>
where
    'a: 'b,
{
    thread::scope(|scope| {
        let mut asked = Vec::new();
        for (rows, block) in blocks {
            block.prepare(rows, prefix)?;
            asked.push(scope.spawn(move || permits.with(|| block.sign())));
        }
        for thread in asked {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::time::Duration;

    use time::OffsetDateTime;
    use x509_parser::certificate::X509Certificate;
    use x509_parser::prelude::FromDer;

    use super::*;
    use crate::batch::Layout;
    use crate::engine::{Choice, PrivateKey, Random, SignatureAlgorithm};
    use crate::forge::Job;
    use crate::forge::signing::BLOCK;
    use crate::issuer::{CaFiles, CaRequest, Issuer, create, read_public};
    use crate::manifest::{DEFAULT_ID_COLUMN, Manifest};
    use crate::pem;
    use crate::profile::{Attribute, DEFAULT, KeyType, NotAfter, Profile};
    use crate::signer::{Manner, Remote};
    use crate::signer::{Memory, Signer, SignerError};
    use std::num::NonZeroUsize;
    use std::sync::{Condvar, Mutex};

    const ROWS: usize = 1000;
    const GROUP: usize = 256;
    const IN_FLIGHT: usize = 2;

    /// A signer with a real key. What it does with requests of more than one message is told; a single one is the
    /// issuer's proof.
    struct Elsewhere {
        key: Memory,
        manner: Manner,
        conduct: Conduct,
        log: &'static Log,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Conduct {
        /// Answers.
        Answer,
        /// Answers only when as many requests are with it as it takes, and loses the first answer to each.
        LoseFirst,
        /// Refuses what is not the first group.
        RefuseLater,
    }

    #[derive(Default)]
    struct Log {
        state: Mutex<State>,
        changed: Condvar,
    }

    #[derive(Default)]
    struct State {
        in_flight: usize,
        most_in_flight: usize,
        arrived: usize,
        requests: Vec<Vec<Vec<u8>>>,
        threads: Vec<thread::ThreadId>,
    }

    impl Elsewhere {
        /// Waits until so many requests have come as are in flight at a time.
        fn wait_for_others(&self) {
            let mut state = self.log.state.lock().unwrap();
            state.arrived += 1;
            let all = state.arrived.next_multiple_of(IN_FLIGHT);
            self.log.changed.notify_all();
            let (_state, waited) = self
                .log
                .changed
                .wait_timeout_while(state, Duration::from_mins(1), |state| state.arrived < all)
                .unwrap();
            assert!(
                !waited.timed_out(),
                "{IN_FLIGHT} requests are in flight at a time"
            );
        }

        fn answer(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), SignerError> {
            let request: Vec<Vec<u8>> = messages.iter().map(|message| message.to_vec()).collect();
            let mut state = self.log.state.lock().unwrap();
            state.in_flight += 1;
            state.most_in_flight = state.most_in_flight.max(state.in_flight);
            let is_first = state.requests.is_empty();
            let is_new = !state.requests.contains(&request);
            state.requests.push(request);
            state.threads.push(thread::current().id());
            drop(state);
            if self.conduct == Conduct::LoseFirst {
                self.wait_for_others();
            }
            let is_passing = match self.conduct {
                Conduct::LoseFirst if is_new => Some(true),
                Conduct::RefuseLater if !is_first => Some(false),
                _ => None,
            };
            self.key.sign(messages, signatures)?;
            self.log.state.lock().unwrap().in_flight -= 1;
            match is_passing {
                None => Ok(()),
                Some(is_passing) => Err(SignerError::Refused {
                    place: "elsewhere".to_owned(),
                    is_passing,
                    hint: None,
                    source: "the line is dead".into(),
                }),
            }
        }
    }

    impl Signer for Elsewhere {
        fn algorithm(&self) -> SignatureAlgorithm {
            self.key.algorithm()
        }

        fn place(&self) -> &'static str {
            "elsewhere"
        }

        fn engine(&self) -> &'static str {
            "elsewhere"
        }

        fn manner(&self) -> Manner {
            self.manner
        }

        fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), SignerError> {
            match messages.len() {
                1 => self.key.sign(messages, signatures),
                _ => self.answer(messages, signatures),
            }
        }
    }

    fn remote() -> Manner {
        Manner::Remote(Remote {
            in_flight: NonZeroUsize::new(IN_FLIGHT).unwrap(),
            group: NonZeroUsize::new(GROUP).unwrap(),
            attempts: 2,
            pause: Duration::ZERO,
        })
    }

    /// Issues the rows of a manifest twice, with buffers that were used before the second time. Every certificate that
    /// comes out is the row's, for its key, and signed by the issuer.
    fn issue(manner: Manner, conduct: Conduct) -> (Vec<Result<(), ForgeError>>, &'static Log) {
        let folder = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        let request = CaRequest {
            subject: vec![(Attribute::CommonName, "Test CA".to_owned())],
            key_type: KeyType::P256,
            not_after: NotAfter::Days(30),
            path_len: Some(0),
        };
        let ca = folder.path().join("ca");
        create(&request, None, now).unwrap().write(&ca, None).unwrap();
        let files = CaFiles::in_folder(&ca);
        let (certificate, _) = read_public(&files).unwrap();
        let blocks = pem::blocks(&fs::read_to_string(ca.join("key.pem")).unwrap()).unwrap();
        let key = PrivateKey::from_pkcs8(&blocks[0].der).unwrap();
        let key = key.prove(certificate.public_key()).unwrap();
        let log: &'static Log = Box::leak(Box::default());
        let signer = Elsewhere {
            key: Memory::new(&key, "memory".to_owned(), &Choice::Auto).unwrap(),
            manner,
            conduct,
            log,
        };
        let issuer = Issuer::with_signer(&files, Box::new(signer), now).unwrap();

        let path = folder.path().join("devices.csv");
        let ids: String = (0..ROWS).map(|row| format!("SN{row:06}\n")).collect();
        fs::write(&path, format!("{DEFAULT_ID_COLUMN}\n{ids}")).unwrap();
        let manifest = Manifest::open(&path, DEFAULT_ID_COLUMN).unwrap();
        let profile = Profile::load(DEFAULT, None).unwrap();
        let plan = Plan::new(&Job {
            manifest: &manifest,
            profile: &profile,
            issuer: &issuer,
            engines: Choice::Auto,
            layout: Layout::Packs,
            batch: None,
            chunk_rows: None,
            shard: None,
            reissue: false,
            min_validity: time::Duration::ZERO,
            jobs: 1,
            now,
        })
        .unwrap();
        let block = manifest.blocks(ROWS).unwrap().next_block().unwrap().unwrap();
        let (rows, _) = manifest.parse(&block);
        let mut issuance = Issuance::new(&plan);
        let mut results = Vec::new();
        for _ in 0..2 {
            let prefix = SerialPrefix::draw(Random).unwrap();
            let mut made = Vec::new();
            results.push(issuance.issue(&rows, prefix, |rows, credentials| {
                for (i, row) in rows.iter().enumerate() {
                    let mut certificate = Vec::new();
                    credentials.append_certificate(i, &mut certificate);
                    let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
                    let key = &parsed.public_key().subject_public_key.data;
                    assert!(credentials.private_key(i).ends_with(key));
                    assert!(parsed.subject().to_string().contains(row.device_id.as_str()));
                    let tbs = parsed.tbs_certificate.as_ref();
                    assert!(issuer.certificate().has_signed(tbs, &parsed.signature_value.data));
                    made.push(row.device_id.clone());
                }
            }));
            let all = rows.iter().map(|row| row.device_id.clone());
            let is_whole = made.iter().cloned().eq(all);
            assert_eq!(is_whole, results.last().unwrap().is_ok());
            assert!(is_whole || made.is_empty(), "all of it is handed on, or nothing");
        }
        (results, log)
    }

    #[test]
    fn a_signer_elsewhere_gets_whole_groups_a_few_at_a_time_and_the_same_octets_again() {
        let (results, log) = issue(remote(), Conduct::LoseFirst);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let state = log.state.lock().unwrap();
        assert_eq!(state.most_in_flight, IN_FLIGHT);
        let mut times = BTreeMap::new();
        for request in &state.requests {
            *times.entry(request).or_insert(0) += 1;
        }
        // Four groups in each round, each asked for twice: once in vain.
        assert_eq!(times.len(), 2 * ROWS.div_ceil(GROUP));
        assert!(times.values().all(|times| *times == 2));
        let whole = times.keys().filter(|request| request.len() == GROUP).count();
        let rest = times
            .keys()
            .filter(|request| request.len() == ROWS % GROUP)
            .count();
        assert_eq!((whole, rest), (2 * (ROWS / GROUP), 2));
        let mut messages: Vec<_> = times.keys().copied().flatten().collect();
        messages.sort_unstable();
        messages.dedup();
        assert_eq!(messages.len(), 2 * ROWS, "nothing else was signed");
        assert!(!state.threads.contains(&thread::current().id()));
    }

    #[test]
    fn a_signer_that_refuses_ends_it_and_nothing_is_handed_on() {
        let (results, _) = issue(remote(), Conduct::RefuseLater);
        for result in results {
            assert!(matches!(
                result,
                Err(ForgeError::Signer(SignerError::Refused {
                    is_passing: false,
                    ..
                }))
            ));
        }
    }

    #[test]
    fn a_signer_at_hand_works_on_the_thread_that_asks() {
        let (results, log) = issue(Manner::Local, Conduct::Answer);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let state = log.state.lock().unwrap();
        assert!(state.threads.iter().all(|id| *id == thread::current().id()));
        let sizes: Vec<_> = state.requests.iter().map(Vec::len).collect();
        let of_round: Vec<_> = vec![BLOCK; ROWS / BLOCK]
            .into_iter()
            .chain([ROWS % BLOCK])
            .collect();
        assert_eq!(sizes, [of_round.clone(), of_round].concat());
    }
}
