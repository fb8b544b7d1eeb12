//! The shared bytes as writer and reader see them: words that are atomic, and bulk that is not.
//!
//! The protocol is written against these two traits, so that loom runs the same code over its own
//! atomics that real readers run over a mapping.

use crate::sync::Ordering;

/// Bytes that somebody else may change at any time.
pub trait Memory {
    /// Loads the 8-aligned word at a file offset.
    fn load(&self, at: usize, order: Ordering) -> u64;

    /// Copies bulk bytes out. They may be torn: use them only after a check that they were not.
    fn copy_out(&self, at: usize, into: &mut [u8]);

    /// Begins to fetch bytes that are soon looked at, where a processor can be asked to.
    fn fetch(&self, _at: usize, _len: usize) {}
}

/// Bytes that only this writer changes.
pub trait MemoryMut: Memory {
    /// Stores the 8-aligned word at a file offset.
    fn store(&self, at: usize, value: u64, order: Ordering);

    /// Copies bulk bytes in.
    fn copy_in(&self, at: usize, from: &[u8]);

    /// Begins to fetch bytes that are soon written, where a processor can be asked to.
    fn expect(&self, _at: usize, _len: usize) {}

    /// Sets bulk bytes to zero.
    fn zero(&self, at: usize, len: usize) {
        const ZEROS: [u8; 64] = [0; 64];
        let mut done = 0;
        while done < len {
            let step = ZEROS.len().min(len - done);
            self.copy_in(at + done, &ZEROS[..step]);
            done += step;
        }
    }
}

impl<M: Memory + ?Sized> Memory for std::sync::Arc<M> {
    #[inline(always)]
    fn load(&self, at: usize, order: Ordering) -> u64 {
        (**self).load(at, order)
    }

    #[inline(always)]
    fn copy_out(&self, at: usize, into: &mut [u8]) {
        (**self).copy_out(at, into);
    }

    #[inline(always)]
    fn fetch(&self, at: usize, len: usize) {
        (**self).fetch(at, len);
    }
}

impl<M: MemoryMut + ?Sized> MemoryMut for std::sync::Arc<M> {
    #[inline(always)]
    fn store(&self, at: usize, value: u64, order: Ordering) {
        (**self).store(at, value, order);
    }

    #[inline(always)]
    fn copy_in(&self, at: usize, from: &[u8]) {
        (**self).copy_in(at, from);
    }

    #[inline(always)]
    fn expect(&self, at: usize, len: usize) {
        (**self).expect(at, len);
    }
}
