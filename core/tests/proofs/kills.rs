//! Writers and readers that are killed at any instruction, thousands of them.
//!
//! They are forked, since nothing else is quick enough, from a process with one thread, but for the
//! one by which a ring wakes a crowd; it holds no lock that a child wants.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ringdaq_core::ring::wake_path;
use ringdaq_core::{RingError, RingReader, RingWriter};

use crate::dice::Dice;
use crate::{Plan, count, memory_directory};

const DEADLINE: Duration = Duration::from_secs(60);
const CAPACITIES: [u64; 3] = [8 << 10, 64 << 10, 256 << 10];
const LONGEST: u64 = 7 << 10;
const WORD: usize = 8;

/// Words that parent and child share.
struct Shared(*const AtomicU64);

impl Shared {
    fn new() -> Self {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping touches no memory of ours.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        Self(start.cast())
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < 4096 / WORD);
        // SAFETY: in bounds, aligned, never unmapped, and used as atomics only.
        unsafe { &*self.0.add(index) }
    }
}

/// Records that the child has committed.
const COMMITTED: usize = 0;
/// 1 while the child writes a record.
const INSIDE: usize = 1;
/// Looks that the child has taken.
const LOOKED: usize = 2;

struct Child(libc::pid_t);

impl Child {
    /// A copy of this process that does nothing but `work`, for ever.
    fn fork(work: impl FnOnce()) -> Self {
        // SAFETY: no other thread of this process holds a lock that the child could want.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "cannot fork");
        if pid == 0 {
            // SAFETY: it asks for a signal at the parent's death, so that no child is left.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            // SAFETY: ends this process at once, without what the parent would do at its end.
            unsafe { libc::_exit(i32::from(done.is_err())) };
        }
        Self(pid)
    }

    /// Waits for the child to have counted so far, then for a random moment, and kills it.
    fn kill(self, word: &AtomicU64, least: u64, dice: &mut Dice) {
        let begun = Instant::now();
        while word.load(Ordering::Acquire) < least {
            assert!(begun.elapsed() < DEADLINE, "the child does nothing");
            std::thread::yield_now();
        }
        for _ in 0..dice.below(3000) {
            std::hint::spin_loop();
        }
        let mut status = 0;
        // SAFETY: both calls concern our own child, and `status` outlives them.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            assert_eq!(libc::waitpid(self.0, &raw mut status, 0), self.0);
        }
        assert!(libc::WIFSIGNALED(status), "the child ended by itself: {status}");
    }
}

/// A record's bytes follow from its number.
fn payload_len(number: u64) -> usize {
    (WORD as u64 + number * 7919 % LONGEST) as usize
}

fn write(ring: &mut RingWriter, buffer: &mut [u8], number: u64) -> Result<u64, RingError> {
    let payload = &mut buffer[..payload_len(number)];
    payload.fill(number as u8);
    payload[..WORD].copy_from_slice(&number.to_le_bytes());
    ring.append(payload, number as i64, number as i64, 1 + number % 3)
}

fn rows_before(number: u64) -> u64 {
    number + number / 3 * 3 + [0, 0, 1][(number % 3) as usize]
}

fn check(reader: &RingReader, number: u64) {
    let (frame, payload) = reader.read(number).unwrap_or_else(|e| panic!("record {number}: {e}"));
    assert_eq!((frame.first_nanos, frame.rows), (number as i64, 1 + number % 3));
    assert_eq!(frame.first_row, rows_before(number));
    assert_eq!(payload.len(), payload_len(number));
    assert_eq!(payload[..WORD], number.to_le_bytes());
    assert!(payload[WORD..].iter().all(|byte| *byte == number as u8), "record {number} is mixed");
}

/// What a killed writer has left: all that it committed, and an end.
fn check_ring(path: &Path, committed: u64) -> u64 {
    let reader = RingReader::open(path).expect("a whole ring");
    let (oldest, next) = (reader.oldest_sequence(), reader.next_sequence());
    assert!(committed <= next && next <= committed + 1, "{committed} committed, {next} found");
    assert!(!reader.writer_alive());
    for number in oldest..next {
        check(&reader, number);
        assert_eq!(reader.find(number as i64).expect("a record's time"), number);
    }
    assert!(matches!(reader.read(next), Err(RingError::WriterGone)));
    assert_eq!(reader.statistics().expect("statistics").rows, rows_before(next));
    if oldest > 0 {
        let Err(RingError::Overrun { lost_records, lost_rows, resume_at }) = reader.read(0) else {
            panic!("the first record should be gone")
        };
        assert_eq!((lost_records, resume_at), (oldest, oldest));
        assert_eq!(lost_rows, Some(rows_before(oldest)));
    }
    next - oldest
}

fn check_wait(path: &Path) {
    let reader = RingReader::open(path).expect("a whole ring");
    let found = reader.wait_slice(reader.next_sequence(), DEADLINE);
    assert!(found.expect("an end"), "a dead writer is waited for");
}

/// Kills writers until so many died inside a record.
pub fn writers(plan: &Plan) {
    let directory = memory_directory();
    let (path, shared) = (directory.path().join("s.00000001.ring"), Shared::new());
    let (mut inside, mut case, mut checked) = (0, 0, 0);
    while plan.goes_on(inside) {
        let mut dice = Dice::new(plan.seed, case);
        for index in 0..3 {
            shared.word(index).store(0, Ordering::Relaxed);
        }
        let capacity = dice.among(&CAPACITIES);
        let child = Child::fork(|| write_for_ever(&path, capacity, &shared));
        child.kill(shared.word(COMMITTED), 1 + dice.below(60), &mut dice);
        checked += check_ring(&path, shared.word(COMMITTED).load(Ordering::Acquire));
        if case.is_multiple_of(1000) {
            // A sleeper looks up once before it finds out, so not each time.
            check_wait(&path);
        }
        inside += shared.word(INSIDE).load(Ordering::Acquire);
        case += 1;
        std::fs::remove_file(&path).expect("the ring");
        std::fs::remove_file(wake_path(&path)).expect("its wake file");
    }
    count("writers_killed", case);
    count("writers_killed_inside_a_record", inside);
    count("records_of_killed_writers", checked);
}

