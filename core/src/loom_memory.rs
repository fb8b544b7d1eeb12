//! A ring's bytes and its bell as loom sees them.
//!
//! Words are loom's atomics. Bulk bytes are one atomic for each 64 bytes that names what they hold,
//! so a copy can come apart between any two of those.

#![allow(missing_debug_implementations, reason = "nobody prints these")]

use std::sync::Mutex as StdMutex;
use std::time::Duration;

use loom::sync::{Arc, Condvar, Mutex};

use crate::layout::{Geometry, HEADER_SIZE};
use crate::memory::{Memory, MemoryMut};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::wake::Bell;

pub const CHUNK: usize = 64;
/// Two records of 128 bytes fit, and the index has the two spare entries that every ring has.
pub const GEOMETRY: Geometry = Geometry { capacity: 256, index_entries: 4, schema_len: 0 };
/// The same with a rest of 64 bytes, so that a filler is needed at each wrap.
pub const WITH_FILLER: Geometry = Geometry { capacity: 320, index_entries: 5, schema_len: 0 };

pub struct LoomMemory {
    geometry: Geometry,
    words: Vec<AtomicU64>,
    chunks: Vec<AtomicU64>,
    contents: StdMutex<Vec<[u8; CHUNK]>>,
}

impl LoomMemory {
    pub fn new(geometry: Geometry) -> Arc<Self> {
        let words = (HEADER_SIZE + geometry.index_entries as usize * 32) / 8;
        let chunks = geometry.capacity as usize / CHUNK;
        Arc::new(Self {
            geometry,
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            chunks: (0..chunks).map(|_| AtomicU64::new(0)).collect(),
            contents: StdMutex::new(vec![[0; CHUNK]]),
        })
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        let index = self.geometry.index_offset() as usize;
        if at < HEADER_SIZE {
            &self.words[at / 8]
        } else {
            &self.words[(HEADER_SIZE + at - index) / 8]
        }
    }
}

impl Memory for Arc<LoomMemory> {
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.word(at).load(order)
    }

    fn copy_out(&self, at: usize, into: &mut [u8]) {
        let first = (at - HEADER_SIZE) / CHUNK;
        for (bytes, chunk) in into.chunks_mut(CHUNK).zip(&self.chunks[first..]) {
            let content = chunk.load(Ordering::Relaxed) as usize;
            bytes.copy_from_slice(&self.contents.lock().unwrap()[content][..bytes.len()]);
        }
    }
}

impl MemoryMut for Arc<LoomMemory> {
    fn store(&self, at: usize, value: u64, order: Ordering) {
        self.word(at).store(value, order);
    }

    fn copy_in(&self, at: usize, from: &[u8]) {
        let first = (at - HEADER_SIZE) / CHUNK;
        for (bytes, chunk) in from.chunks(CHUNK).zip(&self.chunks[first..]) {
            let mut content = [0; CHUNK];
            content[..bytes.len()].copy_from_slice(bytes);
            let mut contents = self.contents.lock().unwrap();
            contents.push(content);
            let name = contents.len() as u64 - 1;
            drop(contents);
            chunk.store(name, Ordering::Relaxed);
        }
    }
}

pub struct LoomBell {
    word: AtomicU32,
    bucket: Mutex<()>,
    sleepers: Condvar,
}

impl LoomBell {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::made())
    }

    pub fn made() -> Self {
        let (word, bucket) = (AtomicU32::new(0), Mutex::new(()));
        Self { word, bucket, sleepers: Condvar::new() }
    }
}

/// As the kernel does it: looking at the word and falling asleep are one step against waking.
impl Bell for LoomBell {
    fn word(&self) -> &AtomicU32 {
        &self.word
    }

    fn sleep(&self, value: u32, _: Duration) {
        let bucket = self.bucket.lock().unwrap();
        if self.word.load(Ordering::Relaxed) == value {
            drop(self.sleepers.wait(bucket).unwrap());
        }
    }

    fn wake_one(&self) {
        let _bucket = self.bucket.lock().unwrap();
        self.sleepers.notify_one();
    }

    fn wake_all(&self) {
        let _bucket = self.bucket.lock().unwrap();
        self.sleepers.notify_all();
    }
}
