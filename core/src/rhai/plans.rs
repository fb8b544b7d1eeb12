//! Scans that the host carries out.

use std::any::TypeId;
use std::rc::Rc;

use ::rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, INT, Map, NativeCallContext};

use super::loops::Progress;
use super::meter::Meter;
use super::verbs::{Outcome, exactly, raw, take_named};

const MOST_POINTS: INT = 1000;
/// So many values of any type the engine lets a function take: four axes of a grid.
const MOST_VALUES: usize = 16;

pub(super) fn register(
    engine: &mut Engine,
    plans: &[String],
    meter: &Rc<Meter>,
    progress: &Rc<Progress>,
) {
    for plan in plans {
        let (name, meter, progress) = (plan.clone(), Rc::clone(meter), Rc::clone(progress));
        let scan = move |context: NativeCallContext<'_>, mut args: Vec<Dynamic>| {
            let named = take_named(&mut args);
            ask(&meter, &context, &name, &args, named, progress.region())
        };
        let mut with_options = vec![TypeId::of::<Dynamic>(); MOST_VALUES];
        with_options.push(TypeId::of::<Map>());
        exactly(engine, plan, with_options, scan.clone());
        raw(engine, plan, None, MOST_VALUES, scan);
    }
    let (meter, progress) = (Rc::clone(meter), Rc::clone(progress));
    raw(engine, "adaptive", None, MOST_VALUES, move |context, args| {
        adaptive(&meter, &context, args, progress.region())
    });
}

fn ask(
    meter: &Meter,
    context: &NativeCallContext<'_>,
    name: &str,
    args: &[Dynamic],
    named: Map,
    region: (f64, f64),
) -> Outcome {
    let place = context.call_position();
    meter.at(place);
    let answer = meter.host.plan(name, args, named, region);
    meter.refill();
    answer.map_err(|trouble| meter.raised(trouble, place))
}

/// Goes where the script's function says, from `start` on, until it says `()`.
fn adaptive(
    meter: &Meter,
    context: &NativeCallContext<'_>,
    mut args: Vec<Dynamic>,
    (start, span): (f64, f64),
) -> Outcome {
    let mut named = take_named(&mut args);
    let mut rest = args.into_iter();
    let mut take = |name: &str| rest.next().or_else(|| named.remove(name));
    let (stage, first, choose) = (take("stage"), take("start"), take("choose"));
    let detectors = take("detectors").unwrap_or_else(|| Array::new().into());
    let points = take("points").map_or(Ok(MOST_POINTS), |value| value.as_int());
    let (Some(stage), Some(mut target), Some(choose), Ok(points)) =
        (stage, first, choose.and_then(Dynamic::try_cast::<FnPtr>), points)
    else {
        return Err(usage());
    };
    let mut rows = Array::new();
    while !target.is_unit() && (rows.len() as INT) < points {
        let part = span / points as f64;
        let region = (start + part * rows.len() as f64, part);
        let asked = [stage.clone(), target, detectors.clone()];
        let columns = ask(meter, context, "point", &asked, Map::new(), region)?;
        rows.push(first_row(columns).into());
        target = choose.call_within_context(context, (rows.clone(),))?;
    }
    Ok(columns_of(&rows).into())
}

fn usage() -> Box<EvalAltResult> {
    "adaptive takes a stage, a start, a function of the rows, and may take detectors and points"
        .into()
}

fn first_row(columns: Dynamic) -> Map {
    let columns = columns.try_cast::<Map>().unwrap_or_default();
    let first = |values: Dynamic| values.try_cast::<Array>()?.into_iter().next();
    columns.into_iter().filter_map(|(name, values)| Some((name, first(values)?))).collect()
}

fn columns_of(rows: &Array) -> Map {
    let mut columns = Map::new();
    for row in rows.iter().filter_map(Dynamic::read_lock::<Map>) {
        for (name, value) in row.iter() {
            let column = columns.entry(name.clone()).or_insert_with(|| Array::new().into());
            if let Some(mut column) = column.write_lock::<Array>() {
                column.push(value.clone());
            }
        }
    }
    columns
}
