//! A ring on disk: the protocol joined with its files, its owner's lock and its bell.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::arrow::decode::head_len;
use crate::bell::WakeFile;
use crate::debt::{Debt, LazyRinger};
use crate::error::RingError;
use crate::layout::{ALIGNMENT, Constants, Geometry, HEADER_SIZE, MAX_SCHEMA_LEN};
use crate::maker::Maker;
use crate::memory::{Memory, MemoryMut};
use crate::reader::{Located, Reader, Statistics};
use crate::region::{Region, clock_nanos, coarse_clock_nanos, random_id, ring_mode};
use crate::wake::{is_due, wait_once};
use crate::writer::{Slot, Stamp, Writer};

/// The longest sleep before a reader makes sure that the writer still lives.
pub const LONGEST_SLEEP: Duration = Duration::from_millis(250);

/// Records that follow each other in less than this come in a hurry.
const HURRY_NANOS: u64 = 20_000;
/// How long a reader sleeps before it looks again for a record that comes in a hurry. With what the
/// kernel adds, it is about as long as waking takes.
const DOZE: Duration = Duration::from_micros(20);

/// A record of so many bytes is committed before a sleeper wakes, which takes ten microseconds and more.
const SOON_BYTES: usize = 64 << 10;

/// Where the wake file of a ring lies.
pub fn wake_path(ring: &Path) -> PathBuf {
    ring.with_extension("wake")
}

/// The owner of a ring.
///
/// A fork of its process has the mapping too, and counters that soon are old, so it may not write.
#[derive(Debug)]
pub struct RingWriter {
    maker: Maker,
    writer: Writer<Arc<Region>>,
    ringer: LazyRinger<WakeFile>,
    constants: Constants,
    path: PathBuf,
}

/// Where a ring begins to count: zeros, but for tests of numbers that a ring reaches after years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// Sequence number of the first record.
    pub sequence: u64,
    /// Monotonic byte offset of the first record, a multiple of 64.
    pub offset: u64,
    /// Rows before the first record.
    pub rows: u64,
}

impl Origin {
    /// The highest number to begin at; what a ring adds to it in its life stays below 2^64.
    const HIGHEST: u64 = 1 << 63;

    fn check(&self) -> Result<(), RingError> {
        let numbers = [self.sequence, self.offset, self.rows];
        if numbers.iter().all(|n| *n <= Self::HIGHEST) && self.offset.is_multiple_of(ALIGNMENT) {
            return Ok(());
        }
        Err(RingError::Invalid(format!(
            "a ring begins at numbers up to 2^63, its offset at a multiple of {ALIGNMENT}; \
             found {numbers:?}"
        )))
    }
}

fn temporary_path(path: &Path) -> Result<PathBuf, RingError> {
    let name = path.file_name().and_then(|n| n.to_str());
    let name = name.ok_or_else(|| {
        RingError::Invalid(format!("a ring needs a file name: {}", path.display()))
    })?;
    Ok(path.with_file_name(format!(".{name}.{}", std::process::id())))
}

/// Gives a finished file its name, unless anything is there already.
fn publish(temporary: &Path, path: &Path) -> Result<(), RingError> {
    let linked = std::fs::hard_link(temporary, path);
    let removed = std::fs::remove_file(temporary);
    linked.map_err(|e| RingError::Io(format!("cannot create {}", path.display()), e))?;
    removed.map_err(|e| RingError::Io(format!("cannot remove {}", temporary.display()), e))
}

fn build(
    temporary: &Path,
    path: &Path,
    constants: &Constants,
    schema: &[u8],
) -> Result<(Region, WakeFile), RingError> {
    let geometry = &constants.geometry;
    let mode = ring_mode(path.parent().unwrap_or(Path::new(".")));
    let region = Region::create(temporary, geometry.file_size(), mode)?;
    region.lock_as_owner()?;
    region.copy_in(geometry.schema_offset() as usize, schema);
    region.copy_in(0, &constants.to_header(std::process::id()));
    let wake = WakeFile::create(&wake_path(path), mode)?;
    Ok((region, wake))
}

/// Whether a record of so many bytes is committed before whoever is hailed has woken up.
#[inline(always)]
pub fn is_soon(payload_len: usize) -> bool {
    payload_len <= SOON_BYTES
}

