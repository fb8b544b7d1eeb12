//! Sleeping until the writer commits, without polling.
//!
//! The bell is the first word of a small file beside the ring, which readers may write. It counts:
//! odd while somebody may sleep, even otherwise. A waiter makes it odd, looks at the ring once more,
//! and sleeps while it still has that value. The writer commits, looks at the bell, and only if it is
//! odd makes it even and calls the system. A killed waiter leaves it odd: one needless call.
//!
//! A mere flag would not do. Between a waiter's last look and its sleep, the writer may lower the
//! flag and a second waiter raise it again; the first would then fall asleep on a commit it never
//! heard of. A count never comes back to the value that the first one waits on.

use std::time::Duration;

use crate::memory::Memory;
use crate::reader::Reader;
use crate::sync::{AtomicU32, Ordering, fence};

/// A word to sleep on.
pub trait Bell {
    /// The word: odd while somebody may sleep.
    fn word(&self) -> &AtomicU32;
    /// Sleeps while the word has this value, at most for the timeout; may return early.
    fn sleep(&self, value: u32, timeout: Duration);
    /// Wakes all sleepers.
    fn wake_all(&self);
}

/// Wakes whoever waits; to be called after each commit.
pub fn ring_bell<B: Bell>(bell: &B) {
    // SeqCst: puts the commit before the look at the bell in the one order that all threads agree
    // on. The waiter does the same with bell and commit, so at least one of the two sees the other.
    fence(Ordering::SeqCst);
    // Relaxed: the fence orders it. Only this side makes the word even, so it stays odd until then.
    if bell.word().load(Ordering::Relaxed) % 2 == 1 {
        // Relaxed: what waiters read next they acquire from the ring itself.
        bell.word().fetch_add(1, Ordering::Relaxed);
        bell.wake_all();
    }
}

/// Sleeps until a record is committed, the ring is closed, the timeout passes, or for no reason.
///
/// Returns whether there is something to find out.
pub fn wait_once<M: Memory, B: Bell>(
    reader: &Reader<M>,
    bell: &B,
    sequence: u64,
    timeout: Duration,
) -> bool {
    let is_due = || reader.next_sequence() > sequence || reader.is_closed();
    if is_due() {
        return true;
    }
    // Relaxed: the fence below orders it.
    let value = bell.word().fetch_or(1, Ordering::Relaxed) | 1;
    // SeqCst: see `ring_bell`.
    fence(Ordering::SeqCst);
    if is_due() {
        return true;
    }
    bell.sleep(value, timeout);
    is_due()
}
