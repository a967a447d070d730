"""AWS's IoT Device SDK, as two devices of a batch, at an endpoint that rehearses first connections.

with_awsiot.py traffic|refused|stays FOLDER PORT 3.1.1|5 CERTIFICATE ONE TWO

In FOLDER are rehearsal-root.pem and a folder for each of the devices ONE and TWO, with their bundles' files. The devices
are new to the endpoint. `traffic` is for policies that allow all, `refused` for those that allow topics of the device;
`stays` is `ONE`, which has been there before, with a last will: it says "up" and waits for its end.
"""

import signal
import queue
import sys
import threading

from awscrt import mqtt, mqtt5
from awscrt.exceptions import AwsCrtError
from awsiot import mqtt5_client_builder, mqtt_connection_builder

# What does not come is not waited for for ever.
signal.alarm(180)

PATIENCE = 30
HANGUP = "AWS_ERROR_MQTT_UNEXPECTED_HANGUP"

scenario, folder, port, version, certificate, one, two = sys.argv[1:]


def where(name):
    return {
        "endpoint": "localhost",
        "port": int(port),
        "cert_filepath": f"{folder}/{name}/{certificate}",
        "pri_key_filepath": f"{folder}/{name}/private.pem.key",
        "ca_filepath": f"{folder}/rehearsal-root.pem",
        "client_id": name,
    }


class Device3:
    """MQTT 3.1.1."""

    NOT_SUBSCRIBED = 0x80

    def __init__(self, name, will=None):
        self.told = queue.Queue()
        if will:
            will = mqtt.Will(will[0], mqtt.QoS.AT_LEAST_ONCE, will[1], False)
        self.connection = mqtt_connection_builder.mtls_from_path(
            **where(name),
            clean_session=True,
            will=will,
            on_connection_interrupted=lambda connection, error, **_: self.told.put(("interrupted", error.name)),
            # Nobody waits for what it would do after that.
            reconnect_min_timeout_secs=PATIENCE,
            reconnect_max_timeout_secs=2 * PATIENCE,
        )

    def hears(self, *expected):
        got = self.told.get(timeout=PATIENCE)
        assert got == expected, f"{got}, not {expected}"

    def comes_up(self):
        try:
            self.connection.connect().result(PATIENCE)
            raise AssertionError("the first connection was accepted")
        except AwsCrtError as error:
            assert error.name == HANGUP, error
        return self.connects()

    def connects(self):
        assert self.connection.connect().result(PATIENCE) == {"session_present": False}
        return self

    def subscribes(self, topic):
        told = lambda topic, payload, qos, **_: self.told.put(("message", topic, payload, qos.value))
        future, _ = self.connection.subscribe(topic, mqtt.QoS.AT_LEAST_ONCE, told)
        try:
            return future.result(PATIENCE)["qos"].value
        except mqtt.SubscribeError:
            # Its name for 0x80.
            return self.NOT_SUBSCRIBED

    def unsubscribes(self, topic):
        self.connection.unsubscribe(topic)[0].result(PATIENCE)

    def publishes(self, topic, payload, qos=1, retain=False):
        self.connection.publish(topic, payload, mqtt.QoS(qos), retain)[0].result(PATIENCE)

    def is_refused(self, topic):
        """Publishes what it may not: the connection ends without a word."""
        self.connection.publish(topic, b"not own", mqtt.QoS.AT_LEAST_ONCE)
        self.hears("interrupted", HANGUP)

    def leaves(self):
        self.connection.disconnect().result(PATIENCE)


