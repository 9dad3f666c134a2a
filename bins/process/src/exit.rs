//! Exit codes, and how an error carries its code to `main`.

use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use clap::error::ErrorKind;

/// How a command ended. One table for every NxMesh program; a number never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Exit {
    /// 0: done; for a comparison, nothing differs.
    Success = 0,
    /// 1: a failure that no other code describes.
    Failure = 1,
    /// 2: a comparison found a difference, or an import is not all that was there.
    Differs = 2,
    /// 3: the input is not valid, or nginx refused it.
    Invalid = 3,
    /// 4: what was asked for does not exist.
    NotFound = 4,
    /// 5: somebody else changed it first, the name is taken, or a rollout is under way.
    Conflict = 5,
    /// 6: not logged in, or the credentials are wrong or expired.
    NotAuthenticated = 6,
    /// 7: logged in, but not allowed to do this.
    NotAllowed = 7,
    /// 8: the time to wait is over; the operation goes on at the server.
    TimedOut = 8,
    /// 9: the rollout failed and was stopped or undone.
    RolloutFailed = 9,
    /// 10: some agents failed, others have the change.
    Partial = 10,
    /// 11: the server cannot be reached.
    Unreachable = 11,
    /// 64: wrong use of the command line, or a question without a terminal to ask it on.
    Usage = 64,
    /// 130: stopped by a signal before the work was done.
    Interrupted = 130,
}

impl Exit {
    /// The number the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What `main` may return on success: nothing in particular, or a code such as [`Exit::Differs`].
impl From<()> for Exit {
    fn from((): ()) -> Self {
        Self::Success
    }
}

/// Attaches an exit code to an error without changing its text.
pub trait OrExit<T> {
    /// Makes the program end with `exit` if this error reaches [`report`].
    ///
    /// The code nearest to the outside wins.
    ///
    /// # Errors
    ///
    /// The error itself, with its code.
    fn or_exit(self, exit: Exit) -> Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for std::result::Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T> {
        self.map_err(|error| {
            anyhow::Error::new(Coded {
                exit,
                error: error.into(),
            })
        })
    }
}

/// Reads as the error it wraps.
struct Coded {
    exit: Exit,
    error: anyhow::Error,
}

impl fmt::Debug for Coded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, formatter)
    }
}

impl fmt::Display for Coded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, formatter)
    }
}

impl Error for Coded {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// The code that was attached with [`OrExit::or_exit`], else [`Exit::Failure`].
#[must_use]
pub fn code_of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Coded>())
        .map_or(Exit::Failure, |coded| coded.exit)
}

/// Ends `main`: prints an error with its causes on standard error and chooses the exit code.
pub fn report<T: Into<Exit>>(outcome: Result<T>) -> ExitCode {
    match outcome {
        Ok(exit) => exit.into().into(),
        Err(error) => {
            // Unlike `eprintln!`, does not panic when standard error is closed.
            drop(writeln!(io::stderr(), "error: {error:#}"));
            code_of(&error).into()
        }
    }
}

/// Parses the command line, ending the process on a mistake with [`Exit::Usage`].
///
/// clap alone would end with 2, which means [`Exit::Differs`] here. Help and version go to standard
/// output and end with 0.
#[must_use]
pub fn parse<T: Parser>() -> T {
    T::try_parse().unwrap_or_else(|error| {
        // A closed standard output or error leaves nobody to tell.
        drop(error.print());
        std::process::exit(usage_exit(error.kind()).code().into())
    })
}

fn usage_exit(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Success,
        _ => Exit::Usage,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn a_code_is_found_below_context_and_leaves_the_text_alone() {
        let error = Err::<(), _>(anyhow!("connection refused").context("could not ask the master"))
            .or_exit(Exit::Unreachable)
            .context("could not apply")
            .unwrap_err();
        assert_eq!(code_of(&error), Exit::Unreachable);
        assert_eq!(
            format!("{error:#}"),
            "could not apply: could not ask the master: connection refused"
        );
    }

    #[test]
    fn the_outermost_code_wins() {
        let inner = Err::<(), _>(anyhow!("gone")).or_exit(Exit::NotFound);
        let error = inner.or_exit(Exit::Partial).unwrap_err();
        assert_eq!(code_of(&error), Exit::Partial);
    }

    #[test]
    fn an_error_without_a_code_is_a_plain_failure() {
        assert_eq!(code_of(&anyhow!("no")), Exit::Failure);
    }

    #[test]
    fn asking_for_help_is_no_mistake() {
        assert_eq!(usage_exit(ErrorKind::DisplayHelp), Exit::Success);
        assert_eq!(usage_exit(ErrorKind::DisplayVersion), Exit::Success);
        assert_eq!(usage_exit(ErrorKind::UnknownArgument), Exit::Usage);
        assert_eq!(
            usage_exit(ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            Exit::Usage
        );
    }
}
