//! A stage in its place: its name, its failures, its packets and its rings.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::held::Held;
use super::meter::Meter;
use super::ring_out::RingOut;
use super::slab::{BufferSlab, Shape};
use super::stage::{Context, Flow, Format, Place, Stage, Target};
use super::stages::Pass;
use super::{Header, MemoryPool, Packet};
use crate::error::RingError;
use crate::region::clock_nanos;

/// The first rest after a failure; each further one is twice as long.
const FIRST_REST_NANOS: i64 = 10_000_000;
/// The longest rest.
const LONGEST_REST_NANOS: i64 = 5_000_000_000;

/// What becomes of a stage that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The packet goes on as it is, if its form allows; else it is dropped.
    Bypass,
    /// The chain ends.
    Stop,
    /// The packet is dropped, and the stage begins anew after a rest that grows.
    Restart,
}

impl OnError {
    /// The one of a name such as `bypass`.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [(Self::Bypass, "bypass"), (Self::Stop, "stop"), (Self::Restart, "restart")];
        all.into_iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

/// What is left of a packet, and whether it goes on.
pub(super) type Worked = (Option<Held>, Result<Flow, RingError>);

/// A stage with its name and what becomes of its failures.
pub struct Link {
    pub(super) name: String,
    pub(super) stage: Box<dyn Stage>,
    on_error: OnError,
    pub(super) meter: Arc<Meter>,
    /// For results that need another packet.
    pool: Option<MemoryPool>,
    /// What the pool's packets hold, where it is one of its own.
    room: Option<Shape>,
    /// The longest that it says it takes for a packet.
    latency: Duration,
    /// Rings that also get its results.
    pub(super) taps: Vec<(RingOut, Arc<Meter>)>,
    same_form: bool,
    rest_until: i64,
    rest: i64,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Link {
    /// A stage of a chain; the pool is for results that need another packet.
    pub fn new(
        name: impl Into<String>,
        stage: Box<dyn Stage>,
        on_error: OnError,
        pool: Option<MemoryPool>,
    ) -> Self {
        let meter = Arc::new(Meter { gauges: stage.gauges(), ..Meter::default() });
        Self {
            name: name.into(),
            stage,
            on_error,
            meter,
            pool,
            room: None,
            latency: Duration::ZERO,
            taps: Vec::new(),
            same_form: true,
            rest_until: i64::MIN,
            rest: FIRST_REST_NANOS,
        }
    }

    /// A link that gives packets on as they are, so that rings can be tapped to it.
    pub fn passing(name: &str) -> Self {
        Self::new(name, Box::new(Pass), OnError::Stop, None)
    }

    /// Takes packets for its results out of a pool of its own.
    pub fn use_pool(&mut self, pool: MemoryPool, room: Shape) {
        (self.pool, self.room) = (Some(pool), Some(room));
    }

    /// A pool for its results, unless it has one.
    pub(super) fn set_pool(&mut self, pool: &MemoryPool) {
        self.pool.get_or_insert_with(|| pool.clone());
    }

    /// Says how long the stage takes for a packet at most.
    pub fn declare_latency(&mut self, latency: Duration) {
        self.latency = latency;
    }

    /// The longest that it says it takes for a packet.
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// Takes the form of what comes to its second input.
    pub fn plan_second(&mut self, input: Format) -> Result<(), RingError> {
        self.stage.plan_second(input).map_err(|error| named(&self.name, &error))
    }

    pub(super) fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        let found = self.stage.plan(input).map_err(|error| named(&self.name, &error))?;
        self.same_form = found == input;
        for format in [input, found] {
            self.room.map_or(Ok(()), |room| check_room(&self.name, room, format))?;
        }
        for (ring, _) in &mut self.taps {
            ring.plan(found)?;
        }
        Ok(found)
    }

    /// Publishes its results in a ring too, whatever follows; returns the counts of that.
    pub fn tap(&mut self, ring: RingOut) -> Arc<Meter> {
        let meter = Arc::<Meter>::default();
        self.taps.push((ring, Arc::clone(&meter)));
        meter
    }

    pub(super) fn publish(&mut self, held: &Held, before: &mut i64) -> Result<(), RingError> {
        for (ring, meter) in &mut self.taps {
            publish(ring, meter, held, before)?;
        }
        Ok(())
    }

