//! Where a script is and whether it must end, in memory that another process shares.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The shared cells; relaxed, because each stands for itself.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The current line, 0 before the first.
    pub line: &'static AtomicU32,
    /// Not 0 once the script must end.
    pub stop: &'static AtomicU32,
    /// The bits of an `f64`: 0 to 1, below 0 where nobody knows.
    pub progress: &'static AtomicU64,
    /// Whether the process ran out of memory.
    pub exhausted: &'static AtomicBool,
}

impl Page {
    pub(super) fn at(&self, line: u32) {
        self.line.store(line, Ordering::Relaxed);
    }

    pub(super) fn must_look(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != 0 || self.exhausted.load(Ordering::Relaxed)
    }

    pub(super) fn fraction(&self) -> f64 {
        f64::from_bits(self.progress.load(Ordering::Relaxed))
    }

    /// Never lowers it.
    pub(super) fn raise(&self, fraction: f64) {
        let raised = fraction.max(self.fraction()).clamp(0.0, 1.0);
        self.progress.store(raised.to_bits(), Ordering::Relaxed);
    }
}
