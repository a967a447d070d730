//! Vector registers of a thread that is traced: what looks up many places at once has the places in one.

use std::arch::x86_64::__cpuid_count;

use iced_x86::Register;
use nix::Error;
use nix::libc::{self, iovec};
use nix::unistd::Pid;

/// The processor's extended state, as the kernel gives it (`elf.h`).
const NT_X86_XSTATE: usize = 0x202;

/// Octets that are enough for that state.
const MOST: usize = 16 * 1024;

/// Parts of the state (Intel's manual, volume 1, 13.4): of registers 0 to 15 what lies beyond 128 bits, and beyond 256; and
/// registers 16 to 31 whole.
const BEYOND_128: u32 = 2;
const BEYOND_256: u32 = 6;
const FROM_16: u32 = 7;

/// What a vector register holds.
pub fn vector(thread: Pid, register: Register) -> nix::Result<[u8; 64]> {
    let mut state = vec![0u8; MOST];
    let mut space = iovec {
        iov_base: state.as_mut_ptr().cast(),
        iov_len: MOST,
    };
    #[expect(unsafe_code, reason = "nix has no call that reads this state")]
    // SAFETY: the kernel writes no more than there is space for, and both outlive the call.
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_GETREGSET,
            thread.as_raw(),
            NT_X86_XSTATE,
            &raw mut space,
        )
    };
    Error::result(result)?;
    assert!(space.iov_len < MOST, "the state is longer");
    let place_of = |part: u32| __cpuid_count(0xd, part).ebx as usize;
    let number = register.number();
    let parts = match number < 16 {
        true => vec![
            (160 + 16 * number, 16),
            (place_of(BEYOND_128) + 16 * number, 16),
            (place_of(BEYOND_256) + 32 * number, 32),
        ],
        false => vec![(place_of(FROM_16) + 64 * (number - 16), 64)],
    };
    let octets: Vec<u8> = parts
        .into_iter()
        .flat_map(|(place, length)| state[place..place + length].iter().copied())
        .collect();
    let mut vector: [u8; 64] = octets.try_into().expect("it has as many");
    // A shorter register is the lower part.
    vector[register.size()..].fill(0);
    Ok(vector)
}
