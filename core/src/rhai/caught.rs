//! Errors of verbs as scripts see them.

use std::fmt;
use std::rc::Rc;

use ::rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, Map};

use super::Origin;

/// An error that a `catch` block gets; thrown again, it is still the same.
#[derive(Clone)]
pub struct Caught {
    /// Its class and those above it, the nearest first.
    pub kinds: Rc<[String]>,
    /// What it says.
    pub message: ImmutableString,
    /// What it knows beside, such as the instrument.
    pub fields: Rc<Map>,
    /// The host's own error.
    pub origin: Origin,
}

impl fmt::Debug for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind(), self.message)
    }
}

impl Caught {
    fn kind(&self) -> &str {
        self.kinds.first().map_or("", String::as_str)
    }

    fn is_a(&self, kind: &str) -> bool {
        self.kinds.iter().any(|k| k == kind)
    }

    fn field(&self, name: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        self.fields
            .get(name)
            .cloned()
            .ok_or_else(|| format!("the error {:?} has no field {name:?}", self.kind()).into())
    }
}

/// `error.kind`, `error.message`, `error.is_a("…")` and the fields, for all that can be caught.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Caught>("error");
    engine.register_get("kind", |error: &mut Caught| error.kind().to_owned());
    engine.register_get("message", |error: &mut Caught| error.message.clone());
    engine.register_indexer_get(|error: &mut Caught, name: &str| error.field(name));
    engine.register_fn("is_a", |error: &mut Caught, kind: &str| error.is_a(kind));
    engine.register_fn("to_string", |error: &mut Caught| error.message.clone());
    engine.register_fn("to_debug", |error: &mut Caught| format!("{error:?}"));
    // What a script throws, and the engine's own errors, answer the same questions.
    engine.register_get("kind", |_: &mut ImmutableString| "");
    engine.register_get("message", |text: &mut ImmutableString| text.clone());
    engine.register_fn("is_a", |_: &mut ImmutableString, _: &str| false);
    engine.register_fn("is_a", |error: &mut Map, kind: &str| {
        let is =
            |name: &str| error.get(name).is_some_and(|v| v.is_string() && v.to_string() == kind);
        is("kind") || is("error")
    });
}
