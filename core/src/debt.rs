//! Telling sleepers of a record, a crowd of them not too often.
//!
//! A wake-up costs the writer microseconds, and each reader ten times as much. One sleeper is woken
//! for every record. Where several sleep, the writer wakes them if the last time was `PATIENCE` ago;
//! for records that follow sooner it owes a wake-up, which a thread pays for all of them together.
//! That thread ticks while there is something to owe, so the writer makes no system call meanwhile,
//! and sleeps without a tick otherwise.
//!
//! A writer that is killed takes its debt along: then the sleepers look for themselves after
//! `LONGEST_SLEEP`, as when it is killed between a commit and its wake-up.

use std::time::Duration;

use crate::sync::{Arc, AtomicU32, Ordering, fence};
use crate::wake::{Bell, Waiting, ring_bell, waiting};

/// The longest that a crowd is left asleep; with the wake-up itself it stays below a millisecond.
pub const PATIENCE: Duration = Duration::from_micros(800);
const PATIENCE_NANOS: i64 = PATIENCE.as_nanos() as i64;

/// Some records were not announced yet.
const OWED: u32 = 1;
/// The thread ticks.
const TICKING: u32 = 2;
/// The ring is no longer written.
const ENDED: u32 = 4;

/// What the writer and the thread that pays share.
#[derive(Debug)]
pub struct Debt<B> {
    bell: B,
    state: AtomicU32,
}

impl<B: Bell> Debt<B> {
    /// No debt.
    pub fn new(bell: B) -> Self {
        Self { bell, state: AtomicU32::new(0) }
    }

    /// The bell.
    pub fn bell(&self) -> &B {
        &self.bell
    }

    /// Begins to wake a reader that sleeps alone, for a record that is about to be committed.
    ///
    /// A hint: it may miss one, and `Ringer::tell` after the commit does not.
    #[inline(always)]
    pub fn hail(&self) {
        if waiting(&self.bell) == Waiting::Somebody {
            ring_bell(&self.bell);
        }
    }

    /// What the thread does until the end: `pause` lets a tick pass, `park` sleeps until it is called
    /// or for no reason.
    pub fn pay(&self, pause: impl Fn(), park: impl Fn()) {
        loop {
            // Relaxed: who owes has committed and fenced before; `ring_bell` fences on this side.
            let mut state = self.state.load(Ordering::Relaxed);
            while state == 0 {
                park();
                state = self.state.load(Ordering::Relaxed);
            }
            if state & ENDED != 0 {
                return;
            }
            pause();
            // Relaxed, here and below: one word holds debt and tick, so nothing comes between them.
            if self.state.fetch_and(!OWED, Ordering::Relaxed) & OWED != 0 {
                ring_bell(&self.bell);
            } else {
                // Nothing came for a whole tick. If something comes now, the exchange fails.
                let (idle, order) = (TICKING, Ordering::Relaxed);
                let _ = self.state.compare_exchange(idle, 0, order, order);
            }
        }
    }
}

/// The thread that pays, as the writer knows it.
pub trait Payer {
    /// Whether it is there; makes it if it can.
    fn is_there(&mut self) -> bool;
    /// Wakes it, if it is there.
    fn unpark(&self);
}

/// The writer's side.
#[derive(Debug)]
pub struct Ringer<B: Bell, P: Payer> {
    debt: Arc<Debt<B>>,
    payer: P,
    /// Clock of the last wake-up of a crowd by the writer itself.
    woken_nanos: i64,
}

impl<B: Bell, P: Payer> Ringer<B, P> {
    /// Nothing told yet.
    pub fn new(debt: Arc<Debt<B>>, payer: P) -> Self {
        Self { debt, payer, woken_nanos: i64::MIN / 2 }
    }

    /// What is shared with the thread that pays.
    pub fn debt(&self) -> &Arc<Debt<B>> {
        &self.debt
    }

    /// Wakes whoever waits, now or soon; to be called after each commit.
    #[inline(always)]
    pub fn tell(&mut self, clock: impl FnOnce() -> i64) {
        // SeqCst: puts the commit before both looks below in the one order that all threads agree
        // on. If the debt is still open there, the thread's own fence comes later, so it looks at the
        // bell after this commit and whoever it wakes sees the record.
        fence(Ordering::SeqCst);
        // Relaxed: the fence orders it.
        let state = self.debt.state.load(Ordering::Relaxed);
        if state & OWED != 0 {
            return;
        }
        match waiting(&self.debt.bell) {
            Waiting::Nobody => {}
            Waiting::Somebody => self.tell_now(),
            Waiting::Crowd if state & TICKING != 0 => self.owe(),
            Waiting::Crowd => self.tell_crowd(clock()),
        }
    }

    fn tell_crowd(&mut self, now: i64) {
        if now - self.woken_nanos < PATIENCE_NANOS && self.payer.is_there() {
            self.owe();
        } else {
            self.woken_nanos = now;
            self.tell_now();
        }
    }

