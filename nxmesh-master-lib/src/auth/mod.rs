//! Who may use the API: passwords, access tokens, and the brake on guessing.

mod identity;
mod login;
mod password;
mod throttle;
mod token;

pub use identity::{Identity, Role};
pub use login::LoginError;
pub(crate) use login::Logins;
pub use password::PasswordError;
pub(crate) use password::Passwords;
pub(crate) use token::{AccessTokens, new_signing_key_pem};
pub use token::{IssuedToken, TokenError};
