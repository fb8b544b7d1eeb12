//! A fixed number of buffers that are lent and come back; nothing is allocated after it is made.
#![allow(unsafe_code, reason = "owners reach their own slot by its index")]

use std::fmt;
use std::time::Instant;

use super::bell::Bell;
use super::packet::Packet;
use crate::error::RingError;
use crate::sync::{Arc, AtomicU32, AtomicU64, Ordering, UnsafeCell};

/// No slot.
const NONE: u32 = u32::MAX;
/// The most buffers in one pool.
const MOST: usize = 1 << 20;

/// How a pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatistics {
    /// Buffers there are.
    pub size: u64,
    /// Buffers that are lent now.
    pub in_use: u64,
    /// The most that ever were at once.
    pub peak: u64,
    /// How often one was lent.
    pub acquired: u64,
    /// How often one was wanted and none was free.
    pub misses: u64,
}

/// One buffer and what the pool knows of it.
pub(super) struct Slot<T> {
    value: UnsafeCell<T>,
    /// Readers of the frozen buffer; only then is it used.
    pub shares: AtomicU32,
    /// The next free slot.
    next: AtomicU32,
}

/// What pool and packets share.
pub(super) struct Inner<T> {
    pub slots: Box<[Slot<T>]>,
    /// The first free slot below, a count of changes above, by which an old value is recognised.
    free: AtomicU64,
    in_use: AtomicU64,
    peak: AtomicU64,
    acquired: AtomicU64,
    misses: AtomicU64,
    returned: Bell,
}

// SAFETY: a slot's value is reached only through the one packet that owns it, or read through frozen
// ones. The free list hands a slot to one thread at a time, and what its last owner did happens
// before (see `pop` and `push`).
unsafe impl<T: Send + Sync> Sync for Inner<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Send for Inner<T> {}

/// Lends buffers to packets.
pub struct Pool<T> {
    inner: Arc<Inner<T>>,
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("statistics", &self.statistics()).finish()
    }
}

impl<T> Pool<T> {
    /// A pool of so many buffers, all made now.
    pub fn new(size: usize, mut make: impl FnMut() -> T) -> Result<Self, RingError> {
        if size == 0 || size > MOST {
            return Err(RingError::Invalid(format!(
                "a pool needs 1 to {MOST} packets; found {size}"
            )));
        }
        let slots = (0..size).map(|index| Slot {
            value: UnsafeCell::new(make()),
            shares: AtomicU32::new(0),
            next: AtomicU32::new(if index + 1 < size { index as u32 + 1 } else { NONE }),
        });
        let inner = Inner {
            slots: slots.collect(),
            free: AtomicU64::new(0),
            in_use: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            acquired: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            returned: Bell::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A packet, if a buffer is free.
    #[inline]
    pub fn try_acquire(&self) -> Option<Packet<T>> {
        let found = self.take();
        if found.is_none() {
            self.inner.missed();
        }
        found
    }

    /// A packet; waits for one to come back, until the deadline.
    pub fn acquire(&self, deadline: Instant) -> Option<Packet<T>> {
        self.try_acquire().or_else(|| self.inner.returned.wait(deadline, || self.take()))
    }

    #[inline]
    fn take(&self) -> Option<Packet<T>> {
        let index = self.inner.pop()?;
        Some(Packet::new(Arc::clone(&self.inner), index))
    }

    /// How the pool is.
    pub fn statistics(&self) -> PoolStatistics {
        let inner = &self.inner;
        // Relaxed: numbers for people; nothing is read on their strength.
        PoolStatistics {
            size: inner.slots.len() as u64,
            in_use: inner.in_use.load(Ordering::Relaxed),
            peak: inner.peak.load(Ordering::Relaxed),
            acquired: inner.acquired.load(Ordering::Relaxed),
            misses: inner.misses.load(Ordering::Relaxed),
        }
    }
}

fn follow(head: u64, index: u32) -> u64 {
    ((head >> 32).wrapping_add(1) << 32) | u64::from(index)
}

impl<T> Inner<T> {
    fn missed(&self) {
        // Relaxed: a count.
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    fn pop(&self) -> Option<u32> {
        // Acquire: pairs with the release in `push`, whose effect later changes of the same word
        // carry on; so what the slot's last owner did is seen, and `next` is what was pushed with it.
        let mut head = self.free.load(Ordering::Acquire);
        loop {
            let index = head as u32;
            if index == NONE {
                return None;
            }
            // Relaxed: if it has changed since, so has the count in `head`, and the exchange fails.
            let next = self.slots[index as usize].next.load(Ordering::Relaxed);
            let wanted = follow(head, next);
            // Acquire, on both ways: as above.
            match self.free.compare_exchange_weak(
                head,
                wanted,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => break,
                Err(found) => head = found,
            }
        }
        // Relaxed, all three: counts.
        self.acquired.fetch_add(1, Ordering::Relaxed);
        let in_use = self.in_use.fetch_add(1, Ordering::Relaxed) + 1;
        if in_use > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(in_use, Ordering::Relaxed);
        }
        Some(head as u32)
    }

    /// Takes a slot back from its last owner.
    #[inline]
    pub fn push(&self, index: u32) {
        // Relaxed: a count; before the slot is free, so that it never says more than there are.
        self.in_use.fetch_sub(1, Ordering::Relaxed);
        // Relaxed: only the number is needed; the exchange below finds out whether it is old.
        let mut head = self.free.load(Ordering::Relaxed);
        loop {
            // Relaxed: released by the exchange.
            self.slots[index as usize].next.store(head as u32, Ordering::Relaxed);
            let wanted = follow(head, index);
            // Release: hands what this owner did to the next one; see `pop`.
            match self.free.compare_exchange_weak(
                head,
                wanted,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(found) => head = found,
            }
        }
        self.returned.ring();
    }

    #[inline]
    pub fn value(&self, index: u32) -> *mut T {
        self.slots[index as usize].value.with_mut(|value| value)
    }

    /// Lets loom check that nobody writes meanwhile.
    #[inline]
    pub fn read<R>(&self, index: u32, call: impl FnOnce(*const T) -> R) -> R {
        self.slots[index as usize].value.with(call)
    }

    /// Lets loom check that nobody else is there meanwhile.
    #[inline]
    pub fn write<R>(&self, index: u32, call: impl FnOnce(*mut T) -> R) -> R {
        self.slots[index as usize].value.with_mut(call)
    }
}
