//! A log that is no file: what nginx says to its container.

use std::io;

use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep_until};

use super::{
    LINES_PER_LOOK, LOOK, LogSource, NOBODY, OVER, Tail,
    lines::{Added, Lines},
};

/// Where to look instead.
const NOT_KEPT: &str = "it is no file that the agent can read: nginx does not run, or writes to standard error, which its unit (journalctl -u) or its container (docker logs) shows";
/// A restart of the container ends what is followed.
const ENDED: &str = "nginx's container does not run any more, and its log ends here; ask again";

impl Tail {
    /// Passes on the last `lines` lines, which wait for room, and with `follow`
    /// those that are added.
    pub(super) async fn follow_output(
        &mut self,
        source: &dyn LogSource,
        lines: usize,
        follow: bool,
        until: Instant,
    ) -> io::Result<&'static str> {
        let wanted = u32::try_from(lines).unwrap_or(u32::MAX);
        let Some(mut output) = source.output(wanted, follow).await? else {
            return Err(io::Error::other(NOT_KEPT));
        };
        let (mut parts, mut added) = (Lines::default(), Added::default());
        let (mut owed, mut look_at) = (lines, None);
        loop {
            tokio::select! {
                // What is there comes before what is added.
                biased;
                () = sleep_until(until) => return Ok(OVER),
                () = sleep_until(look_at.unwrap_or(until)), if look_at.is_some() => {
                    self.tell(std::mem::take(&mut added));
                    look_at = None;
                }
                piece = output.next() => {
                    let Some(piece) = piece else { break };
                    parts.take(&piece?, owed + LINES_PER_LOOK, &mut added);
                    let later = added.lines.split_off(owed.min(added.lines.len()));
                    let first = std::mem::replace(&mut added.lines, later);
                    owed -= first.len();
                    if !self.wait_to_tell(&first, until).await {
                        return Ok(NOBODY);
                    }
                    if look_at.is_none() && !(added.lines.is_empty() && added.dropped == 0) {
                        look_at = Some(Instant::now() + LOOK);
                    }
                }
            }
        }
        self.tell(added);
        Ok(if follow { ENDED } else { "" })
    }
}
