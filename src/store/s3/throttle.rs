//! The throttle: how many requests may be under way at once.
//!
//! The limit is halved when the server asks for less, and grows by about one for every limit's worth of
//! requests that went well: the additive increase and multiplicative decrease of TCP (RFC 5681).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// All requests that were under way complain together, so the limit falls once for all of them.
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Throttle {
    state: Mutex<State>,
    room: Notify,
}

#[derive(Debug)]
struct State {
    limit: f64,
    max: f64,
    under_way: usize,
    cut_at: Option<Instant>,
}

impl State {
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
    fn under_way(&self) -> f64 {
        self.under_way as f64
    }

    fn has_room(&self) -> bool {
        self.under_way() + 1.0 <= self.limit
    }

    fn raise(&mut self) {
        self.limit = (self.limit + 1.0 / self.limit).min(self.max);
    }

    fn cut(&mut self, now: Instant) {
        if self.cut_at.is_some_and(|at| now.duration_since(at) < PAUSE) {
            return;
        }
        self.cut_at = Some(now);
        // What was under way when the server complained may be far below the limit.
        let used = self.under_way() + 1.0;
        self.limit = (self.limit.min(used) / 2.0).max(1.0);
    }
}

impl Throttle {
    pub(super) fn new(max: u16) -> Self {
        let max = f64::from(max.max(1));
        Self {
            state: Mutex::new(State {
                limit: max,
                max,
                under_way: 0,
                cut_at: None,
            }),
            room: Notify::new(),
        }
    }

    /// Waits until one more request may be under way. It is under way until the pass is dropped.
    pub(super) async fn enter(&self) -> Pass<'_> {
        loop {
            let room = self.room.notified();
            {
                let mut state = self.state.lock().expect("no holder panics");
                if state.has_room() {
                    state.under_way += 1;
                    return Pass(self);
                }
            }
            room.await;
        }
    }

    /// The server answered as it should.
    pub(super) fn went_well(&self) {
        let mut state = self.state.lock().expect("no holder panics");
        state.raise();
        if state.has_room() {
            self.room.notify_one();
        }
    }

    /// The server asked for fewer requests.
    pub(super) fn slow_down(&self) {
        self.state.lock().expect("no holder panics").cut(Instant::now());
    }
}

/// The right to one request.
pub(super) struct Pass<'a>(&'a Throttle);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.state.lock().expect("no holder panics").under_way -= 1;
        self.0.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn falls_by_half_once_for_all_and_rises_again_one_by_one() {
        let throttle = Throttle::new(64);
        let mut state = throttle.state.lock().unwrap();
        let now = Instant::now();
        state.under_way = 63;
        for _ in 0..10 {
            state.cut(now);
        }
        assert!((state.limit - 32.0).abs() < 1e-9);
        state.cut(now + PAUSE);
        assert!((state.limit - 16.0).abs() < 1e-9);
        for _ in 0..17 {
            state.raise();
        }
        assert!((17.0..17.2).contains(&state.limit), "{}", state.limit);
        for _ in 0..5000 {
            state.raise();
        }
        assert!((state.limit - 64.0).abs() < 1e-9);
        for round in 0..10 {
            state.cut(now + PAUSE * (round + 2));
        }
        assert!((state.limit - 1.0).abs() < 1e-9, "one request is always allowed");
        state.under_way = 0;
        assert!(state.has_room());
    }

    #[test]
    fn never_lets_more_under_way_than_the_limit() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        let throttle = Arc::new(Throttle::new(4));
        let under_way = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..500)
            .map(|i| {
                let (throttle, under_way, most) = (throttle.clone(), under_way.clone(), most.clone());
                runtime.spawn(async move {
                    let _pass = throttle.enter().await;
                    most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    if i % 7 == 0 {
                        throttle.slow_down();
                    } else {
                        throttle.went_well();
                    }
                })
            })
            .collect();
        // Every one of them gets its turn, or this never ends.
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        assert!(most.load(Ordering::SeqCst) <= 4);
    }
}