impl RingWriter {
    /// Makes a ring at a path where nothing is yet.
    ///
    /// It appears under its name only when it is complete. `smallest_record` is the payload of the
    /// smallest record that will be written; the index is sized for a ring full of those.
    pub fn create(
        path: &Path,
        schema: &[u8],
        capacity: u64,
        smallest_payload: u64,
    ) -> Result<Self, RingError> {
        Self::create_at(path, schema, capacity, smallest_payload, Origin::default())
    }

    /// The same, for a ring that begins to count elsewhere.
    pub fn create_at(
        path: &Path,
        schema: &[u8],
        capacity: u64,
        smallest_payload: u64,
        origin: Origin,
    ) -> Result<Self, RingError> {
        origin.check()?;
        let maker = Maker::this()?;
        let schema_len = schema.len() as u64;
        if schema_len > MAX_SCHEMA_LEN {
            return Err(RingError::TooLarge { record: schema_len, capacity: MAX_SCHEMA_LEN });
        }
        let smallest = crate::layout::record_len(smallest_payload, capacity)?;
        let geometry = Geometry::plan(capacity, smallest, schema_len)?;
        let schema_crc = crc32fast::hash(schema);
        let constants = Constants { geometry, generation: random_id()?, schema_crc };
        let temporary = temporary_path(path)?;
        let (region, wake) = match build(&temporary, path, &constants, schema) {
            Ok(built) => built,
            Err(error) => {
                let _ = std::fs::remove_file(&temporary);
                return Err(error);
            }
        };
        if let Err(error) = publish(&temporary, path) {
            let _ = std::fs::remove_file(wake_path(path));
            return Err(error);
        }
        let Origin { sequence, offset, rows } = origin;
        let writer = Writer::starting_at(Arc::new(region), geometry, sequence, offset, rows);
        let (ringer, path) = (LazyRinger::of(wake), path.to_owned());
        Ok(Self { maker, writer, ringer, constants, path })
    }

    /// Where the ring lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What never changes in the ring's header.
    pub fn constants(&self) -> &Constants {
        &self.constants
    }

    /// The mapping.
    pub fn region(&self) -> &Arc<Region> {
        self.writer.memory()
    }

    /// The process that made the ring.
    pub fn maker(&self) -> Maker {
        self.maker
    }

    /// Makes room for a record, at the cost of the oldest ones; refused in a fork.
    #[inline(always)]
    pub fn reserve(&mut self, payload_len: u64) -> Result<Slot, RingError> {
        self.maker.check()?;
        self.writer.reserve(payload_len)
    }

    /// Writes part of a slot's payload.
    #[inline(always)]
    pub fn fill(&self, slot: &Slot, at: usize, bytes: &[u8]) -> Result<(), RingError> {
        self.writer.fill(slot, at, bytes)
    }

    /// Prepares for a record of so many bytes, which is soon committed: begins to wake a reader that
    /// sleeps alone, and to fetch what will be written.
    #[inline(always)]
    pub fn hail(&self, payload_len: usize) {
        if is_soon(payload_len) {
            self.debt().hail();
        }
        self.expect(payload_len);
    }

    /// What is told of records, for who hails by itself.
    pub fn debt(&self) -> &Arc<Debt<WakeFile>> {
        self.ringer.debt()
    }

    /// Begins to fetch what a record of so many bytes will be written to.
    #[inline(always)]
    pub fn expect(&self, payload_len: usize) {
        self.writer.expect(payload_len);
    }

    /// Publishes a filled slot, wakes who waits for it, and returns its sequence number.
    pub fn commit(&mut self, slot: Slot, first_nanos: i64, last_nanos: i64, rows: u64) -> u64 {
        let heartbeat_nanos = coarse_clock_nanos();
        self.commit_stamped(slot, Stamp { first_nanos, last_nanos, rows, heartbeat_nanos })
    }

    #[inline(always)]
    fn commit_stamped(&mut self, slot: Slot, stamp: Stamp) -> u64 {
        let sequence = self.writer.commit(slot, stamp);
        self.ringer.tell(clock_nanos);
        sequence
    }

