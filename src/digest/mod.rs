//! SHA-256, as octets, and what is found by it.

#[cfg(target_arch = "x86_64")]
mod streams;

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hasher};

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use rayon::prelude::*;
use zeroize::Zeroize;

/// The SHA-256 of octets.
#[must_use]
pub fn sha256(octets: &[u8]) -> [u8; 32] {
    into_octets(&digest(&SHA256, octets))
}

/// The SHA-256 of each of many messages, in their order: side by side where the processor has instructions for that,
/// which is twice as fast as one after the other.
///
/// # Panics
///
/// When there are not as many places as messages.
pub fn sha256_many(messages: &[&[u8]], digests: &mut [[u8; 32]]) {
    assert_eq!(messages.len(), digests.len(), "each message has a place");
    let nothing = streams::Begun::Alike(&streams::INITIAL, 0);
    if !streams::sha256_many(nothing, messages, digests) {
        one_by_one(messages, digests, sha256);
    }
}

fn one_by_one(messages: &[&[u8]], digests: &mut [[u8; 32]], sha256: impl Fn(&[u8]) -> [u8; 32]) {
    for (message, place) in messages.iter().zip(digests) {
        *place = sha256(message);
    }
}

/// A finished SHA-256.
#[must_use]
pub(crate) fn into_octets(digest: &Digest) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest.as_ref());
    octets
}

/// What many messages begin with, hashed once.
#[derive(Clone)]
pub(crate) struct Begun {
    len: usize,
    context: Context,
    /// What all its whole blocks come to, where the processor can go on from that.
    state: Option<streams::State>,
}

impl Begun {
    pub(crate) fn new(beginning: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(beginning);
        Self {
            len: beginning.len(),
            context,
            state: streams::after(&streams::INITIAL, beginning.as_chunks().0),
        }
    }

    /// The SHA-256 of messages that all begin so, in their order.
    ///
    /// # Panics
    ///
    /// When there are not as many places as messages, or a message is shorter than what it begins with.
    pub(crate) fn sha256_many(&self, messages: &[&[u8]], digests: &mut [[u8; 32]]) {
        assert_eq!(messages.len(), digests.len(), "each message has a place");
        let whole = self.len - self.len % streams::BLOCK;
        let are_made = self.state.is_some_and(|state| {
            streams::sha256_many(streams::Begun::Alike(&state, whole), messages, digests)
        });
        if !are_made {
            one_by_one(messages, digests, |message| self.sha256(message));
        }
    }

    fn sha256(&self, message: &[u8]) -> [u8; 32] {
        let mut context = self.context.clone();
        context.update(&message[self.len..]);
        into_octets(&context.finish())
    }
}

/// What each of many messages begins with, hashed once, to go on from in more than one way. It may be secret.
pub(crate) struct BegunMany {
    /// What the whole blocks of each come to, where the processor can go on from that.
    states: Option<Vec<(streams::State, usize)>>,
    /// The same where it cannot, of all octets.
    contexts: Vec<(Context, usize)>,
}

impl BegunMany {
    pub(crate) fn new(beginnings: &[&[u8]]) -> Self {
        match streams::begin_many(beginnings) {
            Some(states) => Self {
                states: Some(states),
                contexts: Vec::new(),
            },
            None => Self::one_by_one(beginnings),
        }
    }

    fn one_by_one(beginnings: &[&[u8]]) -> Self {
        let context = |beginning: &&[u8]| {
            let mut context = Context::new(&SHA256);
            context.update(beginning);
            (context, beginning.len())
        };
        Self {
            states: None,
            contexts: beginnings.iter().map(context).collect(),
        }
    }

    /// The SHA-256 of messages, each of which begins with the beginning of the same number.
    ///
    /// # Panics
    ///
    /// When there are not as many messages and places as beginnings, or a message is shorter than what it begins with.
    pub(crate) fn sha256_many(&self, messages: &[&[u8]], digests: &mut [[u8; 32]]) {
        assert_eq!(messages.len(), digests.len(), "each message has a place");
        if let Some(states) = &self.states {
            assert_eq!(messages.len(), states.len(), "each message has a beginning");
            streams::sha256_many(streams::Begun::Each(states), messages, digests);
            return;
        }
        assert_eq!(
            messages.len(),
            self.contexts.len(),
            "each message has a beginning"
        );
        for ((message, place), (context, len)) in messages.iter().zip(digests).zip(&self.contexts) {
            let mut context = context.clone();
            context.update(&message[*len..]);
            *place = into_octets(&context.finish());
        }
    }
}

