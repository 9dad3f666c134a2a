//! Tells a statsd server, over UDP: nobody waits for it.
//!
//! A label becomes a part of the name, as not every server knows labels. Of a
//! histogram the count and the sum are told, as counters.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{UdpSocket, lookup_host},
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::warn;

use super::{
    Metrics,
    sample::{Family, Kind, Samples, Value},
};

/// What fits into one frame of any network with room to spare.
const MAX_PACKET_BYTES: usize = 1400;
/// How long a name may take to be resolved.
const RESOLVE: Duration = Duration::from_secs(2);
/// Shortest time between two tellings.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);

/// Counts of packets.
#[derive(Debug, Default)]
pub(super) struct Sent {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Sent {
    /// Nothing before the first packet.
    pub(super) fn packets(&self, samples: &mut Samples) {
        let (sent, dropped) = (&self.sent, &self.dropped);
        let (sent, dropped) = (
            sent.load(Ordering::Relaxed),
            dropped.load(Ordering::Relaxed),
        );
        if sent + dropped > 0 {
            samples.with([("result", "sent".into())], sent);
            samples.with([("result", "dropped".into())], dropped);
        }
    }
}

/// Tells the server again and again until dropped.
pub(super) async fn tell(server: String, every: Duration, metrics: Arc<Metrics>) {
    let mut ticks = interval(every.max(LEAST_INTERVAL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::default();
    let mut reachable = true;
    loop {
        ticks.tick().await;
        let packets = told.packets(&metrics.families().await);
        let counts = &metrics.meters.statsd;
        // Resolved each time: the server may move.
        match timeout(RESOLVE, open(&server)).await {
            Ok(Ok(socket)) => {
                reachable = true;
                for packet in packets {
                    let count = match socket.try_send(&packet) {
                        Ok(_) => &counts.sent,
                        Err(_) => &counts.dropped,
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            failed => {
                let lost = u64::try_from(packets.len()).unwrap_or(u64::MAX);
                counts.dropped.fetch_add(lost, Ordering::Relaxed);
                if std::mem::take(&mut reachable) {
                    let error = failed.map_or_else(
                        |it| it.to_string(),
                        |it| match it {
                            Ok(_) => String::new(),
                            Err(error) => error.to_string(),
                        },
                    );
                    warn!(server, error, "the statsd server is not told; tried again");
                }
            }
        }
    }
}

async fn open(server: &str) -> io::Result<UdpSocket> {
    let address = lookup_host(server).await?.next();
    let address = address.ok_or(io::ErrorKind::NotFound)?;
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    socket.writable().await?;
    Ok(socket)
}

/// What was told last: of counters only what was added since is told, and nothing of what nginx
/// counted before it was first asked: an earlier agent told that.
#[derive(Debug, Default)]
struct Told(HashMap<String, f64>);

impl Told {
    fn packets(&mut self, families: &[Family]) -> Vec<Vec<u8>> {
        let mut packets = vec![Vec::new()];
        for family in families {
            for sample in &family.samples {
                let mut name = family.name.to_owned();
                for (_, value) in &sample.labels {
                    name.push('.');
                    name.extend(value.chars().map(plain));
                }
                match (&sample.value, family.kind) {
                    (Value::Number(number), Kind::Gauge) => {
                        push(&mut packets, &format!("{name}:{number}|g\n"));
                    }
                    (Value::Number(number), Kind::History) if !self.0.contains_key(&name) => {
                        self.0.insert(name, *number);
                    }
                    (Value::Number(number), _) => self.count(&mut packets, name, *number),
                    (Value::Counts(counts), _) => {
                        let count = counts.count() as f64;
                        self.count(&mut packets, format!("{name}.count"), count);
                        self.count(&mut packets, format!("{name}.sum"), counts.sum());
                    }
                }
            }
        }
        packets.retain(|packet| !packet.is_empty());
        packets
    }

    fn count(&mut self, packets: &mut Vec<Vec<u8>>, name: String, total: f64) {
        let before = self.0.get(&name).copied().unwrap_or_default();
        // Whoever counts may have begun anew.
        let added = if total < before {
            total
        } else {
            total - before
        };
        if added != 0.0 {
            push(packets, &format!("{name}:{added}|c\n"));
            self.0.insert(name, total);
        }
    }
}

fn push(packets: &mut Vec<Vec<u8>>, line: &str) {
    let full = |packet: &Vec<u8>| packet.len() + line.len() > MAX_PACKET_BYTES;
    match packets.last_mut() {
        Some(packet) if !full(packet) => packet.extend_from_slice(line.as_bytes()),
        _ => packets.push(line.as_bytes().to_vec()),
    }
}

/// Servers give most other characters a meaning of their own.
fn plain(character: char) -> char {
    match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => character,
        _ => '_',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::histogram::Counts;

    fn family(kind: Kind, fill: impl FnOnce(&mut Samples)) -> Family {
        let mut samples = Samples::default();
        fill(&mut samples);
        let (name, help) = ("x", "");
        Family {
            name,
            kind,
            help,
            samples: samples.0,
        }
    }

    fn lines(told: &mut Told, families: &[Family]) -> Vec<String> {
        let packets = told.packets(families);
        assert!(
            packets
                .iter()
                .all(|packet| packet.len() <= MAX_PACKET_BYTES)
        );
        let text = String::from_utf8(packets.concat()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn of_counters_it_is_told_what_was_added() {
        let mut told = Told::default();
        let counter = |count: u64| {
            family(Kind::Counter, |to| {
                to.with([("name", "a.b:c|d".into())], count)
            })
        };
        assert_eq!(lines(&mut told, &[counter(3)]), ["x.a_b_c_d:3|c"]);
        assert!(lines(&mut told, &[counter(3)]).is_empty());
        assert_eq!(lines(&mut told, &[counter(5)]), ["x.a_b_c_d:2|c"]);
        // It was counted anew.
        assert_eq!(lines(&mut told, &[counter(1)]), ["x.a_b_c_d:1|c"]);
        let history = |count: u64| family(Kind::History, |to| to.is(count));
        assert!(lines(&mut told, &[history(2868)]).is_empty());
        assert_eq!(lines(&mut told, &[history(2874)]), ["x:6|c"]);
        assert_eq!(lines(&mut told, &[history(2)]), ["x:2|c"]);
        let gauge = family(Kind::Gauge, |to| to.is(0.5));
        assert_eq!(lines(&mut told, &[gauge]), ["x:0.5|g"]);
        let mut counts = Counts::default();
        counts.add(0.25);
        let histogram = family(Kind::Histogram, |to| to.counts([], counts));
        assert_eq!(
            lines(&mut told, &[histogram]),
            ["x.count:1|c", "x.sum:0.25|c"]
        );
    }

    #[test]
    fn many_values_take_many_packets() {
        let many = family(Kind::Gauge, |to| {
            for number in 0..1000_u64 {
                to.with([("n", number.to_string().into())], number);
            }
        });
        assert_eq!(lines(&mut Told::default(), &[many]).len(), 1000);
    }
}
