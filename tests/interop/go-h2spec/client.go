package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/summerwind/h2spec/client"
	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/spec"
)

func casesOf(group *spec.ClientTestGroup) []*spec.ClientTestCase {
	all := append([]*spec.ClientTestCase(nil), group.Tests...)
	for _, inner := range group.Groups {
		all = append(all, casesOf(inner)...)
	}
	return all
}

// ask sends a request by the proxy; it must be answered, with whatever status.
func ask(url string, answered chan<- error) {
	patient := http.Client{Timeout: 4 * patience}
	answer, err := patient.Get(url)
	if err == nil {
		// A body that is cut off is an answer too.
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	answered <- err
}

// accept takes one connection: after it the listener is closed, as a second one would mean that the proxy tries again.
func accept(listener net.Listener, secure *tls.Config) (net.Conn, error) {
	defer listener.Close()
	connection, err := listener.Accept()
	if err != nil || secure == nil {
		return connection, err
	}
	encrypted := tls.Server(connection, secure)
	return encrypted, encrypted.Handshake()
}

// serveCase lets the proxy's client meet one case.
func serveCase(test *spec.ClientTestCase, url, port string, secure *tls.Config) error {
	// The listener is there before the proxy is asked, or the connection would be refused.
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	answered := make(chan error, 1)
	go ask(url, answered)
	connection, err := accept(listener, secure)
	if err != nil {
		return err
	}
	settings := &config.Config{Host: "127.0.0.1", Timeout: patience, MaxHeaderLen: 4000, TLS: secure != nil}
	met, err := spec.Accept(settings, connection)
	if err != nil {
		return err
	}
	failed := test.Run(settings, met)
	met.Close()
	if err := <-answered; err != nil {
		return errors.Join(failed, fmt.Errorf("who asked the proxy has no answer: %w", err))
	}
	return failed
}

func testClient(url, certificate, key string, ports []string) error {
	cases := casesOf(client.Spec())
	if len(cases) != len(ports) {
		return fmt.Errorf("there are %d cases, not %d", len(cases), len(ports))
	}
	var secure *tls.Config
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return err
		}
		secure = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}
	}
	names := make([]result, len(cases))
	for i, test := range cases {
		names[i] = result{id: fmt.Sprintf("%s/%d", test.Parent.ID(), test.Seq), what: test.Desc}
	}
	runAll(names, func(i int) error {
		path := fmt.Sprintf("%s/%d", url, i)
		err := serveCase(cases[i], path, ports[i], secure)
		// The proxy closes behind its GOAWAY: what the case still sends is answered by a reset, which may overtake it.
		if err != nil && strings.Contains(err.Error(), "connection reset by peer") {
			err = serveCase(cases[i], path, ports[i], secure)
		}
		return err
	})
	return nil
}
