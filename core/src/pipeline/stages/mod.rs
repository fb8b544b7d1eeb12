//! The stages that the core has.

mod clock_fit;
mod decimate;
mod envelope;
mod epoch;
mod filter;
mod gathering;
mod history;
mod native;
mod pass;
mod reference;
mod spectrum;
mod threshold;
mod voltage;
mod welch;
mod zip;

pub use decimate::Decimate;
pub use envelope::Envelope;
pub use epoch::Epoch;
pub use filter::{Filter, sections_of};
pub use native::{Native, NativeFunction};
pub use pass::Pass;
pub use reference::Reference;
pub use spectrum::Fft;
pub use threshold::Threshold;
pub use voltage::ToVoltage;
pub use welch::Welch;
pub use zip::{Stamps, Zip};