    /// Writes a record whose payload is at hand.
    pub fn append(
        &mut self,
        payload: &[u8],
        first_nanos: i64,
        last_nanos: i64,
        rows: u64,
    ) -> Result<u64, RingError> {
        self.hail(payload.len());
        let heartbeat_nanos = coarse_clock_nanos();
        self.append_stamped(payload, Stamp { first_nanos, last_nanos, rows, heartbeat_nanos })
    }

    /// The same for who has hailed already, and knows the time.
    #[inline(always)]
    pub fn append_stamped(&mut self, payload: &[u8], stamp: Stamp) -> Result<u64, RingError> {
        let slot = self.reserve(payload.len() as u64)?;
        self.fill(&slot, 0, payload)?;
        Ok(self.commit_stamped(slot, stamp))
    }

    /// Tells readers that nothing will follow; a fork, which cannot know that, says nothing.
    pub fn close(&mut self) {
        if !self.maker.is_here() {
            return;
        }
        self.writer.close();
        self.ringer.tell_now();
    }

    /// A reader of the same ring.
    pub fn reader(&self) -> Result<RingReader, RingError> {
        RingReader::open(&self.path)
    }
}

/// A reader of a ring, with a mapping of its own.
#[derive(Debug)]
pub struct RingReader {
    reader: Reader<Arc<Region>>,
    constants: Constants,
    schema: Vec<u8>,
    path: PathBuf,
    wake: OnceLock<WakeFile>,
    /// Records came in a hurry while this reader slept the last time.
    hurried: AtomicBool,
    /// Tick of the coarse clock in which `check_lately` asked for the file's size.
    sized_nanos: AtomicU64,
}

/// Whether so many records in such a time come in a hurry. The clock is asked only where it matters, as
/// whoever waits for the record waits for that too.
///
/// Then a reader that has read all of them sleeps for a moment without asking to be woken: it would be
/// woken for every one of them, which takes longer than to write a dozen, and costs the writer a call.
fn is_hurry(records: u64, nanos: impl FnOnce() -> i64) -> bool {
    records > 1 && nanos().unsigned_abs() < records.saturating_mul(HURRY_NANOS)
}

fn read_constants(region: &Region) -> Result<Constants, RingError> {
    if region.len() < HEADER_SIZE {
        return Err(RingError::corrupt(format!(
            "a ring has a header of {HEADER_SIZE} bytes; the file has {}",
            region.len()
        )));
    }
    let mut header = [0; HEADER_SIZE];
    region.copy_out(0, &mut header);
    Constants::from_header(&header, region.len() as u64)
}

fn read_schema(region: &Region, constants: &Constants) -> Result<Vec<u8>, RingError> {
    let mut schema = vec![0; constants.geometry.schema_len as usize];
    region.copy_out(constants.geometry.schema_offset() as usize, &mut schema);
    let found = crc32fast::hash(&schema);
    if found != constants.schema_crc {
        return Err(RingError::corrupt(format!(
            "the ring's schema should have the checksum {:#010x}; found {found:#010x}",
            constants.schema_crc
        )));
    }
    Ok(schema)
}

impl RingReader {
    /// Maps a ring for reading and checks its header, its sizes and its schema.
    pub fn open(path: &Path) -> Result<Self, RingError> {
        let region = Region::open(path, false)?;
        let constants = read_constants(&region)?;
        let schema = read_schema(&region, &constants)?;
        let reader = Reader::new(Arc::new(region), constants.geometry);
        Ok(Self {
            reader,
            constants,
            schema,
            path: path.to_owned(),
            wake: OnceLock::new(),
            hurried: AtomicBool::new(false),
            sized_nanos: AtomicU64::new(0),
        })
    }

    /// Where the ring lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What never changes in the ring's header.
    pub fn constants(&self) -> &Constants {
        &self.constants
    }

    /// The Arrow schema message.
    pub fn schema(&self) -> &[u8] {
        &self.schema
    }

    /// The mapping.
    pub fn region(&self) -> &Arc<Region> {
        self.reader.memory()
    }

    /// Whether a record is still there, so that what was seen of it was whole.
    #[inline(always)]
    pub fn is_intact(&self, sequence: u64) -> bool {
        self.reader.is_intact(sequence)
    }

