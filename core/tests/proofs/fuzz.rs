//! Damaged rings: a reader gives the record that was written, or an error; it never crashes, never
//! hangs, and never returns bytes of anything else.
//!
//! A finished ring is damaged in place, read, and mended again. Words that carry a checksum are
//! also forged with a right one; then only the end is asked for, not what comes out.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringdaq_core::arrow::{Batch, Encoder, Schema, cdata, to_batch};
use ringdaq_core::frame::Frame;
use ringdaq_core::layout::{ENTRY_SIZE, FRAME_SIZE, HEADER_SIZE};
use ringdaq_core::memory::{Memory, MemoryMut};
use ringdaq_core::reader::Located;
use ringdaq_core::region::Region;
use ringdaq_core::{RingError, RingReader, RingWriter};

use crate::dice::Dice;
use crate::streams::{KINDS, Kind};
use crate::{Plan, count, memory_directory};

const CAPACITY: u64 = 16 << 10;
const RECORDS: u64 = 120;
/// No try takes milliseconds; one that takes this long never ends.
const HANGS_AFTER: Duration = Duration::from_secs(60);
/// Numbers at which readers break.
const AWKWARD: [u64; 10] = [
    0,
    1,
    63,
    u32::MAX as u64,
    1 << 32,
    1 << 53,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 63,
    u64::MAX,
];

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    Constants,
    Counters,
    Entry,
    Frame,
    Head,
    Values,
    Schema,
    Anywhere,
    ForgedConstants,
    ForgedFrame,
    ForgedSchema,
}

const AREAS: [Area; 11] = [
    Area::Constants,
    Area::Counters,
    Area::Entry,
    Area::Frame,
    Area::Head,
    Area::Values,
    Area::Schema,
    Area::Anywhere,
    Area::ForgedConstants,
    Area::ForgedFrame,
    Area::ForgedSchema,
];

/// A record as it was written.
struct Kept {
    frame: Frame,
    payload_at: usize,
    payload: Vec<u8>,
}

/// A ring, and all that is true of it.
struct Victim {
    path: PathBuf,
    bytes: Vec<u8>,
    region: Region,
    reader: RingReader,
    schema: Schema,
    oldest: u64,
    /// All that were ever written.
    kept: Vec<Kept>,
    rows: u64,
    _directory: tempfile::TempDir,
}

/// How the reads of damaged rings ended.
#[derive(Default)]
struct Tally {
    exact: u64,
    refused: u64,
}

impl Victim {
    fn new(kind: Kind) -> Self {
        let directory = memory_directory();
        let path = directory.path().join("s.00000001.ring");
        let schema = kind.schema();
        let mut encoder = Encoder::new(&schema).expect("an encoder");
        let smallest = encoder.smallest_payload();
        let ring = RingWriter::create(&path, schema.message(), CAPACITY, smallest);
        let mut ring = ring.expect("a ring");
        let reader = RingReader::open(&path).expect("a whole ring");
        let kept = (0..RECORDS).map(|number| {
            let sequence = kind.write(&mut encoder, &mut ring, number).expect("a record");
            let Located { frame, payload_at } = reader.locate(sequence).expect("a whole record");
            let (_, payload) = reader.read(sequence).expect("a whole record");
            Kept { frame, payload_at, payload }
        });
        let kept = kept.collect();
        // The writer died in the middle of a record.
        let slot = ring.reserve(900).expect("room");
        ring.fill(&slot, 0, &[0xEE; 500]).expect("part of a record");
        drop(ring);
        Self {
            bytes: std::fs::read(&path).expect("the ring's bytes"),
            region: Region::open(&path, true).expect("a mapping"),
            schema,
            oldest: reader.oldest_sequence(),
            kept,
            rows: reader.statistics().expect("statistics").rows,
            reader,
            path,
            _directory: directory,
        }
    }

    fn kept(&self, sequence: u64) -> Option<&Kept> {
        self.kept.get(usize::try_from(sequence).ok()?)
    }

    /// Where something may be damaged; `sequence` is the record that is looked for.
    fn range(&self, area: Area, sequence: u64) -> Range<usize> {
        let g = self.reader.constants().geometry;
        let Kept { frame, payload_at, .. } = self.kept(sequence).expect("a record");
        // The smallest payload has 64 bytes of values at least.
        let head = payload_at + 256.min(frame.payload_len as usize - 64);
        match area {
            Area::Constants | Area::ForgedConstants | Area::Counters => 0..HEADER_SIZE,
            Area::Entry => g.entry_at(sequence)..g.entry_at(sequence) + ENTRY_SIZE,
            Area::Frame | Area::ForgedFrame => payload_at - FRAME_SIZE..*payload_at,
            Area::Head => *payload_at..head,
            Area::Values => head..payload_at + frame.payload_len as usize,
            Area::Schema | Area::ForgedSchema => g.schema_offset() as usize..self.bytes.len(),
            Area::Anywhere => 0..self.bytes.len(),
        }
    }

