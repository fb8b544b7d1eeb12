//! Stages one after the other, on one thread, from a packet to a packet or into a ring.

use std::sync::Arc;

use super::link::publish;
use super::meter::Meter;
use super::ring_out::RingOut;
use super::slab::BufferSlab;
use super::stage::{Context, Flow, Format, Place, Target, Trigger, Value};
use super::{Header, MemoryPool};
use crate::error::RingError;
use crate::region::clock_nanos;

pub use super::held::Held;
pub use super::link::{Link, OnError};

/// Why a chain ended.
#[derive(Debug)]
pub struct Failure {
    /// The stage.
    pub stage: String,
    /// What it said.
    pub error: RingError,
}

/// Stages one after the other.
#[derive(Debug, Default)]
pub struct Chain {
    links: Vec<Link>,
    ring: Option<RingOut>,
    context: Context,
    published: Arc<Meter>,
    most_channels: usize,
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
        let (mut format, mut most_channels, mut most_samples) =
            (input, input.channels, input.samples);
        for link in &mut kept {
            format = link.plan(format)?;
            most_channels = most_channels.max(format.channels);
            most_samples = most_samples.max(format.samples);
        }
        let mut chain = Self { links: kept, ring, most_channels, most_samples, ..Self::default() };
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

    /// The most channels of its packets.
    pub fn most_channels(&self) -> usize {
        self.most_channels
    }

    /// The rows of its largest packet.
    pub fn most_samples(&self) -> usize {
        self.most_samples
    }

    /// Gives all stages that have none a pool for results that need another packet.
    pub fn set_pool(&mut self, pool: &MemoryPool) {
        self.links.iter_mut().for_each(|link| link.set_pool(pool));
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
        self.run_from(0, held, clock_nanos())
    }

    /// The same for a packet that came to the second input of the first stage.
    pub fn run_second(&mut self, held: Held) -> Result<Option<Held>, Failure> {
        self.context.set_second(true);
        let left = self.run(held);
        self.context.set_second(false);
        left
    }

    /// Tells all stages of a trigger that none of them has made.
    pub fn announce(&mut self, trigger: &Trigger) {
        self.links.iter_mut().for_each(|link| link.stage.trigger(trigger));
    }

    /// The next result for which no packet has to come; to be asked after each packet and trigger.
    pub fn more(&mut self) -> Result<Option<Held>, Failure> {
        while let Some(index) = self.links.iter_mut().rposition(|link| link.stage.has_more()) {
            let mut before = clock_nanos();
            if let Some(left) = self.step(index, None, &mut before)? {
                let left = self.run_from(index + 1, left, before)?;
                if left.is_some() {
                    return Ok(left);
                }
            }
        }
        Ok(None)
    }

    fn run_from(
        &mut self,
        first: usize,
        held: Held,
        mut before: i64,
    ) -> Result<Option<Held>, Failure> {
        let mut held = held;
        for index in first..self.links.len() {
            let link = &mut self.links[index];
            link.meter.packets.bump();
            if link.rests(before) {
                link.meter.dropped.bump();
                return Ok(None);
            }
            match self.step(index, Some(held), &mut before)? {
                Some(left) => held = left,
                None => return Ok(None),
            }
        }
        self.publish(&held, before)?;
        Ok(Some(held))
    }

    /// Lets a stage work on a packet, or on what it has kept; what is left for the next one.
    fn step(
        &mut self,
        index: usize,
        held: Option<Held>,
        before: &mut i64,
    ) -> Result<Option<Held>, Failure> {
        if index + 1 == self.links.len() && self.writes_in_place() {
            return self.last_into_ring(held, *before);
        }
        let (link, after) = split(&mut self.links, index);
        let (worked, flow) = match held {
            Some(held) => link.work(held, &mut self.context),
            None => link.more(&mut self.context),
        };
        let failed = |link: &Link, error| Failure { stage: link.name.clone(), error };
        let left = match flow {
            Ok(flow) => {
                link.finish(before, &mut self.context, after);
                worked.filter(|_| flow == Flow::Next)
            }
            Err(error) => link.fail(worked, error, *before).map_err(|e| failed(link, e))?,
        };
        if let Some(left) = &left {
            link.publish(left, before).map_err(|error| failed(link, error))?;
        }
        Ok(left)
    }

    fn writes_in_place(&self) -> bool {
        let last = self.links.last().filter(|link| link.taps.is_empty() && link.stage.says_rows());
        let place = last.map(|link| link.stage.place());
        let elsewhere = matches!(place, Some(Place::Other | Place::Any));
        elsewhere && self.ring.as_ref().is_some_and(RingOut::is_direct)
    }

    /// Lets the last stage write its results where they are published.
    fn last_into_ring(
        &mut self,
        held: Option<Held>,
        mut before: i64,
    ) -> Result<Option<Held>, Failure> {
        let (Some(link), Some(ring)) = (self.links.last_mut(), &mut self.ring) else {
            return Ok(held);
        };
        match into_ring(link, ring, held.as_ref().map(Held::slab), &mut self.context) {
            Ok(flow) => {
                if flow == Flow::Next {
                    self.published.packets.bump();
                }
                link.finish(&mut before, &mut self.context, &mut []);
                Ok(None)
            }
            Err(error) => match link.fail(held, error, before) {
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

/// A link and those after it.
fn split(links: &mut [Link], index: usize) -> (&mut Link, &mut [Link]) {
    let (upto, after) = links.split_at_mut(index + 1);
    (&mut upto[index], after)
}

/// Rows that a stage makes in a ring, of a packet or of what it has kept.
fn into_ring(
    link: &mut Link,
    ring: &mut RingOut,
    packet: Option<&BufferSlab>,
    context: &mut Context,
) -> Result<Flow, RingError> {
    let rows = link.rows_for(packet);
    let mut room = ring.open(rows)?;
    let (header, stride) =
        (packet.map_or(Header::EMPTY, |packet| *packet.header()), ring.channels());
    let mut target = Target { header, rows: ring.rows_mut(&mut room), stride };
    let flow = link.make(packet, &mut target, context)?;
    let header = target.header;
    if flow == Flow::Next {
        ring.commit(room, &header)?;
    }
    Ok(flow)
}
