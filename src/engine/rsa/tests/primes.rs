//! What is a prime and what is not: numbers of which it is known.

use num_bigint::BigUint;

use super::*;

/// The primes of the groups of RFC 2409, 6.2, and of RFC 3526, 2 and 3: their first and their last 64 bits are ones.
pub const GROUP_2: &str = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff";
const GROUP_5: &str = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca237327ffffffffffffffff";
const GROUP_14: &str = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff";

/// A Carmichael number of 1,024 bits: (6 k + 1) (12 k + 1) (18 k + 1).
pub const CARMICHAEL: &str = "cca905b0d7c417dafb148d2e7a5acf7f921f4474881bd4c21ad88bc259905b90c6ea23a780ccad0bb55cabd4907089060d1c8bfa022dda50dc23223c290ed6af11aea04f935a05b4a2d64ee94339375731b5e640d1dc4464327801126bf386c0c7e544d9e491b6ec73e4d6c4e885859995cfd1c293d81f015dcd2f1f8ed77ab9";

/// p (2 p - 1), a strong pseudoprime to bases 2 and 3.
const STRONG: &str = "d7de304d551aa15d05a4025c8190497e74bffe522aecba19133df9da3f9825bec1bb049d629261087f08ffbdd5a7e6e6c9583b8cebe7b92e6345e7cdc40a9c625851d8b2c22b834e42e1a4dbfe4f85a7e6bc4b27e73563f7d10553dfe991040c11513c1110b34b1ccd6c575a7dbd6e1da4aa2bc9b01d807092e37c4aaacea921";

/// Primes p, and how many times two divides p - 1.
const ENDS_WITH_ZEROS: [(u32, &str); 8] = [
    (
        1,
        "e13c301e692d7637351c57332747a8c34e7d697e1e4cf496b85983e78fd6c4689842c60402124679a3278fbc4f61a1e90de930db12c5284700a1868ef8737e7f0f57c2d6e6bfae9205c2ae84da5b4548b4c8f71b0c5f2e1ec2ba1990c4db7fac72b4172f8dd709b6ebab8435c4e4b591a9cff313876e61d8595ed28dfca1a15f",
    ),
    (
        2,
        "d0b278e859cea9e7611f8699d37c42cf64fee4fee59688d99f6b9020e5021beb8d2f4a3166ce6479fa682ce8256e7bd2a864c89804b690efdd0a0c19d72813e551857a7bbc3513a03652b350efd863a224505120aaf5b3c4e73457a5e9688dcb9088a152fca2ae054aa75241d3a32d8d254d2eea226c76a8ac3095c586921395",
    ),
    (
        23,
        "fbf9c83ad392dda52894e9a08dd60743c9497e70e2c1aa01a6427b875da55518c9a34b4f1f420334f9f7deb6ed61332a64abc2130a63b2e8cf64b97f074eccec829320b5edb10e46cac0dbc5f5db184c66d5e98d93527f4c2e6a35bec8cf0018fd347f7a196518ed77b852345ff1394418adc894afd2ab06d581f37647800001",
    ),
    (
        24,
        "f3c1297e878e6ecd8c2532fe0eb9d384ec7b22a53da4503ca74db061da02f38175bf3a6aa8ec102bf76596e63b03bc00a3c258d37ed8454944916031a7c2da0ad11602b99e0fdb6b31c98ba4ee3541a417adeed49106c88332a30d98b082f0242867e7f03cd48841c7e7c571fd844bf363f6eea9318bcb2cfe7650addf000001",
    ),
    (
        25,
        "f062b81a67f7518559c6ede12c982edbd06e5956e6cbc13e80f64e2dbd73084c89ef18061a42af56b0f5e6d9708ea2e26177833c8644f596b561bc32ae41dfa879f025cbdb6bb4fe04c26707fded16b283e6cbd5954d4cece558566d99278afde2022d505a3b36e2e75c5a9c2055db66e49890116e3441ce4d635236e6000001",
    ),
    (
        26,
        "ec4b99dc67441b5545864150f10a7b80b81ebe42cb4d4d15494ca5d197d07785650239300e1ebb5fc14b9bf19c52e7e2045eda23bf52dc29a50f02e8c0967e8e2ab3f6c59a7735d8a127b399c68e337832eed98587a8f33aa8c77bfd96a6b5bc8710b9613ca2863188d5745ce15e3603cb5dbe014f50ae57f5fc2a8da4000001",
    ),
    (
        100,
        "e47f72889fa72b801c2b2d9498e1bb2d1c63c6e16aebc55715935602911d95e6f129c37278abca319ba46a277fc753dd067852fbcc794f81f37d3f63b9e53daa9f5a0cab0e7a281e11fec30ac107cfe55df06816b024bb90d02fa678cc4485e9ab532230589be41124bb85a864b689f41aca8610000000000000000000000001",
    ),
    (
        900,
        "dbbbc7e9c308aa49bac08b4a57e5c21000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
    ),
];

/// Runs all rounds many times over; how many of these pass.
fn rounds<const N: usize>(words: Words, bits: usize, number: Number<N>, times: usize) -> usize {
    let mut fill = system;
    let mut search = search::<N>(words, bits, &mut fill);
    let passed = search.are_primes(&vec![number; times]).unwrap();
    passed.iter().filter(|passed| **passed).count()
}

