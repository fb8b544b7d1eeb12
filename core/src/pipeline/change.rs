//! Changes of parameters: asked for by whoever, made by a branch between two packets.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Instant;

use super::stage::Value;
use crate::error::RingError;
use crate::sync::{Arc, AtomicU32, Ordering};

const ASKED: u32 = 0;
const TAKEN: u32 = 1;
const WITHDRAWN: u32 = 2;

/// Settles who has a change, once: the branch that makes it, or who asked and has gone.
fn settle(state: &AtomicU32, to: u32) -> bool {
    // Relaxed, on both ways: the exchange alone decides, and what the change says goes through the
    // list's lock one way and through the answer's channel the other.
    state.compare_exchange(ASKED, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// A change of a parameter that waits for its branch.
#[derive(Debug)]
pub struct Change {
    /// The stage.
    pub stage: String,
    /// The parameter.
    pub name: String,
    /// Its value.
    pub value: Value,
    state: Arc<AtomicU32>,
    answer: SyncSender<Result<(), RingError>>,
}

/// What becomes of a change.
#[derive(Debug)]
pub struct Answer {
    state: Arc<AtomicU32>,
    answered: Receiver<Result<(), RingError>>,
}

impl Change {
    /// A change, and what becomes of it.
    pub fn new(stage: &str, name: &str, value: Value) -> (Self, Answer) {
        let state = Arc::new(AtomicU32::new(ASKED));
        let (answer, answered) = sync_channel(1);
        let asked = Answer { state: Arc::clone(&state), answered };
        (Self { stage: stage.into(), name: name.into(), value, state, answer }, asked)
    }

    /// Whether it is still to be made; then whoever asked waits for the answer.
    pub fn claim(&self) -> bool {
        settle(&self.state, TAKEN)
    }

    /// Tells what came of it.
    pub fn answer(&self, done: Result<(), RingError>) {
        // Who asked may be gone.
        let _ = self.answer.try_send(done);
    }
}

impl Answer {
    /// What came of it; `None` if nothing did until the deadline, and then nothing will.
    pub fn wait(self, deadline: Instant) -> Option<Result<(), RingError>> {
        let timeout = deadline.saturating_duration_since(Instant::now());
        match self.answered.recv_timeout(timeout) {
            Ok(done) => Some(done),
            Err(RecvTimeoutError::Timeout) if settle(&self.state, WITHDRAWN) => None,
            // It is being made, which takes no packet; a branch that ends meanwhile drops the sender.
            Err(_) => self.answered.recv().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_nobody_waits_for_is_not_made() {
        let (change, answer) = Change::new("level", "level", Value::Number(1.0));
        assert!(answer.wait(Instant::now()).is_none());
        assert!(!change.claim());
    }

    #[test]
    fn a_change_that_is_being_made_is_waited_for() {
        let (change, answer) = Change::new("level", "level", Value::Number(1.0));
        assert!(change.claim());
        let waiter = std::thread::spawn(move || answer.wait(Instant::now()));
        change.answer(Ok(()));
        assert!(matches!(waiter.join().unwrap(), Some(Ok(()))));
    }

    #[test]
    fn a_branch_that_ends_leaves_no_answer() {
        let (change, answer) = Change::new("level", "level", Value::Number(1.0));
        drop(change);
        assert!(answer.wait(Instant::now()).is_none());
    }
}
