//! One thread's work: packets from its source through its chain to its outputs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::chain::{Chain, Failure, Held};
use super::change::Change;
use super::data::{FanOut, PipelineData};
use super::feed::EDGE_IS_FULL;
use super::meter::{Count, Histogram};
use super::plan::{Branch, Source};
use super::queue::{Input, Output, Received, SendError};
use super::ring_in::{Found, RingIn};
use super::runtime::{BEAT, Control};
use super::stage::Trigger;
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
            change.answer(Err(ended));
            return;
        }
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
        // Release: the change is seen with the flag.
        self.has_changes.store(1, Ordering::Release);
    }

    fn take_changes(&self) -> Vec<Change> {
        // Acquire: pairs with the release in `ask`.
        if self.has_changes.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        // Relaxed: a change that comes now sets it again after it is in the list.
        self.has_changes.store(0, Ordering::Relaxed);
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
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

/// What a stage's thread is given beside its input and its output.
#[derive(Debug)]
pub struct StageContext {
    control: Arc<Control>,
    status: Arc<Status>,
    pool: MemoryPool,
}

impl StageContext {
    /// Whether to end at once.
    pub fn is_stopping(&self) -> bool {
        self.control.is_stopping()
    }

    /// Shows that the thread lives, and waits while there is a pause, for a beat at most; whether it
    /// is over.
    pub fn wait_for_go(&self) -> bool {
        self.status.beat_nanos.set(clock_nanos().unsigned_abs());
        self.control.wait_for_go()
    }

    /// Packets for what the thread makes.
    pub fn pool(&self) -> &MemoryPool {
        &self.pool
    }

    /// The changes of parameters that are waiting to be made.
    pub fn changes(&self) -> Vec<Change> {
        self.status.take_changes()
    }
}

/// A stage as a whole thread sees it.
pub trait DataPlaneStage {
    /// Works until its input is closed or it is told to stop.
    fn run(
        &mut self,
        input: &mut dyn Input<PipelineData>,
        output: &mut dyn Output<PipelineData>,
        context: &StageContext,
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
    fn make_changes(&mut self, context: &StageContext) {
        for change in context.changes().into_iter().filter(Change::claim) {
            let done = self.chain.set(&change.stage, &change.name, &change.value);
            change.answer(done);
        }
    }

    fn work(
        &mut self,
        held: Held,
        is_second: bool,
        output: &mut dyn Output<PipelineData>,
        context: &StageContext,
    ) -> Result<(), Failure> {
        self.status.packets.bump();
        let entered = held.slab().header().entered_nanos;
        let left = if is_second { self.chain.run_second(held)? } else { self.chain.run(held)? };
        if entered != 0 {
            self.status.latency.record((clock_nanos() - entered).unsigned_abs());
        }
        self.give(left, output, context)
    }

    /// Hands on what is left of a packet, its triggers first, and what else is ready.
    fn give(
        &mut self,
        left: Option<Held>,
        output: &mut dyn Output<PipelineData>,
        context: &StageContext,
    ) -> Result<(), Failure> {
        let mut left = left;
        loop {
            for trigger in self.chain.triggers() {
                send(output, PipelineData::Trigger(trigger), context)?;
            }
            if let Some(held) = left {
                send(output, held.into(), context)?;
            }
            left = self.chain.more()?;
            if left.is_none() {
                return Ok(());
            }
        }
    }

    fn pass_trigger(
        &mut self,
        trigger: Trigger,
        output: &mut dyn Output<PipelineData>,
        context: &StageContext,
    ) -> Result<(), Failure> {
        self.chain.announce(&trigger);
        send(output, PipelineData::Trigger(trigger), context)?;
        self.give(None, output, context)
    }
}

/// How long an edge that waits is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

fn send(
    output: &mut dyn Output<PipelineData>,
    data: PipelineData,
    context: &StageContext,
) -> Result<(), Failure> {
    let patience = if context.is_stopping() { Duration::ZERO } else { PATIENCE };
    match output.send(data, Instant::now() + patience) {
        // Its rings may still have readers.
        Ok(()) | Err(SendError::Closed(_)) => Ok(()),
        Err(SendError::Full(_)) => {
            Err(Failure { stage: "edge".into(), error: RingError::Invalid(EDGE_IS_FULL.into()) })
        }
    }
}

impl DataPlaneStage for ChainStage {
    fn run(
        &mut self,
        input: &mut dyn Input<PipelineData>,
        output: &mut dyn Output<PipelineData>,
        context: &StageContext,
    ) -> Result<(), Failure> {
        while !context.is_stopping() {
            self.make_changes(context);
            if !context.wait_for_go() {
                continue;
            }
            let (held, is_second) = match input.recv(Instant::now() + BEAT) {
                Received::Data(PipelineData::Packet(packet)) => (Held::Owned(packet), false),
                Received::Data(PipelineData::Shared(packet)) => (Held::Shared(packet), false),
                Received::Data(PipelineData::Second(held)) => (held, true),
                Received::Data(PipelineData::Shutdown) | Received::Closed => return Ok(()),
                Received::Data(PipelineData::Error(text)) => {
                    return Err(Failure { stage: "input".into(), error: RingError::Invalid(text) });
                }
                Received::Data(PipelineData::Trigger(trigger)) => {
                    self.pass_trigger(trigger, output, context)?;
                    continue;
                }
                Received::Empty => continue,
            };
            // A pause may have come while this one was waited for.
            while !context.wait_for_go() {
                self.make_changes(context);
            }
            self.work(held, is_second, output, context)?;
        }
        Ok(())
    }
}

/// A branch with everything it needs on its thread.
pub(super) struct BranchStage {
    stage: ChainStage,
    input: Box<dyn Input<PipelineData> + Send>,
    outputs: FanOut,
    context: StageContext,
}

impl BranchStage {
    pub fn new(branch: Branch, control: Arc<Control>, status: Arc<Status>) -> Self {
        let Branch { source, chain, outputs, pool, .. } = branch;
        let context = StageContext {
            control: Arc::clone(&control),
            status: Arc::clone(&status),
            pool: pool.clone(),
        };
        let input: Box<dyn Input<PipelineData> + Send> = match source {
            Source::Queue(queue) => Box::new(queue),
            Source::Ring(ring) => {
                let status = Arc::clone(&status);
                Box::new(RingInput { ring, pool, spare: None, status, control })
            }
        };
        Self { stage: ChainStage { chain, status }, input, outputs, context }
    }

    /// Runs until the end, whatever it is, and tells it.
    pub fn run_to_the_end(mut self) {
        let Self { stage, input, outputs, context } = &mut self;
        let status = Arc::clone(&stage.status);
        let ran = catch_unwind(AssertUnwindSafe(|| stage.run(&mut **input, outputs, context)));
        let told = match ran {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(format!("stage {:?}: {}", failure.stage, failure.error)),
            Err(_) => Some("its thread panicked".into()),
        };
        match &told {
            None => self.stage.chain.close(),
            Some(text) => self.outputs.fail(text),
        }
        // Rings and queues end before anybody is told that the branch has.
        drop(self);
        let state = if told.is_some() { FAILED } else { DONE };
        status.note(told);
        status.end(state);
    }
}