    /// Damages a range in place, with right checksums if they are to be forged; returns what became
    /// of its bytes.
    fn damage(&self, area: Area, range: &Range<usize>, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.bytes[range.clone()].to_vec();
        for _ in 0..=dice.below(4) {
            change(&mut bytes, dice);
        }
        match area {
            Area::Counters => keep_constants(&mut bytes, &self.bytes),
            Area::ForgedConstants => forge_constants(&mut bytes),
            Area::ForgedFrame => {
                let crc = crc32fast::hash(&bytes[8..]);
                bytes[4..8].copy_from_slice(&crc.to_le_bytes());
            }
            _ => {}
        }
        self.region.copy_in(range.start, &bytes);
        if area == Area::ForgedSchema {
            self.set_schema_crc(crc32fast::hash(&bytes));
        }
        bytes
    }

    fn set_schema_crc(&self, crc: u32) {
        let mut header: [u8; HEADER_SIZE] = std::array::from_fn(|i| self.bytes[i]);
        header[120..124].copy_from_slice(&crc.to_le_bytes());
        forge_constants(&mut header);
        self.region.copy_in(0, &header);
    }

    fn mend(&self, area: Area, range: &Range<usize>) {
        self.region.copy_in(range.start, &self.bytes[range.clone()]);
        if area == Area::ForgedSchema {
            self.region.copy_in(0, &self.bytes[..HEADER_SIZE]);
        }
    }

    fn try_one(&self, dice: &mut Dice, tally: &mut Tally) {
        let sequence = self.oldest + dice.below(RECORDS - self.oldest);
        let area = dice.among(&AREAS);
        let range = self.range(area, sequence);
        let damaged = self.damage(area, &range, dice);
        match area {
            Area::Constants | Area::Schema | Area::Anywhere => {
                self.open_anew(sequence, area, dice, tally);
            }
            Area::ForgedConstants | Area::ForgedSchema => {
                self.open_anew(sequence, area, dice, tally)
            }
            _ => self.use_reader(&self.reader, sequence, area, dice, tally),
        }
        debug_assert_eq!(damaged.len(), range.len());
        self.mend(area, &range);
    }

    fn open_anew(&self, sequence: u64, area: Area, dice: &mut Dice, tally: &mut Tally) {
        match RingReader::open(&self.path) {
            Ok(reader) => self.use_reader(&reader, sequence, area, dice, tally),
            Err(error) => tally.refuse(&error),
        }
    }

    fn use_reader(
        &self,
        reader: &RingReader,
        sequence: u64,
        area: Area,
        dice: &mut Dice,
        tally: &mut Tally,
    ) {
        let schema = match Schema::from_message(reader.schema()) {
            Ok(schema) => schema,
            Err(error) => return tally.refuse(&error),
        };
        self.read(reader, &schema, sequence, area, tally);
        match dice.below(8) {
            // The one before, and records that are gone or still to come.
            0 => self.read(reader, &schema, sequence.wrapping_sub(1), area, tally),
            1 => self.read(reader, &schema, dice.below(self.oldest), area, tally),
            2 => self.read(reader, &schema, RECORDS + dice.below(3), area, tally),
            3 => self.read(reader, &schema, dice.among(&AWKWARD), area, tally),
            4 => self.count(reader, area, tally),
            5 => self.find(reader, sequence, area, tally),
            6 => self.view(reader, &schema, sequence, tally),
            _ => self.wait(reader, sequence, tally),
        }
    }

    fn read(
        &self,
        reader: &RingReader,
        schema: &Schema,
        sequence: u64,
        area: Area,
        tally: &mut Tally,
    ) {
        match reader.read(sequence) {
            Err(error) => tally.refuse(&error),
            Ok((frame, payload)) => {
                if area.keeps_its_checksum() {
                    self.check(sequence, &frame, &payload, area);
                }
                tally.exact += 1;
                if let Ok(batch) = Batch::parse(schema, &payload) {
                    check_places(&batch, payload.len());
                }
            }
        }
    }

    /// What came out is the record as it was written, but for bytes that were damaged themselves.
    fn check(&self, sequence: u64, frame: &Frame, payload: &[u8], area: Area) {
        let kept = self.kept(sequence).unwrap_or_else(|| panic!("record {sequence} never was"));
        assert_eq!(*frame, kept.frame, "record {sequence}");
        let mut wanted = kept.payload.clone();
        if matches!(area, Area::Head | Area::Values | Area::Anywhere) {
            let mut now = vec![0; payload.len()];
            self.region.copy_out(kept.payload_at, &mut now);
            for (at, byte) in now.into_iter().enumerate() {
                if byte != self.bytes[kept.payload_at + at] {
                    wanted[at] = byte;
                }
            }
        }
        assert_eq!(payload, wanted, "record {sequence}");
    }

    fn count(&self, reader: &RingReader, area: Area, tally: &mut Tally) {
        match reader.statistics() {
            Err(error) => tally.refuse(&error),
            Ok(found) => {
                if matches!(area, Area::Frame | Area::Head | Area::Values) {
                    assert_eq!(found.rows, self.rows);
                    assert_eq!(found.next_sequence, RECORDS);
                }
                tally.exact += 1;
            }
        }
    }

