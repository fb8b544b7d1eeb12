//! Bounded queues between stages.

use std::fmt;
use std::time::Instant;

use super::bell::Bell;
use super::lane::{Entrance, Exit, joined, single};
use super::last_words::LastWords;
use crate::error::RingError;
use crate::sync::{Arc, AtomicU32, AtomicU64, Ordering};

/// What a full queue does with one more value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The sender waits.
    Block,
    /// The oldest value in the queue goes.
    DropOldest,
    /// The new value goes.
    DropNewest,
    /// The sender is told.
    Fail,
}

impl Policy {
    /// The policy of a name such as `drop_oldest`.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Block, Self::DropOldest, Self::DropNewest, Self::Fail];
        all.into_iter().find(|policy| policy.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::DropOldest => "drop_oldest",
            Self::DropNewest => "drop_newest",
            Self::Fail => "fail",
        }
    }
}

/// What a receiver found.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// The next value.
    Data(T),
    /// Nothing came before the deadline.
    Empty,
    /// All senders are gone, and everything was received.
    Closed,
}

/// Why a value was not sent; it comes back.
#[derive(PartialEq, Eq)]
pub enum SendError<T> {
    /// The queue stayed full.
    Full(T),
    /// The receiver is gone.
    Closed(T),
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Closed(_) => "Closed",
        })
    }
}

/// Where a stage takes its values from.
pub trait Input<T> {
    /// The next value; waits for one until the deadline.
    fn recv(&mut self, deadline: Instant) -> Received<T>;
}

/// Where a stage puts its values.
pub trait Output<T> {
    /// Gives a value on; what happens when there is no room is the edge's policy.
    fn send(&mut self, value: T, deadline: Instant) -> Result<(), SendError<T>>;
}

/// What went through a queue: `sent` = `received` + `dropped_oldest` + `waiting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueStatistics {
    /// Values that may wait.
    pub capacity: u64,
    /// Values that wait now.
    pub waiting: u64,
    /// Values that went in.
    pub sent: u64,
    /// Values that came out.
    pub received: u64,
    /// Values that went in and gave way.
    pub dropped_oldest: u64,
    /// Values that never went in.
    pub dropped_newest: u64,
    /// Values that were given back to their sender.
    pub refused: u64,
    /// How often a sender had to wait.
    pub waits: u64,
}

#[derive(Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    dropped_oldest: AtomicU64,
    dropped_newest: AtomicU64,
    refused: AtomicU64,
    waits: AtomicU64,
}

fn count(counter: &AtomicU64) {
    // Relaxed: a number for people.
    counter.fetch_add(1, Ordering::Relaxed);
}

struct Shared {
    capacity: usize,
    policy: Policy,
    senders: AtomicU32,
    /// 1 while there is one.
    receivers: AtomicU32,
    filled: Bell,
    emptied: Bell,
    counters: Counters,
}

impl Shared {
    fn is_abandoned(&self) -> bool {
        // Acquire: pairs with the release of the receiver's end.
        self.receivers.load(Ordering::Acquire) == 0
    }

    fn has_senders(&self) -> bool {
        // Acquire: pairs with the release of a sender's end, so that its last value is seen then.
        self.senders.load(Ordering::Acquire) != 0
    }

    fn statistics(&self) -> QueueStatistics {
        let counters = &self.counters;
        // Relaxed: numbers for people. What came out is read first, so that it is never more than
        // what went in.
        let received = counters.received.load(Ordering::Relaxed);
        let dropped_oldest = counters.dropped_oldest.load(Ordering::Relaxed);
        let sent = counters.sent.load(Ordering::Relaxed);
        QueueStatistics {
            capacity: self.capacity as u64,
            waiting: sent.saturating_sub(received + dropped_oldest),
            sent,
            received,
            dropped_oldest,
            dropped_newest: counters.dropped_newest.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            waits: counters.waits.load(Ordering::Relaxed),
        }
    }
}

/// Watches a queue without taking part.
#[derive(Clone)]
pub struct QueueGauge(Arc<Shared>);

impl QueueGauge {
    /// How the queue is.
    pub fn statistics(&self) -> QueueStatistics {
        self.0.statistics()
    }
}

impl fmt::Debug for QueueGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.statistics().fmt(f)
    }
}

/// Makes queues.
#[derive(Debug)]
pub struct StageQueue;

impl StageQueue {
    /// A queue with so many senders and one receiver.
    #[allow(clippy::new_ret_no_self, reason = "a queue is its two ends")]
    pub fn new<T>(
        capacity: usize,
        senders: usize,
        policy: Policy,
    ) -> Result<(Vec<QueueOutput<T>>, QueueInput<T>), RingError> {
        if capacity == 0 || senders == 0 {
            return Err(RingError::Invalid(format!(
                "a queue needs room for a packet and a sender; found {capacity} and {senders}"
            )));
        }
        let (entrances, exit) = if senders == 1 && policy != Policy::DropOldest {
            let (entrance, exit) = single(capacity);
            (vec![entrance], exit)
        } else {
            joined(capacity, senders)
        };
        let shared = Arc::new(Shared {
            capacity,
            policy,
            senders: AtomicU32::new(senders as u32),
            receivers: AtomicU32::new(1),
            filled: Bell::default(),
            emptied: Bell::default(),
            counters: Counters::default(),
        });
        let last = Arc::new(LastWords::default());
        let outputs = entrances.into_iter().map(|entrance| QueueOutput {
            entrance,
            shared: Arc::clone(&shared),
            last: Arc::clone(&last),
        });
        Ok((outputs.collect(), QueueInput { exit, shared, last }))
    }
}

