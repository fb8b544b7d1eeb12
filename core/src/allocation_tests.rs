//! Nothing is allocated for a record, counted by the allocator itself.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::arrow::{
    Batch, Column, ColumnData, ColumnKind, Encoder, Primitive, RowBatch, Schema, Template,
};
use crate::ring::{RingReader, RingWriter};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // Not while a thread ends: its count is of no interest then.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is the system allocator's own, with the same arguments; counting allocates
// nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the allocator's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Allocations of this thread while something is done a thousand times, after the first times.
fn allocations(mut work: impl FnMut(u64)) -> u64 {
    (0..10).for_each(&mut work);
    let before = COUNT.with(Cell::get);
    (10..1010).for_each(&mut work);
    COUNT.with(Cell::get) - before
}

fn schema(columns: &[(&str, ColumnKind)]) -> Schema {
    let columns = columns.iter().map(|(name, kind)| Column {
        name: (*name).to_owned(),
        kind: *kind,
        nullable: false,
        metadata: BTreeMap::new(),
    });
    Schema::new(columns.collect(), BTreeMap::new()).unwrap()
}

/// A ring that is lapped many times in a thousand records.
fn ring(schema: &Schema) -> (tempfile::TempDir, RingWriter, Encoder) {
    let directory = tempfile::tempdir().unwrap();
    let encoder = Encoder::new(schema).unwrap();
    let path = directory.path().join("s.00000001.ring");
    let smallest = encoder.smallest_payload();
    let ring = RingWriter::create(&path, schema.message(), 1 << 16, smallest).unwrap();
    (directory, ring, encoder)
}

fn plain(data: &[u8]) -> ColumnData<'_> {
    ColumnData { data, ..ColumnData::default() }
}

fn rows() -> Schema {
    let number = ColumnKind::Number(Primitive::Float64);
    schema(&[("time", ColumnKind::Time), ("x", number), ("good", ColumnKind::Bool)])
}

fn frames() -> Schema {
    let image = ColumnKind::List(Primitive::Uint16, 64);
    schema(&[("time", ColumnKind::Time), ("image", image)])
}

#[test]
fn the_allocator_counts() {
    assert_eq!(allocations(|_| drop(std::hint::black_box(vec![1, 2, 3]))), 1000);
}

#[test]
fn writing_allocates_nothing() {
    let (_directory, mut ring, mut encoder) = ring(&rows());
    let payload = [7; 500];
    assert_eq!(allocations(|n| drop(ring.append(&payload, n as i64, n as i64, 1))), 0);
    let row = |n: u64| {
        let (places, image) = encoder.row_parts();
        image[places[1].1..][..8].copy_from_slice(&n.to_le_bytes());
        encoder.write_row(&mut ring, n as i64, n).unwrap();
    };
    assert_eq!(allocations(row), 0);
}

#[test]
fn batching_rows_allocates_nothing() {
    let schema = rows();
    let (_directory, mut ring, mut encoder) = ring(&schema);
    let mut batch = RowBatch::new(&schema, 8).unwrap();
    let append = |n: u64| {
        batch.place(1).copy_from_slice(&n.to_le_bytes());
        batch.set_bool(2, n.is_multiple_of(3));
        batch.push(n as i64, n as i64);
        if batch.is_full() {
            batch.flush(&mut encoder, &mut ring).unwrap();
        }
    };
    assert_eq!(allocations(append), 0);
}

#[test]
fn writing_blocks_and_loans_allocates_nothing() {
    let (_directory, mut ring, mut encoder) = ring(&frames());
    let write = |n: u64| {
        let columns = [plain(&[1; 8][..]), plain(&[2; 128][..])];
        encoder.write(&mut ring, 1, (n as i64, n as i64), &columns).unwrap();
    };
    assert_eq!(allocations(write), 0);
    let loan = |n: u64| {
        let open = encoder.open(&mut ring, 1).unwrap();
        let (at, _) = open.places[1];
        ring.fill(&open.slot, at, &[3; 128]).unwrap();
        ring.commit(open.slot, n as i64, n as i64, 1);
        encoder.take_back(open.places);
    };
    assert_eq!(allocations(loan), 0);
}

#[test]
fn reading_into_a_buffer_allocates_nothing() {
    let (_directory, mut ring, _) = ring(&rows());
    let reader = RingReader::open(ring.path()).unwrap();
    let mut buffer = [0; 500];
    let read = |n: u64| {
        ring.append(&[n as u8; 500], n as i64, n as i64, 1).unwrap();
        assert!(reader.wait_slice(n, Duration::ZERO).unwrap());
        let located = reader.locate(n).unwrap();
        reader.copy_payload(&located, &mut buffer);
        reader.verify(&located).unwrap();
        assert_eq!(buffer[499], n as u8);
        assert_eq!(reader.find(n as i64).unwrap(), n);
        assert_eq!(reader.statistics().unwrap().next_sequence, n + 1);
    };
    assert_eq!(allocations(read), 0);
}

/// What a view needs before anything is exported: the record, and where its values lie.
#[test]
fn looking_at_a_record_allocates_its_list_of_columns_only() {
    let schema = frames();
    let (_directory, mut ring, mut encoder) = ring(&schema);
    let template = Template::of(&schema).unwrap();
    let reader = RingReader::open(ring.path()).unwrap();
    let mut look = |parse: bool| {
        allocations(|n| {
            let image = [n as u8; 128];
            let columns = [plain(&[1; 8][..]), plain(&image)];
            let sequence = encoder.write(&mut ring, 1, (0, 0), &columns).unwrap();
            let located = reader.locate(sequence).unwrap();
            let (mut head, payload) = ([0; 1024], reader.payload(&located));
            let head = &mut head[..template.len()];
            assert!(reader.copy_start(&located, head));
            let numbers = template.numbers(head).unwrap();
            assert_eq!(payload.last(), Some(&(n as u8)));
            if parse {
                Batch::from_numbers(&schema, &numbers, template.len(), payload).unwrap();
            }
            reader.verify(&located).unwrap();
        })
    };
    assert_eq!(look(false), 0);
    assert_eq!(look(true), 1000);
}
