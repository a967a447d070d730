// Judges certificates of devices as a server sees them that asks clients for theirs: each must have a chain to the root, for
// the use of a client, through the CAs that it is given.
//
//	judge ROOT CHAIN DEPTH FILE...    files of PEM; DEPTH is the length that each chain must have
package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

func certificates(file string) []*x509.Certificate {
	rest, err := os.ReadFile(file)
	stop(file, err)
	var all []*x509.Certificate
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return all
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		stop(file, err)
		all = append(all, certificate)
	}
}

func stop(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func main() {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, certificate := range certificates(os.Args[1]) {
		roots.AddCert(certificate)
	}
	for _, certificate := range certificates(os.Args[2]) {
		between.AddCert(certificate)
	}
	count := 0
	for _, file := range os.Args[4:] {
		for _, certificate := range certificates(file) {
			chains, err := certificate.Verify(x509.VerifyOptions{
				Roots:         roots,
				Intermediates: between,
				KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			})
			stop(file, err)
			for _, chain := range chains {
				if fmt.Sprint(len(chain)) != os.Args[3] {
					stop(file, fmt.Errorf("a chain of %d", len(chain)))
				}
			}
			if certificate.IsCA || certificate.KeyUsage != x509.KeyUsageDigitalSignature {
				stop(file, fmt.Errorf("not the certificate of a device: %v", certificate.Subject))
			}
			count++
		}
	}
	fmt.Printf("judged %d certificates\n", count)
}
