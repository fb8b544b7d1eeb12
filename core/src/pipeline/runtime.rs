//! Runs a plan: a thread for each branch, without anything that waits for another language.

use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::branch::{BranchStage, Status};
use super::change::Change;
use super::data::PipelineData;
use super::feed::Feed;
use super::meter::{Count, Meter};
use super::place::{Placing, settle};
use super::plan::Plan;
use super::queue::{QueueGauge, QueueInput};
use super::stage::Value;
use super::{MemoryPool, PoolStatistics, QueueStatistics};
use crate::error::RingError;
use crate::sync::{Arc, AtomicU32, Ordering};

/// The longest that a thread waits before it shows that it lives; longer than packets are apart, so
/// that it is they who wake it.
pub const BEAT: Duration = Duration::from_millis(250);

const RUNNING: u32 = 0;
const PAUSED: u32 = 1;
const DRAINING: u32 = 2;
const STOPPING: u32 = 3;

/// What the outside wants of all branches.
#[derive(Debug, Default)]
pub struct Control {
    state: AtomicU32,
    changed: Bell,
}

impl Control {
    fn set(&self, state: u32) {
        // Release: pairs with the acquire of who looks.
        self.state.store(state, Ordering::Release);
        self.changed.ring();
    }

    fn state(&self) -> u32 {
        // Acquire: pairs with the release in `set`.
        self.state.load(Ordering::Acquire)
    }

    /// Whether everything is to end at once.
    pub fn is_stopping(&self) -> bool {
        self.state() == STOPPING
    }

    /// Whether sources are to end, and the rest once it is through.
    pub fn is_ending(&self) -> bool {
        self.state() >= DRAINING
    }

    /// Waits while there is a pause, for a beat at most; whether it is over.
    pub fn wait_for_go(&self) -> bool {
        let look = || (self.state() != PAUSED).then_some(());
        look().is_some() || self.changed.wait(Instant::now() + BEAT, look).is_some()
    }
}

/// A branch as the outside sees it.
#[derive(Debug)]
pub struct Seat {
    /// Its name.
    pub name: String,
    /// How it is.
    pub status: Arc<Status>,
    /// How long the stages from the source to its end say that they take.
    pub latency: Duration,
    stages: Vec<String>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Everything there is to know of a pipeline at one moment.
#[derive(Debug)]
pub struct Figures {
    /// Pools by branch or feed.
    pub pools: Vec<(String, PoolStatistics)>,
    /// Queues by the node they lead to.
    pub queues: Vec<(String, QueueStatistics)>,
    /// Stages and rings.
    pub meters: Vec<(String, Arc<Meter>)>,
    /// Branches.
    pub branches: Vec<(String, Arc<Status>)>,
}

/// A pipeline that runs.
#[derive(Debug)]
pub struct HybridRuntime {
    control: Arc<Control>,
    seats: Vec<Seat>,
    feeds: Vec<(String, Mutex<Feed>)>,
    lost: Vec<(String, Arc<Count>)>,
    taps: Vec<(String, Mutex<QueueInput<PipelineData>>)>,
    gauges: Vec<(String, QueueGauge)>,
    pools: Vec<(String, MemoryPool)>,
    meters: Vec<(String, Arc<Meter>)>,
}

impl HybridRuntime {
    /// Starts a thread for each branch.
    pub fn start(plan: Plan, placing: &Placing) -> Result<Self, RingError> {
        let control = Arc::<Control>::default();
        let mut seats = Vec::with_capacity(plan.branches.len());
        for (index, branch) in plan.branches.into_iter().enumerate() {
            let status = Arc::<Status>::default();
            let (name, placing) = (branch.name.clone(), placing.clone());
            let latency = branch.latency;
            let stages = branch.chain.meters().into_iter().map(|(name, _)| name).collect();
            let (control, seen) = (Arc::clone(&control), Arc::clone(&status));
            let work = move || {
                seen.note(settle(&placing, index));
                BranchStage::new(branch, control, seen).run_to_the_end();
            };
            let spawned = std::thread::Builder::new().name(format!("stage-{name}")).spawn(work);
            let thread = spawned
                .map_err(|e| RingError::Io(format!("cannot start a thread for {name:?}"), e))?;
            seats.push(Seat { name, status, latency, stages, thread: Mutex::new(Some(thread)) });
        }
        let lost = plan.feeds.iter().map(|(name, feed)| (name.clone(), feed.lost_rows())).collect();
        let feeds = plan.feeds.into_iter().map(|(name, feed)| (name, Mutex::new(feed)));
        let taps = plan.taps.into_iter().map(|(name, tap)| (name, Mutex::new(tap)));
        Ok(Self {
            control,
            seats,
            feeds: feeds.collect(),
            lost,
            taps: taps.collect(),
            gauges: plan.gauges,
            pools: plan.pools,
            meters: plan.meters,
        })
    }

