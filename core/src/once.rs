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
#[derive(Debug)]
pub struct Once<T> {
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: one thread alone writes the value, before any other sees it; afterwards all only read it.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn a_second_value_is_given_back() {
        let once = Once::new();
        assert_eq!(once.get(), None::<&String>);
        assert_eq!(once.set("first".to_owned()), Ok(()));
        assert_eq!(once.set("second".to_owned()), Err("second".to_owned()));
        assert_eq!(once.get(), Some(&"first".to_owned()));
    }

    #[test]
    fn what_is_in_it_is_dropped_with_it() {
        let value = Arc::new(());
        let once = Once::new();
        assert!(once.set(Arc::clone(&value)).is_ok());
        assert_eq!(Arc::strong_count(&value), 2);
        drop(once);
        assert_eq!(Arc::strong_count(&value), 1);
        drop(Once::<Arc<()>>::new());
    }

    #[test]
    fn of_many_threads_one_puts_its_value_in_and_all_see_it_whole() {
        for _ in 0..200 {
            let once = Once::new();
            let race = |number: u64| (once.set([number; 8]).is_ok(), once.get().copied());
            let race = &race;
            let ends: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || race(n))).collect();
                threads.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert_eq!(ends.iter().filter(|(won, _)| *won).count(), 1);
            let winner = *once.get().unwrap();
            assert_eq!(winner, [winner[0]; 8]);
            assert!(ends.iter().filter_map(|(_, seen)| *seen).all(|value| value == winner));
        }
    }
}
