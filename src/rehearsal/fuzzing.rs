//! What the targets in `fuzz/` have no other way to: no part of the library.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

pub use super::leaf::judge;
use super::link::Link;
use super::packet::Version;

/// What an endpoint says of a device's first message of TLS, if it has all of it or what came is none.
#[must_use]
pub fn read_hello(octets: &[u8]) -> Option<String> {
    super::tls::read_hello(octets)
}

/// How many packets an endpoint reads, if a device sends these octets.
#[must_use]
pub fn packets_of_client(octets: &[u8]) -> usize {
    count(Link::accept(tokio::io::join(octets, tokio::io::sink())))
}

/// How many packets a device reads, if an endpoint sends these octets.
#[must_use]
pub fn packets_of_server(octets: &[u8], version: Version) -> usize {
    count(Link::open(tokio::io::join(octets, tokio::io::sink()), version))
}

/// Reads packets until there are no more, and sends each back.
fn count(mut link: Link<tokio::io::Join<&[u8], tokio::io::Sink>>) -> usize {
    let reading = async {
        let mut count = 0;
        while let Ok(Some(packet)) = link.next().await {
            count += 1;
            // One that cannot be sent is refused.
            let _ = link.send(packet).await;
        }
        count
    };
    // What is in memory is not waited for.
    match pin!(reading).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(count) => count,
        Poll::Pending => unreachable!("octets in memory are there at once"),
    }
}
