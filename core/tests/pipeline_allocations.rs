//! Packets move without the allocator, counted over as many as `RINGDAQ_PACKETS` says.
//! Python's library has an allocator of its own, so this is left out there.

#![cfg(not(feature = "python"))]
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ringdaq_core::arrow::{Column, ColumnKind, Primitive, Schema};
use ringdaq_core::pipeline::chain::{Chain, Held, Link, OnError};
use ringdaq_core::pipeline::kernels::window::hann;
use ringdaq_core::pipeline::kernels::{Isa, Precision, Spectrum};
use ringdaq_core::pipeline::ring_out::RingOut;
use ringdaq_core::pipeline::stage::{Format, Stage};
use ringdaq_core::pipeline::stages::{
    Decimate, Envelope, Epoch, Fft, Filter, Reference, Threshold, ToVoltage, Welch,
};
use ringdaq_core::pipeline::{
    BufferSlab, DataType, Header, Input, Output, Packet, Policy, Pool, Rate, Received, Shape,
    StageQueue,
};

struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether this thread's calls count: the test's harness has a thread of its own.
    static COUNTS: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if COUNTS.with(Cell::get) {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is the system allocator's own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the allocator's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

const CHANNELS: usize = 16;
const SAMPLES: usize = 8;
const SECTION: [f64; 6] = [0.5, 0.2, 0.5, 1.0, -0.5, 0.3];

fn schema() -> Schema {
    let kind = ColumnKind::List(Primitive::Float32, 10 * CHANNELS);
    let column = |name: &str, kind| {
        let metadata = BTreeMap::new();
        Column { name: name.into(), kind, nullable: false, metadata }
    };
    let columns = vec![column("time", ColumnKind::Time), column("spectrum", kind)];
    Schema::new(columns, BTreeMap::new()).unwrap()
}

fn chain(directory: &std::path::Path) -> Chain {
    let isa = Isa::best();
    let input =
        Format { kind: DataType::Raw, channels: CHANNELS, samples: SAMPLES, rate: Rate::ONE };
    let link = |name: &str, stage: Box<dyn Stage>| Link::new(name, stage, OnError::Stop, None);
    let links = vec![
        link("volts", Box::new(ToVoltage::new(1e-6, isa).unwrap())),
        link("filter", Box::new(Filter::new(vec![SECTION], Precision::F64, isa).unwrap())),
        link("fft", Box::new(Fft::new(8, &hann(8), Spectrum::Complex, isa).unwrap())),
    ];
    let ring = RingOut::create(&directory.join("out.ring"), &schema(), 1 << 16).unwrap();
    Chain::new(input, links, Some(ring)).unwrap().0
}

/// All stages that keep something from packet to packet, for volts.
fn keeping_chain() -> Chain {
    let isa = Isa::best();
    let (kind, channels, samples) = (DataType::Voltage, CHANNELS, SAMPLES);
    let input = Format { kind, channels, samples, rate: Rate::ONE };
    let link = |name: &str, stage: Box<dyn Stage>| Link::new(name, stage, OnError::Stop, None);
    let power = Welch::new(&hann(8), 4, 4, vec![(0.1, 0.2)], isa).unwrap();
    let links = vec![
        link("average", Box::new(Reference::Average)),
        link("level", Box::new(Threshold::new(0, 0.0, 0.0, true, 0).unwrap())),
        link("envelope", Box::new(Envelope::new(vec![SECTION], Precision::F64, isa).unwrap())),
        link("slower", Box::new(Decimate::new(2).unwrap())),
        link("epochs", Box::new(Epoch::new(2, 6, 8, None).unwrap())),
        link("power", Box::new(power.of_epochs(true))),
    ];
    Chain::new(input, links, None).unwrap().0
}

/// A packet of a wave that crosses 0 in each packet.
fn fill(packet: &mut BufferSlab, index: u64) {
    let (kind, first_sample) = (DataType::Voltage, index * SAMPLES as u64);
    let header = *packet.header();
    let (channels, samples, rate) = (CHANNELS, SAMPLES, Rate::ONE);
    let header = Header { kind, channels, samples, first_sample, rate, ..header };
    packet.set_header(header).unwrap();
    for (place, value) in packet.samples_mut().iter_mut().enumerate() {
        let (sample, channel) = (place / CHANNELS, place % CHANNELS);
        *value = if sample < SAMPLES / 2 { -1.0 } else { 1.0 } * (channel + 1) as f32;
    }
}

/// Runs a packet, and takes everything that comes of it; how many packets and triggers.
fn work_through(chain: &mut Chain, packet: Packet<BufferSlab>) -> (usize, usize) {
    let mut made = 0;
    let mut left = chain.run(Held::Owned(packet)).unwrap();
    while left.is_some() {
        made += 1;
        drop(left);
        left = chain.more().unwrap();
    }
    (made, chain.triggers().count())
}

#[test]
fn packets_move_without_the_allocator() {
    let packets: u64 =
        std::env::var("RINGDAQ_PACKETS").map_or(20_000, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let mut chain = chain(directory.path());
    let shape = Shape::new(CHANNELS, chain.most_samples()).unwrap();
    let pool = Pool::new(4, || BufferSlab::new(shape)).unwrap();
    chain.set_pool(&pool);
    let (mut outputs, mut input) = StageQueue::new(2, 1, Policy::Block).unwrap();
    let mut keeping = keeping_chain();
    let room = Shape::new(keeping.most_channels(), keeping.most_samples()).unwrap();
    let volts = Pool::new(4, || BufferSlab::new(room)).unwrap();
    keeping.set_pool(&volts);
    let (mut made, mut crossings) = (0, 0);
    for index in 0..packets + 100 {
        if index == 100 {
            COUNTS.set(true);
        }
        let now = Instant::now();
        let mut packet = pool.acquire(now).unwrap();
        let (first_sample, frame_id) = (index * SAMPLES as u64, index);
        let (kind, channels, samples) = (DataType::Raw, CHANNELS, SAMPLES);
        let header = *packet.header();
        let header = Header { kind, channels, samples, first_sample, frame_id, ..header };
        packet.set_header(header).unwrap();
        packet.raw_mut().fill(index as i32);
        outputs[0].send(packet, now).unwrap();
        let Received::Data(packet) = input.recv(now) else { panic!("the packet was sent") };
        assert!(chain.run(Held::Owned(packet)).unwrap().is_none());
        let mut packet = volts.acquire(now).unwrap();
        fill(&mut packet, index);
        let found = work_through(&mut keeping, packet);
        (made, crossings) = (made + found.0, crossings + found.1);
    }
    COUNTS.set(false);
    let calls = CALLS.load(Ordering::Relaxed);
    println!("{calls} calls of the allocator over {packets} packets");
    assert_eq!(calls, 0);
    assert!(made as u64 > packets / 20 && crossings as u64 > packets / 2, "{made} {crossings}");
    assert_eq!(chain.published().packets.get(), packets + 100);
}
