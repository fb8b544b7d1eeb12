//! A value that is put in once. One of the places with `unsafe`.
//!
//! `OnceLock` does so too, and is ready for threads that wait for each other; here nobody waits, and
//! whoever has just woken up runs through a quarter of the code.
#![allow(unsafe_code, reason = "a place that two threads could reach")]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU8, Ordering};

const EMPTY: u8 = 0;
const FILLING: u8 = 1;
const FULL: u8 = 2;

/// Room for a value.
pub struct Once<T> {
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: one thread alone writes the value, before any other sees it; afterwards all only read it.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { state: AtomicU8::new(EMPTY), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// The value, if it is there.
    #[inline(always)]
    pub fn get(&self) -> Option<&T> {
        // Acquire: pairs with the release in `set`, so that the value is seen whole.
        // SAFETY: where that is seen, the value was written, and nobody writes it again.
        (self.state.load(Ordering::Acquire) == FULL)
            .then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// Puts it in; given back where another is there, or on its way.
    #[inline(always)]
    pub fn set(&self, value: T) -> Result<(), T> {
        // Relaxed: it says who may write, and orders nothing.
        let order = Ordering::Relaxed;
        if self.state.compare_exchange(EMPTY, FILLING, order, order).is_err() {
            return Err(value);
        }
        // SAFETY: no other thread passes the exchange, and none reads before the store below.
        unsafe { (*self.value.get()).write(value) };
        // Release: pairs with the acquire in `get`.
        self.state.store(FULL, Ordering::Release);
        Ok(())
    }
}

impl<T> Drop for Once<T> {
    fn drop(&mut self) {
        if *self.state.get_mut() == FULL {
            // SAFETY: it was written, and nobody else has it any more.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}
