//! Memory and files that responses are buffered in.

use serde::{Deserialize, Serialize};

use crate::model::value::SizeBytes;

/// The memory and files a response is buffered in, per connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Buffers {
    /// How many, 2 to 1024. Default: 8 (nginx: `proxy_buffers`).
    #[serde(default = "eight")]
    pub count: u16,
    /// The size of each, 1k to 1m. Default: 4k.
    #[serde(default = "four_kilobytes")]
    pub size: SizeBytes,
    /// For the head of the response, 1k to 1m. Default: 4k (nginx: `proxy_buffer_size`).
    #[serde(default = "four_kilobytes")]
    pub head: SizeBytes,
    /// How much may be on its way to the client while the rest is still read.
    /// Default: twice the larger of `size` and `head`, as far as there is so
    /// much (nginx: `proxy_busy_buffers_size`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<SizeBytes>,
    /// How much of a response may go to a file; 0 for none. Default: nginx's,
    /// 1g (nginx: `proxy_max_temp_file_size`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file: Option<SizeBytes>,
    /// How much is written to the file at a time. Default: nginx's, as `busy`
    /// (nginx: `proxy_temp_file_write_size`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_write: Option<SizeBytes>,
}

impl Buffers {
    /// The larger of `size` and `head`: the least for all other sizes.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.size.bytes().max(self.head.bytes())
    }

    /// All buffers but one: the most for `busy`.
    #[must_use]
    pub fn all_but_one(&self) -> u64 {
        self.size
            .bytes()
            .saturating_mul(u64::from(self.count.saturating_sub(1)))
    }

    /// `busy`, or its default.
    #[must_use]
    pub fn busy_bytes(&self) -> u64 {
        self.busy.map_or_else(
            || (2 * self.largest()).min(self.all_but_one()),
            SizeBytes::bytes,
        )
    }
}

const fn eight() -> u16 {
    8
}

fn four_kilobytes() -> SizeBytes {
    SizeBytes::new(4096).unwrap_or_else(|_| unreachable!("4k is a size"))
}