fn write_for_ever(path: &Path, capacity: u64, shared: &Shared) {
    let mut buffer = vec![0; WORD + LONGEST as usize];
    let mut ring = RingWriter::create(path, b"", capacity, WORD as u64).expect("a ring");
    for number in 0.. {
        shared.word(INSIDE).store(1, Ordering::Release);
        write(&mut ring, &mut buffer, number).expect("a record");
        shared.word(INSIDE).store(0, Ordering::Release);
        shared.word(COMMITTED).store(number + 1, Ordering::Release);
    }
}

/// Kills readers while they sleep, wake others, read or look; the writer notices nothing.
pub fn readers(plan: &Plan) {
    let directory = memory_directory();
    let (path, shared) = (directory.path().join("s.00000001.ring"), Shared::new());
    let mut ring = RingWriter::create(&path, b"", 64 << 10, WORD as u64).expect("a ring");
    let mut writing = Writing { buffer: vec![0; WORD + LONGEST as usize], number: 0 };
    let before = (files(directory.path()), open_files());
    let alone = writing.speed(&mut ring);
    let mut case = 0;
    while plan.goes_on(case) {
        let mut dice = Dice::new(plan.seed, case);
        shared.word(LOOKED).store(0, Ordering::Relaxed);
        let child = Child::fork(|| read_for_ever(&path, &shared));
        let other = Child::fork(|| read_for_ever(&path, &shared));
        writing.until(&mut ring, shared.word(LOOKED), 4 + dice.below(20));
        child.kill(shared.word(LOOKED), 0, &mut dice);
        other.kill(shared.word(LOOKED), 0, &mut dice);
        case += 2;
    }
    let afterwards = writing.speed(&mut ring);
    assert_eq!((files(directory.path()), open_files()), before, "killed readers leave something");
    assert_bell_is_quiet(&mut writing, &mut ring, &path);
    check(&ring.reader().expect("a reader"), writing.number - 1);
    count("readers_killed", case);
    count("nanos_a_record_before", alone);
    count("nanos_a_record_afterwards", afterwards);
}

struct Writing {
    buffer: Vec<u8>,
    number: u64,
}

impl Writing {
    fn one(&mut self, ring: &mut RingWriter) {
        write(ring, &mut self.buffer, self.number).expect("a record");
        self.number += 1;
    }

    fn until(&mut self, ring: &mut RingWriter, word: &AtomicU64, least: u64) {
        let begun = Instant::now();
        while word.load(Ordering::Acquire) < least {
            assert!(begun.elapsed() < DEADLINE, "no reader looks");
            self.one(ring);
            std::thread::yield_now();
        }
    }

    /// Median time of a record, in nanoseconds.
    fn speed(&mut self, ring: &mut RingWriter) -> u64 {
        let mut found: Vec<u64> = (0..200)
            .map(|_| {
                let begun = Instant::now();
                (0..100).for_each(|_| self.one(ring));
                begun.elapsed().as_nanos() as u64 / 100
            })
            .collect();
        found.sort_unstable();
        found[found.len() / 2]
    }
}

fn read_for_ever(path: &Path, shared: &Shared) {
    let reader = RingReader::open(path).expect("a ring");
    loop {
        let next = reader.next_sequence();
        reader.wait_slice(next, DEADLINE).expect("a bell");
        for number in [next, reader.oldest_sequence()] {
            match reader.read(number) {
                Ok(_) => check_if_left(&reader, number),
                Err(RingError::Overrun { .. } | RingError::NotYetWritten { .. }) => {}
                Err(error) => panic!("record {number}: {error}"),
            }
        }
        shared.word(LOOKED).fetch_add(1, Ordering::Release);
    }
}

/// Looks at a record where it lies, and believes it if it is still there.
fn check_if_left(reader: &RingReader, number: u64) {
    let Ok(located) = reader.locate(number) else { return };
    let payload = reader.payload(&located);
    let last = payload.last().copied();
    if payload.len() > WORD && reader.verify(&located).is_ok() {
        assert_eq!(last, Some(number as u8));
    }
}

fn files(directory: &Path) -> Vec<(String, u64)> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::read_dir(directory).expect("the rings' directory").map(|entry| {
        let entry = entry.expect("a file");
        let blocks = entry.metadata().expect("its size").blocks();
        (entry.file_name().to_string_lossy().into_owned(), blocks)
    });
    let mut found: Vec<_> = found.collect();
    found.sort();
    found
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc").count()
}

/// After one more record no bit is left that would make the writer call the kernel.
fn assert_bell_is_quiet(writing: &mut Writing, ring: &mut RingWriter, path: &Path) {
    let word = || std::fs::read(wake_path(path)).expect("the bell")[..4].to_vec();
    writing.one(ring);
    let rung = word();
    assert_eq!(rung[0] & 1, 0, "the writer believes that somebody sleeps");
    (0..100).for_each(|_| writing.one(ring));
    assert_eq!(word(), rung, "the writer rings for nobody");
}
