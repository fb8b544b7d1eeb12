//! A graph as it runs: what follows each other without a fork is one chain on one thread.

use std::sync::Arc;
use std::time::Duration;

use super::MemoryPool;
use super::chain::{Chain, Link};
use super::data::{Carries, FanOut, PipelineData, Way};
use super::feed::Feed;
use super::graph::{Graph, Node, pool_of, refuse};
use super::meter::Meter;
use super::queue::{QueueGauge, QueueInput, QueueOutput, StageQueue};
use super::ring_in::RingIn;
use super::ring_out::RingOut;
use super::slab::{DataType, Shape};
use super::stage::Format;
use crate::error::RingError;

/// Packets of a branch beyond those that its queues may hold.
const SPARE_PACKETS: usize = 4;

/// Where a branch's packets come from.
#[derive(Debug)]
pub enum Source {
    /// From another branch, or from a feed.
    Queue(QueueInput<PipelineData>),
    /// From a ring.
    Ring(Box<RingIn>),
}

/// What runs on one thread.
#[derive(Debug)]
pub struct Branch {
    /// The name of its first node.
    pub name: String,
    /// Where its packets come from.
    pub source: Source,
    /// Its stages.
    pub chain: Chain,
    /// Where its packets go.
    pub outputs: FanOut,
    /// Packets for what it reads and makes.
    pub pool: MemoryPool,
    /// How long the stages from the source to its end say that they take.
    pub latency: Duration,
}

/// A graph as it runs.
#[derive(Debug, Default)]
pub struct Plan {
    /// What runs on a thread each.
    pub branches: Vec<Branch>,
    /// Where packets are handed in.
    pub feeds: Vec<(String, Feed)>,
    /// Where packets are handed out.
    pub taps: Vec<(String, QueueInput<PipelineData>)>,
    /// The queues, by the node they lead to.
    pub gauges: Vec<(String, QueueGauge)>,
    /// The pools, by their own names, or those of a branch or feed.
    pub pools: Vec<(String, MemoryPool)>,
    /// What the stages and the rings have done.
    pub meters: Vec<(String, Arc<Meter>)>,
}

/// What is known of a node before it is taken.
#[derive(Debug, Default)]
struct Place {
    /// The sending ends of its queue, one an edge.
    outputs: Vec<QueueOutput<PipelineData>>,
    input: Option<QueueInput<PipelineData>>,
    format: Option<Format>,
    second: Option<Format>,
    /// How long the stages before it say that they take.
    latency: Duration,
}

/// Makes a plan of a graph.
#[derive(Debug)]
pub(super) struct Planner {
    graph: Graph,
    places: Vec<Place>,
    plan: Plan,
}

/// Packets that must be able to wait where a stage may take so long.
pub fn needed_capacity(latency: Duration, format: Format) -> usize {
    let period = format.samples as f64 / format.rate.hertz();
    // Rounded first, as 0.3 s is a hair more than three times 0.1 s.
    let packets = (latency.as_secs_f64() / period * 1e9).round() / 1e9;
    packets.ceil() as usize
}

impl Planner {
    pub fn new(graph: Graph) -> Result<Self, RingError> {
        let places = graph.nodes.iter().map(|_| Place::default()).collect();
        let mut made = Self { graph, places, plan: Plan::default() };
        let pools = made.graph.pools.iter().map(|(name, _, pool)| (name.clone(), pool.clone()));
        made.plan.pools = pools.collect();
        made.make_queues()?;
        Ok(made)
    }

    pub fn run(mut self) -> Result<Plan, RingError> {
        for index in self.graph.order()? {
            self.take(index)?;
        }
        Ok(self.plan)
    }

    /// A queue before each node that begins a branch.
    fn make_queues(&mut self) -> Result<(), RingError> {
        let graph = &self.graph;
        for (place, (name, _)) in self.places.iter_mut().zip(&graph.nodes) {
            let edges = graph.before(name);
            let from_feed = |from: &str| {
                let from = graph.index(from).unwrap_or_default();
                graph.is(from, |node| matches!(node, Node::Feed(_)))
            };
            let inside = edges.iter().any(|edge| {
                !from_feed(&edge.from) && (graph.flows_on(edge) || graph.is_inline(edge))
            });
            if edges.is_empty() || inside {
                continue;
            }
            let capacity = edges.iter().map(|edge| edge.capacity).sum();
            let policy = edges[0].policy;
            if edges.iter().any(|edge| edge.policy != policy) {
                return refuse(format!("the edges that join at {name:?} need one policy"));
            }
            let (outputs, input) = StageQueue::new(capacity, edges.len(), policy)?;
            self.plan.gauges.push((name.clone(), input.gauge()));
            (place.outputs, place.input) = (outputs, Some(input));
        }
        Ok(())
    }

    /// Makes the branch that begins at a node, if one does.
    fn take(&mut self, index: usize) -> Result<(), RingError> {
        let Some(node) = self.graph.nodes[index].1.take() else {
            return Ok(());
        };
        let name = self.graph.nodes[index].0.clone();
        let input = self.places[index].input.take();
        match (node, input) {
            (Node::Feed(format), _) => self.feed(&name, format),
            (Node::RingSource(ring), _) => {
                let format = ring.format();
                self.branch(name, Source::Ring(ring), None, format, Duration::ZERO)
            }
            (Node::Tap, Some(input)) => {
                self.plan.taps.push((name, input));
                Ok(())
            }
            (node, Some(input)) => {
                let (format, latency) = (self.places[index].format, self.places[index].latency);
                let Some(format) = format else {
                    return refuse(format!("no packets lead to {name:?}"));
                };
                let node = self.second_input(index, node)?;
                self.branch(name, Source::Queue(input), Some(node), format, latency)
            }
            (_, None) => refuse(format!("nothing leads to {name:?}")),
        }
    }