    /// Its name and its counts.
    pub fn meter(&self) -> (String, Arc<Meter>) {
        (self.name.clone(), Arc::clone(&self.meter))
    }

    fn spare(&self) -> Result<Packet<BufferSlab>, RingError> {
        let pool = self.pool.as_ref();
        let pool = pool.ok_or_else(|| RingError::Invalid("this stage has no pool".into()))?;
        pool.try_acquire().ok_or_else(|| {
            let size = pool.statistics().size;
            RingError::Invalid(format!("all {size} packets of this stage's pool are in use"))
        })
    }

    fn copy_of(&self, packet: &BufferSlab) -> Result<Packet<BufferSlab>, RingError> {
        let mut copy = self.spare()?;
        copy.copy_from(packet)?;
        Ok(copy)
    }

    /// The packet, or a copy of it where others read it, to be written.
    fn owned(&self, held: Held) -> Result<Packet<BufferSlab>, (Held, RingError)> {
        let shared = match held.thawed() {
            Held::Owned(packet) => return Ok(packet),
            Held::Shared(shared) => shared,
        };
        self.copy_of(&shared).map_err(|error| (Held::Shared(shared), error))
    }

    /// Whether a failure must leave the packet as it came.
    fn bypasses(&self) -> bool {
        self.on_error == OnError::Bypass && self.same_form
    }

    fn in_place(&mut self, held: Held, context: &mut Context) -> Worked {
        if self.bypasses() {
            return self.on_a_copy(held, |link, copy| link.change(copy, context));
        }
        match self.owned(held) {
            Ok(packet) => self.change(packet, context),
            Err((held, error)) => (Some(held), Err(error)),
        }
    }

    fn change(&mut self, mut packet: Packet<BufferSlab>, context: &mut Context) -> Worked {
        let stage = &mut self.stage;
        let flow = guarded(|| stage.change(&mut packet, context));
        (Some(Held::Owned(packet)), flow)
    }

    fn lent(&mut self, held: Held, context: &mut Context) -> Worked {
        if self.stage.place() == Place::Lent {
            return self.stage.lend(held, context);
        }
        if self.bypasses() {
            return self.on_a_copy(held, |link, copy| link.stage.lend(Held::Owned(copy), context));
        }
        match self.owned(held) {
            Ok(packet) => self.stage.lend(Held::Owned(packet), context),
            Err((held, error)) => (Some(held), Err(error)),
        }
    }

    /// Lets the stage write a copy: one that fails half way leaves a packet that is neither the one nor
    /// the other, and what it was given goes on instead.
    fn on_a_copy(
        &mut self,
        held: Held,
        work: impl FnOnce(&mut Self, Packet<BufferSlab>) -> Worked,
    ) -> Worked {
        let (worked, flow) = match self.copy_of(held.slab()) {
            Ok(packet) => work(self, packet),
            Err(error) => return (Some(held), Err(error)),
        };
        if flow.is_err() { (Some(held), flow) } else { (worked, flow) }
    }

    fn elsewhere(&mut self, held: Held, context: &mut Context) -> Worked {
        let mut spare = match self.spare() {
            Ok(spare) => spare,
            Err(error) => return (Some(held), Err(error)),
        };
        let made = self.make_into(Some(held.slab()), &mut spare, context);
        match made {
            Ok(flow) => (Some(Held::Owned(spare)), Ok(flow)),
            Err(error) => (Some(held), Err(error)),
        }
    }

    /// A result for which no packet has come.
    pub(super) fn more(&mut self, context: &mut Context) -> Worked {
        let mut spare = match self.spare() {
            Ok(spare) => spare,
            Err(error) => return (None, Err(error)),
        };
        let flow = self.make_into(None, &mut spare, context);
        (Some(Held::Owned(spare)), flow)
    }

    fn make_into(
        &mut self,
        from: Option<&BufferSlab>,
        to: &mut BufferSlab,
        context: &mut Context,
    ) -> Result<Flow, RingError> {
        let (header, shape) = (*from.unwrap_or(to).header(), to.shape());
        to.set_header(Header { channels: shape.channels(), samples: shape.samples(), ..header })?;
        let stride = to.lanes();
        let mut target = Target { header, rows: to.samples_mut(), stride };
        let flow = self.make(from, &mut target, context)?;
        let header = target.header;
        to.set_header(header)?;
        Ok(flow)
    }

