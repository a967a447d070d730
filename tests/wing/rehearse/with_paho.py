"""Eclipse Paho's client, as two devices of a batch, at an endpoint that rehearses first connections.

with_paho.py traffic|refused FOLDER PORT 3.1.1|5 1.2|1.3 CERTIFICATE ONE TWO

In FOLDER are rehearsal-root.pem and a folder for each of the devices ONE and TWO, with their bundles' files. The devices
are new to the endpoint. `traffic` is for policies that allow all, `refused` for those that allow topics of the device.
"""

import signal
import queue
import ssl
import sys

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

# What does not come is not waited for for ever.
signal.alarm(180)

PATIENCE = 30
NOT_AUTHORIZED = 0x87
SESSION_TAKEN_OVER = 0x8E

scenario, folder, port, version, tls, certificate, one, two = sys.argv[1:]
IS_5 = version == "5"


class Device:
    """A client whose callbacks are read one by one, in their order."""

    def __init__(self, name, keepalive=60, will=None):
        self.told = queue.Queue()
        protocol = mqtt.MQTTv5 if IS_5 else mqtt.MQTTv311
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=protocol)
        context = ssl.create_default_context(cafile=f"{folder}/rehearsal-root.pem")
        context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, f"TLSv{tls.replace('.', '_')}")
        context.load_cert_chain(f"{folder}/{name}/{certificate}", f"{folder}/{name}/private.pem.key")
        self.client.tls_set_context(context)
        if will:
            self.client.will_set(*will, qos=1)
        tell = self.told.put
        self.client.on_connect = lambda c, u, flags, code, p: tell(("connected", code.value))
        self.client.on_disconnect = lambda c, u, flags, code, p: tell(
            ("disconnected", code.value if flags.is_disconnect_packet_from_server else None)
        )
        self.client.on_message = lambda c, u, m: tell(("message", m.topic, m.payload, m.qos))
        self.client.on_publish = lambda c, u, mid, code, p: tell(("published", mid))
        self.client.on_subscribe = lambda c, u, mid, codes, p: tell(("subscribed", [code.value for code in codes]))
        self.client.on_unsubscribe = lambda c, u, mid, codes, p: tell(("unsubscribed", len(codes)))
        # What it logs tells of pings, for which it has no callback.
        self.client.on_log = lambda c, u, level, text: text == "Received PINGRESP" and tell(("ping answered",))
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("localhost", int(port), keepalive)
        self.client.loop_start()

    def hears(self, *expected):
        got = self.told.get(timeout=PATIENCE)
        assert got == expected, f"{got}, not {expected}"

    def comes_up(self):
        """Dropped before CONNACK, and at the next attempt, which paho makes by itself, let in."""
        self.hears("disconnected", None)
        self.hears("connected", 0)
        return self

    def subscribes(self, topic, code=1):
        self.client.subscribe(topic, qos=1)
        self.hears("subscribed", [code])

    def publishes(self, topic, payload, qos=1):
        mid = self.client.publish(topic, payload, qos=qos).mid
        self.hears("published", mid)

    def leaves(self):
        self.client.disconnect()
        self.hears("disconnected", None)
        self.client.loop_stop()
        assert self.told.empty(), self.told.get()

    def goes_away(self):
        """Closes without DISCONNECT."""
        self.client.loop_stop()
        self.client.socket().close()


def traffic():
    first = Device(one, will=("lost", "one")).comes_up()
    second = Device(two, keepalive=1, will=("lost", "two")).comes_up()
    first.subscribes("news/+")
    second.publishes("news/1", b"QoS 1")
    first.hears("message", "news/1", b"QoS 1", 1)
    second.publishes("news/0", b"QoS 0", qos=0)
    first.hears("message", "news/0", b"QoS 0", 0)
    second.hears("ping answered")

    first.client.unsubscribe("news/+")
    first.hears("unsubscribed", 1 if IS_5 else 0)
    second.told = queue.Queue()
    second.client.publish("news/1", b"for nobody", qos=1).wait_for_publish(PATIENCE)

    # The will of a device that says goodbye is nobody's; that of one that vanishes is.
    first.subscribes("lost")
    second.client.disconnect()
    second.client.loop_stop()
    vanishing = Device(two, will=("lost", "two, abruptly"))
    vanishing.hears("connected", 0)
    vanishing.goes_away()
    first.hears("message", "lost", b"two, abruptly", 1)

    # Two with one client id: the older one has to go.
    older = Device(two, will=("lost", "two, again"))
    older.hears("connected", 0)
    older.client.reconnect_delay_set(2 * PATIENCE, 2 * PATIENCE)
    newer = Device(two)
    newer.hears("connected", 0)
    older.hears("disconnected", SESSION_TAKEN_OVER if IS_5 else None)
    first.hears("message", "lost", b"two, again", 1)
    older.client.loop_stop()
    newer.leaves()
    first.leaves()


def refused():
    first = Device(one).comes_up()
    first.subscribes(f"{one}/#")
    first.subscribes("news/#", code=NOT_AUTHORIZED if IS_5 else 0x80)
    first.publishes(f"{one}/state", b"own")
    first.hears("message", f"{one}/state", b"own", 1)
    first.client.publish("news/1", b"not own", qos=1)
    first.hears("disconnected", NOT_AUTHORIZED if IS_5 else None)
    first.client.loop_stop()


{"traffic": traffic, "refused": refused}[scenario]()
