//! What nginx tells of each request, counted.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nxmesh_render::request_log::Request;

use super::{histogram::Counts, sample::Samples};

/// So many names are told apart; all others are [`OTHER`] together.
const MAX_NAMES: usize = 1000;
const OTHER: &str = "other";
/// What a server without a name is called.
const NAMELESS: &str = "_";
/// Longer names are shortened: a name has 253 bytes at most (RFC 1035).
const MAX_NAME_BYTES: usize = 255;

const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// Counts by the name of the server.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    by_name: BTreeMap<Box<str>, Host>,
    upstreams: Counts,
    counted: u64,
    unreadable: u64,
}

#[derive(Debug, Default)]
struct Host {
    classes: [u64; CLASSES.len()],
    durations: Counts,
    bytes: u64,
}

impl Requests {
    /// Counts one datagram of the request log.
    pub(super) fn add(&self, datagram: &[u8]) {
        let mut seen = self.lock();
        match Request::parse(datagram) {
            Some(request) => seen.add(&request),
            None => seen.unreadable += 1,
        }
    }

    pub(super) fn lines(&self, samples: &mut Samples) {
        let seen = self.lock();
        samples.with([("result", "counted".into())], seen.counted);
        samples.with([("result", "unreadable".into())], seen.unreadable);
    }

    pub(super) fn responses(&self, samples: &mut Samples) {
        for (name, host) in &self.lock().by_name {
            for (class, count) in CLASSES.into_iter().zip(host.classes) {
                if count > 0 {
                    let name = name.to_string().into();
                    samples.with([("server_name", name), ("class", class.into())], count);
                }
            }
        }
    }

    pub(super) fn bytes(&self, samples: &mut Samples) {
        for (name, host) in &self.lock().by_name {
            samples.with([("server_name", name.to_string().into())], host.bytes);
        }
    }

    pub(super) fn durations(&self, samples: &mut Samples) {
        for (name, host) in &self.lock().by_name {
            let labels = [("server_name", name.to_string().into())];
            samples.counts(labels, host.durations.clone());
        }
    }

    pub(super) fn upstreams(&self, samples: &mut Samples) {
        samples.counts([], self.lock().upstreams.clone());
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // Nothing panics while it is held; what it guards is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn add(&mut self, request: &Request<'_>) {
        self.counted += 1;
        let name = match request.server_name {
            "" => NAMELESS,
            name => &name[..name.floor_char_boundary(MAX_NAME_BYTES)],
        };
        let name = match self.by_name.contains_key(name) || self.by_name.len() < MAX_NAMES {
            true => name,
            false => OTHER,
        };
        if !self.by_name.contains_key(name) {
            self.by_name.insert(name.into(), Host::default());
        }
        if let Some(host) = self.by_name.get_mut(name) {
            let class = match request.status {
                100..600 => usize::from(request.status / 100 - 1),
                _ => CLASSES.len() - 1,
            };
            host.classes[class] += 1;
            host.durations.add(request.seconds);
            host.bytes = host.bytes.saturating_add(request.bytes);
        }
        if let Some(seconds) = request.upstream_seconds {
            self.upstreams.add(seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(status: u16, name: &str) -> Vec<u8> {
        format!("<190>Nov 27 01:50:28 nxmesh: {status}\t0.002\t10\t-\t{name}").into()
    }

    fn values(read: impl Fn(&mut Samples)) -> Vec<String> {
        let mut samples = Samples::default();
        read(&mut samples);
        let samples = samples.0.into_iter();
        samples
            .map(|it| format!("{:?} {:?}", it.labels, it.value))
            .collect()
    }

    #[test]
    fn names_are_limited_and_what_is_none_of_ours_is_told() {
        let requests = Requests::default();
        for number in 0..2500 {
            requests.add(&line(200, &format!("h{number}.example")));
        }
        requests.add(&line(200, "h1.example"));
        requests.add(&line(444, &"x".repeat(4000)));
        requests.add(b"rubbish");
        assert_eq!(requests.lock().by_name.len(), MAX_NAMES + 1);
        let told = values(|samples| requests.responses(samples));
        let is = |name: &str, class: &str, count: u64| {
            let expected = format!(
                "[(\"server_name\", \"{name}\"), (\"class\", \"{class}\")] Number({count}.0)"
            );
            assert!(told.contains(&expected), "{expected}");
        };
        is("h1.example", "2xx", 2);
        is("other", "2xx", 1500);
        is("other", "4xx", 1);
        let lines = values(|samples| requests.lines(samples));
        assert!(lines[0].ends_with("Number(2502.0)"), "{lines:?}");
        assert!(lines[1].ends_with("Number(1.0)"), "{lines:?}");
    }

    #[test]
    fn any_status_has_a_class() {
        let requests = Requests::default();
        for status in [0, 99, 100, 599, 600, 65535] {
            requests.add(&line(status, ""));
        }
        let told = values(|samples| requests.responses(samples));
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(
            told[2].contains("other") && told[2].ends_with("Number(4.0)"),
            "{told:?}"
        );
    }
}
