//! Whether this process made something, or is a fork of the one that did. One of the places with
//! `unsafe`.
//!
//! To ask for the process's id is a system call, which would cost a writer as much as a row. So the
//! forks are counted where they happen, and to ask is to load one number. A child that is made by
//! the bare system call, past the C library, is not counted, nor is one that shares its parent's
//! memory until it becomes another program, which makes no use of what is asked about.
#![allow(unsafe_code, reason = "the system's own calls")]

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::RingError;

/// How many forks lie between this process and the first one.
static FORKS: AtomicU64 = AtomicU64::new(0);
/// The forks are counted.
static COUNTED: AtomicBool = AtomicBool::new(false);

extern "C" fn count() {
    // Relaxed: the child has one thread, this one, which comes back to its program only afterwards;
    // the threads that it starts later see what it did before.
    FORKS.fetch_add(1, Ordering::Relaxed);
}

fn count_forks() -> Result<(), RingError> {
    // Relaxed, here and below: nothing is read on the strength of it. Two threads that come here at
    // once have each fork counted twice, which tells child and parent apart as well. A lock would
    // stay locked in a child that is forked meanwhile.
    if COUNTED.load(Ordering::Relaxed) {
        return Ok(());
    }
    // SAFETY: the handler is a function of this library, which Python never unloads, and programs
    // that link it cannot. It adds to a number, which is allowed between fork and whatever follows.
    let code = unsafe { libc::pthread_atfork(None, None, Some(count)) };
    if code != 0 {
        let error = io::Error::from_raw_os_error(code);
        return Err(RingError::Io("cannot have forks counted".into(), error));
    }
    COUNTED.store(true, Ordering::Relaxed);
    Ok(())
}

/// The process that made something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maker {
    forks: u64,
    process: u32,
}

impl Maker {
    /// This process.
    pub fn this() -> Result<Self, RingError> {
        count_forks()?;
        // Relaxed: see `count`; the number never changes while a process runs.
        Ok(Self { forks: FORKS.load(Ordering::Relaxed), process: std::process::id() })
    }

    /// Whether it is this process.
    #[inline(always)]
    pub fn is_here(&self) -> bool {
        // Relaxed: as in `this`.
        FORKS.load(Ordering::Relaxed) == self.forks
    }

    #[cold]
    fn forked(&self) -> RingError {
        RingError::Forked { maker: self.process }
    }

    /// Refuses to go on in a fork of it.
    #[inline(always)]
    pub fn check(&self) -> Result<(), RingError> {
        if self.is_here() { Ok(()) } else { Err(self.forked()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Forks; the child ends with what `code` says there, which must be safe between fork and exit.
    fn ends_with(code: impl Fn() -> i32) -> i32 {
        // SAFETY: the child calls `code`, which loads a number, and ends at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: ends the process, without anything that other threads may have left half done.
            unsafe { libc::_exit(code()) };
        }
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        libc::WEXITSTATUS(status)
    }

    #[test]
    fn a_fork_is_not_the_maker() {
        let maker = Maker::this().unwrap();
        assert_eq!(ends_with(|| i32::from(maker.is_here())), 0);
        assert!(maker.is_here());
        assert_eq!(Maker::this().unwrap(), maker);
    }

    #[test]
    fn a_fork_makes_things_of_its_own() {
        let its_own = || i32::from(Maker::this().is_ok_and(|maker| maker.is_here()));
        assert_eq!(ends_with(its_own), 1);
    }

    #[test]
    fn the_refusal_names_the_maker() {
        let forked = Maker { forks: u64::MAX, process: 17 };
        let text = forked.check().unwrap_err().to_string();
        assert!(text.contains("process 17"), "{text}");
    }
}
