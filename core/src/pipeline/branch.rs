//! One thread's work: packets from its source through its chain to its outputs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::chain::{Chain, Failure, Held};
use super::data::{FanOut, PipelineData};
use super::graph::{Branch, Source};
use super::meter::{Count, Histogram};
use super::queue::{Input, Output, Received, SendError};
use super::ring_in::{Found, RingIn};
use super::runtime::{BEAT, Change, Control};
use super::{MemoryPool, Packet};
use crate::error::RingError;
use crate::region::clock_nanos;
use crate::sync::{Arc, AtomicU32, Ordering};

/// How a branch is, for whoever looks.
#[derive(Debug, Default)]
pub struct Status {
    /// Packets that came in.
    pub packets: Count,
    /// The monotonic clock when it last showed that it lives.
    pub beat_nanos: Count,
    /// Records that its ring had overwritten before they were read.
    pub lost_records: Count,
    /// Their rows, where known.
    pub lost_rows: Count,
    /// Packets that no pool had room for.
    pub exhausted: Count,
    /// From a packet's coming in to its end, in this process.
    pub latency: Histogram,
    /// What ended it, or what the system refused it.
    told: Mutex<String>,
    state: AtomicU32,
    ended: Bell,
    changes: Mutex<Vec<Change>>,
    has_changes: AtomicU32,
}

const LIVES: u32 = 0;
const DONE: u32 = 1;
const FAILED: u32 = 2;

impl Status {
    /// Its state in a word.
    pub fn state(&self) -> &'static str {
        // Acquire: pairs with the release of its end.
        match self.state.load(Ordering::Acquire) {
            LIVES => "running",
            DONE => "ended",
            _ => "failed",
        }
    }

    /// What ended it, or what the system refused it.
    pub fn told(&self) -> String {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, text: Option<String>) {
        if let Some(text) = text {
            *self.told.lock().unwrap_or_else(PoisonError::into_inner) = text;
        }
    }

    pub(super) fn ask(&self, change: Change) {
        if self.state() != "running" {
            let ended = RingError::Invalid("the branch of this stage has ended".into());
            let _ = change.answer.try_send(Err(ended));
            return;
        }
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
        // Release: the change is seen with the flag.
        self.has_changes.store(1, Ordering::Release);
    }

    pub(super) fn wait_for_end(&self, deadline: Instant) -> bool {
        self.ended.wait(deadline, || (self.state() != "running").then_some(())).is_some()
    }

    fn end(&self, state: u32) {
        // Release: what it did and told is seen with its end.
        self.state.store(state, Ordering::Release);
        self.ended.ring();
    }
}

/// A stage as a whole thread sees it.
pub trait DataPlaneStage {
    /// Works until its input is closed or it is told to stop.
    fn run(
        &mut self,
        input: &mut dyn Input<PipelineData>,
        output: &mut dyn Output<PipelineData>,
        control: &Control,
    ) -> Result<(), Failure>;
}

/// A ring as an input.
struct RingInput {
    ring: Box<RingIn>,
    pool: MemoryPool,
    spare: Option<Packet<super::BufferSlab>>,
    status: Arc<Status>,
    control: Arc<Control>,
}

impl RingInput {
    /// Waits first where nothing is there yet: to ask what became of the writer costs more.
    fn wait_and_read(
        &mut self,
        packet: &mut Packet<super::BufferSlab>,
        deadline: Instant,
    ) -> Result<Found, RingError> {
        if !self.ring.is_due() && !self.control.is_ending() {
            self.ring.wait(deadline.saturating_duration_since(Instant::now()))?;
        }
        self.next(packet)
    }

    fn next(&mut self, packet: &mut Packet<super::BufferSlab>) -> Result<Found, RingError> {
        loop {
            match self.ring.read(packet)? {
                Found::Lost(records, rows) => {
                    self.status.lost_records.add(records);
                    self.status.lost_rows.add(rows.unwrap_or(0));
                }
                found => return Ok(found),
            }
        }
    }
}

impl Input<PipelineData> for RingInput {
    fn recv(&mut self, deadline: Instant) -> Received<PipelineData> {
        let Some(mut packet) = self.spare.take().or_else(|| self.pool.acquire(deadline)) else {
            self.status.exhausted.bump();
            return Received::Empty;
        };
        match self.wait_and_read(&mut packet, deadline) {
            Ok(Found::Packet) => return Received::Data(PipelineData::Packet(packet)),
            Ok(Found::End) => return Received::Closed,
            Ok(_) if self.control.is_ending() => return Received::Closed,
            Ok(_) => {}
            Err(error) => return Received::Data(PipelineData::Error(error.to_string())),
        }
        self.spare = Some(packet);
        Received::Empty
    }
}

/// A chain as a thread's work.
struct ChainStage {
    chain: Chain,
    status: Arc<Status>,
}

