//! What is written down about requests.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        traffic::{AccessLog, ErrorLog, LogEscape, LogSkip, LogStyle},
        value::{FilePath, LogPart, SyslogAddress},
    },
};

use super::{Preamble, gates};
use crate::{
    context::Scene,
    handlebars::record::record,
    request_log,
    token::{QuoteError, Word, quote, quote_expanding},
};

record! {
    /// How a line looks.
    LogFormatRecord<'a> {
        name: Word<'a>,
        /// How values are written, where it is not nginx's way.
        escape: Option<Word<'a>>,
        format: Word<'a>,
    }
}

record! {
    /// Where lines go.
    AccessLogRecord<'a> {
        /// `off`, a file or a syslog server; not there where only the requests are
        /// counted.
        to: Option<Word<'a>>,
        format: Option<Word<'a>>,
        /// A condition as a parameter.
        condition: Option<Word<'a>>,
        /// Where requests are counted: what is said here takes the place of what the
        /// block `http` says.
        counted: Option<Word<'a>>,
    }
}

record! {
    /// Where nginx says what happens to it.
    ErrorLogRecord<'a> {
        to: Word<'a>,
        level: Word<'a>,
        /// `on` or `off`.
        rewrites: Word<'a>,
    }
}

/// One object, of what people and machines ask for most.
const JSON: &str = r#"'{"time":"$time_iso8601","remote_addr":"$remote_addr","host":"$host","method":"$request_method","uri":"$request_uri","protocol":"$server_protocol","status":$status,"bytes_sent":$bytes_sent,"request_length":$request_length,"request_time":$request_time,"upstream_addr":"$upstream_addr","upstream_status":"$upstream_status","upstream_time":"$upstream_response_time","referer":"$http_referer","user_agent":"$http_user_agent","request_id":"$request_id"}'"#;

pub(super) fn access<'a>(
    scene: &Scene<'_>,
    log: &'a AccessLog,
    preamble: &mut Preamble<'a>,
) -> Result<AccessLogRecord<'a>, RenderError> {
    let quoting = |error: QuoteError| scene.unrenderable(error);
    let counted = match &scene.settings.request_log {
        Some(socket) => {
            let to = request_log::target(socket).map_err(|reason| scene.unrenderable(reason))?;
            Some(to)
        }
        None => None,
    };
    let AccessLog::To(target) = log else {
        return Ok(AccessLogRecord {
            // It would silence the counting as well.
            to: counted.is_none().then(|| Word::fixed("off")),
            format: None,
            condition: None,
            counted,
        });
    };
    let to = match &target.file {
        Some(file) => quote_expanding(file.as_str()).map_err(quoting)?,
        None => syslog(target.syslog.as_ref()).map_err(quoting)?,
    };
    let format = match &target.format {
        LogStyle::Combined => Word::fixed("combined"),
        LogStyle::Json => {
            scene.require("a log in JSON", (1, 11, 8))?;
            format(preamble, LogEscape::Json, Word::fixed(JSON))
        }
        LogStyle::Custom(custom) => {
            match target.escape {
                LogEscape::Default => {}
                LogEscape::Json => scene.require("escape: json", (1, 11, 8))?,
                LogEscape::None => scene.require("escape: none", (1, 13, 10))?,
            }
            let mut text = String::new();
            for part in custom.parts() {
                match part {
                    LogPart::Text(part) => text += &quote_expanding(part).map_err(quoting)?.bare(),
                    LogPart::Variable(name) => text += &format!("${{{name}}}"),
                }
            }
            format(preamble, target.escape, Word::expression(text))
        }
    };
    let condition = skip(scene, &target.skip, preamble)?;
    Ok(AccessLogRecord {
        to: Some(to),
        format: Some(format),
        condition,
        counted,
    })
}

fn format<'a>(preamble: &mut Preamble<'a>, escape: LogEscape, format: Word<'a>) -> Word<'a> {
    let escape = match escape {
        LogEscape::Default => "",
        LogEscape::Json => "json",
        LogEscape::None => "none",
    };
    let id = preamble.id(["log", escape, &format.to_string()]);
    let name = Word::own(format!("nxmesh_log_{id}"));
    if !preamble.log_formats.iter().any(|it| it.name == name) {
        preamble.log_formats.push(LogFormatRecord {
            name: name.clone(),
            escape: (!escape.is_empty()).then(|| Word::fixed(escape)),
            format,
        });
    }
    name
}

/// One variable after the other, so that each is 0 if one before it is.
fn skip<'a>(
    scene: &Scene<'_>,
    skip: &LogSkip,
    preamble: &mut Preamble<'a>,
) -> Result<Option<Word<'a>>, RenderError> {
    if skip.is_empty() {
        return Ok(None);
    }
    scene.require("leaving requests out of a log", (1, 7, 0))?;
    let mut before = Word::fixed("1");
    if !skip.statuses.is_empty() {
        let entries = skip.statuses.iter().map(|status| {
            let key = Word::expression(format!("~{}", status.as_str().replace("xx", "..")));
            (key, Word::fixed("0"))
        });
        let name = preamble.map(Word::variable("status"), entries.collect(), before);
        before = Word::made_variable(name);
    }
    for (source, patterns, prefix) in [
        ("request_uri", &skip.paths, "~"),
        ("http_user_agent", &skip.user_agents, "~*"),
    ] {
        if !patterns.is_empty() {
            let entries = gates::matching(scene, patterns, prefix, &Word::fixed("0"))?;
            let name = preamble.map(Word::variable(source), entries, before);
            before = Word::made_variable(name);
        }
    }
    Ok(Some(Word::expression(format!("if={before}"))))
}

pub(in crate::context) fn errors<'a>(
    scene: &Scene<'_>,
    log: &'a ErrorLog,
) -> Result<ErrorLogRecord<'a>, RenderError> {
    let to = match &log.file {
        Some(file) => file_word(file),
        None => syslog(log.syslog.as_ref()),
    };
    Ok(ErrorLogRecord {
        to: to.map_err(|error| scene.unrenderable(error))?,
        level: Word::fixed(log.level.as_str()),
        rewrites: Word::fixed(if log.rewrites { "on" } else { "off" }),
    })
}

/// nginx expands no variables here.
fn file_word(file: &FilePath) -> Result<Word<'_>, QuoteError> {
    quote(file.as_str())
}

pub(in crate::context) fn syslog<'a>(
    address: Option<&SyslogAddress>,
) -> Result<Word<'a>, QuoteError> {
    let address = address.map_or("", |address| address.as_str());
    quote(&format!("syslog:server={address},tag=nginx")).map(Word::into_owned)
}
