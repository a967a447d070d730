//! The broker: who is connected under which client id, and who wants which messages.
//!
//! Messages are delivered once and not kept: no sessions outlive their connection, nothing is retained.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

use super::packet::QoS;
use super::topic;

/// Messages that wait for a device; one that does not read loses more.
const WAITING: usize = 1_024;

/// A message on its way to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Bytes,
    pub qos: QoS,
}

#[derive(Default)]
pub struct Broker(Mutex<Members>);

#[derive(Default)]
struct Members {
    connected: HashMap<String, Member>,
    /// Those of them with filters.
    subscribers: BTreeSet<String>,
    /// How many there have been.
    number: u64,
}

struct Member {
    number: u64,
    inbox: Sender<Message>,
    /// Dropped to end the connection.
    _hold: oneshot::Sender<()>,
    filters: Vec<(String, QoS)>,
}

/// A device's seat at the broker.
pub struct Seat {
    client_id: String,
    number: u64,
    pub inbox: Receiver<Message>,
    /// Ready when another connection takes the client id.
    pub taken: oneshot::Receiver<()>,
}

impl Broker {
    /// Takes a client id. Who had it before is dropped.
    pub fn join(&self, client_id: &str) -> Seat {
        let (inbox, receiver) = channel(WAITING);
        let (hold, taken) = oneshot::channel();
        let mut members = self.0.lock().expect("no holder panics");
        members.number += 1;
        let number = members.number;
        members.subscribers.remove(client_id);
        let member = Member {
            number,
            inbox,
            _hold: hold,
            filters: Vec::new(),
        };
        members.connected.insert(client_id.to_owned(), member);
        Seat {
            client_id: client_id.to_owned(),
            number,
            inbox: receiver,
            taken,
        }
    }

    /// Gives a seat up, unless another connection has taken it.
    pub fn leave(&self, seat: &Seat) {
        let mut members = self.0.lock().expect("no holder panics");
        let is_own = |member: &Member| member.number == seat.number;
        if members.connected.get(&seat.client_id).is_some_and(is_own) {
            members.connected.remove(&seat.client_id);
            members.subscribers.remove(&seat.client_id);
        }
    }

    /// Adds a filter to a seat, in place of the same one.
    pub fn subscribe(&self, seat: &Seat, filter: &str, qos: QoS) {
        let mut members = self.0.lock().expect("no holder panics");
        let Some(member) = members.connected.get_mut(&seat.client_id) else {
            return;
        };
        if member.number == seat.number {
            member.filters.retain(|(other, _)| other != filter);
            member.filters.push((filter.to_owned(), qos));
            members.subscribers.insert(seat.client_id.clone());
        }
    }

    pub fn unsubscribe(&self, seat: &Seat, filter: &str) {
        let mut members = self.0.lock().expect("no holder panics");
        let Some(member) = members.connected.get_mut(&seat.client_id) else {
            return;
        };
        if member.number == seat.number {
            member.filters.retain(|(other, _)| other != filter);
        }
    }

    /// Sends a message to everybody who wants it. Returns how many do.
    pub fn publish(&self, message: &Message) -> usize {
        let members = self.0.lock().expect("no holder panics");
        let mut wanted = 0;
        for client_id in &members.subscribers {
            let Some(member) = members.connected.get(client_id) else {
                continue;
            };
            let filters = member.filters.iter();
            let matching = filters.filter(|(filter, _)| topic::matches(filter, &message.topic));
            if let Some(qos) = matching.map(|(_, qos)| *qos).max() {
                wanted += 1;
                let message = Message {
                    qos: qos.min(message.qos),
                    ..message.clone()
                };
                // A device that does not read loses it.
                let _ = member.inbox.try_send(message);
            }
        }
        wanted
    }

    /// How many are connected.
    pub fn connected(&self) -> usize {
        self.0.lock().expect("no holder panics").connected.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str) -> Message {
        Message {
            topic: topic.to_owned(),
            payload: Bytes::from_static(b"x"),
            qos: QoS::AtLeastOnce,
        }
    }

    #[test]
    fn delivers_to_whom_it_concerns() {
        let broker = Broker::default();
        let mut one = broker.join("one");
        let mut two = broker.join("two");
        broker.subscribe(&one, "a/+", QoS::AtMostOnce);
        broker.subscribe(&one, "a/b", QoS::AtLeastOnce);
        broker.subscribe(&two, "c", QoS::AtLeastOnce);
        assert_eq!(broker.publish(&message("a/b")), 1);
        // Once, with the better of both.
        assert_eq!(one.inbox.try_recv().expect("a message"), message("a/b"));
        assert!(one.inbox.try_recv().is_err());
        assert!(two.inbox.try_recv().is_err());
        broker.unsubscribe(&one, "a/b");
        broker.publish(&message("a/b"));
        assert_eq!(one.inbox.try_recv().expect("a message").qos, QoS::AtMostOnce);
        broker.leave(&one);
        assert_eq!(broker.publish(&message("a/b")), 0);
    }

    #[test]
    fn the_older_of_two_with_one_client_id_is_dropped() {
        let broker = Broker::default();
        let mut older = broker.join("one");
        broker.subscribe(&older, "a", QoS::AtMostOnce);
        let mut newer = broker.join("one");
        assert!(
            older
                .taken
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
        );
        assert!(
            newer
                .taken
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
        );
        // Subscriptions end with their connection, and the older one takes nothing with it.
        assert_eq!(broker.publish(&message("a")), 0);
        broker.leave(&older);
        assert_eq!(broker.connected(), 1);
    }
}
