"""A device in Python: port, client id, root, chain, key."""
import socket
import ssl
import sys

port, client_id, root, chain, key = sys.argv[1:]
context = ssl.create_default_context(cafile=root)
context.load_cert_chain(chain, key)
stream = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))), server_hostname="localhost")
name = client_id.encode()
stream.send(b"\x10" + bytes([12 + len(name)]) + b"\0\4MQTT\4\2\0\x3c\0" + bytes([len(name)]) + name)
print(stream.cipher()[0], stream.recv(4).hex())
