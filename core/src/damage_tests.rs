//! Damaged files: every reader and every writer goes on, with an error or without, and never crashes.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::Path;

use proptest::prelude::*;

use crate::arrow::{Batch, Column, ColumnData, ColumnKind, Encoder, Primitive, Schema};
use crate::error::RingError;
use crate::ring::{RingReader, RingWriter};

/// In memory where there is room, since thousands of files are made.
fn memory_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn schema() -> Schema {
    let column = |name: &str, kind, nullable| Column {
        name: name.to_owned(),
        kind,
        nullable,
        metadata: BTreeMap::new(),
    };
    let columns = vec![
        column("time", ColumnKind::Time, false),
        column("value", ColumnKind::Number(Primitive::Float64), true),
        column("good", ColumnKind::Bool, true),
        column("note", ColumnKind::Text, true),
        column("image", ColumnKind::List(Primitive::Uint16, 4), false),
    ];
    Schema::new(columns, BTreeMap::from([("ringdaq".into(), "{}".into())])).unwrap()
}

fn append(encoder: &mut Encoder, ring: &mut RingWriter, number: i64) -> Result<u64, RingError> {
    let (time, value) = (number.to_le_bytes(), (number as f64).to_le_bytes());
    let (offsets, text) = ([0i32.to_le_bytes(), 5i32.to_le_bytes()].concat(), *b"hello");
    let plain = |data| ColumnData { data, ..ColumnData::default() };
    let columns = [
        plain(&time[..]),
        ColumnData { nulls: 1, validity: &[0], ..plain(&value) },
        plain(&[1][..]),
        ColumnData { offsets: &offsets, ..plain(&text) },
        plain(&[7; 8][..]),
    ];
    encoder.write(ring, 1, (number, number), &columns)
}

fn filled(path: &Path) -> (RingWriter, Encoder) {
    let schema = schema();
    let mut encoder = Encoder::new(&schema).unwrap();
    let smallest = encoder.smallest_payload();
    let mut ring = RingWriter::create(path, schema.message(), 8192, smallest).unwrap();
    for number in 0..40 {
        append(&mut encoder, &mut ring, number).unwrap();
    }
    (ring, encoder)
}

/// Does all that a reader can do; how it ends does not matter, that it ends does.
fn use_everything(path: &Path) -> Result<(), RingError> {
    let reader = RingReader::open(path)?;
    let schema = Schema::from_message(reader.schema())?;
    let _ = reader.statistics();
    let _ = reader.find(20);
    let _ = reader.wait_slice(0, std::time::Duration::ZERO);
    let oldest = reader.oldest_sequence();
    for sequence in (0..60).chain(oldest..oldest.saturating_add(60)) {
        if let Ok((_, payload)) = reader.read(sequence) {
            let _ = Batch::parse(&schema, &payload);
        }
    }
    Ok(())
}

fn damage(path: &Path, size: u64, spots: &[(u64, u8)]) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    for (at, byte) in spots {
        file.write_all_at(&[*byte], at % size).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_ring_never_crashes_a_reader(
        anywhere in prop::collection::vec((0u64..1 << 20, any::<u8>()), 0..40),
        header in prop::collection::vec((16u64..128, any::<u8>()), 0..4),
    ) {
        let directory = memory_directory();
        let path = directory.path().join("s.00000001.ring");
        let (_ring, _) = filled(&path);
        let size = std::fs::metadata(&path).unwrap().len();
        damage(&path, size, &anywhere);
        damage(&path, size, &header);
        let _ = use_everything(&path);
    }

    #[test]
    fn a_damaged_ring_never_stops_its_writer(
        anywhere in prop::collection::vec((0u64..1 << 20, any::<u8>()), 0..200),
    ) {
        let directory = memory_directory();
        let path = directory.path().join("s.00000001.ring");
        let (mut ring, mut encoder) = filled(&path);
        damage(&path, 128 + 8192, &anywhere);
        for number in 40..60 {
            prop_assert_eq!(append(&mut encoder, &mut ring, number).unwrap(), number as u64);
        }
    }

    #[test]
    fn a_damaged_message_never_crashes_the_decoder(
        spots in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
        offset in 0usize..8,
    ) {
        let directory = memory_directory();
        let path = directory.path().join("s.00000001.ring");
        let (ring, _) = filled(&path);
        let (_, payload) = ring.reader().unwrap().read(39).unwrap();
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(&payload);
        prop_assert!(Batch::parse(&schema(), &bytes[offset..]).is_ok());
        let cut = offset + cut.index(payload.len());
        let _ = Batch::parse(&schema(), &bytes[offset..cut]);
        for (spot, byte) in spots {
            bytes[offset + spot.index(payload.len())] = byte;
        }
        let _ = Batch::parse(&schema(), &bytes[offset..]);
    }
}