    /// Finds a record and checks its frame.
    pub fn locate(&self, sequence: u64) -> Result<Located, RingError> {
        self.region().check_size()?;
        self.locate_or_end(sequence)
    }

    /// Finds the newest record and checks its frame.
    pub fn locate_newest(&self) -> Result<Located, RingError> {
        self.check_lately()?;
        self.locate_or_end(self.reader.next_sequence().saturating_sub(1))
    }

    fn locate_or_end(&self, sequence: u64) -> Result<Located, RingError> {
        match self.reader.locate(sequence) {
            Err(RingError::NotYetWritten { .. }) => self.locate_at_the_end(sequence),
            found => found,
        }
    }

    /// Finds a record that is verified later, in a ring whose file had its size a moment ago; nothing
    /// where it is not there, or damaged.
    #[inline(always)]
    pub fn locate_or_none(&self, sequence: u64) -> Option<Located> {
        self.reader.locate_or_none(sequence)
    }

    /// The same, and says why there is nothing.
    #[inline(always)]
    pub fn locate_again(&self, sequence: u64) -> Result<Located, RingError> {
        self.reader.locate_to_verify(sequence)
    }

    /// The bytes of a located record's payload, where they lie. They may change at any moment.
    pub fn payload(&self, located: &Located) -> &[u8] {
        let (at, len) = (located.payload_at, located.frame.payload_len as usize);
        self.region().slice(at, len)
    }

    fn locate_at_the_end(&self, sequence: u64) -> Result<Located, RingError> {
        let (closed, alive) = (self.reader.is_closed(), self.writer_alive());
        // A record may have come between the first look and the writer's end.
        match self.reader.locate(sequence) {
            Err(RingError::NotYetWritten { .. }) if closed => Err(RingError::EndOfStream),
            Err(RingError::NotYetWritten { .. }) if !alive => Err(RingError::WriterGone),
            found => found,
        }
    }

    /// Copies a located record's payload; the copy is whole only if `verify` then agrees.
    #[inline(always)]
    pub fn copy_payload(&self, located: &Located, into: &mut [u8]) {
        self.reader.copy_payload(located, into);
    }

    /// Copies the first bytes of a located record's payload; false if it has fewer. Not verified.
    pub fn copy_start(&self, located: &Located, into: &mut [u8]) -> bool {
        let fits = into.len() as u64 <= located.frame.payload_len;
        if fits {
            self.copy_payload(located, into);
        }
        fits
    }

    /// Copies the head of a located record's message, verified; the body may be used in place.
    pub fn message_head(&self, located: &Located) -> Result<Vec<u8>, RingError> {
        let mut start = [0; 8];
        let payload_len = located.frame.payload_len as usize;
        let known = start.len().min(payload_len);
        self.copy_payload(located, &mut start[..known]);
        let mut head = vec![0; head_len(start).min(payload_len)];
        self.copy_payload(located, &mut head);
        self.verify(located)?;
        Ok(head)
    }

    /// Confirms that a record was whole until now, else says what is lost.
    #[inline(always)]
    pub fn verify(&self, located: &Located) -> Result<(), RingError> {
        self.reader.verify(located)
    }

    /// Copies a record and confirms that the copy is whole.
    pub fn read(&self, sequence: u64) -> Result<(crate::frame::Frame, Vec<u8>), RingError> {
        let located = self.locate(sequence)?;
        let mut payload = vec![0; located.frame.payload_len as usize];
        self.copy_payload(&located, &mut payload);
        self.verify(&located)?;
        Ok((located.frame, payload))
    }

    /// The first record whose last time is `time_nanos` or later.
    pub fn find(&self, time_nanos: i64) -> Result<u64, RingError> {
        self.region().check_size()?;
        self.reader.find(time_nanos)
    }

    /// The sequence number of the record that will be committed next.
    pub fn next_sequence(&self) -> u64 {
        self.reader.next_sequence()
    }

    /// The same, for loops that look again and again.
    #[inline(always)]
    pub fn glance(&self) -> Result<u64, RingError> {
        self.check_lately()?;
        Ok(self.next_sequence())
    }

