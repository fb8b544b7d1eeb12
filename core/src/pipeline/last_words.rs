//! What a sender says as it ends, where its queue has no room for it.

use crate::sync::{AtomicU32, Mutex, MutexGuard, Ordering};

/// One value beside a queue, which comes after all that its sender had put in.
#[derive(Debug)]
pub struct LastWords<T> {
    said: AtomicU32,
    words: Mutex<Option<T>>,
}

impl<T> Default for LastWords<T> {
    fn default() -> Self {
        Self { said: AtomicU32::new(0), words: Mutex::new(None) }
    }
}

impl<T> LastWords<T> {
    /// Says them, unless another sender has.
    pub fn say(&self, words: T) {
        self.locked().get_or_insert(words);
        // Release: who sees that they are said finds them, and what the sender had sent before.
        self.said.store(1, Ordering::Release);
    }

    /// Whether they are said; to be asked before the look into the queue, as what was sent before
    /// them comes first.
    #[inline]
    pub fn are_said(&self) -> bool {
        // Acquire: pairs with the release in `say`.
        self.said.load(Ordering::Acquire) != 0
    }

    /// Takes them; nothing if they were taken.
    pub fn take(&self) -> Option<T> {
        self.locked().take()
    }

    #[cfg(not(loom))]
    fn locked(&self) -> MutexGuard<'_, Option<T>> {
        self.words.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[cfg(loom)]
    fn locked(&self) -> MutexGuard<'_, Option<T>> {
        self.words.lock().expect("loom does not poison")
    }
}
