//! What users rely on, with everything real: programs, processes, sockets, disks and nginx.

#![expect(clippy::unwrap_used, reason = "that is how tests fail")]

mod command_line;
mod commands;
mod crash;
mod demo;
mod drift;
mod enrolment;
mod figures;
mod harness;
mod health;
mod include_mode;
mod island;
mod keys;
mod load;
mod newer_nginx;
mod refusal;
mod reloaders;
mod secrets;
mod service;
mod serving;
mod slices;