    fn find(&self, reader: &RingReader, sequence: u64, area: Area, tally: &mut Tally) {
        let wanted = self.kept(sequence).map_or(0, |kept| kept.frame.last_nanos);
        match reader.find(wanted) {
            Err(error) => tally.refuse(&error),
            Ok(found) => {
                if matches!(area, Area::Frame | Area::Head | Area::Values) {
                    assert_eq!(found, sequence);
                }
                tally.exact += 1;
            }
        }
    }

    /// Looks at a record where it lies, in both of Arrow's ways.
    fn view(&self, reader: &RingReader, schema: &Schema, sequence: u64, tally: &mut Tally) {
        let viewed = (|| {
            let located = reader.locate(sequence)?;
            let head = reader.message_head(&located)?;
            let payload = reader.payload(&located);
            let batch = Batch::parse_with(schema, &head, payload)?;
            check_places(&batch, payload.len());
            drop(cdata::export(schema, &batch, reader.region(), located.payload_at));
            to_batch(schema, &Arc::new(schema.to_arrow()), &head, &payload.to_vec().into())?;
            reader.verify(&located)
        })();
        match viewed {
            Ok(()) => tally.exact += 1,
            Err(error) => tally.refuse(&error),
        }
    }

    fn wait(&self, reader: &RingReader, sequence: u64, tally: &mut Tally) {
        match reader.wait_slice(sequence, Duration::ZERO) {
            Ok(_) => tally.exact += 1,
            Err(error) => tally.refuse(&error),
        }
    }
}

impl Area {
    /// Whether damage here cannot agree with a checksum but by chance.
    fn keeps_its_checksum(self) -> bool {
        !matches!(self, Self::ForgedConstants | Self::ForgedFrame | Self::ForgedSchema)
    }
}

impl Tally {
    fn refuse(&mut self, error: &RingError) {
        let fits = !matches!(error, RingError::NoSpace { .. } | RingError::TooLarge { .. });
        assert!(fits, "a reader never asks for room: {error}");
        self.refused += 1;
    }
}

/// Changes a byte, a bit, or a word to an awkward number.
fn change(bytes: &mut [u8], dice: &mut Dice) {
    let at = dice.below(bytes.len() as u64) as usize;
    match dice.below(4) {
        0 => bytes[at] = dice.roll() as u8,
        1 => bytes[at] ^= 1 << dice.below(8),
        kind => {
            let at = at / 8 * 8;
            let Some(word) = bytes.get_mut(at..at + 8) else { return };
            let old = u64::from_le_bytes(word.try_into().expect("8 bytes"));
            let near = old.wrapping_add(dice.below(257)).wrapping_sub(128);
            let new = if kind == 2 { dice.among(&AWKWARD) } else { near };
            word.copy_from_slice(&new.to_le_bytes());
        }
    }
}

/// Leaves only the words changed that change in a living ring.
fn keep_constants(header: &mut [u8], original: &[u8]) {
    for constant in [0..16, 32..56, 96..128] {
        header[constant.clone()].copy_from_slice(&original[constant]);
    }
}

fn forge_constants(header: &mut [u8]) {
    let mut crc = crc32fast::Hasher::new();
    for constant in [0..16, 32..56, 96..124] {
        crc.update(&header[constant]);
    }
    header[124..128].copy_from_slice(&crc.finalize().to_le_bytes());
}

fn check_places(batch: &Batch, payload_len: usize) {
    for column in &batch.columns {
        for place in [column.validity, column.offsets, column.data] {
            assert!(place.at.checked_add(place.len).is_some_and(|end| end <= payload_len));
        }
    }
}

static CASE: AtomicU64 = AtomicU64::new(0);

/// Says which case it was, if one panics or hangs.
fn watch(seed: u64) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let case = CASE.load(Ordering::Relaxed);
        eprintln!("mutation {case} of RINGDAQ_SEED={seed} failed");
        usual(panic);
    }));
    std::thread::spawn(move || {
        loop {
            let case = CASE.load(Ordering::Relaxed);
            std::thread::sleep(HANGS_AFTER);
            if case == CASE.load(Ordering::Relaxed) {
                eprintln!("mutation {case} of RINGDAQ_SEED={seed} hangs");
                std::process::exit(1);
            }
        }
    });
}

/// Damages rings of each kind, and reads them.
pub fn mutations(plan: &Plan) {
    let victims = KINDS.map(Victim::new);
    let mut tally = Tally::default();
    watch(plan.seed);
    let mut case = 0;
    while plan.goes_on(case) {
        CASE.store(case, Ordering::Relaxed);
        let mut dice = Dice::new(plan.seed, case);
        dice.among(&[&victims[0], &victims[1], &victims[2]]).try_one(&mut dice, &mut tally);
        case += 1;
    }
    // Each is mended: what was written is there again.
    for victim in &victims {
        for sequence in victim.oldest..RECORDS {
            victim.read(&victim.reader, &victim.schema, sequence, Area::Values, &mut tally);
        }
    }
    assert!(tally.exact > case / 10 && tally.refused > case / 10, "the damage misses the reader");
    count("mutations", case);
    count("mutations_read_exactly", tally.exact);
    count("mutations_refused", tally.refused);
}
