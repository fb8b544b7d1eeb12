//! Sleeping and waking under loom: nobody is forgotten.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use crate::debt::{Debt, Payer, Ringer};
use crate::loom_memory::{GEOMETRY, LoomBell, LoomMemory};
use crate::loom_tests::{append, assert_read_is_true, check, check_up_to, written};
use crate::reader::Reader;
use crate::sync::Ordering;
use crate::wake::{Bell, ring_bell, wait_once};

#[test]
fn loom_a_sleeper_is_never_forgotten() {
    check(|| {
        let (memory, mut writer) = written(0);
        let reader = Reader::new(memory, GEOMETRY);
        let bell = LoomBell::new();
        let ringing = Arc::clone(&bell);
        let writing = thread::spawn(move || {
            append(&mut writer);
            ring_bell(&*ringing);
        });
        // A lost wake-up would leave the sleeper alone for ever, which loom reports as a deadlock.
        while !wait_once(&reader, &*bell, 0, Duration::MAX) {}
        assert_read_is_true(&reader, 0);
        writing.join().unwrap();
    });
}

#[test]
fn loom_who_is_woken_too_soon_is_not_forgotten() {
    check(|| {
        let (memory, mut writer) = written(0);
        let reader = Reader::new(memory, GEOMETRY);
        let bell = LoomBell::new();
        let ringing = Arc::clone(&bell);
        let writing = thread::spawn(move || {
            ring_bell(&*ringing);
            append(&mut writer);
            ring_bell(&*ringing);
        });
        while !wait_once(&reader, &*bell, 0, Duration::MAX) {}
        assert_read_is_true(&reader, 0);
        writing.join().unwrap();
    });
}

#[test]
fn loom_two_sleepers_both_learn_of_a_record() {
    check_up_to(3, || {
        let (memory, mut writer) = written(0);
        let bell = LoomBell::new();
        let (other_memory, other_bell) = (Arc::clone(&memory), Arc::clone(&bell));
        let sleep = |memory: Arc<LoomMemory>, bell: Arc<LoomBell>| {
            let reader = Reader::new(memory, GEOMETRY);
            while !wait_once(&reader, &*bell, 0, Duration::MAX) {}
            assert_read_is_true(&reader, 0);
        };
        let sleeping = thread::spawn(move || sleep(other_memory, other_bell));
        let ringing = Arc::clone(&bell);
        let writing = thread::spawn(move || {
            ring_bell(&*ringing);
            append(&mut writer);
            ring_bell(&*ringing);
        });
        sleep(memory, bell);
        sleeping.join().unwrap();
        writing.join().unwrap();
    });
}

struct LoomPayer(thread::Thread);

impl Payer for LoomPayer {
    fn is_there(&mut self) -> bool {
        true
    }

    fn unpark(&self) {
        self.0.unpark();
    }
}

/// Somebody else set its bits and was killed, so the writer takes the sleeper for a crowd.
fn left_by_the_dead(bell: &LoomBell) {
    bell.word().store(5, Ordering::Relaxed);
}

fn paying(debt: &Arc<Debt<LoomBell>>) -> (thread::JoinHandle<()>, LoomPayer) {
    let debt = Arc::clone(debt);
    let thread = thread::spawn(move || debt.pay(thread::yield_now, thread::park));
    let payer = LoomPayer(thread.thread().clone());
    (thread, payer)
}

/// A writer that has just woken somebody writes again, while a reader wants the last record.
///
/// Not in every order: with more preemptions, loom lets `unpark` wake a thread that waits for a lock.
fn a_debt_is_paid(records: u64, waits_for_the_end: bool) {
    check_up_to(3, move || {
        let (memory, mut writer) = written(0);
        let reader = Reader::new(memory, GEOMETRY);
        let bell = LoomBell::made();
        left_by_the_dead(&bell);
        let debt = Arc::new(Debt::new(bell));
        let (thread, payer) = paying(&debt);
        let mut ringer = Ringer::new(Arc::clone(&debt), payer);
        let writing = thread::spawn(move || {
            for _ in 0..records {
                append(&mut writer);
                ringer.tell(|| i64::MIN / 2);
            }
            waits_for_the_end.then_some(ringer)
        });
        // A debt that nobody pays would leave the sleeper alone for ever.
        while !wait_once(&reader, debt.bell(), records - 1, Duration::MAX) {}
        assert_read_is_true(&reader, records - 1);
        drop(writing.join().unwrap());
        thread.join().unwrap();
    });
}

#[test]
fn loom_a_wake_up_that_is_owed_is_paid() {
    a_debt_is_paid(1, true);
}

#[test]
fn loom_records_during_a_tick_are_told_of_too() {
    a_debt_is_paid(2, true);
}

#[test]
fn loom_the_end_pays_what_is_owed() {
    a_debt_is_paid(1, false);
}

#[test]
fn loom_two_who_ring_at_once_forget_nobody() {
    check_up_to(3, || {
        let (memory, mut writer) = written(0);
        let reader = Reader::new(memory, GEOMETRY);
        let bell = LoomBell::new();
        let (ringing, paying) = (Arc::clone(&bell), Arc::clone(&bell));
        let paying = thread::spawn(move || ring_bell(&*paying));
        let writing = thread::spawn(move || {
            append(&mut writer);
            ring_bell(&*ringing);
        });
        while !wait_once(&reader, &*bell, 0, Duration::MAX) {}
        assert_read_is_true(&reader, 0);
        writing.join().unwrap();
        paying.join().unwrap();
    });
}

#[test]
fn loom_two_sleepers_both_learn_of_the_end() {
    check_up_to(3, || {
        let (memory, mut writer) = written(0);
        let bell = LoomBell::new();
        let sleep = |memory: Arc<LoomMemory>, bell: Arc<LoomBell>| {
            let reader = Reader::new(memory, GEOMETRY);
            while !wait_once(&reader, &*bell, 0, Duration::MAX) {}
            assert!(reader.is_closed());
        };
        let (other_memory, other_bell) = (Arc::clone(&memory), Arc::clone(&bell));
        let sleeping = thread::spawn(move || sleep(other_memory, other_bell));
        let ringing = Arc::clone(&bell);
        let writing = thread::spawn(move || {
            writer.close();
            ring_bell(&*ringing);
        });
        sleep(memory, bell);
        sleeping.join().unwrap();
        writing.join().unwrap();
    });
}