    fn owe(&self) {
        // Relaxed: the fence in `tell` orders the commit; parking synchronizes by itself.
        if self.debt.state.fetch_or(OWED | TICKING, Ordering::Relaxed) & TICKING == 0 {
            self.payer.unpark();
        }
    }

    /// Wakes whoever waits, at once.
    pub fn tell_now(&self) {
        ring_bell(&self.debt.bell);
    }
}

impl<B: Bell, P: Payer> Drop for Ringer<B, P> {
    /// Pays what is owed and lets the thread go.
    fn drop(&mut self) {
        // Relaxed: as in `owe`.
        if self.debt.state.fetch_or(ENDED, Ordering::Relaxed) & OWED != 0 {
            self.tell_now();
        }
        self.payer.unpark();
    }
}

/// A thread that is made when the first debt is.
#[cfg(not(loom))]
#[derive(Debug)]
pub struct LazyPayer<B> {
    debt: Arc<Debt<B>>,
    thread: Option<std::thread::Thread>,
}

/// A writer's side that makes its thread when it needs one.
#[cfg(not(loom))]
pub type LazyRinger<B> = Ringer<B, LazyPayer<B>>;

#[cfg(not(loom))]
impl<B: Bell + Send + Sync + 'static> LazyRinger<B> {
    /// For a bell.
    pub fn of(bell: B) -> Self {
        let debt = Arc::new(Debt::new(bell));
        Self::new(Arc::clone(&debt), LazyPayer { debt, thread: None })
    }
}

#[cfg(not(loom))]
impl<B: Bell + Send + Sync + 'static> Payer for LazyPayer<B> {
    fn is_there(&mut self) -> bool {
        if self.thread.is_none() {
            let debt = Arc::clone(&self.debt);
            let pay = move || debt.pay(|| std::thread::sleep(PATIENCE), std::thread::park);
            let named = std::thread::Builder::new().name("ring-payer".into());
            // Without the thread, the writer wakes the crowd itself.
            self.thread = named.spawn(pay).ok().map(|made| made.thread().clone());
        }
        self.thread.is_some()
    }

    fn unpark(&self) {
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Instant;

    use super::*;

    /// A bell at which a crowd is always asleep.
    #[derive(Debug)]
    struct Crowded {
        word: AtomicU32,
        woken: AtomicUsize,
    }

    impl Bell for Crowded {
        fn word(&self) -> &AtomicU32 {
            &self.word
        }

        fn sleep(&self, _: u32, _: Duration) {}

        fn wake_one(&self) {
            self.woken.fetch_add(1, Ordering::SeqCst);
            self.word.fetch_or(5, Ordering::SeqCst);
        }

        fn wake_all(&self) {}
    }

    struct NoPayer;

    impl Payer for NoPayer {
        fn is_there(&mut self) -> bool {
            false
        }

        fn unpark(&self) {}
    }

    fn crowded() -> Crowded {
        Crowded { word: AtomicU32::new(5), woken: AtomicUsize::new(0) }
    }

    fn woken<P: Payer>(ringer: &Ringer<Crowded, P>) -> usize {
        ringer.debt.bell.woken.load(Ordering::SeqCst)
    }

    fn wait_until(is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_so() {
            assert!(Instant::now() < deadline, "it did not come");
            std::thread::yield_now();
        }
    }

    #[test]
    fn records_that_follow_soon_are_told_of_together_by_the_thread() {
        let mut ringer = LazyRinger::of(crowded());
        ringer.tell(|| 0);
        assert_eq!(woken(&ringer), 1);
        for _ in 0..3 {
            ringer.tell(|| 0);
        }
        wait_until(|| woken(&ringer) >= 2);
    }

    #[test]
    fn records_that_follow_late_are_told_of_at_once() {
        let mut ringer = LazyRinger::of(crowded());
        for number in 0..3 {
            ringer.tell(|| number * PATIENCE_NANOS);
        }
        assert_eq!(woken(&ringer), 3);
        assert!(ringer.payer.thread.is_none());
    }

    #[test]
    fn without_a_thread_nothing_is_owed() {
        let mut ringer = Ringer::new(Arc::new(Debt::new(crowded())), NoPayer);
        for _ in 0..3 {
            ringer.tell(|| 0);
        }
        assert_eq!(woken(&ringer), 3);
    }

    #[test]
    fn the_end_pays_and_lets_the_thread_go() {
        let mut ringer = LazyRinger::of(crowded());
        ringer.tell(|| 0);
        ringer.tell(|| 0);
        let debt = Arc::clone(&ringer.debt);
        drop(ringer);
        assert!(debt.bell.woken.load(Ordering::SeqCst) >= 2);
        wait_until(|| Arc::strong_count(&debt) == 1);
    }
}
