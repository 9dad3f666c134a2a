//! Laying one set of settings over another, field by field.

/// Settings that can lie over others of their kind. Implemented by [`overlay!`](crate::overlay).
pub trait Overlay: Sized {
    /// Every field that is set here, and the others from `lower`.
    #[must_use]
    fn over(self, lower: Self) -> Self;
}

impl<T> Overlay for Option<T> {
    fn over(self, lower: Self) -> Self {
        self.or(lower)
    }
}

/// Implements [`Overlay`](crate::config::Overlay) for a struct whose fields have it: options, or
/// groups of settings in structs of their own.
///
/// All fields must be named; a forgotten one does not compile.
///
/// ```
/// use nxmesh_process::config::Overlay;
///
/// #[derive(Debug, PartialEq)]
/// struct Settings {
///     port: Option<u16>,
///     host: Option<&'static str>,
/// }
/// nxmesh_process::overlay!(Settings { port, host });
///
/// let flags = Settings { port: Some(8443), host: None };
/// let file = Settings { port: Some(1), host: Some("master") };
/// assert_eq!(flags.over(file), Settings { port: Some(8443), host: Some("master") });
/// ```
#[macro_export]
macro_rules! overlay {
    ($settings:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::config::Overlay for $settings {
            fn over(self, lower: Self) -> Self {
                let Self { $($field),+ } = self;
                Self { $($field: $crate::config::Overlay::over($field, lower.$field)),+ }
            }
        }
    };
}