    /// The feed of a name.
    pub fn feed(&self, name: &str) -> Result<&Mutex<Feed>, RingError> {
        named(&self.feeds, name, "feed")
    }

    /// Rows that were handed in to a feed and that an edge behind it never took.
    pub fn lost_rows(&self, feed: &str) -> Result<u64, RingError> {
        named(&self.lost, feed, "feed").map(|lost| lost.get())
    }

    /// The tap of a name.
    pub fn tap(&self, name: &str) -> Result<&Mutex<QueueInput<PipelineData>>, RingError> {
        named(&self.taps, name, "tap")
    }

    /// All branches wait; queues fill, and do what they are told to.
    pub fn pause(&self) {
        if !self.control.is_ending() {
            self.control.set(PAUSED);
        }
    }

    /// All branches go on.
    pub fn resume(&self) {
        if !self.control.is_ending() {
            self.control.set(RUNNING);
        }
    }

    /// Sources end, and the rest when all that was on its way is through; false if that is not until
    /// the deadline. Taps must be read meanwhile, where their edges wait.
    pub fn drain(&self, deadline: Instant) -> bool {
        self.control.set(DRAINING);
        self.close_feeds(deadline);
        self.join(deadline)
    }

    /// Everything ends at once; false if a stage does not come back until the deadline.
    pub fn stop(&self, deadline: Instant) -> bool {
        self.control.set(STOPPING);
        self.close_feeds(Instant::now());
        self.join(deadline)
    }

    fn close_feeds(&self, deadline: Instant) {
        for (_, feed) in &self.feeds {
            feed.lock().unwrap_or_else(PoisonError::into_inner).close(deadline);
        }
    }

    fn join(&self, deadline: Instant) -> bool {
        let mut all = true;
        for seat in &self.seats {
            let done = seat.status.wait_for_end(deadline);
            let mut thread = seat.thread.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(thread) = thread.take_if(|_| done) {
                let _ = thread.join();
            }
            all &= done;
        }
        all
    }

    /// Changes a parameter of a stage between two packets.
    pub fn set(
        &self,
        stage: &str,
        name: &str,
        value: Value,
        deadline: Instant,
    ) -> Result<(), RingError> {
        let seat = self.seats.iter().find(|seat| seat.stages.iter().any(|other| other == stage));
        let seat = seat.ok_or_else(|| {
            RingError::Invalid(format!("there is no stage {stage:?} whose parameters can change"))
        })?;
        let (change, answer) = Change::new(stage, name, value);
        seat.status.ask(change);
        answer.wait(deadline).unwrap_or_else(|| {
            Err(RingError::Invalid(format!(
                "the branch of stage {stage:?} did not answer in time; the change was taken back"
            )))
        })
    }

    /// For each branch: how long the stages up to its end say that they take, and how it is.
    pub fn latency(&self) -> Vec<(String, Duration, Arc<Status>)> {
        let each = |seat: &Seat| (seat.name.clone(), seat.latency, Arc::clone(&seat.status));
        self.seats.iter().map(each).collect()
    }

    /// Everything there is to know.
    pub fn figures(&self) -> Figures {
        let pools = self.pools.iter().map(|(name, pool)| (name.clone(), pool.statistics()));
        let queues = self.gauges.iter().map(|(name, gauge)| (name.clone(), gauge.statistics()));
        let branches = self.seats.iter().map(|seat| (seat.name.clone(), Arc::clone(&seat.status)));
        Figures {
            pools: pools.collect(),
            queues: queues.collect(),
            meters: self.meters.clone(),
            branches: branches.collect(),
        }
    }
}

impl Drop for HybridRuntime {
    fn drop(&mut self) {
        self.control.set(STOPPING);
        self.close_feeds(Instant::now());
    }
}

fn named<'a, T>(all: &'a [(String, T)], name: &str, what: &str) -> Result<&'a T, RingError> {
    let found = all.iter().find(|(other, _)| other == name).map(|(_, found)| found);
    found.ok_or_else(|| RingError::Invalid(format!("there is no {what} {name:?}")))
}
