//! The machine: what is told of it, so that rates of two reports can be held against each other.

use serde::{Deserialize, Serialize};

/// A machine, as far as it matters to rates. What nobody tells is empty or zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's own name.
    pub processor: String,
    /// Threads that may run at once.
    pub threads: usize,
    pub memory_octets: u64,
    /// Such as `x86_64`.
    pub architecture: String,
    /// Such as `linux 6.1.0-13-amd64`.
    pub system: String,
    /// Those of the processor's instructions that engines and digests use, in order of their names.
    pub features: Vec<String>,
    /// Whether the processor has instructions for SHA-256.
    pub has_sha_instructions: bool,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let kernel = read("/proc/sys/kernel/osrelease");
        let features = features();
        Self {
            processor: processor(&read("/proc/cpuinfo")).to_owned(),
            threads: std::thread::available_parallelism().map_or(0, usize::from),
            memory_octets: octets(&read("/proc/meminfo"), "MemTotal").unwrap_or(0),
            architecture: std::env::consts::ARCH.to_owned(),
            system: format!("{} {}", std::env::consts::OS, kernel.trim())
                .trim_end()
                .to_owned(),
            has_sha_instructions: features
                .iter()
                .any(|feature| ["sha", "sha2"].contains(&&**feature)),
            features,
        }
    }
}

/// The most memory that this process had resident so far, in octets; `None` where nobody tells.
pub(super) fn peak_memory() -> Option<u64> {
    octets(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

/// The processor's name in `/proc/cpuinfo` (proc(5)).
fn processor(cpuinfo: &str) -> &str {
    field(cpuinfo, "model name").unwrap_or_default()
}

/// A size that stands in kB, as `/proc/meminfo` and `/proc/self/status` have it.
fn octets(text: &str, name: &str) -> Option<u64> {
    let kilobytes = field(text, name)?.strip_suffix("kB")?.trim_end();
    kilobytes.parse::<u64>().ok()?.checked_mul(1024)
}

/// The value of the first line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim_end() == name).then_some(value.trim())
    })
}

/// Of these features, those that the processor has.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! detected {
    ($is_there:ident: $($name:tt)+) => {
        [$(($name, std::arch::$is_there!($name))),+]
            .into_iter()
            .filter_map(|(name, is_there)| is_there.then(|| name.to_owned()))
            .collect()
    };
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<String> {
    detected!(is_x86_feature_detected: "adx" "aes" "avx2" "avx512f" "avx512ifma" "bmi2" "sha" "ssse3" "vaes" "vpclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<String> {
    detected!(is_aarch64_feature_detected: "aes" "neon" "sha2" "sve")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<String> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_says() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9R14\nflags\t\t: fpu\n\n\
                       processor\t: 1\nmodel name\t: another\n";
        assert_eq!(processor(cpuinfo), "AMD EPYC 9R14");
        assert_eq!(processor("processor\t: 0\nBogoMIPS\t: 243.75\n"), "");
        let status = "VmPeak:\t  9 kB\nVmHWM:\t   16384 kB\nThreads:\t2\n";
        assert_eq!(octets(status, "VmHWM"), Some(16 << 20));
        for (name, text) in [
            ("VmRSS", status),
            ("Threads", status),
            ("VmHWM", "VmHWM: many kB\n"),
            ("VmHWM", ""),
        ] {
            assert_eq!(octets(text, name), None, "{name} in {text}");
        }
    }

    #[test]
    fn this_machine_has_a_thread_and_features_in_order() {
        let machine = Machine::this();
        assert!(machine.threads > 0);
        assert!(machine.features.is_sorted());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        assert!(peak_memory().is_some_and(|octets| octets > 1 << 20));
    }
}
