"""Eclipse Paho's client, which asks one thing of the endpoint for each line that it reads.

ask.py FOLDER PORT

In FOLDER are rehearsal-root.pem and a folder for each device with its bundle's files. A line is a JSON object with `device`,
`client`, `persistent`, `will` and `ask`; the answer is a line: allowed, or refused.
"""

import collections
import json
import signal
import ssl
import sys

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

# What does not come is not waited for for ever.
signal.alarm(540)

folder, port = sys.argv[1:]


class Device:
    def __init__(self, row):
        self.told = collections.deque()
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=row["client"],
            clean_session=not row["persistent"],
            protocol=mqtt.MQTTv311,
        )
        context = ssl.create_default_context(cafile=f"{folder}/rehearsal-root.pem")
        device = f"{folder}/{row['device']}"
        context.load_cert_chain(f"{device}/chain.pem.crt", f"{device}/private.pem.key")
        self.client.tls_set_context(context)
        if row["will"]:
            self.client.will_set(row["will"], b"gone", qos=1)
        tell = self.told.append
        self.client.on_connect = lambda c, u, flags, code, p: tell("connected")
        self.client.on_disconnect = lambda c, u, flags, code, p: tell("disconnected")
        self.client.on_publish = lambda c, u, mid, code, p: tell("published")
        self.client.on_subscribe = lambda c, u, mid, codes, p: tell("refused" if codes[0].is_failure else "subscribed")
        self.client.connect("localhost", int(port), 60)

    def hears(self):
        """What comes next; nothing happens but while somebody waits for it."""
        while not self.told:
            if self.client.loop(timeout=1) != mqtt.MQTT_ERR_SUCCESS and not self.told:
                return "disconnected"
        return self.told.popleft()


def ask(row):
    device = Device(row)
    try:
        if device.hears() != "connected":
            return False
        action, *name = row["ask"]
        if action == "Connect":
            return True
        if action == "Subscribe":
            device.client.subscribe(name[0], qos=1)
            return device.hears() == "subscribed"
        device.client.publish(name[0], b"x", qos=1, retain=action == "RetainPublish")
        return device.hears() == "published"
    finally:
        device.client.disconnect()
        device.client.loop(timeout=0)


for line in sys.stdin:
    print("allowed" if ask(json.loads(line)) else "refused", flush=True)
