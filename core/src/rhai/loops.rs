//! How far a script is, from the loops it is in.
//!
//! Regions nest: each is the part of the run that the innermost loop turn or call stands for.

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::ops::{Range, RangeInclusive};
use std::rc::Rc;

use ::rhai::{Array, Dynamic, Engine, INT, ImmutableString, Module, Position};

use super::Page;
use super::shares::Share;

/// A figure from 0 to 1 that never falls, below 0 until a loop of known length begins.
pub(super) struct Progress {
    page: Page,
    stated: Cell<bool>,
    regions: RefCell<Vec<Region>>,
    /// The `for` statements whose values are being found, by the level of their calls.
    pending: RefCell<Vec<(usize, Option<Share>)>>,
}

#[derive(Clone, Copy)]
struct Region {
    start: f64,
    span: f64,
    /// The statement that it stands for: level of calls, first and last place.
    statement: Option<(usize, Position, Position)>,
}

impl Progress {
    pub fn new(page: Page) -> Self {
        let whole = Region { start: 0.0, span: 1.0, statement: None };
        Self {
            page,
            stated: Cell::new(false),
            regions: RefCell::new(vec![whole]),
            pending: RefCell::default(),
        }
    }

    /// From now on the script's own word counts.
    pub fn state(&self) {
        self.stated.set(true);
    }

    /// A statement begins, so those of its level that lie elsewhere are over.
    pub fn pass(&self, level: usize, place: Position) {
        let mut regions = self.regions.borrow_mut();
        while let Some(Region { statement: Some((at, first, last)), .. }) = regions.last() {
            if *at < level || (*at == level && *first < place && place <= *last) {
                break;
            }
            regions.pop();
        }
    }

    /// A statement begins that takes a share of the innermost region.
    pub fn enter(&self, level: usize, share: Share, first: Position) {
        let Region { start, span, .. } = self.innermost();
        let start = start + span * share.offset;
        let statement = Some((level, first, share.last.unwrap_or(first)));
        self.regions.borrow_mut().push(Region { start, span: span * share.weight, statement });
        self.reach(start);
    }

    /// A `for` statement begins; what it walks over is still unknown.
    pub fn expect(&self, level: usize, share: Option<Share>) {
        let mut pending = self.pending.borrow_mut();
        pending.retain(|(at, _)| *at < level);
        pending.push((level, share));
    }

    /// Where in the run the innermost region begins, and how much it is; nothing once the script
    /// says it itself.
    pub fn region(&self) -> (f64, f64) {
        let Region { start, span, .. } = self.innermost();
        if self.stated.get() { (0.0, 0.0) } else { (start, span) }
    }

    fn innermost(&self) -> Region {
        let whole = Region { start: 0.0, span: 1.0, statement: None };
        self.regions.borrow().last().copied().unwrap_or(whole)
    }

    fn reach(&self, fraction: f64) {
        if !self.stated.get() && self.page.fraction() >= 0.0 {
            self.page.raise(fraction);
        }
    }

    /// The items of a `for` loop, as turns if it counts.
    fn each(
        self: &Rc<Self>,
        items: Box<dyn Iterator<Item = Dynamic>>,
        total: u64,
    ) -> Box<dyn Iterator<Item = Dynamic>> {
        let Some((_, Some(share))) = self.pending.borrow_mut().pop() else { return items };
        let Region { start, span, .. } = self.innermost();
        let (start, span) = (start + span * share.offset, span * share.weight);
        if total > 0 && span > 0.0 && self.page.fraction() < 0.0 && !self.stated.get() {
            self.page.raise(0.0);
        }
        let depth = self.regions.borrow().len();
        Box::new(Turns { items, progress: Rc::clone(self), depth, start, span, total, turn: 0 })
    }
}

struct Turns {
    items: Box<dyn Iterator<Item = Dynamic>>,
    progress: Rc<Progress>,
    depth: usize,
    start: f64,
    span: f64,
    total: u64,
    turn: u64,
}

impl Iterator for Turns {
    type Item = Dynamic;

    fn next(&mut self) -> Option<Dynamic> {
        let item = self.items.next();
        let total = self.total.max(1) as f64;
        let part = if item.is_some() { self.turn as f64 / total } else { 1.0 };
        let start = self.start + self.span * part.min(1.0);
        let mut regions = self.progress.regions.borrow_mut();
        regions.truncate(self.depth);
        regions.push(Region { start, span: self.span / total, statement: None });
        drop(regions);
        self.progress.reach(start);
        self.turn += 1;
        item
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.progress.regions.borrow_mut().truncate(self.depth);
    }
}

/// Numbers with a step: what `range(start, end, step)` gives, of known length.
#[derive(Clone)]
struct Steps<T> {
    start: T,
    step: T,
    count: u64,
}

/// Lets `for` loops over ranges, arrays and texts count.
pub(super) fn register(engine: &mut Engine, progress: &Rc<Progress>) {
    let mut module = Module::new();
    counted::<Range<INT>, _>(&mut module, progress, |range| {
        let total = u64::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        (Box::new(range.map(Dynamic::from)), total)
    });
    counted::<RangeInclusive<INT>, _>(&mut module, progress, |range| {
        let total = range.end().saturating_sub(*range.start()).saturating_add(1);
        (Box::new(range.map(Dynamic::from)), u64::try_from(total).unwrap_or(0))
    });
    counted::<Array, _>(&mut module, progress, |items| {
        let total = items.len() as u64;
        (Box::new(items.into_iter()), total)
    });
    counted::<ImmutableString, _>(&mut module, progress, |text| {
        let letters: Vec<char> = text.chars().collect();
        let total = letters.len() as u64;
        (Box::new(letters.into_iter().map(Dynamic::from)), total)
    });
    counted::<Steps<INT>, _>(&mut module, progress, |Steps { start, step, count }| {
        (Box::new((0..count).map(move |i| Dynamic::from(start + step * i as INT))), count)
    });
    counted::<Steps<f64>, _>(&mut module, progress, |Steps { start, step, count }| {
        (Box::new((0..count).map(move |i| Dynamic::from(start + step * i as f64))), count)
    });
    engine.register_global_module(module.into());
    engine.register_fn("range", |start: INT, end: INT, step: INT| {
        let span = i128::from(end) - i128::from(start);
        let count = match step {
            0 => 0,
            _ => (span + i128::from(step - step.signum())) / i128::from(step),
        };
        Steps { start, step, count: u64::try_from(count).unwrap_or(0) }
    });
    engine.register_fn("range", |start: f64, end: f64, step: f64| {
        let count = ((end - start) / step).ceil();
        let count = if count.is_finite() && count > 0.0 { count as u64 } else { 0 };
        Steps { start, step, count }
    });
}

type Items = (Box<dyn Iterator<Item = Dynamic>>, u64);

fn counted<T: Clone + 'static, F: Fn(T) -> Items + 'static>(
    module: &mut Module,
    progress: &Rc<Progress>,
    items: F,
) {
    let progress = Rc::clone(progress);
    module.set_iter(TypeId::of::<T>(), move |value| {
        let (items, total) = items(value.cast::<T>());
        progress.each(items, total)
    });
}
