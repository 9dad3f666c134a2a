//! Brings nginx to what the master wants and keeps it there, with the master
//! near or away.

mod care;
mod decide;
mod desired;
mod drain;
mod files;
mod marks;
mod obey;
mod observe;
mod observed;
mod pace;
mod report;
mod run;

pub use marks::ActiveChecks;
pub use pace::ReloadPace;
pub use run::ControlOptions;
pub(crate) use run::Controller;