class Device5:
    """MQTT 5."""

    NOT_SUBSCRIBED = mqtt5.SubackReasonCode.NOT_AUTHORIZED.value

    def __init__(self, name, will=None):
        self.told = queue.Queue()
        self.lifecycle = queue.Queue()
        self.stopped = threading.Event()
        if will:
            will = mqtt5.PublishPacket(topic=will[0], payload=will[1], qos=mqtt5.QoS.AT_LEAST_ONCE)
        tell = self.lifecycle.put
        self.client = mqtt5_client_builder.mtls_from_path(
            **where(name),
            will=will,
            on_publish_received=self.receives,
            on_lifecycle_connection_success=lambda data: tell(("connected", data.connack_packet.reason_code.value)),
            on_lifecycle_connection_failure=lambda data: tell(("failed", data.exception.name)),
            on_lifecycle_disconnection=lambda data: tell(
                ("disconnected", data.disconnect_packet and data.disconnect_packet.reason_code.value)
            ),
            on_lifecycle_stopped=lambda data: self.stopped.set(),
        )

    def receives(self, data):
        packet = data.publish_packet
        self.told.put(("message", packet.topic, packet.payload, packet.qos.value))

    def hears(self, *expected):
        got = self.told.get(timeout=PATIENCE)
        assert got == expected, f"{got}, not {expected}"

    def lives(self, *expected):
        got = self.lifecycle.get(timeout=PATIENCE)
        assert got == expected, f"{got}, not {expected}"

    def comes_up(self):
        """Dropped before CONNACK, and at the next attempt, which the client makes by itself, let in."""
        self.client.start()
        self.lives("failed", HANGUP)
        self.lives("connected", 0)
        return self

    def connects(self):
        self.client.start()
        self.lives("connected", 0)
        return self

    def subscribes(self, topic):
        packet = mqtt5.SubscribePacket([mqtt5.Subscription(topic, mqtt5.QoS.AT_LEAST_ONCE)])
        return self.client.subscribe(packet).result(PATIENCE).reason_codes[0].value

    def unsubscribes(self, topic):
        answer = self.client.unsubscribe(mqtt5.UnsubscribePacket([topic])).result(PATIENCE)
        assert answer.reason_codes == [mqtt5.UnsubackReasonCode.SUCCESS]

    def publishes(self, topic, payload, qos=1, retain=False):
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS(qos), retain=retain)
        done = self.client.publish(packet).result(PATIENCE)
        if qos:
            code = done.puback.reason_code
            assert code in (mqtt5.PubackReasonCode.SUCCESS, mqtt5.PubackReasonCode.NO_MATCHING_SUBSCRIBERS), code

    def is_refused(self, topic):
        self.client.publish(mqtt5.PublishPacket(topic=topic, payload=b"not own", qos=mqtt5.QoS.AT_LEAST_ONCE))
        self.lives("disconnected", mqtt5.DisconnectReasonCode.NOT_AUTHORIZED.value)
        self.client.stop()

    def leaves(self):
        self.client.stop(mqtt5.DisconnectPacket())
        assert self.stopped.wait(PATIENCE)


Device = Device5 if version == "5" else Device3


def traffic():
    first = Device(one).comes_up()
    second = Device(two, will=("lost", b"two")).comes_up()
    assert first.subscribes("news/+") == 1
    second.publishes("news/1", b"QoS 1")
    first.hears("message", "news/1", b"QoS 1", 1)
    second.publishes("news/0", b"QoS 0", qos=0)
    first.hears("message", "news/0", b"QoS 0", 0)
    # A client of MQTT 5 sends it only where the server says that it takes such messages.
    second.publishes("news/2", b"retained", retain=True)
    first.hears("message", "news/2", b"retained", 1)
    first.unsubscribes("news/+")
    second.publishes("news/1", b"for nobody")
    # The will of a device that says goodbye is nobody's.
    assert first.subscribes("#") == 1
    second.leaves()
    first.publishes("end", b"")
    first.hears("message", "end", b"", 1)
    first.leaves()


def refused():
    first = Device(one).comes_up()
    assert first.subscribes(f"{one}/#") == 1
    assert first.subscribes("news/#") == Device.NOT_SUBSCRIBED
    first.publishes(f"{one}/state", b"own")
    first.hears("message", f"{one}/state", b"own", 1)
    first.is_refused("news/1")


def stays():
    Device(one, will=("lost", b"it vanished")).connects()
    print("up", flush=True)
    sys.stdin.read()


{"traffic": traffic, "refused": refused, "stays": stays}[scenario]()
