//! The messages of the netlink connector: `nlmsghdr`, `cn_msg`, `dm_ulog_request`, and the
//! data of the request behind them, all in the byte order of the machine
//! (include/uapi/linux/{netlink,connector,dm-log-userspace}.h).

use nix::errno::Errno;

/// The connector's address of userspace logs (`CN_IDX_DM`, `CN_VAL_DM_USERSPACE_LOG`).
pub const ADDRESS: (u32, u32) = (7, 1);

/// `NLMSG_DONE`, the only type that the connector sends and takes.
const DONE: u16 = 3;

/// Bytes of `nlmsghdr`, `cn_msg` and `dm_ulog_request`.
const NETLINK: usize = 16;
const CONNECTOR: usize = 20;
const REQUEST: usize = 160;

/// Bytes of a uuid with the zero that ends it (`DM_UUID_LEN`).
const UUID: usize = 129;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// What the kernel calls this log for as long as its table lives.
    pub luid: u64,
    /// The log, as the table names it.
    pub uuid: String,
    /// The version of the protocol.
    pub version: u32,
    /// What the answer is to carry too.
    pub seq: u32,
    /// What is asked (`DM_ULOG_*`).
    pub kind: u32,
    /// What goes with it.
    pub data: Vec<u8>,
}

/// Takes numbers off the front of bytes.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_ne_bytes)
    }
}

impl Packet {
    /// The request in a message; none where it is no whole one of a userspace log.
    pub fn parse(message: &[u8]) -> Option<Packet> {
        let mut bytes = Bytes(message);
        let netlink = Bytes(bytes.take(NETLINK)?).u32()?;
        let mut bytes = Bytes(message.get(NETLINK..usize::try_from(netlink).ok()?)?);
        let address = (bytes.u32()?, bytes.u32()?);
        let (_seq, _ack) = (bytes.u32()?, bytes.u32()?);
        let length: [u8; 2] = bytes.take(4)?.get(..2)?.try_into().ok()?;
        let mut bytes = Bytes(bytes.0.get(..usize::from(u16::from_ne_bytes(length)))?);
        if address != ADDRESS {
            return None;
        }
        let luid = bytes.u64()?;
        let uuid = text(bytes.take(UUID)?)?;
        bytes.take(3)?;
        let (version, _error, seq) = (bytes.u32()?, bytes.u32()?, bytes.u32()?);
        // The upper bytes are kept for flags (`DM_ULOG_REQUEST_MASK`).
        let kind = bytes.u32()? & 0xFF;
        let size = usize::try_from(bytes.u32()?).ok()?;
        Some(Packet {
            luid,
            uuid,
            version,
            seq,
            kind,
            data: bytes.0.get(..size)?.to_vec(),
        })
    }

    /// The message that answers it: an error or none, and data. What the kernel reads of
    /// it is `seq`, the error, and the data and its size.
    pub fn answer(&self, error: Option<Errno>, data: &[u8]) -> Vec<u8> {
        let (length, size) = (REQUEST + data.len(), data.len() as u32);
        let mut message = Vec::with_capacity(NETLINK + CONNECTOR + length);
        let mut put = |bytes: &[u8]| message.extend_from_slice(bytes);
        put(&((NETLINK + CONNECTOR + length) as u32).to_ne_bytes());
        put(&DONE.to_ne_bytes());
        put(&[0; 10]);
        for number in [ADDRESS.0, ADDRESS.1, self.seq, 0] {
            put(&number.to_ne_bytes());
        }
        put(&(length as u16).to_ne_bytes());
        put(&[0; 2]);
        put(&self.luid.to_ne_bytes());
        let mut uuid = self.uuid.clone().into_bytes();
        uuid.resize(UUID + 3, 0);
        put(&uuid);
        put(&self.version.to_ne_bytes());
        let error = error.map_or(0, |error| -(error as i32));
        put(&error.to_ne_bytes());
        for number in [self.seq, self.kind, size] {
            put(&number.to_ne_bytes());
        }
        put(data);
        message
    }
}

/// Text that a zero ends; none where it is none.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    (!text.is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(data: &[u8]) -> Packet {
        Packet {
            luid: 0x1234_5678_9ABC,
            uuid: "a-log".into(),
            version: 3,
            seq: 77,
            kind: 8,
            data: data.into(),
        }
    }

    #[test]
    fn an_answer_has_the_fields_where_the_kernel_reads_them() {
        let message = packet(&[]).answer(Some(Errno::ESRCH), &7_u64.to_ne_bytes());
        assert_eq!(message.len(), 16 + 20 + 160 + 8);
        let at = |from: usize| i32::from_ne_bytes(message[from..from + 4].try_into().unwrap());
        let request = 16 + 20;
        assert_eq!((at(0), at(16), at(20)), (204, 7, 1));
        assert_eq!(at(request + 144), -(Errno::ESRCH as i32));
        assert_eq!((at(request + 148), at(request + 152)), (77, 8));
        assert_eq!((at(request + 156), at(request + 160)), (8, 7));
        assert_eq!(&message[request + 8..request + 14], b"a-log\0");
    }

    #[test]
    fn what_is_answered_is_read_again() {
        let asked = packet(&[1, 2, 3]);
        let answered = asked.answer(None, &[1, 2, 3]);
        assert_eq!(Packet::parse(&answered), Some(asked));
    }

    #[test]
    fn of_another_connector_or_cut_short_there_is_none() {
        let whole = packet(&[1, 2, 3]).answer(None, &[1, 2, 3]);
        for end in 0..whole.len() {
            assert_eq!(Packet::parse(&whole[..end]), None, "{end}");
        }
        let mut other = whole;
        other[16] = 1;
        assert_eq!(Packet::parse(&other), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Packet::parse(&bytes);
        }
    }
}
