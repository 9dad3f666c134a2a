//! Messages of D-Bus as bytes (D-Bus specification, "Type system" and "Message
//! protocol"), as far as the calls to systemd need them.

/// The longest list of header fields that is read.
const FIELDS_BYTES: u32 = 16 << 10;
/// The longest body that is read; systemd's answers have a few hundred bytes.
const BODY_BYTES: u32 = 1 << 20;
/// Bytes before the fields of a header.
pub(super) const FIXED: usize = 16;

const CALL: u8 = 1;
const REPLY: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// Bytes that are no message, or one that is not expected here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bus sends what was not understood: {0}")]
pub(super) struct NotUnderstood(pub(super) &'static str);

/// A call of a method whose arguments are all strings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) method: &'a str,
    pub(super) arguments: &'a [&'a str],
}

impl Call<'_> {
    pub(super) fn encode(&self, serial: u32) -> Vec<u8> {
        let mut body = Writer::default();
        for argument in self.arguments {
            body.string(argument);
        }
        let mut message = Writer(vec![b'l', CALL, 0, 1]);
        message.number(u32::try_from(body.0.len()).unwrap_or(u32::MAX));
        message.number(serial);
        // The length of the fields, known once they are written.
        message.number(0);
        for (code, kind, text) in [
            (PATH, b'o', self.path),
            (INTERFACE, b's', self.interface),
            (MEMBER, b's', self.method),
            (DESTINATION, b's', self.destination),
        ] {
            message.align(8);
            message.0.extend([code, 1, kind, 0]);
            message.string(text);
        }
        if !self.arguments.is_empty() {
            message.align(8);
            message.0.extend([SIGNATURE, 1, b'g', 0]);
            message.signature(&"s".repeat(self.arguments.len()));
        }
        let fields = u32::try_from(message.0.len() - FIXED).unwrap_or(u32::MAX);
        message.0[FIXED - 4..FIXED].copy_from_slice(&fields.to_le_bytes());
        message.align(8);
        message.0.extend(body.0);
        message.0
    }
}

#[derive(Debug, Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_le_bytes());
    }

    fn string(&mut self, text: &str) {
        self.number(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }
}

/// How long the rest of a message is, from its first [`FIXED`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    fields: usize,
    body: usize,
}

impl Lengths {
    pub(super) fn of(fixed: &[u8; FIXED]) -> Result<Self, NotUnderstood> {
        let mut reader = Reader::new(fixed)?;
        if fixed[3] != 1 {
            return Err(NotUnderstood("another version of the protocol"));
        }
        reader.at = 4;
        let body = reader.number()?;
        reader.at = FIXED - 4;
        let fields = reader.number()?;
        if body > BODY_BYTES || fields > FIELDS_BYTES {
            return Err(NotUnderstood("a message that is too long"));
        }
        Ok(Self {
            fields: fields as usize,
            body: body as usize,
        })
    }

    /// How many bytes follow the first.
    pub(super) fn rest(self) -> usize {
        self.fields.next_multiple_of(8) + self.body
    }
}

/// What the bus has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// The answer to the call with this number.
    Reply { to: u32, body: Body },
    /// Why that call failed.
    Error {
        to: u32,
        name: String,
        message: String,
    },
    /// A signal, by its name.
    Signal { member: String, body: Body },
    /// A call, which nobody has reason for here.
    Other,
}

/// The arguments of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    signature: String,
    bytes: Vec<u8>,
    order: u8,
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u32),
}

impl Body {
    /// All arguments: strings, paths, numbers, and such in variants.
    pub(super) fn values(&self) -> Result<Vec<Value>, NotUnderstood> {
        let mut reader = Reader {
            bytes: &self.bytes,
            at: 0,
            order: self.order,
        };
        let kinds = self.signature.bytes();
        kinds.map(|kind| reader.value(kind, true)).collect()
    }
}

