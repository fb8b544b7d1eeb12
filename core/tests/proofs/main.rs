//! What has to be proved with files, processes and thousands of tries; no test harness, as it forks.
//!
//! `RINGDAQ_MUTATIONS`, `RINGDAQ_WRITER_KILLS` and `RINGDAQ_READER_KILLS` say how many,
//! `RINGDAQ_PROOF_SECS` for how long at most (each of the three), `RINGDAQ_SEED` with which dice.
//! A word as an argument leaves out the proofs without it in their name. Counts are printed as
//! `count <name> <number>`.

mod dice;
mod fuzz;
mod kills;
mod streams;

use std::time::{Duration, Instant};

/// How much is to be tried.
pub struct Plan {
    pub seed: u64,
    pub tries: u64,
    until: Option<Instant>,
}

impl Plan {
    fn new(variable: &str, usual: u64) -> Self {
        let until = number("RINGDAQ_PROOF_SECS").map(|s| Instant::now() + Duration::from_secs(s));
        let seed = number("RINGDAQ_SEED").unwrap_or(20);
        Self { seed, tries: number(variable).unwrap_or(usual), until }
    }

    /// Whether to go on after so many tries.
    pub fn goes_on(&self, done: u64) -> bool {
        // The clock is looked at now and then: it costs as much as a try.
        let look = done.is_multiple_of(64);
        done < self.tries && !(look && self.until.is_some_and(|until| Instant::now() > until))
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number; found {text:?}")))
}

/// Prints what was counted.
pub fn count(name: &str, number: u64) {
    println!("count {name} {number}");
}

/// In memory where there is room, since thousands of files are made.
pub fn memory_directory() -> tempfile::TempDir {
    let made = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    made.expect("a directory for rings")
}

fn main() {
    let proofs: [(&str, fn()); 3] = [
        ("writer_kills", || kills::writers(&Plan::new("RINGDAQ_WRITER_KILLS", 1000))),
        ("reader_kills", || kills::readers(&Plan::new("RINGDAQ_READER_KILLS", 1000))),
        ("mutations", || fuzz::mutations(&Plan::new("RINGDAQ_MUTATIONS", 20_000))),
    ];
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    for (name, proof) in proofs {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word)) {
            proof();
        }
    }
}
