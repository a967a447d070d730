//! The first message of TLS, as an endpoint reads it from a device.
#![cfg_attr(fuzzing, no_main)]

use certforge::rehearsal::fuzzing::read_hello;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

pub fn run(octets: &[u8]) {
    // Whatever is said of it, people can read it.
    if let Some(told) = read_hello(octets) {
        assert!(!told.is_empty() && told.len() < 32_000 && !told.contains(char::is_control));
    }
}