impl Drop for BegunMany {
    fn drop(&mut self) {
        for (state, _) in self.states.iter_mut().flatten() {
            state.zeroize();
        }
    }
}

/// What processors without such instructions have in their place: nothing.
#[cfg(not(target_arch = "x86_64"))]
mod streams {
    pub(super) type State = [u32; 8];
    pub(super) const INITIAL: State = [0; 8];
    pub(super) const BLOCK: usize = 64;

    #[expect(dead_code, reason = "nothing is read from it")]
    pub(super) enum Begun<'a> {
        Alike(&'a State, usize),
        Each(&'a [(State, usize)]),
    }

    pub(super) fn sha256_many(_: Begun<'_>, _: &[&[u8]], _: &mut [[u8; 32]]) -> bool {
        false
    }

    pub(super) fn begin_many(_: &[&[u8]]) -> Option<Vec<(State, usize)>> {
        None
    }

    pub(super) fn after(_: &State, _: &[[u8; BLOCK]]) -> Option<State> {
        None
    }
}

/// The first octets of a SHA-256: an identifier that is shorter and still unique.
#[must_use]
pub(crate) fn sha256_start<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut start = [0; N];
    start.copy_from_slice(&sha256(octets)[..N]);
    start
}

/// Texts that were seen, and in which block each was, in 16 octets a text: its hash, and the block's number. Two texts
/// may agree in the hash by chance, so who asks compares those that are said to be repeated.
#[derive(Debug, Default)]
pub(crate) struct Seen(Vec<u128>);

/// What [`Seen`] has more than once.
#[derive(Debug, Default)]
pub(crate) struct Repeated {
    hashes: HashSet<u64>,
    /// The blocks that have one of them.
    pub blocks: BTreeSet<u32>,
}

impl Seen {
    /// `block` is a number below 2^32.
    pub(crate) fn add(&mut self, block: u64, text: &str) {
        let block = u128::from(block) & u128::from(u32::MAX);
        self.0.push(u128::from(hash(text)) << 32 | block);
    }

    pub(crate) fn extend(&mut self, seen: Self) {
        self.0.extend(seen.0);
    }

    #[must_use]
    pub(crate) fn repeated(mut self) -> Repeated {
        self.0.par_sort_unstable();
        let mut repeated = Repeated::default();
        let pairs = self.0.windows(2).filter(|pair| pair[0] >> 32 == pair[1] >> 32);
        for &one in pairs.flatten() {
            repeated.hashes.extend(u64::try_from(one >> 32));
            repeated.blocks.extend(u32::try_from(one & u128::from(u32::MAX)));
        }
        repeated
    }
}

impl Repeated {
    #[must_use]
    pub(crate) fn has(&self, text: &str) -> bool {
        self.hashes.contains(&hash(text))
    }
}

