//! A fault on purpose, for tests: one bit flips, once, in one limb of one lane, at a stage of the work.

use std::cell::Cell;

/// Where a bit flips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The scalar, as it was read.
    Scalar,
    /// A denominator, before all are inverted.
    Denominator,
    /// What came before it.
    Before,
    /// The x and the y of an accumulator, after an addition.
    X,
    Y,
    /// A number that is inverted modulo the order.
    Number,
}

impl Stage {
    pub const ALL: [Self; 6] = [
        Self::Scalar,
        Self::Denominator,
        Self::Before,
        Self::X,
        Self::Y,
        Self::Number,
    ];

    /// Limbs of what it strikes.
    pub fn limbs(self) -> usize {
        match self {
            Self::Scalar => 4,
            _ => 5,
        }
    }

    /// Whether keys come by.
    pub fn is_of_keys(self) -> bool {
        self != Self::Number
    }
}

#[derive(Clone, Copy)]
struct Fault {
    stage: Stage,
    /// Times that the stage is passed before.
    after: usize,
    lane: usize,
    limb: usize,
    bit: usize,
}

thread_local! {
    static NEXT: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Flips a bit when a stage is passed for the time after `after` others, on this thread.
pub fn strike_next(stage: Stage, after: usize, lane: usize, limb: usize, bit: usize) {
    NEXT.set(Some(Fault {
        stage,
        after,
        lane,
        limb,
        bit,
    }));
}

/// Whether the fault has come about; it is forgotten.
pub fn has_struck() -> bool {
    NEXT.take().is_none()
}

/// Which bit of which lane and limb flips now, where one does.
pub fn strikes(stage: Stage) -> Option<(usize, usize, u64)> {
    let fault = NEXT.get().filter(|fault| fault.stage == stage)?;
    match fault.after {
        0 => {
            NEXT.set(None);
            Some((fault.lane, fault.limb, 1 << fault.bit))
        }
        after => {
            NEXT.set(Some(Fault {
                after: after - 1,
                ..fault
            }));
            None
        }
    }
}
