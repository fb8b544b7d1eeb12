//! What a script can say.

use std::any::TypeId;
use std::rc::Rc;

use ::rhai::{
    Dynamic, Engine, EvalAltResult, FLOAT, FnPtr, INT, ImmutableString, Map, NativeCallContext,
};

use super::caught::Caught;
use super::loops::Progress;
use super::meter::Meter;

pub(super) type Outcome = Result<Dynamic, Box<EvalAltResult>>;

const MOST_ARGUMENTS: usize = 8;
/// The verbs that belong to no instrument; `print` and those that take functions are apart.
pub(super) const SPEECH: [&str; 4] = ["sleep", "emit", "log", "progress"];
/// What the host cannot know: these call functions of the script.
pub(super) const GUARDS: [&str; 2] = ["with_shutter_open", "with_finally"];

/// An instrument as a script sees it: its verbs, nothing else.
#[derive(Debug, Clone)]
pub struct Instrument(pub ImmutableString);

pub(super) fn register(
    engine: &mut Engine,
    verbs: &[String],
    meter: &Rc<Meter>,
    progress: &Rc<Progress>,
) {
    engine.register_type_with_name::<Instrument>("instrument");
    engine.register_fn("to_string", |i: &mut Instrument| format!("<instrument {}>", i.0));
    engine.register_fn("to_debug", |i: &mut Instrument| format!("<instrument {}>", i.0));
    for verb in verbs {
        register_verb(engine, verb, meter);
    }
    for verb in SPEECH {
        register_speech(engine, verb, meter, progress);
    }
    register_print(engine, meter);
    register_guards(engine, meter);
    engine.register_fn("get", |map: &mut Map, name: &str, otherwise: Dynamic| {
        map.get(name).cloned().unwrap_or(otherwise)
    });
}

