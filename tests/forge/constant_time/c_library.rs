//! The C library: its functions that are passed over, what each is asked, and the blocks that it gave.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use iced_x86::Register::{self, RDI, RDX, RSI};

/// Functions of the C library that are passed over, by their addresses.
pub type Functions = BTreeMap<u64, Call>;

/// A call that is passed over, and what must be the same in both processes for it: then whoever watches learns nothing.
#[derive(Clone, Copy)]
pub struct Call {
    pub name: &'static str,
    /// Arguments that are numbers.
    pub numbers: &'static [Register],
    /// Arguments that are places in memory.
    pub places: &'static [Register],
    pub gives: Gives,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Gives {
    Nothing,
    /// A block, which it returns.
    Returned,
    /// A block, which it writes where the first argument points to.
    Written,
}

/// What memory is asked for, and how much is copied. What these do inside depends on what other threads have given back, and on
/// where blocks lie.
const CALLS: [Call; 10] = {
    use Gives::{Nothing, Returned, Written};
    const fn call(
        name: &'static str,
        numbers: &'static [Register],
        places: &'static [Register],
        gives: Gives,
    ) -> Call {
        Call {
            name,
            numbers,
            places,
            gives,
        }
    }
    [
        call("malloc", &[RDI], &[], Returned),
        call("calloc", &[RDI, RSI], &[], Returned),
        call("realloc", &[RSI], &[RDI], Returned),
        call("aligned_alloc", &[RDI, RSI], &[], Returned),
        call("posix_memalign", &[RSI, RDX], &[RDI], Written),
        call("free", &[], &[RDI], Nothing),
        call("memcpy", &[RDX], &[RDI, RSI], Nothing),
        call("memmove", &[RDX], &[RDI, RSI], Nothing),
        call("memset", &[RDX], &[RDI], Nothing),
        // What a thread has of its own, by a number that says what for.
        call("pthread_getspecific", &[RDI], &[], Returned),
    ]
};

/// Octets of what a thread has of its own.
const OF_A_THREAD: u64 = 64;

impl Call {
    /// How long a block is that it gives, by the values of its numbers.
    pub fn length(&self, numbers: &[u64]) -> u64 {
        match self.name {
            "calloc" => numbers.iter().product(),
            "pthread_getspecific" => OF_A_THREAD,
            _ => numbers.last().copied().unwrap_or(0),
        }
    }
}

/// Where a process has these functions: `word` reads what the dynamic linker wrote at a place of the program.
pub fn functions_of(program: &Path, word: impl Fn(u64) -> u64) -> Functions {
    let relocations = Command::new("readelf")
        .arg("--relocs")
        .arg("--wide")
        .arg(program)
        .output()
        .expect("there is readelf");
    let relocations = String::from_utf8(relocations.stdout).expect("relocations are text");
    let functions = relocations.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let place = u64::from_str_radix(fields.next()?, 16).ok()?;
        let is_address = matches!(fields.nth(1)?, "R_X86_64_GLOB_DAT" | "R_X86_64_JUMP_SLOT");
        let name = fields.nth(1)?.split('@').next()?;
        let call = CALLS.iter().find(|call| is_address && call.name == name)?;
        Some((word(place), *call))
    });
    functions.collect()
}

/// Blocks that were given to both since the comparison began: where each lies in the first, how long it is, and how
/// much further on it lies in the second.
#[derive(Default)]
pub struct Blocks(BTreeMap<u64, (u64, u64)>);

impl Blocks {
    pub fn put(&mut self, places: [u64; 2], length: u64) {
        let end = places[0].saturating_add(length);
        // What lay there was given back.
        let over: Vec<u64> = self
            .0
            .range(..end)
            .rev()
            .take_while(|(place, (length, _))| *place + length > places[0])
            .map(|(place, _)| *place)
            .collect();
        for place in over {
            self.0.remove(&place);
        }
        self.0
            .insert(places[0], (length, places[1].wrapping_sub(places[0])));
    }

    /// Whether two addresses are the same place of one block.
    pub fn have(&self, address: u64, distance: u64) -> bool {
        let block = self.0.range(..=address).next_back();
        block.is_some_and(|(place, (length, apart))| address <= place + length && *apart == distance)
    }
}
