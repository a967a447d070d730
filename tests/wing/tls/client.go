// A device in Go: port, client id, root, chain, key.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"os"
)

func main() {
	port, id, root := os.Args[1], os.Args[2], os.Args[3]
	own, err := tls.LoadX509KeyPair(os.Args[4], os.Args[5])
	if err != nil {
		log.Fatal(err)
	}
	pem, err := os.ReadFile(root)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := tls.Config{ServerName: "localhost", RootCAs: roots, Certificates: []tls.Certificate{own}}
	stream, err := tls.Dial("tcp", "127.0.0.1:"+port, &config)
	if err != nil {
		log.Fatal(err)
	}
	connect := []byte{0x10, byte(12 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, byte(len(id))}
	stream.Write(append(connect, id...))
	answer := make([]byte, 4)
	n, _ := io.ReadFull(stream, answer)
	fmt.Printf("%s %x\n", tls.CipherSuiteName(stream.ConnectionState().CipherSuite), answer[:n])
}
