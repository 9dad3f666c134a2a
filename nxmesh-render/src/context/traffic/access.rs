//! Which clients are let in.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{AccessRule, ResourceKey, ResourceKind, traffic::Access},
};

use crate::{context::Scene, handlebars::record::record, token::Word};

record! {
    /// `allow` or `deny` of a network.
    AccessRuleRecord<'a> {
        /// Else it is `deny`.
        allow: bool,
        source: Word<'a>,
    }
}

/// The rules in the order in which they decide.
pub(in crate::context) fn rules<'a>(
    scene: &Scene<'_>,
    access: Option<&Access>,
) -> Result<Vec<AccessRuleRecord<'a>>, RenderError> {
    let Some(access) = access else {
        return Ok(Vec::new());
    };
    let mut rules: Vec<_> = access.rules.iter().map(rule).collect();
    for name in &access.lists {
        let list = scene.resources.access_list(name).ok_or_else(|| {
            scene.missing(ResourceKey {
                kind: ResourceKind::AccessList,
                name: name.clone(),
            })
        })?;
        rules.extend(list.spec.rules.iter().map(rule));
    }
    Ok(rules)
}

fn rule<'a>(rule: &AccessRule) -> AccessRuleRecord<'a> {
    let (allow, source) = match rule {
        AccessRule::Allow(source) => (true, source),
        AccessRule::Deny(source) => (false, source),
    };
    AccessRuleRecord {
        allow,
        source: Word::own(source),
    }
}
