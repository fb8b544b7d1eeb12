//! Atomics and locks from `std`, or from `loom` while it checks them. Nothing else names either.

#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

#[cfg(not(loom))]
pub use std::sync::{Arc, Condvar, Mutex, MutexGuard};

#[cfg(loom)]
pub use loom::sync::{Arc, Condvar, Mutex, MutexGuard};

#[cfg(loom)]
pub use loom::cell::UnsafeCell;

/// Loom's cell without loom: a value behind a raw pointer.
#[cfg(not(loom))]
#[derive(Debug, Default)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    /// A cell with a value.
    pub const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Calls with a pointer to read by.
    #[inline(always)]
    pub fn with<R>(&self, call: impl FnOnce(*const T) -> R) -> R {
        call(self.0.get())
    }

    /// Calls with a pointer to write by.
    #[inline(always)]
    pub fn with_mut<R>(&self, call: impl FnOnce(*mut T) -> R) -> R {
        call(self.0.get())
    }
}
