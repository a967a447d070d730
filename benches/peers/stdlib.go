// The peer in Go, with the standard library: crypto/x509, archive/zip, and a goroutine for each core.
//
// stdlib --rows N --to DIR --ca DIR prints the devices and the seconds that they took as a line of JSON.
package main

import (
	"archive/zip"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const endpoint = `{
  "host": null,
  "port": 8883,
  "client_id": "%[1]s",
  "thing_name": "%[1]s",
  "region": null
}
`

// What is the same for all devices.
type forge struct {
	to          string
	ca          *x509.Certificate
	caKey       any
	caPem       []byte
	root1Pem    []byte
	root3Pem    []byte
	start       time.Time
	serialLimit *big.Int
}

func main() {
	rows := flag.Int64("rows", 20000, "devices to make")
	to := flag.String("to", "", "folder that the bundles go into")
	ca := flag.String("ca", "", "folder of the CA that signs, and of Amazon's roots")
	flag.Parse()
	check(os.Mkdir(*to, 0o777))
	f := load(*ca, *to)

	start := time.Now()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for row := next.Add(1) - 1; row < *rows; row = next.Add(1) - 1 {
				f.make(fmt.Sprintf("SN%09d", row))
			}
		}()
	}
	workers.Wait()
	fmt.Printf("{\"devices\": %d, \"seconds\": %.6f}\n", *rows, time.Since(start).Seconds())
}

func load(ca, to string) *forge {
	f := &forge{to: to, start: time.Now(), serialLimit: new(big.Int).Lsh(big.NewInt(1), 127)}
	f.caPem = read(ca, "certificate.pem")
	f.root1Pem = read(ca, "AmazonRootCA1.pem")
	f.root3Pem = read(ca, "AmazonRootCA3.pem")
	block, _ := pem.Decode(f.caPem)
	f.ca = must(x509.ParseCertificate(block.Bytes))
	block, _ = pem.Decode(read(ca, "key.pem"))
	f.caKey = must(x509.ParsePKCS8PrivateKey(block.Bytes))
	return f
}

func (f *forge) make(device string) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	keyPem := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))})
	certificate := f.certificate(device, key)
	var bundle bytes.Buffer
	archive := zip.NewWriter(&bundle)
	for _, member := range []struct {
		name    string
		content []byte
	}{
		{"private.pem.key", keyPem},
		{"certificate.pem.crt", certificate},
		{"chain.pem.crt", bytes.Join([][]byte{certificate, f.caPem}, nil)},
		{"AmazonRootCA1.pem", f.root1Pem},
		{"AmazonRootCA3.pem", f.root3Pem},
		{"endpoint.json", fmt.Appendf(nil, endpoint, device)},
	} {
		// Create deflates.
		_, err := must(archive.Create(member.name)).Write(member.content)
		check(err)
	}
	check(archive.Close())
	check(os.WriteFile(filepath.Join(f.to, device+".zip"), bundle.Bytes(), 0o644))
}

func (f *forge) certificate(device string, key *ecdsa.PrivateKey) []byte {
	// RFC 5280, section 4.2.1.2, method 1. Go makes this identifier for CAs only.
	subjectKeyID := sha1.Sum(must(key.PublicKey.Bytes()))
	template := &x509.Certificate{
		SerialNumber:          must(rand.Int(rand.Reader, f.serialLimit)),
		Subject:               pkix.Name{CommonName: device},
		NotBefore:             f.start.Add(-time.Hour),
		NotAfter:              f.start.AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		SubjectKeyId:          subjectKeyID[:],
	}
	der := must(x509.CreateCertificate(rand.Reader, template, f.ca, &key.PublicKey, f.caKey))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func read(folder, name string) []byte { return must(os.ReadFile(filepath.Join(folder, name))) }

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