    /// Tells a stage of its second input, if it has one.
    fn second_input(&mut self, index: usize, node: Node) -> Result<Node, RingError> {
        match (node, self.places[index].second) {
            (Node::Stage(mut link), Some(second)) => {
                link.plan_second(second)?;
                Ok(Node::Stage(link))
            }
            (_, Some(_)) => {
                refuse(format!("{:?} has one input, not two", self.graph.nodes[index].0))
            }
            (node, None) => Ok(node),
        }
    }

    fn feed(&mut self, name: &str, format: Format) -> Result<(), RingError> {
        let (outputs, packets) = self.leave(name, format, Duration::ZERO, false)?;
        let pool = pool_of(Shape::new(format.channels, format.samples)?, packets)?;
        self.plan.pools.push((name.into(), pool.clone()));
        self.plan.feeds.push((name.into(), Feed::new(format, pool, outputs)));
        Ok(())
    }

    /// The edges that leave a node for other threads, and the packets that may wait there.
    fn leave(
        &mut self,
        name: &str,
        format: Format,
        latency: Duration,
        inline: bool,
    ) -> Result<(FanOut, usize), RingError> {
        let mut ways = Vec::new();
        for edge in self.graph.after(name) {
            if inline && self.graph.is_inline(edge) {
                continue;
            }
            let place = &mut self.places[self.graph.index(&edge.to)?];
            let known = match edge.carries {
                Carries::Triggers => None,
                Carries::Second => Some(&mut place.second),
                Carries::All | Carries::Packets => Some(&mut place.format),
            };
            if let Some(known) = known
                && *known.get_or_insert(format) != format
            {
                return refuse(format!("what joins at {:?} has more than one form", edge.to));
            }
            place.latency = place.latency.max(latency);
            let output = place.outputs.pop();
            ways.extend(output.map(|output| Way { carries: edge.carries, output }));
        }
        Ok((FanOut::new(ways), SPARE_PACKETS + self.graph.room_after(name)))
    }

    fn branch(
        &mut self,
        name: String,
        source: Source,
        first: Option<Node>,
        input: Format,
        before: Duration,
    ) -> Result<(), RingError> {
        let (links, ring, end) = self.collect(&name, first)?;
        self.check_capacity(&name, &links, input)?;
        let latency = before + links.iter().map(Link::latency).sum::<Duration>();
        let (mut chain, output) = Chain::new(input, links, ring)?;
        self.plan.meters.extend(chain.meters());
        let (outputs, packets) = self.leave(&end, output, latency, true)?;
        if outputs.is_empty() {
            chain.end_in_ring();
        }
        let pool = pool_of(Shape::new(chain.most_channels(), chain.most_samples())?, packets)?;
        chain.set_pool(&pool);
        self.plan.pools.push((name.clone(), pool.clone()));
        self.plan.branches.push(Branch { name, source, chain, outputs, pool, latency });
        Ok(())
    }

    /// Refuses an edge with less room than packets that come while its slowest stage works on one.
    fn check_capacity(&self, name: &str, links: &[Link], input: Format) -> Result<(), RingError> {
        if input.kind == DataType::Fft {
            // Its rows do not tell how often packets come.
            return Ok(());
        }
        let slowest = links.iter().map(Link::latency).max().unwrap_or_default();
        let needed = needed_capacity(slowest, input);
        match self.graph.before(name).into_iter().find(|edge| edge.capacity < needed) {
            None => Ok(()),
            Some(edge) => refuse(format!(
                "the edge from {:?} to {name:?} needs room for {needed} packets, as a stage behind \
                 it may take {} s and a packet comes every {} s; found {}",
                edge.from,
                slowest.as_secs_f64(),
                input.samples as f64 / input.rate.hertz(),
                edge.capacity
            )),
        }
    }

    /// The stages of a branch, the ring at its end, and the name of its last node.
    fn collect(
        &mut self,
        name: &str,
        first: Option<Node>,
    ) -> Result<(Vec<Link>, Option<RingOut>, String), RingError> {
        let (mut links, mut last) = (Vec::new(), name.to_owned());
        let mut link = match first {
            Some(Node::Stage(link)) => *link,
            Some(Node::RingSink(ring)) => return Ok((links, Some(*ring), last)),
            _ => Link::passing(name),
        };
        loop {
            // First: a ring that was taken is no ring any more, so that two ways seem to lead on.
            let onward = self.graph.after(&last).into_iter().find(|edge| self.graph.flows_on(edge));
            let onward = onward.map(|edge| edge.to.clone());
            let meters = self.graph.tap_rings(&last, &mut link)?;
            self.plan.meters.extend(meters);
            links.push(link);
            let Some(to) = onward else {
                return Ok((links, None, last));
            };
            let index = self.graph.index(&to)?;
            let Some(Node::Stage(next)) = self.graph.nodes[index].1.take() else {
                return refuse(format!("{to:?} is no stage"));
            };
            (link, last) = (*next, to);
        }
    }
}
