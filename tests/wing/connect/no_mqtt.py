"""Servers that speak TLS and no MQTT, on a free port of 127.0.0.1 that is printed.

no_mqtt.py http|silent CERTIFICATE KEY
"""

import socket
import ssl
import sys

kind, certificate, key = sys.argv[1:]

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    with context.wrap_socket(server, server_side=True) as server:
        try:
            connection, _ = server.accept()
        except ssl.SSLError as error:
            sys.exit(f"the client breaks off: {error.reason}")
        connection.recv(1024)
        if kind == "http":
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        # Until the client goes.
        while connection.recv(1024):
            pass
