//! Frames: four bytes of length, big-endian, and a protobuf message.
//!
//! In: messages, or bytes as they come from a socket. Out: frames, or whole messages. A length beyond the limit is
//! refused before anything is allocated for it.

use std::io::{self, Read};

use prost::Message;
use zeroize::Zeroizing;

/// Longest frame (bytes): a message that is signed whole, or a report of some ten thousand keys.
pub(super) const FRAME_BYTES_MAX: usize = 8 << 20;
/// Length of the length (bytes).
const HEAD_BYTES: usize = 4;

/// A message as it goes over the socket. Wiped when dropped: the first one holds the PIN.
pub(super) fn frame(message: &impl Message) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = message.encoded_len();
    if length > FRAME_BYTES_MAX {
        return Err(too_long(length));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD_BYTES + length));
    bytes.extend_from_slice(&(length as u32).to_be_bytes());
    message.encode(&mut *bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Reads one message and nothing beyond it. `None`: the other end has closed.
pub(super) fn read<M: Message + Default>(from: &mut impl Read) -> io::Result<Option<M>> {
    let mut head = [0; HEAD_BYTES];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        outcome => outcome?,
    }
    let length = checked_length(head)?;
    let mut body = Zeroizing::new(vec![0; length]);
    from.read_exact(&mut body)?;
    M::decode(body.as_slice()).map(Some).map_err(malformed)
}

/// Puts messages together from the pieces that a socket gives.
#[derive(Default)]
pub(super) struct Assembler {
    bytes: Vec<u8>,
    /// What of `bytes` has been given out.
    taken: usize,
}

impl Assembler {
    pub(super) fn add(&mut self, piece: &[u8]) {
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
        }
        self.bytes.extend_from_slice(piece);
    }

    /// The next whole message, if there is one.
    pub(super) fn next<M: Message + Default>(&mut self) -> io::Result<Option<M>> {
        let waiting = &self.bytes[self.taken..];
        let Some((head, rest)) = waiting.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let length = checked_length(*head)?;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = M::decode(body).map_err(malformed)?;
        self.taken += HEAD_BYTES + length;
        Ok(Some(message))
    }
}

fn checked_length(head: [u8; HEAD_BYTES]) -> io::Result<usize> {
    let length = u32::from_be_bytes(head) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(too_long(length));
    }
    Ok(length)
}

fn too_long(length: usize) -> io::Error {
    let problem = format!("a frame of {length} bytes; at most {FRAME_BYTES_MAX} are taken");
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

fn malformed(error: prost::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::super::message::{Answer, FromWorker};
    use super::*;

    fn message(id: u64, bytes: usize) -> FromWorker {
        let answer = Some(Answer::Signature(vec![7; bytes]));
        FromWorker { id, answer }
    }

    #[test]
    fn messages_come_out_whole_however_they_are_cut() {
        let sent: Vec<FromWorker> = (0..20).map(|n| message(n, n as usize * 37)).collect();
        let mut bytes = Vec::new();
        for message in &sent {
            bytes.extend_from_slice(&frame(message).unwrap());
        }
        for piece in [1, 3, 4, 5, 64, bytes.len()] {
            let (mut assembler, mut arrived) = (Assembler::default(), Vec::new());
            for part in bytes.chunks(piece) {
                assembler.add(part);
                while let Some(message) = assembler.next::<FromWorker>().unwrap() {
                    arrived.push(message);
                }
            }
            assert_eq!(arrived, sent, "pieces of {piece}");
        }
        let mut reader = bytes.as_slice();
        for message in &sent {
            assert_eq!(
                read::<FromWorker>(&mut reader).unwrap().as_ref(),
                Some(message)
            );
        }
        assert_eq!(read::<FromWorker>(&mut reader).unwrap(), None);
    }

    #[test]
    fn refuses_length_beyond_the_limit_and_bytes_that_are_no_message() {
        let mut assembler = Assembler::default();
        assembler.add(&u32::MAX.to_be_bytes());
        let error = assembler.next::<FromWorker>().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let mut long: &[u8] = &[0xff; 16];
        assert!(read::<FromWorker>(&mut long).is_err());
        let mut nonsense: &[u8] = b"\0\0\0\x04\xff\xff\xff\xff";
        assert!(read::<FromWorker>(&mut nonsense).is_err());
        assert!(frame(&message(1, FRAME_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn a_frame_that_ends_early_is_an_error_not_an_end() {
        let bytes = frame(&message(1, 100)).unwrap();
        let mut cut = &bytes[..50];
        assert!(read::<FromWorker>(&mut cut).is_err());
    }
}