/// The sending end of a queue; the queue is closed when all of them are dropped.
pub struct QueueOutput<T> {
    entrance: Entrance<T>,
    shared: Arc<Shared>,
    last: Arc<LastWords<T>>,
}

impl<T> fmt::Debug for QueueOutput<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.statistics().fmt(f)
    }
}

impl<T> QueueOutput<T> {
    /// Something that watches this queue.
    pub fn gauge(&self) -> QueueGauge {
        QueueGauge(Arc::clone(&self.shared))
    }

    /// What happens when it is full.
    pub fn policy(&self) -> Policy {
        self.shared.policy
    }

    /// As `send`, but a value that comes back is not counted: it will be offered again, or `refuse`
    /// be called.
    #[inline]
    pub fn offer(&mut self, value: T, deadline: Instant) -> Result<(), SendError<T>> {
        if self.shared.is_abandoned() {
            return Err(SendError::Closed(value));
        }
        match self.entrance.push(value) {
            Ok(()) => {
                count(&self.shared.counters.sent);
                self.shared.filled.ring();
                Ok(())
            }
            Err(value) => self.settle(value, deadline),
        }
    }

    /// Counts a value that was offered in vain.
    pub fn refuse(&self) {
        count(&self.shared.counters.refused);
    }

    /// Sends a last value, whatever the policy: a full queue has it told after all that waits there.
    pub fn end_with(&mut self, value: T) {
        match self.entrance.push(value) {
            Ok(()) => count(&self.shared.counters.sent),
            Err(value) => self.last.say(value),
        }
        self.shared.filled.ring();
    }

    fn settle(&mut self, value: T, deadline: Instant) -> Result<(), SendError<T>> {
        match self.shared.policy {
            Policy::Block => self.wait(value, deadline),
            Policy::DropNewest => {
                count(&self.shared.counters.dropped_newest);
                Ok(())
            }
            Policy::Fail => Err(SendError::Full(value)),
            Policy::DropOldest => match self.entrance.displace(value) {
                Ok(oldest) => {
                    count(&self.shared.counters.sent);
                    if oldest.is_some() {
                        count(&self.shared.counters.dropped_oldest);
                    }
                    self.shared.filled.ring();
                    Ok(())
                }
                Err(value) => Err(SendError::Full(value)),
            },
        }
    }

    fn wait(&mut self, value: T, deadline: Instant) -> Result<(), SendError<T>> {
        let (shared, entrance) = (&self.shared, &mut self.entrance);
        count(&shared.counters.waits);
        let mut held = Some(value);
        let done = shared.emptied.wait(deadline, || {
            if shared.is_abandoned() {
                return Some(false);
            }
            match held.take().map(|value| entrance.push(value)) {
                Some(Err(value)) => {
                    held = Some(value);
                    None
                }
                _ => Some(true),
            }
        });
        match (done, held) {
            (Some(true), _) | (_, None) => {
                count(&shared.counters.sent);
                shared.filled.ring();
                Ok(())
            }
            (Some(false), Some(value)) => Err(SendError::Closed(value)),
            (None, Some(value)) => Err(SendError::Full(value)),
        }
    }
}

impl<T> Output<T> for QueueOutput<T> {
    #[inline]
    fn send(&mut self, value: T, deadline: Instant) -> Result<(), SendError<T>> {
        let sent = self.offer(value, deadline);
        if matches!(sent, Err(SendError::Full(_))) {
            self.refuse();
        }
        sent
    }
}

impl<T> Drop for QueueOutput<T> {
    fn drop(&mut self) {
        // Release: who sees that the last sender is gone also sees what it sent.
        self.shared.senders.fetch_sub(1, Ordering::Release);
        self.shared.filled.ring();
    }
}

/// What a look into a queue finds out.
enum Found<T> {
    Sent(T),
    Last(T),
    Closed,
}

/// The receiving end of a queue.
pub struct QueueInput<T> {
    exit: Exit<T>,
    shared: Arc<Shared>,
    last: Arc<LastWords<T>>,
}

impl<T> fmt::Debug for QueueInput<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.statistics().fmt(f)
    }
}

impl<T> QueueInput<T> {
    /// Something that watches this queue.
    pub fn gauge(&self) -> QueueGauge {
        QueueGauge(Arc::clone(&self.shared))
    }

    /// Values that wait.
    pub fn waiting(&self) -> usize {
        self.exit.len()
    }

    fn received(&self, value: T) -> Received<T> {
        count(&self.shared.counters.received);
        self.shared.emptied.ring();
        Received::Data(value)
    }
}

