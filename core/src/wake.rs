//! Sleeping until the writer commits, without polling.
//!
//! The waiters' flag is the first word of a small file beside the ring, which readers may write.
//! A waiter raises the flag, looks at the ring once more, and sleeps while the flag is up. The writer
//! commits, looks at the flag, and makes the system call only if it is up. A killed waiter leaves the
//! flag up: one needless call, then it is down again.

use std::time::Duration;

use crate::memory::Memory;
use crate::reader::Reader;
use crate::sync::{AtomicU32, Ordering, fence};

/// A flag to sleep on.
pub trait Bell {
    /// The flag: 1 while somebody may sleep.
    fn flag(&self) -> &AtomicU32;
    /// Sleeps while the flag is 1, at most for the timeout; may return early.
    fn sleep(&self, timeout: Duration);
    /// Wakes all sleepers.
    fn wake_all(&self);
}

/// Wakes whoever waits; to be called after each commit.
pub fn ring_bell<B: Bell>(bell: &B) {
    // SeqCst: puts the commit before the look at the flag in the one order that all threads agree
    // on. The waiter does the same with flag and commit, so at least one of the two sees the other.
    fence(Ordering::SeqCst);
    // Relaxed: the fence orders it.
    if bell.flag().load(Ordering::Relaxed) == 0 {
        return;
    }
    // Relaxed: what waiters read next they acquire from the ring itself.
    if bell.flag().swap(0, Ordering::Relaxed) != 0 {
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
    bell.flag().store(1, Ordering::Relaxed);
    // SeqCst: see `ring_bell`.
    fence(Ordering::SeqCst);
    if is_due() {
        return true;
    }
    bell.sleep(timeout);
    is_due()
}
