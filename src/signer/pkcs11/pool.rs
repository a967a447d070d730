//! A pool of sessions that keeps a token full: a thread for each, which takes what is to be signed from one queue.
//!
//! A session signs one thing at a time and waits for it, so a token that takes several needs several. How many is found out by
//! [`Tuning`]. A session whose call fails is given up, and what it was to sign fails with all that was asked
//! for with it; whoever asked may ask again.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use cryptoki::mechanism::Mechanism;

use super::fault::{Fault, Loss};
use super::token::{Open, Token};
use super::tuning::Tuning;
use crate::signer::access::AccessError;

/// Signs what it is handed, as the token takes it.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    token: Token,
    is_rsa: bool,
    work: Mutex<Work>,
    /// There is work, or the end.
    changed: Condvar,
    /// A thread has ended.
    ended: Condvar,
}

#[derive(Debug)]
struct Work {
    queue: VecDeque<Piece>,
    threads: usize,
    waiting: usize,
    is_closing: bool,
    tuning: Tuning,
    measured: Measured,
}

/// What was signed since when, with work left all the time.
#[derive(Debug)]
struct Measured {
    since: Instant,
    signatures: u64,
}

/// One thing to sign, of a request.
#[derive(Debug)]
struct Piece {
    request: Arc<Request>,
    index: usize,
    is_answered: bool,
}

#[derive(Debug)]
struct Request {
    digests: Vec<Vec<u8>>,
    answer: Mutex<Answer>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct Answer {
    raw: Vec<Vec<u8>>,
    left: usize,
    failure: Option<AccessError>,
}

impl Pool {
    pub(super) fn new(token: Token, is_rsa: bool) -> Self {
        let work = Work {
            queue: VecDeque::new(),
            threads: 0,
            waiting: 0,
            is_closing: false,
            tuning: Tuning::new(token.most_sessions),
            measured: Measured {
                since: Instant::now(),
                signatures: 0,
            },
        };
        Self {
            shared: Arc::new(Shared {
                token,
                is_rsa,
                work: Mutex::new(work),
                changed: Condvar::new(),
                ended: Condvar::new(),
            }),
        }
    }

    pub(super) fn token(&self) -> &Token {
        &self.shared.token
    }

