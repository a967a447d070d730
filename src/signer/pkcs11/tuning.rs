//! How many sessions keep a token full: as many as make it faster, found out while it works.
//!
//! Pure: it is told what was signed in how much time, and only of times in which there was always more to sign.

use std::time::Duration;

/// Sessions to begin with.
const FIRST: usize = 4;

/// Sessions at most, whatever the token has.
pub(super) const MOST: usize = 64;

/// Signatures that each session makes while it is measured.
const ROUNDS: u64 = 16;

/// So much faster twice as many sessions must be: less is noise, or the token is full.
const GAIN: f64 = 1.15;

/// Finds the number of sessions.
#[derive(Debug)]
pub(super) struct Tuning {
    sessions: usize,
    most: usize,
    /// Signatures a second with half as many.
    before: Option<f64>,
    is_found: bool,
}

impl Tuning {
    /// Of a token that has so many sessions for us.
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(1, MOST);
        Self {
            sessions: FIRST.min(most),
            most,
            before: None,
            is_found: FIRST >= most,
        }
    }

    /// Sessions that sign.
    pub(super) fn sessions(&self) -> usize {
        self.sessions
    }

    /// Signatures to measure before [`Self::measured`] is told of them; `None`: the number is found.
    pub(super) fn wanted(&self) -> Option<u64> {
        (!self.is_found).then_some(self.sessions as u64 * ROUNDS)
    }

    /// Takes note of so many signatures in so much time.
    pub(super) fn measured(&mut self, signatures: u64, time: Duration) {
        if self.is_found {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "it is a rate")]
        let rate = signatures as f64 / time.as_secs_f64().max(1e-9);
        if self.before.is_some_and(|before| rate < GAIN * before) {
            self.sessions /= 2;
            self.is_found = true;
            return;
        }
        self.before = Some(rate);
        match (2 * self.sessions).min(self.most) {
            more if more > self.sessions => self.sessions = more,
            _ => self.is_found = true,
        }
    }

    /// The token has no session more than so many.
    pub(super) fn limit(&mut self, sessions: usize) {
        self.most = sessions.max(1);
        if self.sessions >= self.most {
            self.sessions = self.most;
            self.is_found = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tunes for a token that makes so many signatures a second in a session, and so many in all.
    fn found(most: usize, each: f64, all: f64) -> usize {
        let mut tuning = Tuning::new(most);
        while let Some(signatures) = tuning.wanted() {
            #[expect(clippy::cast_precision_loss, reason = "it is a rate")]
            let (wanted, sessions) = (signatures as f64, tuning.sessions() as f64);
            tuning.measured(
                signatures,
                Duration::from_secs_f64(wanted / (sessions * each).min(all)),
            );
        }
        tuning.sessions()
    }

    #[test]
    fn a_token_gets_as_many_sessions_as_make_it_faster() {
        for (most, each, all, expected) in [
            // One that waits, however many wait with it.
            (1000, 200.0, 1e9, MOST),
            (24, 200.0, 1e9, 24),
            // One that is full with two.
            (1000, 20_000.0, 40_000.0, 4),
            (1000, 200.0, 3_000.0, 16),
            (1, 200.0, 1e9, 1),
            (0, 200.0, 1e9, 1),
        ] {
            assert_eq!(found(most, each, all), expected, "{most} {each} {all}");
        }
    }

    #[test]
    fn a_token_that_opens_no_more_sessions_gets_no_more() {
        let mut tuning = Tuning::new(64);
        tuning.measured(64, Duration::from_millis(80));
        assert_eq!(tuning.sessions(), 8);
        tuning.limit(5);
        assert_eq!((tuning.sessions(), tuning.wanted()), (5, None));
    }
}
