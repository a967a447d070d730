//! Packets, as an endpoint reads them from a device, and a device from an endpoint, in both versions of MQTT.
#![cfg_attr(fuzzing, no_main)]

use certforge::rehearsal::Version;
use certforge::rehearsal::fuzzing::{packets_of_client, packets_of_server};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

pub fn run(octets: &[u8]) {
    let counts = [
        packets_of_client(octets),
        packets_of_server(octets, Version::MQTT3),
        packets_of_server(octets, Version::MQTT5),
    ];
    // A packet has two octets at least.
    assert!(counts.iter().all(|count| count * 2 <= octets.len()));
}