    /// The token's signatures over these, in their order.
    pub(super) fn sign(&self, digests: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, AccessError> {
        if digests.is_empty() {
            return Ok(Vec::new());
        }
        let request = Arc::new(Request {
            answer: Mutex::new(Answer {
                raw: vec![Vec::new(); digests.len()],
                left: digests.len(),
                failure: None,
            }),
            answered: Condvar::new(),
            digests,
        });
        {
            let mut work = self.shared.work();
            if work.queue.is_empty() {
                work.measured.begin();
            }
            work.queue.extend((0..request.digests.len()).map(|index| Piece {
                request: Arc::clone(&request),
                index,
                is_answered: false,
            }));
            self.shared.start(&mut work);
        }
        self.shared.changed.notify_all();
        let answer = request.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = request
            .answered
            .wait_while(answer, |answer| answer.left > 0)
            .unwrap_or_else(PoisonError::into_inner);
        match answer.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(std::mem::take(&mut answer.raw)),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut work = self.shared.work();
        work.is_closing = true;
        self.shared.changed.notify_all();
        while work.threads > 0 {
            work = self
                .shared
                .ended
                .wait(work)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Measured {
    fn begin(&mut self) {
        self.since = Instant::now();
        self.signatures = 0;
    }
}

impl Work {
    /// Takes note of a signature, and of how fast the last ones came.
    fn signed(&mut self) {
        self.measured.signatures += 1;
        if self.queue.is_empty() {
            // The sessions wait, not the work.
            self.measured.begin();
        }
        let Some(wanted) = self.tuning.wanted() else {
            return;
        };
        if self.measured.signatures >= wanted {
            self.tuning.measured(wanted, self.measured.since.elapsed());
            self.measured.begin();
        }
    }
}

impl Shared {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the threads that are missing for what is to be done.
    fn start(self: &Arc<Self>, work: &mut Work) {
        let free = work.waiting;
        let missing = work.tuning.sessions().saturating_sub(work.threads);
        for _ in 0..missing.min(work.queue.len().saturating_sub(free)) {
            let shared = Arc::clone(self);
            work.threads += 1;
            let thread = thread::Builder::new().name("session".to_owned());
            if thread.spawn(move || shared.serve()).is_err() {
                work.threads -= 1;
                break;
            }
        }
        if work.threads == 0 {
            // Nobody is there to answer.
            work.queue.clear();
        }
    }

    /// A thread's life.
    fn serve(self: Arc<Self>) {
        /// However it ends.
        struct Ending<'a>(&'a Shared);
        impl Drop for Ending<'_> {
            fn drop(&mut self) {
                self.0.work().threads -= 1;
                self.0.ended.notify_all();
            }
        }
        let ending = Ending(&self);
        let mut open = None;
        while let Some(piece) = self.next() {
            self.answer(piece, &mut open);
        }
        self.close(open);
        drop(ending);
    }

    /// What is to be signed next; `None`: the thread is not needed any more.
    fn next(self: &Arc<Self>) -> Option<Piece> {
        let mut work = self.work();
        loop {
            if work.is_closing || work.threads > work.tuning.sessions() {
                return None;
            }
            if let Some(piece) = work.queue.pop_front() {
                self.start(&mut work);
                return Some(piece);
            }
            work.waiting += 1;
            work = self.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
            work.waiting -= 1;
        }
    }

    fn answer(self: &Arc<Self>, mut piece: Piece, open: &mut Option<Open>) {
        if piece.request.has_failed() {
            return piece.give(Ok(Vec::new()));
        }
        match self.sign(&piece.request.digests[piece.index], open) {
            Ok(raw) => {
                piece.give(Ok(raw));
                self.work().signed();
            }
            Err(Failure::NoSession) => {
                // It has no more than the others have, who will take it on.
                let mut work = self.work();
                let others = work.threads - 1;
                work.tuning.limit(others);
                piece.is_answered = true;
                let again = Piece {
                    request: Arc::clone(&piece.request),
                    index: piece.index,
                    is_answered: false,
                };
                work.queue.push_front(again);
                drop(work);
                self.changed.notify_all();
            }
            Err(Failure::Access(error)) => piece.give(Err(error)),
        }
    }

    fn sign(&self, digest: &[u8], open: &mut Option<Open>) -> Result<Vec<u8>, Failure> {
        let within = self.token.module.within();
        let generation = *within.generation;
        // What was opened before the module began anew is gone, and its number may be another's.
        open.take_if(|open| open.generation != generation);
        let has_others = self.work().threads > 1;
        let now = match open.take() {
            Some(now) => now,
            None => match self.token.open(&within) {
                Ok(now) => now,
                Err(fault) if fault.loss == Loss::Full && has_others => return Err(Failure::NoSession),
                Err(fault) => {
                    drop(within);
                    return Err(self.after(fault, generation));
                }
            },
        };
        let mechanism = match self.is_rsa {
            true => Mechanism::RsaPkcs,
            false => Mechanism::Ecdsa,
        };
        match now.session.sign(&mechanism, now.key, digest) {
            Ok(raw) => {
                *open = Some(now);
                Ok(raw)
            }
            Err(error) => {
                let _ = now.session.close();
                drop(within);
                Err(self.after(self.token.fault(error), generation))
            }
        }
    }

    /// What is to be said of a fault, after a look at what is there.
    fn after(&self, fault: Fault, generation: u64) -> Failure {
        Failure::Access(match self.token.look_again(fault.loss, generation) {
            Ok(()) => fault.access,
            Err(found) => found,
        })
    }

    fn close(&self, open: Option<Open>) {
        let within = self.token.module.within();
        if let Some(open) = open.filter(|open| open.generation == *within.generation) {
            let _ = open.session.close();
        }
    }
}

enum Failure {
    /// The token has no session left, and others of ours have some.
    NoSession,
    Access(AccessError),
}

impl Request {
    fn has_failed(&self) -> bool {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.failure.is_some()
    }
}

impl Piece {
    fn give(&mut self, result: Result<Vec<u8>, AccessError>) {
        self.is_answered = true;
        let mut answer = self.request.answer.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(raw) => answer.raw[self.index] = raw,
            Err(error) => {
                answer.failure.get_or_insert(error);
            }
        }
        answer.left -= 1;
        if answer.left == 0 {
            self.request.answered.notify_all();
        }
    }
}

/// Whoever asked is told, whatever becomes of the thread.
impl Drop for Piece {
    fn drop(&mut self) {
        if !self.is_answered {
            self.give(Err(AccessError::Unreachable {
                place: "the token".to_owned(),
                is_passing: true,
                source: "its session has ended".into(),
            }));
        }
    }
}
