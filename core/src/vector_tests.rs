//! The golden bytes of `tests/vectors`: read, taken apart, and put together again to the same bytes.

use std::path::{Path, PathBuf};

use crate::arrow::{Batch, ColumnBuffers, ColumnData, Encoder, Schema};
use crate::error::RingError;
use crate::frame::Frame;
use crate::layout::FRAME_SIZE;
use crate::ring::{Origin, RingReader, RingWriter};

fn vector(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn data<'a>(payload: &'a [u8], column: &ColumnBuffers) -> ColumnData<'a> {
    let part = |place: crate::arrow::decode::Place| &payload[place.at..place.at + place.len];
    ColumnData {
        nulls: column.nulls,
        validity: part(column.validity),
        offsets: part(column.offsets),
        data: part(column.data),
    }
}

/// Writes what a payload says as the first record of a new ring, and returns that record's bytes.
fn written_again(schema: &Schema, frame: &Frame, payload: &[u8]) -> (Frame, Vec<u8>) {
    let batch = Batch::parse(schema, payload).unwrap();
    assert_eq!(batch.rows, frame.rows);
    let columns: Vec<_> = batch.columns.iter().map(|column| data(payload, column)).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.00000001.ring");
    let origin = Origin { sequence: frame.sequence, offset: 0, rows: frame.first_row };
    let mut ring = RingWriter::create_at(&path, schema.message(), 1 << 16, 64, origin).unwrap();
    let span = (frame.first_nanos, frame.last_nanos);
    let mut encoder = Encoder::new(schema).unwrap();
    let sequence = encoder.write(&mut ring, frame.rows, span, &columns).unwrap();
    ring.reader().unwrap().read(sequence).unwrap()
}

#[test]
fn a_golden_record_is_written_again_to_the_byte() {
    for name in ["rows", "samples", "frames"] {
        let record = vector(&format!("{name}_record_v1.bin"));
        let schema = Schema::from_message(&vector(&format!("{name}_schema_v1.bin"))).unwrap();
        assert_eq!(
            Schema::new(schema.columns().to_vec(), schema.metadata().clone()).unwrap(),
            schema
        );
        let head: &[u8; FRAME_SIZE] = record.first_chunk().unwrap();
        let frame = Frame::from_bytes(head, record.len() as u64).unwrap();
        assert_eq!(frame.length, record.len() as u64);
        let payload = &record[FRAME_SIZE..][..frame.payload_len as usize];
        let (again, bytes) = written_again(&schema, &frame, payload);
        assert_eq!((again.to_bytes(), &bytes[..]), (*head, payload), "{name}");
    }
}

/// A golden ring under the name of a ring; its writer is gone.
fn ring_file(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(format!("{name}.00000001.ring"));
    std::fs::write(&path, vector(&format!("{name}_v1.ring"))).unwrap();
    path
}

#[test]
fn a_golden_ring_is_read_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    for (name, origin, records) in [
        ("ring_rows", Origin::default(), 23),
        (
            "ring_samples_far",
            Origin { sequence: (1 << 53) - 3, rows: (1 << 32) - 10, offset: 0 },
            20,
        ),
    ] {
        let reader = RingReader::open(&ring_file(directory.path(), name)).unwrap();
        let schema = Schema::from_message(reader.schema()).unwrap();
        let (oldest, next) = (reader.oldest_sequence(), reader.next_sequence());
        assert_eq!(next, origin.sequence + records);
        for sequence in oldest..next {
            let (frame, payload) = reader.read(sequence).unwrap();
            assert_eq!(written_again(&schema, &frame, &payload).1, payload, "{name} {sequence}");
        }
        let first_row = reader.read(oldest).unwrap().0.first_row;
        let Err(RingError::Overrun { lost_records, lost_rows, .. }) = reader.read(origin.sequence)
        else {
            panic!("{name}: the first record should be gone")
        };
        assert_eq!(lost_records, oldest - origin.sequence);
        assert_eq!(lost_rows, Some(first_row - origin.rows));
        assert!(matches!(reader.read(next), Err(RingError::WriterGone)));
    }
}