#[test]
fn a_ring_cut_under_its_reader_is_an_error_and_no_signal() {
    let directory = memory_directory();
    let path = directory.path().join("s.00000001.ring");
    let (_ring, _) = filled(&path);
    let reader = RingReader::open(&path).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(64).unwrap();
    assert!(matches!(reader.read(39), Err(RingError::Corrupt(_))));
    assert!(matches!(reader.statistics(), Err(RingError::Corrupt(_))));
    assert!(matches!(RingReader::open(&path), Err(RingError::Corrupt(_))));
}

#[test]
fn what_is_no_ring_is_refused() {
    let directory = memory_directory();
    let path = directory.path().join("s.00000001.ring");
    for bytes in [&b""[..], &b"x"[..], &[0; 128][..], &[0xFF; 4096][..]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(RingReader::open(&path), Err(RingError::Corrupt(_))));
    }
    assert!(matches!(RingReader::open(directory.path()), Err(RingError::Corrupt(_))));
    let missing = RingReader::open(&directory.path().join("missing"));
    assert!(matches!(missing, Err(RingError::Io(..))));
}

#[test]
fn a_planted_file_or_link_is_not_written() {
    let directory = memory_directory();
    let path = directory.path().join("s.00000001.ring");
    let victim = directory.path().join("victim");
    std::fs::write(&victim, b"mine").unwrap();
    std::os::unix::fs::symlink(&victim, &path).unwrap();
    let refused = RingWriter::create(&path, b"", 4096, 8);
    assert!(matches!(refused, Err(RingError::Io(..))));
    assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
    assert!(matches!(RingReader::open(&path), Err(RingError::Io(..))));
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 2);
}

#[test]
fn a_ring_larger_than_its_file_system_is_refused_with_numbers() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path().join("s.00000001.ring");
    let refused = RingWriter::create(&path, b"", 1 << 50, 8 << 20);
    let Err(RingError::NoSpace { needed, free }) = refused else { panic!("{refused:?}") };
    assert!(needed > 1 << 50 && free < needed);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn the_lock_tells_whether_the_writer_lives() {
    let directory = memory_directory();
    let path = directory.path().join("s.00000001.ring");
    let (ring, _) = filled(&path);
    let reader = ring.reader().unwrap();
    assert!(reader.writer_alive());
    assert!(matches!(reader.read(40), Err(RingError::NotYetWritten { .. })));
    drop(ring);
    assert!(!reader.writer_alive());
    assert!(matches!(reader.read(40), Err(RingError::WriterGone)));
    assert!(reader.wait_slice(40, std::time::Duration::from_secs(9)).unwrap());
    assert!(reader.read(39).is_ok());
}

#[test]
fn a_closed_ring_ends_in_good_order() {
    let directory = memory_directory();
    let path = directory.path().join("s.00000001.ring");
    let (mut ring, _) = filled(&path);
    let reader = ring.reader().unwrap();
    ring.close();
    assert!(matches!(reader.read(40), Err(RingError::EndOfStream)));
    assert!(reader.statistics().unwrap().closed);
}
