//! What this node has measured of its sources, and what it predicts from that. Measurements stay on the node.

mod arrange;
mod clock;
mod forecast;
mod store;
mod way;

pub(crate) use arrange::{arrange, ranking};
pub(crate) use clock::Clock;
pub(crate) use forecast::{Forecast, Forecasted, bytes_of, forecast_of, seconds_since_1970};
pub(crate) use store::Measured;
pub(crate) use way::{Way, authority};
