//! Waiting without a thread of one's own: one thread sleeps on the bells of many rings, and tells by
//! an eventfd whose record is there.

use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bell::{EventFd, MOST_WORDS, futex_wake, wait_any};
use crate::error::RingError;
use crate::ring::{LONGEST_SLEEP, RingReader};
use crate::wake::{Bell, announce, is_due, pass_on};

/// Somebody who waits for a record.
#[derive(Debug)]
struct Entry {
    id: u64,
    ring: Arc<RingReader>,
    sequence: u64,
    event: Arc<EventFd>,
}

/// A thread, and who waits for it to tell them.
#[derive(Debug, Default)]
struct Watcher {
    /// Changes with the list below, so that the thread looks at it again.
    changes: AtomicU32,
    waiting: Mutex<Vec<Entry>>,
}

/// The watchers of a process; those of its parent did not come along into a fork.
static WATCHERS: Mutex<(u32, Vec<Arc<Watcher>>)> = Mutex::new((0, Vec::new()));
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right of one reader to be told.
#[derive(Debug)]
pub struct Watch {
    id: u64,
    ring: Arc<RingReader>,
    event: Arc<EventFd>,
    armed_at: Mutex<Option<Arc<Watcher>>>,
}

impl Watch {
    /// Gets ready; fails where the kernel cannot wait for several rings at once.
    pub fn new(ring: Arc<RingReader>) -> Result<Self, RingError> {
        let word = AtomicU32::new(0);
        // Another value than the word has: returns at once where the kernel knows the call.
        wait_any(&[(&word, 1)], None)
            .map_err(|e| RingError::Io("cannot wait for several rings at once".into(), e))?;
        let (id, event) = (NEXT_ID.fetch_add(1, Ordering::Relaxed), Arc::new(EventFd::new()?));
        Ok(Self { id, ring, event, armed_at: Mutex::default() })
    }

    /// The event that tells.
    pub fn event(&self) -> &EventFd {
        &self.event
    }

    /// The ring that is watched.
    pub fn ring(&self) -> &Arc<RingReader> {
        &self.ring
    }

    /// Asks to be told once there is something to find out about a record; true if there is already.
    pub fn arm(&self, sequence: u64) -> Result<bool, RingError> {
        self.disarm();
        if has_news(&self.ring, sequence, true) {
            return Ok(true);
        }
        self.ring.bell()?;
        let (ring, event) = (Arc::clone(&self.ring), Arc::clone(&self.event));
        let watcher = enter(Entry { id: self.id, ring, sequence, event })?;
        *locked(&self.armed_at) = Some(watcher);
        Ok(false)
    }

