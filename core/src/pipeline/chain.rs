//! Stages one after the other, on one thread, from a packet to a packet or into a ring.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use super::meter::Meter;
use super::ring_out::RingOut;
use super::slab::BufferSlab;
use super::stage::{Context, Flow, Format, Place, Stage, Target, Trigger, Value};
use super::stages::Pass;
use super::{MemoryPool, Packet, SharedPacket};
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

/// A packet on its way.
#[derive(Debug)]
pub enum Held {
    /// It may be written.
    Owned(Packet<BufferSlab>),
    /// Others may be reading it.
    Shared(SharedPacket<BufferSlab>),
}

impl Held {
    /// What is in it.
    pub fn slab(&self) -> &BufferSlab {
        match self {
            Self::Owned(packet) => packet,
            Self::Shared(packet) => packet,
        }
    }

    /// A share of it, for several readers.
    pub fn share(self) -> SharedPacket<BufferSlab> {
        match self {
            Self::Owned(packet) => packet.freeze(),
            Self::Shared(packet) => packet,
        }
    }

    fn thawed(self) -> Self {
        match self {
            Self::Shared(packet) => packet.thaw().map_or_else(Self::Shared, Self::Owned),
            owned @ Self::Owned(_) => owned,
        }
    }
}

/// Why a chain ended.
#[derive(Debug)]
pub struct Failure {
    /// The stage.
    pub stage: String,
    /// What it said.
    pub error: RingError,
}

/// What is left of a packet, and whether it goes on.
type Worked = (Option<Held>, Result<Flow, RingError>);

