//! The apply pipeline and a real nginx.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod adopt;
mod crashes;
mod damage;
mod failures;
mod include;
mod isolation;
mod kills;
mod records;
mod saboteur;
mod serving;
mod site;
mod whole;
