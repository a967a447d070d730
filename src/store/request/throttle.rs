//! The throttle: how many requests may be under way at once.
//!
//! The limit is halved when the server asks for less, and grows by about one for every limit's worth of
//! requests that went well: the additive increase and multiplicative decrease of TCP (RFC 5681).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// All requests that were under way complain together, so the limit falls once for all of them.
const PAUSE: Duration = Duration::from_millis(250);

/// Who came first goes first, so that chunks are done one after the other.
#[derive(Debug)]
pub(super) struct Throttle {
    places: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: u16,
    max: u16,
    /// Requests that went well since the limit was last changed.
    went_well: u16,
    /// Places to be taken away as soon as they are free.
    too_many: u16,
    under_way: u16,
    cut_at: Option<Instant>,
}

impl State {
    /// Returns whether there is one place more.
    fn raise(&mut self) -> bool {
        if self.limit == self.max {
            return false;
        }
        self.went_well += 1;
        if self.went_well < self.limit {
            return false;
        }
        self.went_well = 0;
        self.limit += 1;
        let is_free = self.too_many == 0;
        self.too_many = self.too_many.saturating_sub(1);
        is_free
    }

    fn cut(&mut self, now: Instant) {
        if self.cut_at.is_some_and(|at| now.duration_since(at) < PAUSE) {
            return;
        }
        self.cut_at = Some(now);
        self.went_well = 0;
        // What was under way when the server complained may be far below the limit.
        let limit = (self.limit.min(self.under_way + 1) / 2).max(1);
        self.too_many += self.limit - limit;
        self.limit = limit;
    }
}

impl Throttle {
    pub(super) fn new(max: u16) -> Self {
        let max = max.max(1);
        Self {
            places: Semaphore::new(max.into()),
            state: Mutex::new(State {
                limit: max,
                max,
                went_well: 0,
                too_many: 0,
                under_way: 0,
                cut_at: None,
            }),
        }
    }

    /// Waits until one more request may be under way. It is under way until the pass is dropped.
    pub(super) async fn enter(&self) -> Pass<'_> {
        loop {
            let place = self.places.acquire().await.expect("it is never closed");
            let mut state = self.state.lock().expect("no holder panics");
            if state.too_many == 0 {
                state.under_way += 1;
                return Pass {
                    throttle: self,
                    place: Some(place),
                };
            }
            state.too_many -= 1;
            place.forget();
        }
    }

    /// The server answered as it should.
    pub(super) fn went_well(&self) {
        if self.state.lock().expect("no holder panics").raise() {
            self.places.add_permits(1);
        }
    }

    /// The server asked for fewer requests.
    pub(super) fn slow_down(&self) {
        self.state.lock().expect("no holder panics").cut(Instant::now());
    }
}

/// The right to one request.
pub(super) struct Pass<'a> {
    throttle: &'a Throttle,
    place: Option<SemaphorePermit<'a>>,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.throttle.state.lock().expect("no holder panics");
        state.under_way -= 1;
        if state.too_many > 0
            && let Some(place) = self.place.take()
        {
            state.too_many -= 1;
            place.forget();
        }
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
        assert_eq!((state.limit, state.too_many), (32, 32));
        state.cut(now + PAUSE);
        assert_eq!((state.limit, state.too_many), (16, 48));
        for _ in 0..16 {
            assert!(
                !state.raise(),
                "a place that was to be taken away is kept instead"
            );
        }
        assert_eq!((state.limit, state.too_many), (17, 47));
        for _ in 0..5000 {
            state.raise();
        }
        assert_eq!((state.limit, state.too_many), (64, 0));
        for round in 0..10 {
            state.cut(now + PAUSE * (round + 2));
        }
        assert_eq!(state.limit, 1, "one request is always allowed");
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