/// A hash that is the same all over this process, and nowhere else.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    /// What two libraries say of messages.
    fn by_libraries(messages: &[&[u8]]) -> Vec<[u8; 32]> {
        let of = |message: &&[u8]| {
            let digest = ring::digest::digest(&ring::digest::SHA256, message);
            assert_eq!(digest.as_ref(), sha256(message), "the libraries agree");
            sha256(message)
        };
        messages.iter().map(of).collect()
    }

    /// Holds every way to hash these messages against the libraries. All of them begin with the first `begun` octets of
    /// the first one, if it has so many and they do.
    fn check(messages: &[&[u8]], begun: usize) {
        let expected = by_libraries(messages);
        let mut digests = vec![[0; 32]; messages.len()];
        sha256_many(messages, &mut digests);
        assert_eq!(digests, expected, "many");
        digests.fill([0; 32]);
        one_by_one(messages, &mut digests, sha256);
        assert_eq!(digests, expected, "one by one");
        let beginning = messages.first().map_or(&[][..], |message| &message[..begun]);
        if messages.iter().all(|message| message.starts_with(beginning)) {
            let begun = Begun::new(beginning);
            digests.fill([0; 32]);
            begun.sha256_many(messages, &mut digests);
            assert_eq!(digests, expected, "begun with {} octets", beginning.len());
            digests.fill([0; 32]);
            one_by_one(messages, &mut digests, |message| begun.sha256(message));
            assert_eq!(digests, expected, "begun and one by one");
        }
        // Each with a beginning of its own, from which there are two ways.
        let own = |(i, message): (usize, &&[u8])| message.len() - (37 * i + begun) % (message.len() + 1);
        let beginnings = messages.iter().enumerate().map(|each| &each.1[..own(each)]);
        let beginnings: Vec<&[u8]> = beginnings.collect();
        let expected_of_beginnings = by_libraries(&beginnings);
        for begun in [BegunMany::new(&beginnings), BegunMany::one_by_one(&beginnings)] {
            for (messages, expected) in [(&beginnings[..], &expected_of_beginnings), (messages, &expected)] {
                digests.fill([0; 32]);
                begun.sha256_many(messages, &mut digests);
                assert_eq!(&digests, expected, "begun many");
            }
        }
    }

    /// Octets that look like none of their neighbours.
    fn octets(len: usize) -> Vec<u8> {
        (0..len as u64)
            .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect()
    }

    /// FIPS 180-4 examples, and NIST's of one block, of two, and of a long message.
    #[test]
    fn many_are_those_of_the_published_examples() {
        let million = vec![b'a'; 1_000_000];
        let examples: [(&[u8], &str); 6] = [
            (
                b"",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                b"abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (
                b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
                "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
            ),
            (
                &million,
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
            ),
            (
                b"\xbd",
                "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b",
            ),
        ];
        let messages = examples.map(|(message, _)| message);
        let mut digests = [[0; 32]; 6];
        sha256_many(&messages, &mut digests);
        assert_eq!(
            digests.map(|digest| HEXLOWER.encode(&digest)),
            examples.map(|(_, hex)| hex)
        );
        check(&messages, 0);
    }

    #[test]
    fn many_of_every_length_are_those_of_the_libraries() {
        let all = octets(10_000);
        let edges = (0..=all.len() / 64)
            .flat_map(|block| [64 * block, 64 * block + 55, 64 * block + 56, 64 * block + 63]);
        let lengths: Vec<usize> = (0..300).chain(edges.filter(|len| *len <= all.len())).collect();
        let messages: Vec<&[u8]> = lengths.iter().map(|len| &all[..*len]).collect();
        check(&messages, 0);
        // Each alone, and each beside two others.
        for i in 0..300 {
            check(&messages[i..=i], i / 2);
            check(&messages[i..i + 3], i);
        }
    }

    #[test]
    fn any_number_of_messages_is_hashed() {
        let all = octets(40 * 150);
        for count in 0..=40 {
            let messages: Vec<&[u8]> = all.chunks(150).take(count).collect();
            check(&messages, 0);
        }
    }

    #[test]
    #[should_panic(expected = "each message has a place")]
    fn messages_without_places_are_refused() {
        sha256_many(&[b"a", b"b"], &mut [[0; 32]]);
    }

    proptest! {
        #[test]
        fn messages_of_any_lengths_are_hashed_side_by_side(
            beginning in prop::collection::vec(any::<u8>(), 0..300),
            rests in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..40),
            others in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5_000), 0..7),
        ) {
            let joined: Vec<Vec<u8>> = rests.iter().map(|rest| [&beginning[..], rest].concat()).collect();
            let begun: Vec<&[u8]> = joined.iter().map(Vec::as_slice).collect();
            check(&begun, if begun.is_empty() { 0 } else { beginning.len() });
            let mixed: Vec<&[u8]> = begun.iter().copied().chain(others.iter().map(Vec::as_slice)).collect();
            check(&mixed, 0);
        }
    }

    #[test]
    fn is_the_function_of_fips_180() {
        // FIPS 180-4 examples, "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(HEXLOWER.encode(&sha256(b"abc")), expected);
        assert_eq!(HEXLOWER.encode(&sha256_start::<4>(b"abc")), expected[..8]);
    }

    #[test]
    fn what_is_repeated_is_found_with_its_blocks() {
        let mut seen = Seen::default();
        for (block, texts) in [(0, ["a", "b"]), (1, ["c", "d"]), (2, ["b", "e"]), (3, ["f", "f"])] {
            let mut more = Seen::default();
            for text in texts {
                more.add(block, text);
            }
            seen.extend(more);
        }
        let repeated = seen.repeated();
        assert_eq!(repeated.blocks, BTreeSet::from([0, 2, 3]));
        let found = ["a", "b", "c", "d", "e", "f"].map(|text| repeated.has(text));
        assert_eq!(found, [false, true, false, false, false, true]);
    }
}
