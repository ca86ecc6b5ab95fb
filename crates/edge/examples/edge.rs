//! An edge as a process of its own: `edge SOCKET [METRICS-ADDRESS]`.

use landfall_edge::{EdgeOptions, run};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let socket = arguments.next().ok_or("usage: edge SOCKET [METRICS-ADDRESS]")?;
    let mut options = EdgeOptions::new(socket.into());
    options.metrics = arguments.next().map(|address| address.parse()).transpose()?;
    Ok(run(options)?)
}
