//! A ring's bytes on the heap, for tests; its writer can be made to die at any step.

use crate::layout::Geometry;
use crate::memory::{Memory, MemoryMut};
use crate::sync::{AtomicU64, Ordering};
use std::sync::Arc;

/// Words, and how many more of them may be stored before the writer is dead.
pub struct HeapMemory {
    words: Vec<AtomicU64>,
    steps_left: AtomicU64,
}

impl HeapMemory {
    pub fn new(geometry: &Geometry) -> Arc<Self> {
        let words = geometry.schema_offset() as usize / 8;
        let words = (0..words).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { words, steps_left: AtomicU64::new(u64::MAX) })
    }

    /// From now on, only so many words are stored; later ones come to nothing.
    pub fn die_after(&self, steps: u64) {
        self.steps_left.store(steps, Ordering::Relaxed);
    }

    pub fn is_dead(&self) -> bool {
        self.steps_left.load(Ordering::Relaxed) == 0
    }

    fn may_step(&self) -> bool {
        let left = self.steps_left.load(Ordering::Relaxed);
        self.steps_left.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }
}

impl Memory for HeapMemory {
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.words[at / 8].load(order)
    }

    fn copy_out(&self, at: usize, into: &mut [u8]) {
        for (index, byte) in into.iter_mut().enumerate() {
            let word = self.words[(at + index) / 8].load(Ordering::Relaxed);
            *byte = word.to_le_bytes()[(at + index) % 8];
        }
    }
}

impl MemoryMut for HeapMemory {
    fn store(&self, at: usize, value: u64, order: Ordering) {
        if self.may_step() {
            self.words[at / 8].store(value, order);
        }
    }

    fn copy_in(&self, at: usize, from: &[u8]) {
        assert_eq!(at % 8, 0);
        for (index, bytes) in from.chunks(8).enumerate() {
            let word = &self.words[at / 8 + index];
            let mut value = word.load(Ordering::Relaxed).to_le_bytes();
            value[..bytes.len()].copy_from_slice(bytes);
            if self.may_step() {
                word.store(u64::from_le_bytes(value), Ordering::Relaxed);
            }
        }
    }
}
