//! PEM: a block for each key and certificate, as many as a profile likes, in its order.

use super::{Beside, Format, Sizes, Source, Unread, Value, refuse_formless};
use crate::bundle::Content;
use crate::pem;

pub(super) struct Pem;

impl Format for Pem {
    fn name(&self) -> &'static str {
        "pem"
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        refuse_formless(contents)
    }

    fn room(&self, contents: &[Content], sizes: &Sizes<'_>) -> usize {
        let room = |content: &Content| match content {
            Content::PrivateKey => pem::len(pem::PRIVATE_KEY, sizes.private_key),
            Content::Chain => {
                pem::len(pem::CERTIFICATE, sizes.certificate) + pem::len(pem::CERTIFICATE, sizes.issuer)
            }
            certificate => pem::len(pem::CERTIFICATE, sizes.of(certificate)),
        };
        contents.iter().map(room).sum()
    }

    fn append(&self, contents: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        for content in contents {
            match content {
                Content::PrivateKey => pem::append(pem::PRIVATE_KEY, source.credential.private_key, out),
                Content::Certificate => out.extend_from_slice(source.certificate_pem),
                Content::Chain => {
                    out.extend_from_slice(source.certificate_pem);
                    out.extend_from_slice(source.issuer_pem);
                }
                Content::Issuer => out.extend_from_slice(source.issuer_pem),
                Content::Root(root) => pem::append_certificate(root.der(), out),
                Content::Endpoint | Content::File(_) | Content::Drawn(_) => {}
            }
        }
    }

    fn read(&self, contents: &[Content], octets: &[u8], _: &Beside<'_>) -> Result<Vec<Value>, Unread> {
        let text = std::str::from_utf8(octets).map_err(|_| Unread::Damaged)?;
        let mut blocks = pem::blocks(text).map_err(|_| Unread::Damaged)?.into_iter();
        let mut next = |label| {
            let block = blocks.next().filter(|block| block.label == label);
            block.map(|block| block.der).ok_or(Unread::Damaged)
        };
        let mut values = Vec::with_capacity(contents.len());
        for content in contents {
            values.push(match content {
                Content::PrivateKey => Value::PrivateKey(next(pem::PRIVATE_KEY)?),
                content => {
                    let count = if *content == Content::Chain { 2 } else { 1 };
                    let ders = (0..count).map(|_| Ok(next(pem::CERTIFICATE)?.to_vec()));
                    Value::Certificates(ders.collect::<Result<_, _>>()?)
                }
            });
        }
        match blocks.next() {
            None => Ok(values),
            Some(_) => Err(Unread::Damaged),
        }
    }
}