impl ChainStage {
    fn make_changes(&mut self) {
        // Acquire: pairs with the release in `ask`.
        if self.status.has_changes.load(Ordering::Acquire) == 0 {
            return;
        }
        // Relaxed: a change that comes now sets it again after it is in the list.
        self.status.has_changes.store(0, Ordering::Relaxed);
        let changes = std::mem::take(
            &mut *self.status.changes.lock().unwrap_or_else(PoisonError::into_inner),
        );
        for change in changes {
            let done = self.chain.set(&change.stage, &change.name, &change.value);
            let _ = change.answer.try_send(done);
        }
    }

    fn work(
        &mut self,
        held: Held,
        output: &mut dyn Output<PipelineData>,
        control: &Control,
    ) -> Result<(), Failure> {
        self.status.packets.bump();
        let entered = held.slab().header().entered_nanos;
        let left = self.chain.run(held)?;
        if entered != 0 {
            self.status.latency.record((clock_nanos() - entered).unsigned_abs());
        }
        for trigger in self.chain.triggers() {
            send(output, PipelineData::Trigger(trigger), control)?;
        }
        match left {
            Some(held) => send(output, held.into(), control),
            None => Ok(()),
        }
    }
}

/// How long an edge that waits is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

fn send(
    output: &mut dyn Output<PipelineData>,
    data: PipelineData,
    control: &Control,
) -> Result<(), Failure> {
    let patience = if control.is_stopping() { Duration::ZERO } else { PATIENCE };
    match output.send(data, Instant::now() + patience) {
        // Its rings may still have readers.
        Ok(()) | Err(SendError::Closed(_)) => Ok(()),
        Err(SendError::Full(_)) => Err(Failure {
            stage: "edge".into(),
            error: RingError::Invalid("an edge is full, and its policy is to fail".into()),
        }),
    }
}

impl DataPlaneStage for ChainStage {
    fn run(
        &mut self,
        input: &mut dyn Input<PipelineData>,
        output: &mut dyn Output<PipelineData>,
        control: &Control,
    ) -> Result<(), Failure> {
        while !control.is_stopping() {
            self.status.beat_nanos.set(clock_nanos().unsigned_abs());
            self.make_changes();
            if !control.wait_for_go() {
                continue;
            }
            let held = match input.recv(Instant::now() + BEAT) {
                Received::Data(PipelineData::Packet(packet)) => Held::Owned(packet),
                Received::Data(PipelineData::Shared(packet)) => Held::Shared(packet),
                Received::Data(PipelineData::Shutdown) | Received::Closed => return Ok(()),
                Received::Data(PipelineData::Error(text)) => {
                    return Err(Failure { stage: "input".into(), error: RingError::Invalid(text) });
                }
                Received::Data(trigger @ PipelineData::Trigger(_)) => {
                    send(output, trigger, control)?;
                    continue;
                }
                Received::Empty => continue,
            };
            // A pause may have come while this one was waited for.
            while !control.wait_for_go() {
                self.status.beat_nanos.set(clock_nanos().unsigned_abs());
            }
            self.work(held, output, control)?;
        }
        Ok(())
    }
}

/// A branch with everything it needs on its thread.
pub(super) struct BranchStage {
    stage: ChainStage,
    input: Box<dyn Input<PipelineData> + Send>,
    outputs: FanOut,
    control: Arc<Control>,
}

impl BranchStage {
    pub fn new(branch: Branch, control: Arc<Control>, status: Arc<Status>) -> Self {
        let Branch { source, chain, outputs, pool, .. } = branch;
        let input: Box<dyn Input<PipelineData> + Send> = match source {
            Source::Queue(queue) => Box::new(queue),
            Source::Ring(ring) => {
                let (status, control) = (Arc::clone(&status), Arc::clone(&control));
                Box::new(RingInput { ring, pool, spare: None, status, control })
            }
        };
        Self { stage: ChainStage { chain, status }, input, outputs, control }
    }

    /// Runs until the end, whatever it is, and tells it.
    pub fn run_to_the_end(mut self) {
        let Self { stage, input, outputs, control } = &mut self;
        let status = Arc::clone(&stage.status);
        let ran = catch_unwind(AssertUnwindSafe(|| stage.run(&mut **input, outputs, control)));
        let told = match ran {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(format!("stage {:?}: {}", failure.stage, failure.error)),
            Err(_) => Some("its thread panicked".into()),
        };
        match &told {
            None => self.stage.chain.close(),
            Some(text) => {
                drop(self.outputs.send(PipelineData::Error(text.clone()), Instant::now()))
            }
        }
        // Rings and queues end before anybody is told that the branch has.
        drop(self);
        let state = if told.is_some() { FAILED } else { DONE };
        status.note(told);
        status.end(state);
    }
}
