//! Who holds a pool's buffer: one owner who may write, or any number of readers.
#![allow(unsafe_code, reason = "owners reach their own slot by its index")]

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

use super::pool::Inner;
use crate::sync::{Arc, Ordering, fence};

/// A buffer with one owner; it goes back to its pool when it is dropped.
///
/// ```compile_fail
/// fn shared_between_threads<T: Sync>() {}
/// shared_between_threads::<ringdaq_core::pipeline::Packet<u32>>();
/// ```
pub struct Packet<T> {
    pool: Arc<Inner<T>>,
    index: u32,
    /// `Send`, but not `Sync`: one stage has it at a time.
    _one_thread: PhantomData<Cell<()>>,
}

/// A frozen buffer; the last one to be dropped takes it back to its pool.
pub struct SharedPacket<T> {
    pool: Arc<Inner<T>>,
    index: u32,
}

impl<T> Packet<T> {
    pub(super) fn new(pool: Arc<Inner<T>>, index: u32) -> Self {
        Self { pool, index, _one_thread: PhantomData }
    }

    fn taken_apart(self) -> (Arc<Inner<T>>, u32) {
        let parts = ManuallyDrop::new(self);
        // SAFETY: `parts` is neither used nor dropped again, so its pool is moved out once.
        (unsafe { std::ptr::read(&parts.pool) }, parts.index)
    }

    /// Gives up writing, so that several may read.
    pub fn freeze(self) -> SharedPacket<T> {
        let (pool, index) = self.taken_apart();
        // Relaxed: whoever is handed a share later is handed the packet by other means.
        pool.slots[index as usize].shares.store(1, Ordering::Relaxed);
        SharedPacket { pool, index }
    }

    /// Reads the buffer.
    pub fn read<R>(&self, call: impl FnOnce(&T) -> R) -> R {
        // SAFETY: this packet is the slot's only owner, and borrowed.
        self.pool.read(self.index, |value| call(unsafe { &*value }))
    }

    /// Writes the buffer.
    pub fn write<R>(&mut self, call: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: this packet is the slot's only owner, and borrowed mutably.
        self.pool.write(self.index, |value| call(unsafe { &mut *value }))
    }
}

impl<T> Deref for Packet<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this packet is the slot's only owner, and borrowed.
        unsafe { &*self.pool.value(self.index) }
    }
}

impl<T> DerefMut for Packet<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this packet is the slot's only owner, and borrowed mutably.
        unsafe { &mut *self.pool.value(self.index) }
    }
}

impl<T> Drop for Packet<T> {
    fn drop(&mut self) {
        self.pool.push(self.index);
    }
}

impl<T: fmt::Debug> fmt::Debug for Packet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Packet").field(&**self).finish()
    }
}

impl<T> SharedPacket<T> {
    /// Whether there is no other reader; only then can it be thawed.
    pub fn is_mutable(&self) -> bool {
        // Relaxed: only a hint; `thaw` looks again.
        self.pool.slots[self.index as usize].shares.load(Ordering::Relaxed) == 1
    }

    /// The packet again, writable, if this was the only reader left.
    pub fn thaw(self) -> Result<Packet<T>, Self> {
        // Acquire: what the other readers did before they let go happens before this owner writes.
        if self.pool.slots[self.index as usize].shares.load(Ordering::Acquire) != 1 {
            return Err(self);
        }
        let parts = ManuallyDrop::new(self);
        // SAFETY: `parts` is neither used nor dropped again, so its pool is moved out once.
        Ok(Packet::new(unsafe { std::ptr::read(&parts.pool) }, parts.index))
    }

    /// Reads the buffer.
    pub fn read<R>(&self, call: impl FnOnce(&T) -> R) -> R {
        // SAFETY: a frozen buffer is only read until its last share is gone.
        self.pool.read(self.index, |value| call(unsafe { &*value }))
    }
}

impl<T> Clone for SharedPacket<T> {
    fn clone(&self) -> Self {
        // Relaxed: there is a share already, so the buffer cannot go away meanwhile.
        self.pool.slots[self.index as usize].shares.fetch_add(1, Ordering::Relaxed);
        Self { pool: Arc::clone(&self.pool), index: self.index }
    }
}

impl<T> Deref for SharedPacket<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: a frozen buffer is only read until its last share is gone.
        unsafe { &*self.pool.value(self.index) }
    }
}

impl<T> Drop for SharedPacket<T> {
    fn drop(&mut self) {
        // Release: what this reader did happens before the buffer is used again.
        if self.pool.slots[self.index as usize].shares.fetch_sub(1, Ordering::Release) == 1 {
            // Acquire: so does what the others did; their releases are in the count.
            fence(Ordering::Acquire);
            self.pool.push(self.index);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for SharedPacket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedPacket").field(&**self).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use super::super::Pool;

    fn pool(size: usize) -> Pool<u64> {
        Pool::new(size, || 0).unwrap()
    }

    #[test]
    fn a_packet_dropped_on_any_thread_returns() {
        let pool = pool(2);
        let packets = [pool.try_acquire().unwrap(), pool.try_acquire().unwrap()];
        assert!(pool.try_acquire().is_none());
        for packet in packets {
            thread::spawn(move || drop(packet)).join().unwrap();
        }
        let found = pool.statistics();
        assert_eq!((found.size, found.in_use, found.peak), (2, 0, 2));
        assert_eq!((found.acquired, found.misses), (2, 1));
    }

    #[test]
    fn a_packet_keeps_its_pool_alive() {
        let pool = pool(1);
        let mut packet = pool.try_acquire().unwrap();
        drop(pool);
        *packet = 7;
        assert_eq!(*packet, 7);
    }

    #[test]
    fn the_last_share_returns_the_buffer_and_the_only_one_thaws() {
        let pool = pool(1);
        let mut packet = pool.try_acquire().unwrap();
        *packet = 5;
        let first = packet.freeze();
        let second = first.clone();
        assert!(!first.is_mutable());
        let first = first.thaw().unwrap_err();
        assert_eq!((*first, *second), (5, 5));
        drop(second);
        let packet = first.thaw().unwrap();
        let shares = [packet.freeze()];
        assert_eq!(pool.statistics().in_use, 1);
        drop(shares);
        assert_eq!(pool.statistics().in_use, 0);
    }

    #[test]
    fn who_waits_gets_what_comes_back() {
        let pool = pool(1);
        let packet = pool.try_acquire().unwrap();
        let waiting = pool.clone();
        let waiter = thread::spawn(move || {
            waiting.acquire(Instant::now() + Duration::from_secs(20)).is_some()
        });
        drop(packet);
        assert!(waiter.join().unwrap());
        let _taken = pool.try_acquire().unwrap();
        assert!(pool.acquire(Instant::now()).is_none());
    }
}
