//! Who may use the API: passwords, access tokens, and the brake on guessing.

mod identity;
mod login;
mod password;
mod throttle;
mod token;

pub(crate) use identity::{Identity, Role};

pub(crate) use login::{LoginError, Logins};
pub use password::PasswordError;
pub(crate) use password::Passwords;
pub use token::TokenError;
pub(crate) use token::{AccessTokens, IssuedToken, new_signing_key_pem};
