//! What counts in one place, and what answers that are made for it elsewhere tell.

use nxmesh_core::{contract::renderer::RenderError, model::TrafficSettings};

use super::{Preamble, telling, tells};
use crate::context::{
    Scene,
    headers::{self, Headers, OwnHeadersRecord},
};

/// The settings that count in a place, which is a location or its host.
#[derive(Clone, Copy)]
pub(crate) struct Local<'a, 'p> {
    /// Its own, which for the host are those of the host.
    pub(crate) own: &'a TrafficSettings,
    pub(crate) host: &'a TrafficSettings,
    pub(crate) headers: &'p Headers<'a>,
}

impl<'a> Local<'a, '_> {
    /// Whether it sends other headers than the host.
    pub(crate) fn tells(self) -> bool {
        let is_host = std::ptr::eq(self.own, self.host);
        self.headers.without_host || (!is_host && tells(self.own))
    }

    /// The headers it sends; `None` where they are those of the host, which nginx
    /// inherits.
    pub(crate) fn own_headers(
        self,
        scene: &Scene<'_>,
        preamble: &mut Preamble<'a>,
    ) -> Result<Option<Box<OwnHeadersRecord<'a>>>, RenderError> {
        let tells = self.tells();
        tells.then(|| self.restated(scene, preamble)).transpose()
    }

    /// All headers it sends, for where there is another one: then nginx inherits none.
    pub(super) fn restated(
        self,
        scene: &Scene<'_>,
        preamble: &mut Preamble<'a>,
    ) -> Result<Box<OwnHeadersRecord<'a>>, RenderError> {
        let tells = self.tells();
        let own = if tells {
            &self.own.response_headers[..]
        } else {
            &[]
        };
        Ok(Box::new(OwnHeadersRecord {
            headers: headers::records(scene, own)?,
            inherited_headers: if tells {
                self.headers.inherited.clone()
            } else {
                self.headers.host.iter().collect()
            },
            inherits_none: self.headers.without_host,
            inherits_hsts: !headers::sets_hsts(own),
            telling: telling(scene, self.own, self.host, preamble)?,
        }))
    }

    /// A part of a name that only what sends these headers has.
    pub(super) fn id(self) -> String {
        if !self.tells() {
            return String::new();
        }
        let own = self.own;
        format!(
            "{} {:?} {:?} {:?}",
            self.headers.without_host, own.response_headers, own.cors, own.cache
        )
    }
}
