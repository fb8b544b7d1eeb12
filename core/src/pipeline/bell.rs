//! Waiting for something that another thread does: a bounded spin, then sleep until it rings.

use std::time::Instant;

use crate::sync::{AtomicU32, Condvar, Mutex, MutexGuard, Ordering, fence};

/// Looks before a waiter goes to sleep; a few microseconds.
#[cfg(not(loom))]
const SPINS: u32 = 100;
#[cfg(loom)]
const SPINS: u32 = 0;

/// Wakes who waits for a change; costs one load where nobody does.
#[derive(Debug)]
pub struct Bell {
    waiters: AtomicU32,
    lock: Mutex<()>,
    rung: Condvar,
}

impl Default for Bell {
    fn default() -> Self {
        Self { waiters: AtomicU32::new(0), lock: Mutex::new(()), rung: Condvar::new() }
    }
}

impl Bell {
    /// Wakes all waiters; to be called after the change.
    #[inline]
    pub fn ring(&self) {
        // SeqCst: puts the change before the look at the waiters in the one order all threads agree
        // on. A waiter does the same with the count and its look, so one of the two sees the other.
        fence(Ordering::SeqCst);
        // Relaxed: the fence orders it, and nothing is read on its strength.
        if self.waiters.load(Ordering::Relaxed) != 0 {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // A waiter holds the lock from before its last look until it sleeps.
        drop(self.locked());
        self.rung.notify_all();
    }

    /// Looks until there is something or the deadline has passed.
    pub fn wait<T>(&self, deadline: Instant, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        for _ in 0..=SPINS {
            if let Some(found) = look() {
                return Some(found);
            }
            std::hint::spin_loop();
        }
        let mut guard = self.locked();
        // Relaxed: the fence below orders it before the look.
        self.waiters.fetch_add(1, Ordering::Relaxed);
        // SeqCst: see `ring`.
        fence(Ordering::SeqCst);
        let found = loop {
            if let Some(found) = look() {
                break Some(found);
            }
            match self.sleep(guard, deadline) {
                Ok(again) => guard = again,
                Err(()) => break look(),
            }
        };
        // Relaxed: a ring too many is harmless.
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        found
    }

    #[cfg(not(loom))]
    fn locked(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[cfg(loom)]
    fn locked(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().expect("loom does not poison")
    }

    #[cfg(not(loom))]
    fn sleep<'a>(
        &self,
        guard: MutexGuard<'a, ()>,
        deadline: Instant,
    ) -> Result<MutexGuard<'a, ()>, ()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(());
        }
        let woken = self.rung.wait_timeout(guard, left);
        Ok(woken.unwrap_or_else(std::sync::PoisonError::into_inner).0)
    }

    /// Under loom nobody oversleeps: a lost wake-up is a deadlock, which loom reports.
    #[cfg(loom)]
    fn sleep<'a>(
        &self,
        guard: MutexGuard<'a, ()>,
        _deadline: Instant,
    ) -> Result<MutexGuard<'a, ()>, ()> {
        Ok(self.rung.wait(guard).expect("loom does not poison"))
    }
}