    /// Asks no longer.
    pub fn disarm(&self) {
        if let Some(watcher) = locked(&self.armed_at).take() {
            locked(&watcher.waiting).retain(|entry| entry.id != self.id);
        }
        self.event.clear();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// Sleeps until there is something to find out about a record, until the word has another value than
/// was seen, or for the time; returns whether there is something.
///
/// May return early, and after `LONGEST_SLEEP` at the latest.
pub fn sleep_on(
    (word, seen): (&AtomicU32, u32),
    rings: &[(Arc<RingReader>, u64)],
    timeout: Duration,
) -> Result<bool, RingError> {
    let mut words = vec![(word, seen)];
    let mut bells = Vec::with_capacity(rings.len());
    for (ring, sequence) in rings {
        if ring.region().check_size().is_err() {
            break;
        }
        let bell = ring.bell()?;
        let Some(value) = announce(ring.protocol(), bell, *sequence) else {
            break;
        };
        bells.push(bell);
        words.push((bell.word(), value));
    }
    // Nobody rings for a writer that died.
    let limit = timeout.min(LONGEST_SLEEP);
    let begun = Instant::now();
    let done = if bells.len() == rings.len() { wait_any(&words, Some(limit)) } else { Ok(()) };
    bells.into_iter().for_each(pass_on);
    done.map_err(|e| RingError::Io("cannot wait for several rings at once".into(), e))?;
    let late = begun.elapsed() >= LONGEST_SLEEP;
    // Acquire: pairs with the release of whoever changes it, so that the reason is seen.
    Ok(word.load(Ordering::Acquire) != seen
        || rings.iter().any(|(ring, sequence)| has_news(ring, *sequence, late)))
}

/// Whether there is something to find out about a record, be it that its file was cut.
fn has_news(ring: &RingReader, sequence: u64, with_writer: bool) -> bool {
    ring.region().check_size().is_err()
        || is_due(ring.protocol(), sequence)
        || (with_writer && !ring.writer_alive())
}

/// Puts an entry on the list of a watcher that has room, a new one if none has.
fn enter(entry: Entry) -> Result<Arc<Watcher>, RingError> {
    let mut watchers = locked(&WATCHERS);
    if watchers.0 != std::process::id() {
        *watchers = (std::process::id(), Vec::new());
    }
    // One word is the list's own.
    let has_room = |watcher: &&Arc<Watcher>| locked(&watcher.waiting).len() < MOST_WORDS - 1;
    let found = watchers.1.iter().find(has_room).map(Arc::clone);
    let watcher = match found {
        Some(watcher) => watcher,
        None => {
            let watcher = Arc::new(Watcher::default());
            let working = Arc::clone(&watcher);
            let named = std::thread::Builder::new().name("ring-watch".into());
            named
                .spawn(move || working.run())
                .map_err(|e| RingError::Io("cannot start a thread that watches rings".into(), e))?;
            watchers.1.push(Arc::clone(&watcher));
            watcher
        }
    };
    locked(&watcher.waiting).push(entry);
    // Release: the thread that sees the change finds the entry. (The lock would do as well.)
    watcher.changes.fetch_add(1, Ordering::Release);
    futex_wake(&watcher.changes, 1);
    Ok(watcher)
}

impl Watcher {
    fn run(&self) {
        let mut looked = Instant::now();
        loop {
            // Acquire: pairs with the release in `enter`. Loaded before the list, so that an entry
            // that the round does not see has changed the word that the thread then sleeps on.
            let changes = self.changes.load(Ordering::Acquire);
            let late = looked.elapsed() >= LONGEST_SLEEP;
            if late {
                looked = Instant::now();
            }
            let rings = self.round(late);
            if self.sleep(changes, &rings).is_err() {
                // The kernel knew the call when the watch was made. Whoever waits finds out.
                locked(&self.waiting).drain(..).for_each(|entry| entry.event.set());
            }
        }
    }

    /// Tells whoever has something to find out; returns what the others sleep on.
    fn round(&self, with_writers: bool) -> Vec<(Arc<RingReader>, u32)> {
        let mut rings = Vec::new();
        locked(&self.waiting).retain(|entry| {
            if let Some(value) = entry.sleeps_on(with_writers) {
                rings.push((Arc::clone(&entry.ring), value));
                return true;
            }
            entry.event.set();
            false
        });
        rings
    }

    fn sleep(&self, changes: u32, rings: &[(Arc<RingReader>, u32)]) -> io::Result<()> {
        let bells = || rings.iter().filter_map(|(ring, value)| Some((ring.bell().ok()?, *value)));
        let mut words = vec![(&self.changes, changes)];
        words.extend(bells().map(|(bell, value)| (bell.word(), value)));
        // Nobody rings for a writer that died.
        let done = wait_any(&words, (!rings.is_empty()).then_some(LONGEST_SLEEP));
        bells().for_each(|(bell, _)| pass_on(bell));
        done
    }
}

impl Entry {
    /// The bell's value, or nothing if there is something to find out, be it a damage.
    fn sleeps_on(&self, with_writer: bool) -> Option<u32> {
        let ring = &self.ring;
        if ring.region().check_size().is_err() || (with_writer && !ring.writer_alive()) {
            return None;
        }
        let bell = ring.bell().ok()?;
        // Nothing to sleep on although nothing is due: a wake-up was passed on; look once more.
        let announced = || announce(ring.protocol(), bell, self.sequence);
        announced().or_else(announced)
    }
}