    pub(super) fn make(
        &mut self,
        from: Option<&BufferSlab>,
        target: &mut Target<'_>,
        context: &mut Context,
    ) -> Result<Flow, RingError> {
        let stage = &mut self.stage;
        guarded(|| match from {
            Some(packet) => stage.make(packet, target, context),
            None => stage.more(target, context),
        })
    }

    pub(super) fn work(&mut self, held: Held, context: &mut Context) -> Worked {
        let shared = matches!(&held, Held::Shared(packet) if !packet.is_mutable());
        match self.stage.place() {
            Place::Same => self.in_place(held, context),
            Place::Any if !shared && !self.bypasses() => self.in_place(held, context),
            Place::Any | Place::Other => self.elsewhere(held, context),
            Place::Lent | Place::LentToWrite => self.lent(held, context),
        }
    }

    /// Whether the stage rests after a failure.
    pub(super) fn rests(&mut self, now: i64) -> bool {
        if self.rest_until == i64::MIN {
            return false;
        }
        if now < self.rest_until {
            return true;
        }
        self.rest_until = i64::MIN;
        self.meter.restarts.bump();
        self.stage.reset();
        false
    }

    /// Counts a failure and does what the policy says; the chain ends if the error comes back.
    pub(super) fn fail(
        &mut self,
        held: Option<Held>,
        error: RingError,
        now: i64,
    ) -> Result<Option<Held>, RingError> {
        self.meter.errors.bump();
        *self.meter.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
        match self.on_error {
            OnError::Bypass if self.same_form && held.is_some() => {
                self.meter.bypassed.bump();
                return Ok(held);
            }
            OnError::Bypass => {}
            OnError::Stop => {
                self.meter.dropped.bump();
                return Err(error);
            }
            OnError::Restart => {
                self.rest_until = now.saturating_add(self.rest);
                self.rest = (self.rest * 2).min(LONGEST_REST_NANOS);
            }
        }
        self.meter.dropped.bump();
        Ok(None)
    }
}

/// Calls a stage; a panic of it is an error like any other.
fn guarded(call: impl FnOnce() -> Result<Flow, RingError>) -> Result<Flow, RingError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(RingError::Invalid(format!("the stage panicked: {}", text.unwrap_or_default())))
    })
}

impl Link {
    /// How many rows it will make.
    pub(super) fn rows_for(&self, packet: Option<&BufferSlab>) -> usize {
        let fixed = self.stage.fixed_rows();
        fixed.unwrap_or_else(|| packet.map_or(0, |packet| packet.header().samples))
    }

    /// Counts a packet that is through, and tells the next stages of its triggers.
    pub(super) fn finish(&mut self, before: &mut i64, context: &mut Context, after: &mut [Link]) {
        let now = clock_nanos();
        self.meter.duration.record((now - *before).unsigned_abs());
        *before = now;
        self.rest = FIRST_REST_NANOS;
        let (fresh, lost) = context.fresh();
        if fresh.is_empty() && lost == 0 {
            return;
        }
        self.meter.triggers.add(fresh.len() as u64);
        self.meter.lost_triggers.add(lost);
        for trigger in fresh {
            after.iter_mut().for_each(|link| link.stage.trigger(trigger));
        }
    }
}

pub(super) fn publish(
    ring: &mut RingOut,
    meter: &Meter,
    held: &Held,
    before: &mut i64,
) -> Result<(), RingError> {
    meter.packets.bump();
    if let Err(error) = ring.publish(held.slab()) {
        meter.errors.bump();
        return Err(error);
    }
    let now = clock_nanos();
    meter.duration.record((now - *before).unsigned_abs());
    *before = now;
    Ok(())
}

/// Refuses a pool whose packets are too small for what a stage takes or makes.
fn check_room(stage: &str, room: Shape, format: Format) -> Result<(), RingError> {
    let Format { channels, samples, .. } = format;
    if channels <= room.channels() && samples <= room.samples() {
        return Ok(());
    }
    Err(RingError::Invalid(format!(
        "stage {stage:?}: its pool needs packets of {channels} channels and {samples} rows; found \
         {} and {}",
        room.channels(),
        room.samples()
    )))
}

fn named(stage: &str, error: &RingError) -> RingError {
    RingError::Invalid(format!("stage {stage:?}: {error}"))
}
