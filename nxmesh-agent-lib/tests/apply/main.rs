//! The apply pipeline and a real nginx.

mod crashes;
mod failures;
mod include;
mod serving;
mod site;
