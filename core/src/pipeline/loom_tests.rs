//! Pool, packets and queues under loom.

use std::time::Instant;

use loom::thread;

use super::queue::{QueueInput, QueueOutput};
use super::{Input, Output, Policy, Pool, Received, SendError, StageQueue};

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(check);
}

fn queue(capacity: usize, senders: usize) -> (Vec<QueueOutput<u32>>, QueueInput<u32>) {
    StageQueue::new(capacity, senders, Policy::Block).unwrap()
}

/// A packet that may have to be waited for.
fn take(pool: &Pool<u32>) -> super::Packet<u32> {
    pool.acquire(Instant::now()).expect("loom wakes who waits")
}

#[test]
fn loom_two_threads_never_own_one_buffer() {
    model(|| {
        let pool = Pool::new(2, || 0u32).unwrap();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let pool = pool.clone();
                thread::spawn(move || {
                    for _ in 0..2 {
                        let mut packet = pool.try_acquire().expect("there is one for each");
                        packet.write(|value| *value += 1);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let all = [pool.try_acquire().unwrap(), pool.try_acquire().unwrap()];
        assert_eq!(all.iter().map(|packet| packet.read(|value| *value)).sum::<u32>(), 4);
        assert_eq!(pool.statistics().in_use, 2);
    });
}

#[test]
fn loom_who_waits_for_a_buffer_is_woken_and_sees_what_was_done() {
    model(|| {
        let pool = Pool::new(1, || 0u32).unwrap();
        let mut packet = pool.try_acquire().unwrap();
        let waiting = pool.clone();
        let waiter = thread::spawn(move || take(&waiting).read(|value| *value));
        packet.write(|value| *value = 7);
        drop(packet);
        assert_eq!(waiter.join().unwrap(), 7);
        assert_eq!(pool.statistics().in_use, 0);
    });
}

#[test]
fn loom_the_last_share_returns_the_buffer_once() {
    model(|| {
        let pool = Pool::new(1, || 3u32).unwrap();
        let first = pool.try_acquire().unwrap().freeze();
        let second = first.clone();
        let reader = thread::spawn(move || second.read(|value| *value));
        assert_eq!(first.read(|value| *value), 3);
        drop(first);
        let mut next = take(&pool);
        next.write(|value| *value = 4);
        assert_eq!(reader.join().unwrap(), 3);
    });
}

#[test]
fn loom_a_thawed_packet_has_no_readers() {
    model(|| {
        let pool = Pool::new(1, || 3u32).unwrap();
        let first = pool.try_acquire().unwrap().freeze();
        let second = first.clone();
        let reader = thread::spawn(move || second.read(|value| *value));
        if let Ok(mut packet) = first.thaw() {
            packet.write(|value| *value = 4);
        }
        assert_eq!(reader.join().unwrap(), 3);
        assert_eq!(pool.statistics().in_use, 0);
    });
}

#[test]
fn loom_nothing_sent_is_lost_and_the_end_is_noticed() {
    model(|| {
        let (mut outputs, mut input) = queue(1, 1);
        let mut output = outputs.remove(0);
        let sender = thread::spawn(move || {
            output.send(1, Instant::now()).unwrap();
            output.send(2, Instant::now()).unwrap();
        });
        assert_eq!(input.recv(Instant::now()), Received::Data(1));
        assert_eq!(input.recv(Instant::now()), Received::Data(2));
        assert_eq!(input.recv(Instant::now()), Received::Closed);
        sender.join().unwrap();
    });
}

#[test]
fn loom_two_senders_join_and_both_arrive() {
    model(|| {
        let (outputs, mut input) = queue(2, 2);
        let senders: Vec<_> = (1u32..)
            .zip(outputs)
            .map(|(value, mut output)| {
                thread::spawn(move || output.send(value, Instant::now()).unwrap())
            })
            .collect();
        let mut sum = 0;
        while let Received::Data(value) = input.recv(Instant::now()) {
            sum += value;
        }
        assert_eq!(sum, 3);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn loom_a_sender_that_waits_learns_of_the_receivers_end() {
    model(|| {
        let (mut outputs, input) = queue(1, 1);
        let mut output = outputs.remove(0);
        let sender = thread::spawn(move || {
            // Both may come in time; none may wait for ever.
            let _ = output.send(0, Instant::now());
            let _ = output.send(1, Instant::now());
            output
        });
        drop(input);
        let mut output = sender.join().unwrap();
        assert_eq!(output.send(2, Instant::now()), Err(SendError::Closed(2)));
    });
}

#[test]
fn loom_packets_left_in_a_queue_return_to_their_pool() {
    model(|| {
        let pool = Pool::new(1, || 0u32).unwrap();
        let packet = pool.try_acquire().unwrap();
        let (mut outputs, input) = StageQueue::new(1, 1, Policy::DropNewest).unwrap();
        let mut output = outputs.remove(0);
        let sender = thread::spawn(move || drop(output.send(packet, Instant::now())));
        drop(input);
        sender.join().unwrap();
        assert_eq!(pool.statistics().in_use, 0);
    });
}

#[test]
fn loom_a_packet_that_fans_out_is_seen_by_all_and_returns_once() {
    model(|| {
        let pool = Pool::new(1, || 0u32).unwrap();
        let mut packet = pool.try_acquire().unwrap();
        packet.write(|value| *value = 9);
        let shared = packet.freeze();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (mut outputs, mut input) = StageQueue::new(1, 1, Policy::Block).unwrap();
                outputs.remove(0).send(shared.clone(), Instant::now()).unwrap();
                thread::spawn(move || match input.recv(Instant::now()) {
                    Received::Data(packet) => packet.read(|value| *value),
                    _ => panic!("the packet was sent before the end"),
                })
            })
            .collect();
        drop(shared);
        let mut next = take(&pool);
        next.write(|value| *value = 4);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 9);
        }
        assert_eq!(pool.statistics().in_use, 1);
    });
}

#[test]
fn loom_the_end_of_the_last_sender_wakes_who_receives() {
    model(|| {
        let (mut outputs, mut input) = queue(1, 2);
        let (first, mut second) = (outputs.remove(0), outputs.remove(0));
        let closer = thread::spawn(move || drop(first));
        let sender = thread::spawn(move || second.send(1, Instant::now()).unwrap());
        assert_eq!(input.recv(Instant::now()), Received::Data(1));
        assert_eq!(input.recv(Instant::now()), Received::Closed);
        closer.join().unwrap();
        sender.join().unwrap();
    });
}

#[test]
fn loom_packets_on_their_way_return_whoever_ends_first() {
    model(|| {
        let pool = Pool::new(2, || 0u32).unwrap();
        let packets = [pool.try_acquire().unwrap(), pool.try_acquire().unwrap()];
        let (mut outputs, mut input) = StageQueue::new(2, 1, Policy::Block).unwrap();
        let mut output = outputs.remove(0);
        let sender = thread::spawn(move || {
            for packet in packets {
                // The receiver may be gone; then the packet comes back and is dropped here.
                let _ = output.send(packet, Instant::now());
            }
        });
        let first = input.recv(Instant::now());
        drop(input);
        sender.join().unwrap();
        drop(first);
        assert_eq!(pool.statistics().in_use, 0);
    });
}

#[test]
fn loom_a_last_value_comes_after_what_its_sender_sent() {
    model(|| {
        let (mut outputs, mut input) = queue(1, 1);
        let mut output = outputs.remove(0);
        let sender = thread::spawn(move || {
            output.send(1, Instant::now()).unwrap();
            output.end_with(2);
        });
        assert_eq!(input.recv(Instant::now()), Received::Data(1));
        assert_eq!(input.recv(Instant::now()), Received::Data(2));
        assert_eq!(input.recv(Instant::now()), Received::Closed);
        sender.join().unwrap();
    });
}
