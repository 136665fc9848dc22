// Go's crypto/tls as a peer of the interop tests.
//
//	tlspeer client ADDRESS VERSION CERT KEY CA COUNT   connects COUNT times, offers the last session, asks GET /
//	tlspeer server PORT VERSION CERT KEY CA            demands a certificate, answers what it saw and closes
//	tlspeer burst ADDRESS VERSION CERT KEY CA COUNT    connects COUNT times, says "ready", and makes all
//	                                                   handshakes at once when it gets a line
//
// Prints, or answers, one JSON line for each connection; a burst says how many succeeded.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

type seen struct {
	Version string `json:"version"`
	Curve   string `json:"curve"`
	Resumed bool   `json:"resumed"`
	Peer    string `json:"peer"`
	Status  int    `json:"status"`
}

func tell(state *tls.ConnectionState) seen {
	s := seen{Version: tls.VersionName(state.Version), Curve: state.CurveID.String(), Resumed: state.DidResume}
	if len(state.PeerCertificates) > 0 && len(state.PeerCertificates[0].URIs) > 0 {
		s.Peer = state.PeerCertificates[0].URIs[0].String()
	}
	return s
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func config(version, certificate, key, ca string) *tls.Config {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	fail(err)
	pem, err := os.ReadFile(ca)
	fail(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	number := uint16(tls.VersionTLS13)
	if version == "1.2" {
		number = tls.VersionTLS12
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ClientCAs: roots,
		ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "users.shop", MinVersion: number, MaxVersion: number}
}

func burst(address string, settings *tls.Config, count int) {
	sockets := make([]net.Conn, count)
	for i := range sockets {
		var err error
		sockets[i], err = net.Dial("tcp", address)
		fail(err)
	}
	fmt.Println("ready")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	fail(err)
	var succeeded atomic.Int64
	var all sync.WaitGroup
	for _, socket := range sockets {
		all.Go(func() {
			secure := tls.Client(socket, settings)
			defer secure.Close()
			if secure.Handshake() == nil {
				succeeded.Add(1)
			}
		})
	}
	all.Wait()
	fmt.Println(succeeded.Load())
}

func main() {
	arguments := os.Args[3:]
	settings := config(arguments[0], arguments[1], arguments[2], arguments[3])
	out := json.NewEncoder(os.Stdout)
	if os.Args[1] == "server" {
		server := http.Server{Addr: "127.0.0.1:" + os.Args[2], TLSConfig: settings,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				json.NewEncoder(w).Encode(tell(r.TLS))
			})}
		server.SetKeepAlivesEnabled(false)
		fail(server.ListenAndServeTLS("", ""))
	}
	if os.Args[1] == "burst" {
		count, err := strconv.Atoi(arguments[4])
		fail(err)
		burst(os.Args[2], settings, count)
		return
	}
	settings.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	count, err := strconv.Atoi(arguments[4])
	fail(err)
	for range count {
		client := http.Client{Timeout: 30 * time.Second,
			Transport: &http.Transport{TLSClientConfig: settings, DisableKeepAlives: true}}
		response, err := client.Get("https://" + os.Args[2] + "/")
		fail(err)
		s := tell(response.TLS)
		s.Status = response.StatusCode
		fail(response.Body.Close())
		fail(out.Encode(s))
	}
}