    /// `check_size` in the first look of each tick of the coarse clock, which is some milliseconds, as
    /// asking costs ten looks. A file that is cut under somebody's looks can end them anyway: between
    /// question and look.
    #[inline(always)]
    fn check_lately(&self) -> Result<(), RingError> {
        let tick = coarse_clock_nanos();
        // Relaxed, here and below: who misses that another thread has asked asks too.
        if self.sized_nanos.load(Ordering::Relaxed) != tick {
            self.region().check_size()?;
            self.sized_nanos.store(tick, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The sequence number of the oldest record left.
    pub fn oldest_sequence(&self) -> u64 {
        self.reader.oldest_sequence()
    }

    /// Whether the writer has closed the ring.
    pub fn is_closed(&self) -> bool {
        self.reader.is_closed()
    }

    /// Whether the process that writes the ring lives and has not closed it.
    pub fn writer_alive(&self) -> bool {
        !self.reader.is_closed() && self.region().is_owned()
    }

    /// The ring's counters, consistent with each other.
    pub fn statistics(&self) -> Result<Statistics, RingError> {
        self.region().check_size()?;
        self.reader.statistics()
    }

    /// Whether a record is there, or never will be; refused if the file was cut.
    pub fn is_due(&self, sequence: u64) -> Result<bool, RingError> {
        self.region().check_size()?;
        Ok(is_due(&self.reader, sequence))
    }

    /// Sleeps until a record is committed, the writer has ended, or the timeout passes.
    ///
    /// Returns early for no reason too, after `LONGEST_SLEEP` at the latest; the result says whether
    /// there is something to find out. The file had its size then.
    pub fn wait_slice(&self, sequence: u64, timeout: Duration) -> Result<bool, RingError> {
        Ok(self.is_due(sequence)? || self.sleep_slice(sequence, timeout)?)
    }

    /// The same for who has just asked whether it is due.
    pub fn sleep_slice(&self, sequence: u64, timeout: Duration) -> Result<bool, RingError> {
        // After a sleep that ended well nobody need ask for the size, which takes its time just then:
        // the writer has touched the record's bytes a moment ago.
        Ok(self.doze_or_sleep(sequence, timeout)?
            || self.is_due(sequence)?
            || !self.region().is_owned())
    }

    fn doze_or_sleep(&self, sequence: u64, timeout: Duration) -> Result<bool, RingError> {
        let bell = self.bell()?;
        let begun = clock_nanos();
        // Relaxed, here and below: a guess, which orders nothing.
        if self.hurried.load(Ordering::Relaxed) && timeout > DOZE {
            std::thread::sleep(DOZE);
            self.region().check_size()?;
        }
        let due = wait_once(&self.reader, bell, sequence, timeout.min(LONGEST_SLEEP));
        // After a sleep in vain, the ring is not looked at before its size was asked for.
        if due {
            self.reader.fetch(sequence);
        }
        let next = if due { self.reader.next_sequence() } else { sequence };
        let came = next.saturating_sub(sequence);
        let hurried = is_hurry(came, || clock_nanos() - begun);
        self.hurried.store(hurried, Ordering::Relaxed);
        Ok(due)
    }

    /// The reading half of the protocol, for who waits in other ways.
    pub fn protocol(&self) -> &Reader<Arc<Region>> {
        &self.reader
    }

    /// What a reader sleeps on.
    pub fn bell(&self) -> Result<&WakeFile, RingError> {
        if self.wake.get().is_none() {
            let opened = WakeFile::open(&wake_path(&self.path))?;
            let _ = self.wake.set(opened);
        }
        let wake = self.wake.get();
        let wake = wake.ok_or_else(|| RingError::corrupt("the ring's wake file vanished"))?;
        wake.check_size()?;
        Ok(wake)
    }
}

#[cfg(test)]
mod tests {
    use super::is_hurry;

    #[test]
    fn only_several_records_that_follow_quickly_are_a_hurry() {
        let (quick, slow) = (30_000, 800_000);
        assert!(is_hurry(2, || quick));
        assert!(is_hurry(100, || slow));
        assert!(!is_hurry(1, || quick));
        assert!(!is_hurry(2, || slow));
        assert!(!is_hurry(0, || quick));
    }
}