/// A stage with its name and what becomes of its failures.
pub struct Link {
    name: String,
    stage: Box<dyn Stage>,
    on_error: OnError,
    meter: Arc<Meter>,
    /// For results that need another packet.
    pool: Option<MemoryPool>,
    /// Rings that also get its results.
    taps: Vec<(RingOut, Arc<Meter>)>,
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
        Self {
            name: name.into(),
            stage,
            on_error,
            meter: Arc::default(),
            pool,
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

    /// Publishes its results in a ring too, whatever follows; returns the counts of that.
    pub fn tap(&mut self, ring: RingOut) -> Arc<Meter> {
        let meter = Arc::<Meter>::default();
        self.taps.push((ring, Arc::clone(&meter)));
        meter
    }

    fn publish(&mut self, held: &Held, before: &mut i64) -> Result<(), RingError> {
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

    /// The packet, or a copy of it where others read it, to be written.
    fn owned(&self, held: Held) -> Result<Packet<BufferSlab>, (Held, RingError)> {
        let shared = match held.thawed() {
            Held::Owned(packet) => return Ok(packet),
            Held::Shared(shared) => shared,
        };
        let copied = self.spare().and_then(|mut packet| {
            packet.copy_from(&shared)?;
            Ok(packet)
        });
        copied.map_err(|error| (Held::Shared(shared), error))
    }

    fn in_place(&mut self, held: Held, context: &mut Context) -> Worked {
        let mut packet = match self.owned(held) {
            Ok(packet) => packet,
            Err((held, error)) => return (Some(held), Err(error)),
        };
        let stage = &mut self.stage;
        let flow = guarded(|| stage.change(&mut packet, context));
        (Some(Held::Owned(packet)), flow)
    }

    fn lent(&mut self, held: Held, context: &mut Context) -> Worked {
        if self.stage.place() == Place::Lent {
            return self.stage.lend(held, context);
        }
        match self.owned(held) {
            Ok(packet) => self.stage.lend(Held::Owned(packet), context),
            Err((held, error)) => (Some(held), Err(error)),
        }
    }

    fn elsewhere(&mut self, held: Held, context: &mut Context) -> Worked {
        let mut spare = match self.spare() {
            Ok(spare) => spare,
            Err(error) => return (Some(held), Err(error)),
        };
        let made = self.make_into(held.slab(), &mut spare, context);
        match made {
            Ok(flow) => (Some(Held::Owned(spare)), Ok(flow)),
            Err(error) => (Some(held), Err(error)),
        }
    }

    fn make_into(
        &mut self,
        from: &BufferSlab,
        to: &mut BufferSlab,
        context: &mut Context,
    ) -> Result<Flow, RingError> {
        let (header, shape) = (*from.header(), to.shape());
        to.set_header(super::Header { samples: shape.samples(), ..header })?;
        let stride = to.lanes();
        let mut target = Target { header, rows: to.samples_mut(), stride };
        let stage = &mut self.stage;
        let flow = guarded(|| stage.make(from, &mut target, context))?;
        let header = target.header;
        to.set_header(header)?;
        Ok(flow)
    }

    fn work(&mut self, held: Held, context: &mut Context) -> Worked {
        let shared = matches!(&held, Held::Shared(packet) if !packet.is_mutable());
        match self.stage.place() {
            Place::Same => self.in_place(held, context),
            Place::Any if !shared => self.in_place(held, context),
            Place::Any | Place::Other => self.elsewhere(held, context),
            Place::Lent | Place::LentToWrite => self.lent(held, context),
        }
    }

    /// Whether the stage rests after a failure.
    fn rests(&mut self, now: i64) -> bool {
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
    fn fail(
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

/// Stages one after the other.
#[derive(Debug, Default)]
pub struct Chain {
    links: Vec<Link>,
    ring: Option<RingOut>,
    context: Context,
    published: Arc<Meter>,
    most_samples: usize,
}

impl Chain {
    /// Joins stages for packets of a form; returns the form of what comes out.
    ///
    /// A stage that only scales is taken over by the next one where that can do it on the way.
    pub fn new(
        input: Format,
        links: Vec<Link>,
        ring: Option<RingOut>,
    ) -> Result<(Self, Format), RingError> {
        let mut kept: Vec<Link> = Vec::with_capacity(links.len());
        for mut link in links {
            let scale = kept.last().and_then(|before| before.stage.scale());
            let untapped = kept.last().is_some_and(|before| before.taps.is_empty());
            if scale.is_some_and(|scale| untapped && link.stage.absorb(scale)) {
                kept.pop();
            }
            kept.push(link);
        }
        let (mut format, mut most_samples) = (input, input.samples);
        for link in &mut kept {
            let found = link.stage.plan(format).map_err(|error| named(&link.name, &error))?;
            link.same_form = found == format;
            for (ring, _) in &mut link.taps {
                ring.plan(found)?;
            }
            format = found;
            most_samples = most_samples.max(found.samples);
        }
        let mut chain = Self { links: kept, ring, most_samples, ..Self::default() };
        if let Some(ring) = &mut chain.ring {
            ring.plan(format)?;
        }
        Ok((chain, format))
    }

    /// Lets the last stage write its only ring itself, as nobody else wants its packets.
    pub fn end_in_ring(&mut self) {
        let last = self.links.last_mut().filter(|link| self.ring.is_none() && link.taps.len() == 1);
        if let Some((ring, meter)) = last.and_then(|link| link.taps.pop()) {
            (self.ring, self.published) = (Some(ring), meter);
        }
    }

    /// The rows of its largest packet.
    pub fn most_samples(&self) -> usize {
        self.most_samples
    }

    /// Gives all stages that have none a pool for results that need another packet.
    pub fn set_pool(&mut self, pool: &MemoryPool) {
        for link in &mut self.links {
            link.pool.get_or_insert_with(|| pool.clone());
        }
    }

    /// Names and counts of the stages.
    pub fn meters(&self) -> Vec<(String, Arc<Meter>)> {
        self.links.iter().map(Link::meter).collect()
    }

    /// The counts of its ring.
    pub fn published(&self) -> Arc<Meter> {
        Arc::clone(&self.published)
    }

    /// Changes a parameter of a stage.
    pub fn set(&mut self, stage: &str, name: &str, value: &Value) -> Result<(), RingError> {
        let link = self.links.iter_mut().find(|link| link.name == stage);
        let link =
            link.ok_or_else(|| RingError::Invalid(format!("there is no stage {stage:?}")))?;
        link.stage.set(name, value)
    }

    /// Forgets what all stages have seen.
    pub fn reset(&mut self) {
        self.links.iter_mut().for_each(|link| link.stage.reset());
    }

    /// The triggers since the last call.
    pub fn triggers(&mut self) -> std::vec::Drain<'_, Trigger> {
        self.context.take()
    }

    /// Takes a packet through all stages; what is left of it comes back if nothing has used it up.
    pub fn run(&mut self, held: Held) -> Result<Option<Held>, Failure> {
        let mut held = held;
        let mut before = clock_nanos();
        let last = self.links.len().wrapping_sub(1);
        for index in 0..self.links.len() {
            let direct = index == last && self.writes_in_place();
            let link = &mut self.links[index];
            link.meter.packets.bump();
            if link.rests(before) {
                link.meter.dropped.bump();
                return Ok(None);
            }
            if direct {
                return self.last_into_ring(held, before);
            }
            let (worked, flow) = link.work(held, &mut self.context);
            let left = match flow {
                Ok(flow) => {
                    link.finish(&mut before, &mut self.context);
                    worked.filter(|_| flow == Flow::Next)
                }
                Err(error) => link
                    .fail(worked, error, before)
                    .map_err(|error| Failure { stage: link.name.clone(), error })?,
            };
            let Some(left) = left else {
                return Ok(None);
            };
            link.publish(&left, &mut before)
                .map_err(|error| Failure { stage: link.name.clone(), error })?;
            held = left;
        }
        self.publish(&held, before)?;
        Ok(Some(held))
    }

    fn writes_in_place(&self) -> bool {
        let place = self.links.last().map(|link| link.stage.place());
        let elsewhere = matches!(place, Some(Place::Other | Place::Any));
        let alone = self.links.last().is_some_and(|link| link.taps.is_empty());
        elsewhere && alone && self.ring.as_ref().is_some_and(RingOut::is_direct)
    }

    /// Lets the last stage write its results where they are published.
    fn last_into_ring(&mut self, held: Held, mut before: i64) -> Result<Option<Held>, Failure> {
        let (Some(link), Some(ring)) = (self.links.last_mut(), &mut self.ring) else {
            return Ok(Some(held));
        };
        match into_ring(link, ring, held.slab(), &mut self.context) {
            Ok(flow) => {
                if flow == Flow::Next {
                    self.published.packets.bump();
                }
                link.finish(&mut before, &mut self.context);
                Ok(None)
            }
            Err(error) => match link.fail(Some(held), error, before) {
                Ok(Some(held)) => self.publish(&held, before).map(|()| None),
                Ok(None) => Ok(None),
                Err(error) => Err(Failure { stage: link.name.clone(), error }),
            },
        }
    }

    fn publish(&mut self, held: &Held, before: i64) -> Result<(), Failure> {
        let Some(ring) = &mut self.ring else {
            return Ok(());
        };
        publish(ring, &self.published, held, &mut { before })
            .map_err(|error| Failure { stage: "ring".into(), error })
    }

    /// Ends its ring, if it has one.
    pub fn close(&mut self) {
        self.ring.iter_mut().for_each(RingOut::close);
        for link in &mut self.links {
            link.taps.iter_mut().for_each(|(ring, _)| ring.close());
        }
    }
}

fn publish(
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

fn named(stage: &str, error: &RingError) -> RingError {
    RingError::Invalid(format!("stage {stage:?}: {error}"))
}

/// Rows that a stage makes of a packet in a ring.
fn into_ring(
    link: &mut Link,
    ring: &mut RingOut,
    packet: &BufferSlab,
    context: &mut Context,
) -> Result<Flow, RingError> {
    let (header, rows) = (*packet.header(), link.rows_for(packet));
    let mut room = ring.open(rows)?;
    let stride = header.channels;
    let mut target = Target { header, rows: ring.rows_mut(&mut room), stride };
    let stage = &mut link.stage;
    let flow = guarded(|| stage.make(packet, &mut target, context))?;
    let header = target.header;
    if flow == Flow::Next {
        ring.commit(room, &header)?;
    }
    Ok(flow)
}

impl Link {
    /// How many rows it will make.
    fn rows_for(&self, packet: &BufferSlab) -> usize {
        self.stage.fixed_rows().unwrap_or(packet.header().samples)
    }

    /// Counts a packet that is through.
    fn finish(&mut self, before: &mut i64, context: &mut Context) {
        let now = clock_nanos();
        self.meter.duration.record((now - *before).unsigned_abs());
        *before = now;
        self.rest = FIRST_REST_NANOS;
        let (fresh, lost) = context.fresh();
        if fresh + lost > 0 {
            self.meter.triggers.add(fresh);
            self.meter.lost_triggers.add(lost);
        }
    }
}