impl<T> Input<T> for QueueInput<T> {
    fn recv(&mut self, deadline: Instant) -> Received<T> {
        let (shared, exit, last) = (&self.shared, &mut self.exit, &self.last);
        let found = shared.filled.wait(deadline, || {
            // Before the look, so that nothing is sent between it and these.
            let (open, told) = (shared.has_senders(), last.are_said());
            if let Some(value) = exit.pop() {
                return Some(Found::Sent(value));
            }
            match told.then(|| last.take()).flatten() {
                Some(value) => Some(Found::Last(value)),
                None if open => None,
                None => Some(Found::Closed),
            }
        });
        match found {
            Some(Found::Sent(value)) => self.received(value),
            Some(Found::Last(value)) => Received::Data(value),
            Some(Found::Closed) => Received::Closed,
            None => Received::Empty,
        }
    }
}

impl<T> Drop for QueueInput<T> {
    fn drop(&mut self) {
        // Release: pairs with the acquire of senders that look whether anybody is left.
        self.shared.receivers.store(0, Ordering::Release);
        self.shared.emptied.ring();
        while self.exit.pop().is_some() {}
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn filled(policy: Policy) -> (QueueOutput<u32>, QueueInput<u32>, Result<(), SendError<u32>>) {
        let (mut outputs, input) = StageQueue::new(2, 1, policy).unwrap();
        let mut output = outputs.remove(0);
        output.send(1, soon()).unwrap();
        output.send(2, soon()).unwrap();
        let third = output.send(3, Instant::now());
        (output, input, third)
    }

    fn rest(mut input: QueueInput<u32>) -> Vec<u32> {
        let mut found = Vec::new();
        while let Received::Data(value) = input.recv(Instant::now()) {
            found.push(value);
        }
        found
    }

    #[test]
    fn a_full_queue_does_what_its_policy_says_and_counts_it() {
        let (output, input, third) = filled(Policy::DropOldest);
        assert_eq!((third, output.gauge().statistics().dropped_oldest), (Ok(()), 1));
        assert_eq!(rest(input), [2, 3]);
        let (output, input, third) = filled(Policy::DropNewest);
        assert_eq!((third, output.gauge().statistics().dropped_newest), (Ok(()), 1));
        assert_eq!(rest(input), [1, 2]);
        for policy in [Policy::Fail, Policy::Block] {
            let (output, input, third) = filled(policy);
            assert_eq!((third, output.gauge().statistics().refused), (Err(SendError::Full(3)), 1));
            assert_eq!(rest(input), [1, 2]);
        }
    }

    #[test]
    fn empty_is_not_closed() {
        let (outputs, mut input) = StageQueue::new::<u32>(1, 2, Policy::Block).unwrap();
        assert_eq!(input.recv(Instant::now()), Received::Empty);
        let mut outputs = outputs.into_iter();
        let mut first = outputs.next().unwrap();
        first.send(1, soon()).unwrap();
        drop((first, outputs));
        assert_eq!(input.recv(soon()), Received::Data(1));
        assert_eq!(input.recv(soon()), Received::Closed);
    }

    #[test]
    fn a_sender_learns_that_nobody_receives() {
        let (mut outputs, input) = StageQueue::new(1, 1, Policy::Block).unwrap();
        outputs[0].send(1, soon()).unwrap();
        let sender = thread::spawn(move || outputs[0].send(2, soon()));
        drop(input);
        assert_eq!(sender.join().unwrap(), Err(SendError::Closed(2)));
    }

    #[test]
    fn the_last_value_comes_after_all_others_though_the_queue_is_full() {
        for policy in [Policy::Block, Policy::DropOldest, Policy::DropNewest, Policy::Fail] {
            let (mut output, mut input, _) = filled(policy);
            output.end_with(9);
            let waiting = std::iter::from_fn(|| match input.recv(Instant::now()) {
                Received::Data(value) => Some(value),
                _ => None,
            });
            assert_eq!(
                waiting.collect::<Vec<_>>()[1..],
                [if policy == Policy::DropOldest { 3 } else { 2 }, 9]
            );
            assert_eq!(input.recv(Instant::now()), Received::Empty);
            drop(output);
            assert_eq!(input.recv(soon()), Received::Closed);
        }
    }

    #[test]
    fn many_senders_lose_nothing_and_keep_their_own_order() {
        let (outputs, mut input) = StageQueue::new(3, 3, Policy::Block).unwrap();
        let gauge = input.gauge();
        let senders: Vec<_> = (0u32..)
            .zip(outputs)
            .map(|(who, mut output)| {
                thread::spawn(move || {
                    (0..1000u32).for_each(|value| output.send((who, value), soon()).unwrap());
                })
            })
            .collect();
        let mut next = [0; 3];
        while let Received::Data((who, value)) = input.recv(soon()) {
            assert_eq!(value, next[who as usize]);
            next[who as usize] += 1;
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(next, [1000; 3]);
        let found = gauge.statistics();
        assert_eq!((found.sent, found.received, found.waiting), (3000, 3000, 0));
    }
}