/// Makes a function known that takes up to `most` values of any type, behind the first.
pub(super) fn raw(
    engine: &mut Engine,
    name: &str,
    first: Option<TypeId>,
    most: usize,
    function: impl Fn(NativeCallContext<'_>, Vec<Dynamic>) -> Outcome + Clone + 'static,
) {
    let any = TypeId::of::<Dynamic>();
    for count in 0..=most {
        let mut types: Vec<TypeId> = first.into_iter().collect();
        types.extend(std::iter::repeat_n(any, count));
        exactly(engine, name, types, function.clone());
    }
    // The engine's own functions of such names, like the logarithm, would come before "anything".
    for number in [TypeId::of::<INT>(), TypeId::of::<FLOAT>()] {
        exactly(engine, name, vec![number], function.clone());
        exactly(engine, name, vec![number; 2], function.clone());
    }
}

#[allow(deprecated, reason = "marked so because it may change; the version is pinned")]
pub(super) fn exactly(
    engine: &mut Engine,
    name: &str,
    types: Vec<TypeId>,
    function: impl Fn(NativeCallContext<'_>, Vec<Dynamic>) -> Outcome + 'static,
) {
    engine.register_raw_fn(name, types, move |context, args| {
        function(context, args.iter().map(|value| value.flatten_clone()).collect())
    });
}

fn register_verb(engine: &mut Engine, verb: &str, meter: &Rc<Meter>) {
    let (meter, name) = (Rc::clone(meter), verb.to_owned());
    let first = Some(TypeId::of::<Instrument>());
    raw(engine, verb, first, MOST_ARGUMENTS, move |context, mut args| {
        let instrument = args.remove(0).cast::<Instrument>();
        let named = take_named(&mut args);
        let place = context.call_position();
        meter.at(place);
        let answer = meter.host.verb(&instrument.0, &name, &args, named);
        meter.refill();
        answer.map_err(|trouble| meter.raised(trouble, place))
    });
}

fn register_speech(
    engine: &mut Engine,
    verb: &'static str,
    meter: &Rc<Meter>,
    progress: &Rc<Progress>,
) {
    let (meter, progress) = (Rc::clone(meter), Rc::clone(progress));
    let say = move |context: NativeCallContext<'_>, mut args: Vec<Dynamic>| {
        let place = context.call_position();
        meter.at(place);
        let named = if verb == "emit" { take_row(&mut args) } else { Map::new() };
        if verb == "log" {
            args.iter_mut().for_each(|value| *value = text_of(value).into());
        }
        let answer = meter.host.say(verb, &args, named);
        match verb {
            "sleep" | "emit" => meter.refill(),
            "progress" if answer.is_ok() => progress.state(),
            _ => {}
        }
        answer.map_err(|trouble| meter.raised(trouble, place))
    };
    raw(engine, verb, None, MOST_ARGUMENTS, say);
}

/// A last argument that is a map stands for arguments by name.
pub(super) fn take_named(args: &mut Vec<Dynamic>) -> Map {
    args.pop_if(|last| last.is_map()).and_then(Dynamic::try_cast).unwrap_or_default()
}

/// `emit(#{power: 1.0})` or `emit("power", 1.0)`; what is neither stays in `args`.
fn take_row(args: &mut Vec<Dynamic>) -> Map {
    let pairs = args.len().is_multiple_of(2) && args.iter().step_by(2).all(Dynamic::is_string);
    if args.len() != 1 && pairs {
        let mut row = Map::new();
        for pair in args.chunks_exact(2) {
            row.insert(pair[0].to_string().into(), pair[1].clone());
        }
        args.clear();
        return row;
    }
    if args.len() == 1 { take_named(args) } else { Map::new() }
}

/// The engine hands what a function of this name returns to a hook; its own takes one value.
fn register_print(engine: &mut Engine, meter: &Rc<Meter>) {
    let own = Rc::clone(meter);
    engine.on_print(move |text| own.note(own.host.say("print", &[text.into()], Map::new())));
    let own = Rc::clone(meter);
    engine.on_debug(move |text, _, place| {
        own.at(place);
        own.note(own.host.say("log", &[text.into(), "debug".into()], Map::new()));
    });
    for count in (0..=MOST_ARGUMENTS).filter(|&count| count != 1) {
        exactly(engine, "print", vec![TypeId::of::<Dynamic>(); count], |_, args| {
            let words: Vec<String> = args.iter().map(text_of).collect();
            Ok(words.join(" ").into())
        });
    }
}

fn text_of(value: &Dynamic) -> String {
    if let Some(error) = value.read_lock::<Caught>() {
        return error.message.to_string();
    }
    match value.read_lock::<Instrument>() {
        Some(instrument) => format!("<instrument {}>", instrument.0),
        None => value.to_string(),
    }
}

fn register_guards(engine: &mut Engine, meter: &Rc<Meter>) {
    let own = Rc::clone(meter);
    engine.register_fn(
        GUARDS[0],
        move |context: NativeCallContext<'_>, shutter: Instrument, work: FnPtr| {
            let (place, shutter) = (context.call_position(), shutter.0);
            let command = |verb: &str| {
                let answer = own.host.verb(&shutter, verb, &[], Map::new());
                own.refill();
                answer.map_err(|trouble| own.raised(trouble, place))
            };
            own.at(place);
            let done = command("open_shutter").and_then(|_| work.call_within_context(&context, ()));
            shielded(&own, done, || command("close_shutter"))
        },
    );
    let own = Rc::clone(meter);
    engine.register_fn(
        GUARDS[1],
        move |context: NativeCallContext<'_>, work: FnPtr, tidy: FnPtr| {
            let done = work.call_within_context(&context, ());
            shielded(&own, done, || tidy.call_within_context(&context, ()))
        },
    );
}

/// What was done, after tidying up, which neither a stop nor an error prevents.
fn shielded(meter: &Meter, done: Outcome, tidy: impl FnOnce() -> Outcome) -> Outcome {
    meter.host.shield(true);
    let tidied = tidy();
    meter.host.shield(false);
    done.and_then(|value| tidied.map(|_| value))
}
