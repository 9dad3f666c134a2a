//! What requests are passed on with: nginx has directives of its own for each.

use nxmesh_core::model::{Action, VirtualHostSpec};

/// The protocols that requests are passed on with in a place.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Backends {
    pub(super) proxy: bool,
    pub(super) fastcgi: bool,
    pub(super) grpc: bool,
}

impl Backends {
    /// Those of a location with this action. Where nothing is passed on a snippet may do
    /// so, most likely over HTTP.
    pub(crate) const fn of(action: &Action) -> Self {
        let fastcgi = matches!(action, Action::FastCgi(_));
        let grpc = matches!(action, Action::Grpc(_));
        Self {
            proxy: !fastcgi && !grpc,
            fastcgi,
            grpc,
        }
    }

    /// Those of all locations of a host.
    pub(crate) fn of_host(spec: &VirtualHostSpec) -> Self {
        let mut all = Self {
            proxy: spec.locations.is_empty(),
            ..Self::default()
        };
        for location in &spec.locations {
            let routes = location.routes.iter().map(|route| &route.action);
            for one in std::iter::once(&location.action)
                .chain(routes)
                .map(Self::of)
            {
                all.proxy |= one.proxy;
                all.fastcgi |= one.fastcgi;
                all.grpc |= one.grpc;
            }
        }
        all
    }
}