impl Said {
    /// Reads a whole message.
    pub(super) fn decode(message: &[u8]) -> Result<Self, NotUnderstood> {
        let (fixed, _) = message
            .split_first_chunk()
            .ok_or(NotUnderstood("a message that is cut off"))?;
        let lengths = Lengths::of(fixed)?;
        let mut reader = Reader::new(message)?;
        reader.at = FIXED;
        let end = FIXED + lengths.fields;
        let (mut reply_to, mut member, mut error) = (None, None, None);
        let mut signature = String::new();
        while reader.at < end {
            reader.align(8)?;
            let code = reader.byte()?;
            let kind = match reader.signature()?.as_bytes() {
                [kind] => *kind,
                _ => return Err(NotUnderstood("a header field of another kind")),
            };
            match (code, reader.value(kind, false)?) {
                (MEMBER, Value::Text(name)) => member = Some(name),
                (ERROR_NAME, Value::Text(name)) => error = Some(name),
                (REPLY_SERIAL, Value::Number(serial)) => reply_to = Some(serial),
                (SIGNATURE, Value::Text(text)) => signature = text,
                // There may be more in later versions.
                _ => {}
            }
        }
        reader.align(8)?;
        let bytes = reader.take(lengths.body)?.to_vec();
        let order = reader.order;
        let body = Body {
            signature,
            bytes,
            order,
        };
        let missing = NotUnderstood("a header that lacks a field");
        match message.get(1) {
            Some(&REPLY) => Ok(Self::Reply {
                to: reply_to.ok_or(missing)?,
                body,
            }),
            Some(&ERROR) => Ok(Self::Error {
                to: reply_to.ok_or(missing)?,
                name: error.ok_or(missing)?,
                message: match body.values().unwrap_or_default().into_iter().next() {
                    Some(Value::Text(text)) => text.chars().take(1024).collect(),
                    _ => String::new(),
                },
            }),
            Some(&SIGNAL) => Ok(Self::Signal {
                member: member.ok_or(missing)?,
                body,
            }),
            _ => Ok(Self::Other),
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    order: u8,
}

impl<'a> Reader<'a> {
    fn new(message: &'a [u8]) -> Result<Self, NotUnderstood> {
        match message.first() {
            Some(&order @ (b'l' | b'B')) => Ok(Self {
                bytes: message,
                at: 0,
                order,
            }),
            _ => Err(NotUnderstood("bytes in an unknown order")),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], NotUnderstood> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        self.at = end.unwrap_or(self.at);
        taken.ok_or(NotUnderstood("a message that is cut off"))
    }

    fn align(&mut self, to: usize) -> Result<(), NotUnderstood> {
        self.take(self.at.next_multiple_of(to) - self.at).map(drop)
    }

    fn byte(&mut self) -> Result<u8, NotUnderstood> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn number(&mut self) -> Result<u32, NotUnderstood> {
        self.align(4)?;
        let mut four = [0; 4];
        four.copy_from_slice(self.take(4)?);
        Ok(match self.order {
            b'B' => u32::from_be_bytes(four),
            _ => u32::from_le_bytes(four),
        })
    }

    fn text(&mut self, length: usize) -> Result<String, NotUnderstood> {
        let text = self.take(length)?.to_vec();
        self.take(1)?;
        String::from_utf8(text).map_err(|_| NotUnderstood("a text that is no UTF-8"))
    }

    fn signature(&mut self) -> Result<String, NotUnderstood> {
        let length = self.byte()?;
        self.text(length.into())
    }

    fn value(&mut self, kind: u8, variants: bool) -> Result<Value, NotUnderstood> {
        match kind {
            b's' | b'o' => {
                let length = self.number()?;
                self.text(length as usize).map(Value::Text)
            }
            b'g' => self.signature().map(Value::Text),
            b'u' | b'i' | b'b' => self.number().map(Value::Number),
            b'y' => self.byte().map(|it| Value::Number(it.into())),
            b'v' if variants => match self.signature()?.as_bytes() {
                [inner] => self.value(*inner, false),
                _ => Err(NotUnderstood("a value of another kind")),
            },
            _ => Err(NotUnderstood("a value of another kind")),
        }
    }
}

#[cfg(test)]
mod tests;