fn is_prime<const N: usize>(words: Words, bits: usize, number: Number<N>) -> bool {
    let filtered = filtered(words, bits, &[number; 8])[0];
    filtered && rounds(words, bits, number, 8) == 8
}

#[test]
fn known_primes_are_primes() {
    for words in all_words() {
        assert!(is_prime(words, 1024, of_hex::<20>(GROUP_2)), "{words:?}");
        assert!(is_prime(words, 1536, of_hex::<30>(GROUP_5)), "{words:?}");
        assert!(is_prime(words, 2048, of_hex::<40>(GROUP_14)), "{words:?}");
        for (zeros, prime) in ENDS_WITH_ZEROS {
            let prime = of_hex::<20>(prime);
            assert_eq!((big(&prime) - 1u8).trailing_zeros(), Some(u64::from(zeros)));
            assert!(is_prime(words, 1024, prime), "{words:?}: 1 modulo 2^{zeros}");
        }
    }
}

/// The filter lets some of them through; rounds with random bases do not.
#[test]
fn pseudoprimes_are_none() {
    for words in all_words() {
        for number in [CARMICHAEL, STRONG] {
            let number = of_hex::<20>(number);
            assert!(
                filtered(words, 1024, &[number])[0],
                "{words:?}: it is one to base 2"
            );
            assert_eq!(rounds(words, 1024, number, 8), 0, "{words:?}");
        }
    }
}

/// A single round lets a pseudoprime pass for a quarter of all bases at most (Rabin): it is the rounds that make it rare.
#[test]
fn a_round_lets_a_pseudoprime_pass_for_few_bases() {
    for words in all_words() {
        let number = of_hex::<20>(STRONG);
        let numbers = vec![number; words.lanes()];
        let mut stream_fill = system;
        let mut stream = Stream::new(&mut stream_fill);
        let (mut passed_all, rounds) = (0, 320 / words.lanes());
        for _ in 0..rounds {
            let random = [1024, 1040].map(|bits| {
                (0..words.lanes())
                    .map(|_| stream.number(bits).unwrap())
                    .collect::<Vec<Number<20>>>()
            });
            let mut passed = vec![false; words.lanes()];
            words.round(&numbers, [&random[0], &random[1]], 1024, &mut passed);
            passed_all += passed.iter().filter(|passed| **passed).count();
        }
        // Three standard deviations above a quarter, of 320.
        assert!((20..=110).contains(&passed_all), "{words:?}: {passed_all} of 320");
    }
}

/// 0, 1 and -1 are no bases: a prime would pass with two of them whatever it is.
#[test]
fn what_is_no_base_lets_nothing_pass() {
    let prime = of_hex::<20>(GROUP_2);
    let p = big(&prime);
    for words in all_words() {
        let radix: BigUint = BigUint::from(1u8) << if words == Words::Library { 1024 } else { 1040 };
        for base in [BigUint::ZERO, BigUint::from(1u8), &p - 1u8] {
            // The form of the base is what the first number is.
            let form: Number<20> = number(&(base * &radix % &p));
            let mut passed = vec![true; words.lanes()];
            let same = vec![prime; words.lanes()];
            words.round(
                &same,
                [&vec![form; words.lanes()], &vec![[0; 20]; words.lanes()]],
                1024,
                &mut passed,
            );
            assert!(passed.iter().all(|passed| !passed), "{words:?}");
        }
        let form: Number<20> = number(&(&radix * 2u8 % &p));
        let mut passed = vec![false; words.lanes()];
        let same = vec![prime; words.lanes()];
        words.round(
            &same,
            [&vec![form; words.lanes()], &vec![[0; 20]; words.lanes()]],
            1024,
            &mut passed,
        );
        assert!(passed.iter().all(|passed| *passed), "{words:?}: 2 is one");
    }
}

/// One stream of random octets: the same of its numbers are primes, whatever the words.
#[test]
fn all_words_find_the_same_primes() {
    same::<20>(1024, 3000);
    same::<30>(1536, 600);
    same::<40>(2048, 300);
}

fn same<const N: usize>(bits: usize, count: usize) {
    let small = super::super::small::Small::primes();
    let seed = fastrand::u64(..);
    let mut found: Vec<Vec<Number<N>>> = Vec::new();
    for words in all_words() {
        let mut fill = seeded(seed);
        let mut stream = Stream::new(&mut fill);
        let mut numbers: Vec<Number<N>> = (0..count).map(|_| stream.candidate(bits).unwrap()).collect();
        for range in &small.stages {
            numbers = divided_by(words, &small.groups[range.clone()], &numbers);
        }
        let mut probable = Vec::new();
        for lanes in numbers.chunks(words.lanes()) {
            let mut whole = lanes.to_vec();
            whole.resize(words.lanes(), lanes[0]);
            let mut passed = vec![false; whole.len()];
            words.filter(&whole, bits, &mut passed);
            probable.extend(
                lanes
                    .iter()
                    .zip(passed)
                    .filter(|(_, passed)| *passed)
                    .map(|(number, _)| *number),
            );
        }
        let mut other_fill = system;
        let mut search = search::<N>(words, bits, &mut other_fill);
        if !probable.is_empty() {
            assert!(
                search.are_primes(&probable).unwrap().iter().all(|passed| *passed),
                "{words:?}: of random numbers"
            );
        }
        found.push(probable);
    }
    for other in &found[1..] {
        assert_eq!(found[0], *other);
    }
}
