//! Sleeping until the writer commits, without polling.
//!
//! The bell is the first word of a small file beside the ring, which readers may write. Its lowest
//! bit says that somebody may sleep, the next one that a wake-up was handed to one sleeper who is to
//! pass it on, the third that more than one may sleep, and the rest counts. A waiter sets the lowest
//! bit, and the third too if the lowest was set before, in one step, looks at the ring once more, and
//! sleeps while the word keeps its value. The writer commits, looks at the bell, and only if somebody
//! may sleep gives it a new value and wakes one sleeper: waking is what costs, and acquisition must
//! not pay for each of its readers. The sleeper that woke wakes the others, if there may be any.
//!
//! The writer may also ring for a record that it is about to commit, as whoever wakes takes longer
//! than the rest of the commit. Who is awake too soon looks on for a moment, then sleeps again, and
//! the ring after the commit forgets nobody.
//!
//! A killed waiter leaves the lowest bit set: one needless call. One that is killed in the few
//! instructions between waking and passing on leaves the second bit set: the next reader that comes
//! by passes the wake-up on, and each sleeper looks for itself after `LONGEST_SLEEP`.
//!
//! Where readers of a group may only read the word, they cannot say that they sleep. There the writer
//! counts and wakes all sleepers after each commit, and whoever waits sleeps on the count it saw.
//!
//! Mere flags would not do. Between a waiter's last look and its sleep, the writer may lower the flag
//! and a second waiter raise it again; the first would then fall asleep on a commit it never heard
//! of. A count never comes back to the value that the first one waits on.

use std::time::Duration;

use crate::memory::Memory;
use crate::reader::Reader;
use crate::sync::{AtomicU32, Ordering, fence};

/// Somebody may sleep.
const ASLEEP: u32 = 1;
/// Somebody was woken and is to wake the others.
const PASS_ON: u32 = 2;
/// More than one may sleep.
const CROWD: u32 = 4;
const COUNT: u32 = 8;

/// A word to sleep on.
pub trait Bell {
    /// The word.
    fn word(&self) -> &AtomicU32;
    /// Sleeps while the word has this value, at most for the timeout; may return early.
    fn sleep(&self, value: u32, timeout: Duration);
    /// Wakes one sleeper.
    fn wake_one(&self);
    /// Wakes all sleepers.
    fn wake_all(&self);

    /// Looks on for a moment after the bell was rung for what is still to come.
    fn linger(&self, is_due: impl Fn() -> bool) -> bool {
        is_due()
    }

    /// Whether this side may change the word.
    fn is_writable(&self) -> bool {
        true
    }

    /// Whether there may be sleepers that cannot change the word.
    fn is_shared(&self) -> bool {
        false
    }
}

/// Who may sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Nobody.
    Nobody,
    /// One reader, as far as is known.
    Somebody,
    /// More than one, or nobody knows.
    Crowd,
}

/// Who may sleep; true only after a `SeqCst` fence since the commit.
pub fn waiting<B: Bell>(bell: &B) -> Waiting {
    if bell.is_shared() {
        return Waiting::Crowd;
    }
    // Relaxed: the caller's fence orders it.
    match bell.word().load(Ordering::Relaxed) & (ASLEEP | CROWD) {
        0 | CROWD => Waiting::Nobody,
        ASLEEP => Waiting::Somebody,
        _ => Waiting::Crowd,
    }
}

/// Wakes whoever waits; to be called after a commit.
pub fn ring_bell<B: Bell>(bell: &B) {
    // SeqCst: puts the commit before the look at the bell in the one order that all threads agree
    // on. The waiter does the same with bell and commit, so at least one of the two sees the other.
    fence(Ordering::SeqCst);
    if bell.is_shared() {
        // Relaxed: the fence orders it. Who looked at the ring before the commit remembers a word
        // from before this, and does not sleep on it any more, or is woken.
        bell.word().fetch_add(COUNT, Ordering::Relaxed);
        bell.wake_all();
        return;
    }
    // Relaxed: the fence orders it, and what waiters read next they acquire from the ring itself. It
    // is one step, as the writer and the thread that pays its debts may ring at once: a count that
    // came back would let a waiter sleep on. If somebody else has rung meanwhile, that is enough:
    // whoever it wakes looks at the ring after a fence of its own before it sleeps again.
    let rung = bell.word().fetch_update(Ordering::Relaxed, Ordering::Relaxed, |value| {
        let others = if value & CROWD == 0 { 0 } else { PASS_ON };
        let rung = (value & !(ASLEEP | CROWD) | others).wrapping_add(COUNT);
        (value & ASLEEP != 0).then_some(rung)
    });
    if rung.is_ok() {
        bell.wake_one();
    }
}

/// Sleeps until a record is committed, the ring is closed, the timeout passes, or for no reason.
///
/// Returns whether there is something to find out, as far as is known: after a sleep that nobody ended,
/// the ring is not looked at, as much may have become of its file meanwhile.
pub fn wait_once<M: Memory, B: Bell>(
    reader: &Reader<M>,
    bell: &B,
    sequence: u64,
    timeout: Duration,
) -> bool {
    if let Some(value) = announce(reader, bell, sequence) {
        bell.sleep(value, timeout);
        pass_on(bell);
        // Relaxed: what is read next is acquired from the ring.
        let is_rung = bell.word().load(Ordering::Relaxed) / COUNT != value / COUNT;
        return is_rung && bell.linger(|| is_due(reader, sequence));
    }
    is_due(reader, sequence)
}

/// Whether a record is there, or never will be.
pub fn is_due<M: Memory>(reader: &Reader<M>, sequence: u64) -> bool {
    reader.next_sequence() > sequence || reader.is_closed()
}

/// Says that somebody is about to sleep; returns the value to sleep on, or nothing if whoever asks
/// should look again instead. After the sleep comes `pass_on`.
pub fn announce<M: Memory, B: Bell>(reader: &Reader<M>, bell: &B, sequence: u64) -> Option<u32> {
    if is_due(reader, sequence) {
        return None;
    }
    let found = mark(bell);
    // SeqCst: see `ring_bell`.
    fence(Ordering::SeqCst);
    if is_due(reader, sequence) {
        return None;
    }
    if found & PASS_ON != 0 && bell.is_writable() {
        pass_on(bell);
        return None;
    }
    Some(found)
}

/// Says that somebody is about to sleep, where that can be said; returns the word after it.
fn mark<B: Bell>(bell: &B) -> u32 {
    let marked = |word: u32| word | ASLEEP | if word & ASLEEP == 0 { 0 } else { CROWD };
    // Relaxed: the caller's fence orders it. It is one step, so that of two who are about to sleep at
    // the same time the second one says so.
    let order = Ordering::Relaxed;
    if !bell.is_writable() {
        return bell.word().load(order);
    }
    match bell.word().fetch_update(order, order, |word| Some(marked(word))) {
        Ok(before) | Err(before) => marked(before),
    }
}

/// Wakes the other sleepers, if the writer left that to this one.
pub fn pass_on<B: Bell>(bell: &B) {
    if !bell.is_writable() {
        return;
    }
    // Relaxed: whoever clears the bit does the waking, and what the woken read next they acquire from
    // the ring.
    let word = bell.word();
    if word.load(Ordering::Relaxed) & PASS_ON != 0
        && word.fetch_and(!PASS_ON, Ordering::Relaxed) & PASS_ON != 0
    {
        bell.wake_all();
    }
}
