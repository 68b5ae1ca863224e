//! Text of device-mapper, parsed and printed by the same table, and of what else
//! is printed. Pure: no file here does I/O or knows that there is a kernel.

pub mod device;
pub mod disklog;
pub mod letter;
pub mod linear;
pub mod log;
pub mod mapfile;
pub mod mirror;
pub mod name;
pub mod new_request;
pub mod openmetrics;
pub mod place;
pub mod printed;
pub mod request;
pub mod request_keys;
mod secret;
pub mod short_form;
pub mod simple_request;
pub mod size;
pub mod status;
pub mod table;
pub mod units;
pub mod words;

#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;
